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
    replacements::Replacements,
    verdict::{Bounds, Part, Run},
    watch::Watch,
};
use crate::{
    client::{
        engine::{Driver, Engine},
        mcp::{Call, Era},
        template::{NUMBER, Template},
    },
    fleet::{Crowd, Door, Fleet, user},
    host::Host,
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
mod replacements;
mod verdict;
mod watch;

/// Those that are asked; most of them are replaced, too.
const HANDLERS: [&str; 4] = ["echo-message", "echo-session", "echo-shared", "raw-shared"];
const OTHERS: [&str; 3] = ["system", "jsonrpc", "add"];

const PAYLOAD: usize = 500;
const CALL: Call<'_> = Call { tool: "add", arguments: r#"{"a":2,"b":3}"# };

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
        let lasts = Duration::from_secs_f64(self.minutes * 60.0);
        let (builds, counts) = (Builds::default(), Counts::default());
        let (mut echo, mut calls) = (self.echo(lasts, &builds), self.calls(&host, lasts)?);
        let mut churn = Churn::new(per_second(self.visits), lasts);
        let mut replacements = Replacements::new(&setup, &host, &builds)?;
        let end = Instant::now() + lasts;
        let mut listener = self.listener(end, lasts, &counts);
        let mut drivers: [&mut (dyn Driver + Send); 4] = [&mut echo, &mut listener, &mut calls, &mut churn];
        fleet.run(&mut drivers, lasts + DRAIN, |ended| self.meanwhile(end, ended, &mut watch, &mut replacements))?;
        fleet.engines.iter_mut().for_each(Engine::leave_all);
        drop(fleet);
        progress::stage("everybody has left");
        watch.settle(SETTLING, self.bounds.max_files)?;
        let mut deliveries = listener.finish();
        deliveries.lost = counts.lost(self.subscribers as u64);
        let parts = vec![
            Part::new("requests", self.requests, echo.finish().0),
            Part::new("deliveries", self.publications, deliveries),
            Part::new("tools/call, HTTP", self.calls, calls.finish().0),
            Part::new("arrivals", self.visits, churn.arrivals),
            Part::new("returns", self.visits, churn.returns),
        ];
        Ok(Run { parts, samples: watch.samples, replacing: replacements.took, failed: replacements.failed }
            .report(self.minutes, &self.bounds))
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

    fn listener<'a>(&self, end: Instant, lasts: Duration, counts: &'a Counts) -> Listener<'a> {
        let (dialect, rate, receivers) = (Dialect::Switchboard, self.publications, self.subscribers as u64);
        let plan = Plan { dialect, base: end - lasts, end, rate, window: 0, receivers };
        Listener::new(plan, Some(Template::new(&publication(dialect, PAYLOAD))), counts)
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
                progress::stage(format!("{} more seconds; {}", (until - now).as_secs(), watch.samples.words()));
                sample += every(self.sample_seconds);
            }
            if now >= replace && until - now > replacements::LIMIT {
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
