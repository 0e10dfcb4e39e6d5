//! `soak`: everything at once, at a rate that the host can well keep up with, for as long as it takes to see whether
//! anything is left behind: requests to all isolations, publications, tools over HTTP, clients that come, are cut off,
//! come back and go, and a handler that is replaced every few seconds.
//!
//! All rates are open loops: a moment of the machine's own is no loss, and the load does not give way to it.

use std::{
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use self::{
    churn::Churn,
    verdict::{Bounds, Part, Run},
    watch::Watch,
};
use crate::{
    client::{
        engine::{Driver, Engine},
        mcp::{Call, Era},
        template::{NUMBER, Template},
    },
    component::Versions,
    fleet::{Crowd, Door, Fleet, user},
    host::{Host, Setup},
    load::{Builds, Load, Pace, Speech, payload},
    options::Common,
    progress,
    report::Report,
    scenario::{
        DRAIN,
        fanout::{
            audience::{Counts, Listener, Plan, Subscriber},
            dialect::Dialect,
            publication,
        },
    },
};

mod churn;
mod verdict;
mod watch;

/// Those that are asked, and those of them that are replaced.
const HANDLERS: [&str; 4] = ["echo-message", "echo-session", "echo-shared", "raw-shared"];
const REPLACED: [&str; 3] = ["echo-message", "echo-session", "echo-shared"];
const OTHERS: [&str; 3] = ["system", "jsonrpc", "add"];

const PAYLOAD: usize = 500;
const CALL: Call<'_> = Call { tool: "add", arguments: r#"{"a":2,"b":3}"# };

/// From a replacement to the first answer of it; it is a failure that takes longer.
const REPLACING: Duration = Duration::from_secs(10);

/// For all subscriptions.
const SUBSCRIBING: Duration = Duration::from_secs(60);

/// After everybody has left, for the host to put away what it kept for them.
const SETTLING: Duration = Duration::from_secs(60);

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub struct Soak {
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// Requests per second, over all isolations
    #[arg(long, default_value_t = 300)]
    requests: u32,
    /// Connections of those who ask
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Publications per second
    #[arg(long, default_value_t = 5)]
    publications: u32,
    #[arg(long, default_value_t = 100)]
    subscribers: usize,
    /// Calls of tools per second, over HTTP
    #[arg(long, default_value_t = 50)]
    calls: u32,
    /// Clients per second that come, are cut off, come back and go
    #[arg(long, default_value_t = 10)]
    visits: u32,
    /// Between two replacements of a handler, each with a version that was never there
    #[arg(long, default_value_t = 5.0)]
    replace_seconds: f64,
    /// Between two samples
    #[arg(long, default_value_t = 10.0)]
    sample_seconds: f64,
    #[command(flatten)]
    bounds: Bounds,
}

impl Soak {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        progress::stage("starting the host");
        let setup = common.setup(&[&HANDLERS[..], &OTHERS].concat());
        let host = setup.start()?;
        let mut watch = Watch::begin(&host)?;
        let mut fleet = self.fleet(&host)?;
        let (lasts, builds, counts) =
            (Duration::from_secs_f64(self.minutes * 60.0), Builds::default(), Counts::default());
        let mut echo = self.echo(lasts, &builds);
        let mut calls = self.calls(&host, lasts)?;
        let base = Instant::now();
        let plan = Plan {
            dialect: Dialect::Switchboard,
            base,
            end: base + lasts,
            rate: self.publications,
            window: 0,
            receivers: self.subscribers as u64,
        };
        let publisher = Template::new(&publication(plan.dialect, PAYLOAD));
        let mut listener = Listener::new(plan, Some(publisher), &counts);
        let mut churn = Churn::new(per_second(self.visits), lasts);
        let mut drivers: [&mut (dyn Driver + Send); 4] = [&mut echo, &mut listener, &mut calls, &mut churn];
        let mut replacements = Replacements::new(&setup, &host, &builds)?;
        fleet.run(&mut drivers, lasts + DRAIN, |ended| {
            self.meanwhile(base + lasts, ended, &mut watch, &mut replacements)
        })?;
        fleet.engines.iter_mut().for_each(Engine::leave_all);
        drop(fleet);
        progress::stage("everybody has left");
        watch.settle(SETTLING, self.bounds.descriptors())?;
        let missing = listener_lost(&counts, self.subscribers);
        listener.tally.lost += missing;
        let parts = vec![
            Part::new("requests", self.requests, echo.finish().0),
            Part::new("deliveries", self.publications, listener.tally),
            Part::new("tools/call, HTTP", self.calls, calls.finish().0),
            Part::new("arrivals", self.visits, churn.arrivals),
            Part::new("returns", self.visits, churn.returns),
        ];
        let run = Run {
            parts,
            watch,
            replaced: replacements.done,
            replacing: replacements.took,
            failed: replacements.failed,
        };
        Ok(run.report(self.minutes, &self.bounds))
    }

    /// One engine for each part of the load, in the order of the drivers. Whoever visits comes later.
    fn fleet(&self, host: &Host) -> anyhow::Result<Fleet> {
        let connect = |connections, door| -> anyhow::Result<Fleet> {
            Fleet::connect(host.address, 1, false, Crowd { connections, door })
        };
        let mut all = connect(self.connections, Door::Greeted("/ws"))?;
        let mut audience = connect(self.subscribers + 1, Door::Greeted("/ws"))?;
        let mut subscribers = [Subscriber::new(Dialect::Switchboard, true)];
        audience.run(&mut subscribers, SUBSCRIBING, |_| Ok(()))?;
        anyhow::ensure!(subscribers[0].done == self.subscribers, "{} are subscribed", subscribers[0].done);
        // One for each call of a second, and so none that waits for another.
        let callers = connect(self.calls as usize, Door::Requests)?;
        all.engines.extend(audience.engines.into_iter().chain(callers.engines));
        all.engines.push(Engine::new(host.address, false)?);
        Ok(all)
    }

    fn echo<'a>(&self, lasts: Duration, builds: &'a Builds) -> Load<'a> {
        let template = |name: &&str| {
            Template::new(&format!(r#"{{"type":"{name}","correlation_id":"{NUMBER}","payload":{}}}"#, payload(PAYLOAD)))
        };
        let pace = Pace::Open { interval: per_second(self.requests) };
        Load::of(Speech::Envelope, pace, HANDLERS.iter().map(template).collect(), lasts).watching(builds)
    }

    fn calls(&self, host: &Host, lasts: Duration) -> anyhow::Result<Load<'static>> {
        let templates = (0..self.calls as usize).map(|number| Era::Modern.request(host.address, &user(number), CALL));
        let pace = Pace::Open { interval: per_second(self.calls) };
        Ok(Load::of(Speech::JsonRpc, pace, templates.collect::<anyhow::Result<Vec<_>>>()?, lasts))
    }

    /// Samples and replacements, each when they are due.
    fn meanwhile(
        &self,
        until: Instant,
        ended: &AtomicBool,
        watch: &mut Watch,
        replacements: &mut Replacements<'_>,
    ) -> anyhow::Result<()> {
        let every = |seconds: f64| Duration::from_secs_f64(seconds);
        let (mut sample, mut replace) = (Instant::now(), Instant::now() + every(self.replace_seconds));
        while Instant::now() < until {
            let now = Instant::now();
            if now >= sample {
                watch.look()?;
                progress::stage(format!("{} more seconds; {}", (until - now).as_secs(), watch.words()));
                sample += every(self.sample_seconds);
            }
            if now >= replace && until - now > REPLACING {
                replacements.next(ended)?;
                replace += every(self.replace_seconds);
            }
            thread::sleep(LOOK);
        }
        watch.look()
    }
}

