//! `reload`: the handler that everybody uses is replaced again and again under full load. Stretches with replacements and
//! without take turns, so that what is compared happened on the same machine in the same minute.

use std::{sync::atomic::AtomicBool, thread, time::Duration};

use clap::Args;
use serde_json::json;

use crate::{
    client::template::NUMBER,
    component::Versions,
    fleet::{Crowd, Fleet},
    host::Host,
    load::{Builds, Load, Pace, Speech, Stopper, payload},
    options::Common,
    process::Meter,
    progress,
    report::{Report, Table, median, short},
    scenario::{DRAIN, echo, wait_for},
    slope::{later_half, slope},
    tally::Tally,
    turn::Turn,
};

#[derive(Debug, Args)]
pub struct Reload {
    /// The isolation of the handler
    #[arg(long, default_value = "message")]
    handler: String,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    #[arg(long, default_value_t = 200)]
    payload: usize,
    /// Each version is one that was never compiled; else, two take turns
    #[arg(long)]
    cold: bool,
    /// Pause between the first answer of one version and the next replacement, in milliseconds
    #[arg(long, default_value_t = 20)]
    pause_ms: u64,
    /// How often the handler is replaced, in all
    #[arg(long, default_value_t = 1000)]
    replacements: u64,
    /// Pairs of stretches, without replacements and with
    #[arg(long, default_value_t = 10)]
    rounds: u64,
    /// How long a stretch without is
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

/// Longer than a replacement takes on average. A stretch of them ends when all are done, and by this time in any case.
const EACH: Duration = Duration::from_secs(2);

/// After how many replacements memory is looked at.
const LOOK_AT_MEMORY: u64 = 10;

/// What is replaced, and what was seen of it.
struct Handler<'a> {
    name: &'a str,
    host: &'a Host,
    meter: &'a Meter,
    versions: Versions,
    /// Replacements so far.
    count: u64,
    /// Memory after so many of them.
    memory: Vec<(f64, f64)>,
}

struct Stretch {
    swaps: u64,
    turn: Turn,
}

impl Handler<'_> {
    /// Puts another version in place, and waits for its first answer. Whether one came before the load ended.
    fn replace(&mut self, cold: bool, pause_ms: u64, ended: &AtomicBool, builds: &Builds) -> anyhow::Result<bool> {
        let build = if cold { self.count + 1 } else { 1 + self.count % 2 };
        builds.forget(build);
        self.host.install(self.name, self.versions.build(build))?;
        if wait_for(ended, "the new version answered", || builds.heard_at(build)).is_err() {
            return Ok(false);
        }
        self.count += 1;
        if self.count.is_multiple_of(LOOK_AT_MEMORY) {
            self.look()?;
        }
        thread::sleep(Duration::from_millis(pause_ms));
        Ok(true)
    }

    fn look(&mut self) -> anyhow::Result<()> {
        self.memory.push((self.count as f64, self.meter.resident()? as f64));
        Ok(())
    }
}

