//! `reload`: the handler that everybody uses is replaced again and again under full load. Stretches with replacements and
//! without take turns, so that what is compared happened on the same machine in the same minute.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::json;

use crate::{
    client::template::NUMBER,
    component::Versions,
    fleet::{Crowd, Fleet},
    host::Host,
    load::{Builds, Load, Pace, Speech, payload},
    options::Common,
    process::{Meter, Spent},
    progress,
    report::{Report, Table, median, short},
    scenario::{DRAIN, wait_for},
    tally::Tally,
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
    #[arg(long, default_value_t = 50)]
    pause_ms: u64,
    /// Pairs of stretches, without replacements and with
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a stretch is
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

struct Stretch {
    swaps: u64,
    spent: Spent,
    tally: Tally,
}

impl Reload {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        let name = format!("echo-{}", self.handler);
        progress::stage("starting the host");
        let setup = common.setup(&[&name]);
        let mut versions = Versions::of(&setup.component(&name))?;
        let host = setup.start()?;
        let meter = Meter::new(host.id());
        let mut fleet = Fleet::connect(host.address, common.threads, false, Crowd::of(self.connections))?;
        let (mut steady, mut replaced, mut build) = (Vec::new(), Vec::new(), 0);
        self.stretch(&mut fleet, &meter, &name, &mut |_, _| Ok(0))?;
        let before = meter.resident()?;
        for round in 1..=self.rounds {
            progress::stage(format!("without replacements, round {round} of {}", self.rounds));
            steady.push(self.stretch(&mut fleet, &meter, &name, &mut |_, _| Ok(0))?);
            progress::stage(format!("with replacements, round {round} of {}", self.rounds));
            replaced.push(self.stretch(&mut fleet, &meter, &name, &mut |ended, builds| {
                self.replace(&host, &name, &mut versions, &mut build, ended, builds)
            })?);
        }
        let grown = meter.resident()?.saturating_sub(before);
        Ok(self.report(&steady, &replaced, grown))
    }

    fn stretch(
        &self,
        fleet: &mut Fleet,
        meter: &Meter,
        name: &str,
        meanwhile: &mut dyn FnMut(&AtomicBool, &Builds) -> anyhow::Result<u64>,
    ) -> anyhow::Result<Stretch> {
        let (lasts, builds) = (Duration::from_secs_f64(self.seconds), Builds::default());
        let text = format!(r#"{{"type":"{name}","correlation_id":"{NUMBER}","payload":{}}}"#, payload(self.payload));
        let pace = Pace::Closed { in_flight: self.in_flight };
        let mut loads: Vec<Load> =
            fleet.engines.iter().map(|_| Load::new(Speech::Envelope, pace, &text, lasts).watching(&builds)).collect();
        let begun = meter.sample()?;
        let swaps = fleet.run(&mut loads, lasts + DRAIN, |ended| meanwhile(ended, &builds))?;
        let spent = meter.since(&begun)?;
        Ok(Stretch { swaps, spent, tally: Tally::sum(loads.into_iter().map(|load| load.finish().0)) })
    }

    /// Replaces the handler until the stretch ends. Returns how often.
    fn replace(
        &self,
        host: &Host,
        name: &str,
        versions: &mut Versions,
        build: &mut u64,
        ended: &AtomicBool,
        builds: &Builds,
    ) -> anyhow::Result<u64> {
        let until = Instant::now() + Duration::from_secs_f64(self.seconds * 0.95);
        let mut swaps = 0;
        while !ended.load(Relaxed) && Instant::now() < until {
            *build = if self.cold { *build + 1 } else { 1 + *build % 2 };
            builds.forget(*build);
            host.install(name, versions.build(*build))?;
            if wait_for(ended, "the new version answered", || builds.heard_at(*build)).is_err() {
                break;
            }
            swaps += 1;
            thread::sleep(Duration::from_millis(self.pause_ms));
        }
        Ok(swaps)
    }

    fn report(&self, steady: &[Stretch], replaced: &[Stretch], grown: u64) -> Report {
        let title = format!(
            "{} connections, {} in flight, {} B, isolation `{}`, {} versions; {} pairs of {} s",
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
        let rate = |one: &Stretch| one.tally.answered as f64 / one.spent.wall.as_secs_f64();
        for (word, stretches) in [("steady", steady), ("replaced", replaced)] {
            let all = Tally::sum(stretches.iter().map(|one| one.tally.clone()));
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
                short(median(stretches.iter().map(|one| one.spent.cores(one.spent.server)))),
                short(median(stretches.iter().map(|one| one.spent.cores(one.spent.others)))),
                all.lost.to_string(),
                all.twice.to_string(),
                errors,
            ]);
        }
        let pairs = || steady.iter().zip(replaced);
        let p99 = median(pairs().map(|(quiet, busy)| busy.tally.percentile(99.0) / quiet.tally.percentile(99.0)));
        let rates = median(pairs().map(|(quiet, busy)| rate(busy) / rate(quiet)));
        let mut ratios =
            Table::new("With replacements, against without, in the same pair", &["msg/s", "p99", "RSS grown MiB"]);
        ratios.row([short(rates), short(p99), short(grown as f64 / f64::from(1 << 20))]);
        let json_of = |all: &[Stretch]| all.iter().map(|one| one.tally.to_json()).collect::<Vec<_>>();
        Report {
            scenario: "reload",
            asked: json!({ "handler": self.handler, "connections": self.connections, "in_flight": self.in_flight,
                "payload": self.payload, "cold": self.cold, "pause_ms": self.pause_ms, "rounds": self.rounds,
                "seconds": self.seconds }),
            tables: vec![table, ratios],
            data: json!({ "steady": json_of(steady), "replaced": json_of(replaced), "p99_ratio": p99,
                "rate_ratio": rates, "grown_bytes": grown }),
        }
    }
}