fn per_second(count: u32) -> Duration {
    Duration::from_secs(1) / count.max(1)
}

fn listener_lost(counts: &Counts, subscribers: usize) -> u64 {
    use std::sync::atomic::Ordering::Relaxed;
    (counts.published.load(Relaxed) * subscribers as u64).saturating_sub(counts.delivered.load(Relaxed))
}

/// New versions, one handler after the other.
struct Replacements<'a> {
    host: &'a Host,
    builds: &'a Builds,
    versions: Vec<(&'static str, Versions)>,
    build: u64,
    done: u64,
    failed: u64,
    /// From the rename to the first answer.
    took: crate::tally::Tally,
}

impl<'a> Replacements<'a> {
    fn new(setup: &Setup, host: &'a Host, builds: &'a Builds) -> anyhow::Result<Self> {
        let versions = |name: &'static str| Ok((name, Versions::of(&setup.component(name))?));
        let versions = REPLACED.into_iter().map(versions).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { host, builds, versions, build: 0, done: 0, failed: 0, took: Default::default() })
    }

    fn next(&mut self, ended: &AtomicBool) -> anyhow::Result<()> {
        self.build += 1;
        let index = usize::try_from(self.build)? % self.versions.len();
        let (name, versions) = &mut self.versions[index];
        let moment = self.host.install(name, versions.build(self.build))?;
        let limit = moment + REPLACING;
        while !ended.load(std::sync::atomic::Ordering::Relaxed) && Instant::now() < limit {
            if let Some(heard) = self.builds.heard_at(self.build) {
                self.builds.forget(self.build);
                self.took.took(heard.saturating_duration_since(moment));
                self.done += 1;
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.failed += 1;
        Ok(())
    }
}