impl Reload {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        let name = echo::plugin(&self.handler);
        progress::stage("starting the host");
        let setup = common.setup(&[&name]);
        let versions = Versions::of(&setup.component(&name))?;
        let host = setup.start()?;
        let meter = Meter::new(host.id());
        let mut fleet = Fleet::connect(host.address, common.threads, false, Crowd::of(self.connections))?;
        let mut handler = Handler { name: &name, host: &host, meter: &meter, versions, count: 0, memory: Vec::new() };
        let (mut steady, mut replaced) = (Vec::new(), Vec::new());
        let lasts = Duration::from_secs_f64(self.seconds);
        self.stretch(&mut fleet, &mut handler, lasts, 0)?;
        handler.look()?;
        for round in 1..=self.rounds {
            progress::stage(format!("without replacements, round {round} of {}", self.rounds));
            steady.push(self.stretch(&mut fleet, &mut handler, lasts, 0)?);
            progress::stage(format!("with replacements, round {round} of {}", self.rounds));
            let share = self.replacements * round / self.rounds - self.replacements * (round - 1) / self.rounds;
            let limit = EACH * u32::try_from(share)?;
            replaced.push(self.stretch(&mut fleet, &mut handler, limit, share)?);
        }
        handler.look()?;
        Ok(self.report(&steady, &replaced, &handler.memory))
    }

    /// Full load, until the handler has been replaced so many times, or for so long.
    fn stretch(
        &self,
        fleet: &mut Fleet,
        handler: &mut Handler<'_>,
        lasts: Duration,
        replacements: u64,
    ) -> anyhow::Result<Stretch> {
        let builds = Builds::default();
        let body = payload(self.payload);
        let text = format!(r#"{{"type":"{}","correlation_id":"{NUMBER}","payload":{body}}}"#, handler.name);
        let pace = Pace::Closed { in_flight: self.in_flight };
        let stopper = Stopper::default();
        let load = || Load::new(Speech::Envelope, pace, &text, lasts).watching(&builds).stopped_by(stopper.clone());
        let mut loads: Vec<Load> = fleet.engines.iter().map(|_| load()).collect();
        let begun = handler.meter.sample()?;
        let meter = handler.meter;
        let swaps = fleet.run(&mut loads, lasts + DRAIN, |ended| {
            let mut done = 0;
            while done < replacements && handler.replace(self.cold, self.pause_ms, ended, &builds)? {
                done += 1;
            }
            if replacements > 0 {
                stopper.stop();
            }
            Ok(done)
        })?;
        let spent = meter.since(&begun)?;
        let tally = Tally::sum(loads.into_iter().map(|load| load.finish().0));
        Ok(Stretch { swaps, turn: Turn { spent, tally } })
    }

    fn report(&self, steady: &[Stretch], replaced: &[Stretch], memory: &[(f64, f64)]) -> Report {
        let title = format!(
            "{} connections, {} in flight, {} B, isolation `{}`, {} versions; {} pairs, without for {} s each",
            self.connections,
            self.in_flight,
            self.payload,
            self.handler,
            if self.cold { "never compiled" } else { "two cached" },
            self.rounds,
            self.seconds
        );
        let columns = [
            "stretch",
            "swaps",
            "msg/s",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "max us",
            "server cores",
            "others' cores",
            "lost",
            "twice",
            "errors",
        ];
        let mut table = Table::new(title, &columns);
        let rate = |one: &Stretch| one.turn.rate();
        for (word, stretches) in [("steady", steady), ("replaced", replaced)] {
            let all = Tally::sum(stretches.iter().map(|one| one.turn.tally.clone()));
            let swaps: u64 = stretches.iter().map(|one| one.swaps).sum();
            let us = |percent: f64| short(all.percentile(percent));
            let errors = all.refusals();
            table.row([
                word.to_owned(),
                swaps.to_string(),
                short(median(stretches.iter().map(rate))),
                us(50.0),
                us(99.0),
                us(99.9),
                us(100.0),
                short(median(stretches.iter().map(|one| one.turn.server_cores()))),
                short(median(stretches.iter().map(|one| one.turn.others()))),
                all.lost.to_string(),
                all.twice.to_string(),
                errors,
            ]);
        }
        let pairs = || steady.iter().zip(replaced);
        let p99_of = |one: &Stretch| one.turn.tally.percentile(99.0);
        let p99 = median(pairs().map(|(quiet, busy)| p99_of(busy) / p99_of(quiet)));
        let rates = median(pairs().map(|(quiet, busy)| rate(busy) / rate(quiet)));
        let mut ratios = Table::new("With replacements, against without, in the same pair", &["msg/s", "p99"]);
        ratios.row([short(rates), short(p99)]);
        let (each, later) = (slope(memory), slope(later_half(memory)));
        let mib = |bytes: f64| short(bytes / f64::from(1 << 20));
        let (first, last) = (memory.first().map_or(0.0, |it| it.1), memory.last().map_or(0.0, |it| it.1));
        let mut growth = Table::new(
            "Resident memory of the host, and its slope by least squares over all replacements and over the later half of them",
            &["before MiB", "after MiB", "KiB each", "KiB each, later half"],
        );
        growth.row([mib(first), mib(last), short(each / 1024.0), short(later / 1024.0)]);
        let json_of = |all: &[Stretch]| all.iter().map(|one| one.turn.tally.to_json()).collect::<Vec<_>>();
        Report {
            scenario: "reload",
            asked: json!({ "handler": self.handler, "connections": self.connections, "in_flight": self.in_flight,
                "payload": self.payload, "cold": self.cold, "pause_ms": self.pause_ms, "replacements": self.replacements, "rounds": self.rounds,
                "seconds": self.seconds }),
            tables: vec![table, ratios, growth],
            data: json!({ "steady": json_of(steady), "replaced": json_of(replaced), "p99_ratio": p99,
                "rate_ratio": rates, "memory": memory, "bytes_each": each, "bytes_each_later": later }),
        }
    }
}
