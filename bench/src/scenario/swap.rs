//! `swap`: from the rename of a component to the first answer of it, as a client sees it that never stops asking. Cold, it
//! has never been compiled; from the cache, it was here before.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::{
    client::template::NUMBER,
    component::Versions,
    fleet::{Crowd, Fleet},
    load::{Builds, Load, Pace, Speech, payload},
    options::Common,
    progress,
    report::{Report, Table, short},
    scenario::{DRAIN, wait_for},
    tally::Tally,
};

/// More than any swap takes.
const EACH: Duration = Duration::from_secs(10);

/// Between two of them, so that the next does not pay for what the last left to do.
const REST: Duration = Duration::from_millis(200);

/// The build that is there at the start, and comes back each time.
const FIRST: u64 = 0;

#[derive(Debug, Args)]
pub struct Swap {
    /// The isolation of the handler
    #[arg(long, default_value = "message")]
    handler: String,
    /// Swaps of each kind
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Connections that ask without pause, one message at a time
    #[arg(long, default_value_t = 1)]
    connections: usize,
}

impl Swap {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        let name = format!("echo-{}", self.handler);
        progress::stage("starting the host");
        let setup = common.setup(&[&name]);
        let mut versions = Versions::of(&setup.component(&name))?;
        let host = setup.start()?;
        let mut fleet = Fleet::connect(host.address, 1, false, Crowd::of(self.connections))?;
        let text = format!(r#"{{"type":"{name}","correlation_id":"{NUMBER}","payload":{}}}"#, payload(200));
        let (builds, (mut cold, mut cached)) = (Builds::default(), (Tally::default(), Tally::default()));
        let limit = EACH * u32::try_from(2 * self.rounds)?;
        let mut load = [Load::new(Speech::Envelope, Pace::Closed { in_flight: 1 }, &text, limit).watching(&builds)];
        let stop = load[0].stopper();
        fleet.run(&mut load, limit + DRAIN, |ended| {
            let mut swap = |build: u64| -> anyhow::Result<Duration> {
                builds.forget(build);
                let moment = host.install(&name, versions.build(build))?;
                let heard: Instant = wait_for(ended, "the new version answered", || builds.heard_at(build))?;
                std::thread::sleep(REST);
                Ok(heard.saturating_duration_since(moment))
            };
            let mut all = || -> anyhow::Result<()> {
                for round in 1..=self.rounds {
                    progress::stage(format!("swap {round} of {}", self.rounds));
                    cold.took(swap(round)?);
                    cached.took(swap(FIRST)?);
                }
                Ok(())
            };
            let result = all();
            stop.stop();
            result
        })?;
        let (tally, _) = load.map(Load::finish)[0].clone();
        let title = format!(
            "{} B of component, isolation `{}`, {} connections that ask without pause; {} of each",
            versions.size(),
            self.handler,
            self.connections,
            self.rounds
        );
        let mut table = Table::new(title, &["machine code", "p50 ms", "p90 ms", "slowest ms"]);
        for (word, tally) in [("compiled", &cold), ("from the cache", &cached)] {
            let ms = |percent: f64| short(tally.percentile(percent) / 1e3);
            table.row([word.to_owned(), ms(50.0), ms(90.0), ms(100.0)]);
        }
        let mut answers = Table::new("Meanwhile", &["answers", "p50 us", "p99 us", "slowest us", "errors"]);
        answers.row([
            tally.answered.to_string(),
            short(tally.percentile(50.0)),
            short(tally.percentile(99.0)),
            short(tally.percentile(100.0)),
            tally.complaints(),
        ]);
        Ok(Report {
            scenario: "swap",
            asked: json!({ "handler": self.handler, "rounds": self.rounds, "connections": self.connections }),
            tables: vec![table, answers],
            data: json!({ "cold": cold.to_json(), "cached": cached.to_json(), "answers": tally.to_json() }),
        })
    }
}
