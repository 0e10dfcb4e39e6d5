//! `echo`: requests and answers in a closed loop. Every handler has its turn in each round, in another order each time,
//! and what is compared are the figures of the same round: a machine that others use as well changes from minute to minute.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::{
    client::template::NUMBER,
    fleet::{Crowd, Fleet},
    load::{Load, Pace, Speech, payload},
    options::Common,
    process::Meter,
    progress,
    report::{Report, Table, short},
    scenario::DRAIN,
    tally::Tally,
    turn::{Turn, Turns},
};

/// Before the first round counts: connections, caches, instances and the branch predictor have to be warm.
const WARM_UP: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub struct Echo {
    /// Isolations, the first of which the others are compared with; `native` is a handler inside the host, and with `raw-`
    /// before it, a handler does nothing with the payload
    #[arg(long, value_delimiter = ',', default_value = "native,message,session,shared")]
    handlers: Vec<String>,
    /// Sizes of the payload in bytes
    #[arg(long, value_delimiter = ',', default_value = "200,2048,10240")]
    payloads: Vec<usize>,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Messages of each connection that wait for their answers
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// Write together what one read has caused, instead of each request by itself
    #[arg(long)]
    burst: bool,
    /// Messages with an `id`, which the host remembers, instead of a `correlation_id` alone
    #[arg(long)]
    ids: bool,
    /// How often each handler has its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a turn is
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

impl Echo {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        let plugins: Vec<String> = self.handlers.iter().map(|handler| plugin(handler)).collect();
        let names: Vec<&str> = plugins.iter().map(String::as_str).collect();
        progress::stage("starting the host");
        let host = common.setup(&names).start()?;
        let meter = Meter::new(host.id());
        let mut fleet = Fleet::connect(host.address, common.threads, self.burst, Crowd::of(self.connections))?;
        let mut sizes = Vec::new();
        for &payload in &self.payloads {
            let mut turns: Vec<Turns> = names.iter().map(|_| Turns::default()).collect();
            for round in 0..=self.rounds {
                for step in 0..names.len() {
                    let handler = (round + step) % names.len();
                    progress::stage(format!("{} {payload} B, round {round} of {}", names[handler], self.rounds));
                    let lasts = if round == 0 { WARM_UP } else { Duration::from_secs_f64(self.seconds) };
                    let turn = self.turn(&mut fleet, &meter, names[handler], payload, lasts)?;
                    turns[handler].0.extend(Some(turn).filter(|_| round > 0));
                }
            }
            sizes.push((payload, turns));
        }
        Ok(self.report(&sizes))
    }

    fn turn(
        &self,
        fleet: &mut Fleet,
        meter: &Meter,
        message_type: &str,
        bytes: usize,
        lasts: Duration,
    ) -> anyhow::Result<Turn> {
        let field = if self.ids { "id" } else { "correlation_id" };
        let text = format!(r#"{{"type":"{message_type}","{field}":"{NUMBER}","payload":{}}}"#, payload(bytes));
        let pace = Pace::Closed { in_flight: self.in_flight };
        let mut loads: Vec<Load> =
            fleet.engines.iter().map(|_| Load::new(Speech::Envelope, pace, &text, lasts)).collect();
        let begun = meter.sample()?;
        fleet.run(&mut loads, lasts + DRAIN, |_| Ok(()))?;
        let spent = meter.since(&begun)?;
        Ok(Turn { spent, tally: Tally::sum(loads.into_iter().map(|load| load.finish().0)) })
    }

    fn report(&self, sizes: &[(usize, Vec<Turns>)]) -> Report {
        let title = format!(
            "{} connections, {} in flight, {}, {}; medians of {} rounds of {} s; ratios to `{}` in the same round",
            self.connections,
            self.in_flight,
            if self.burst { "written in bursts" } else { "written one by one" },
            if self.ids { "with ids" } else { "without ids" },
            self.rounds,
            self.seconds,
            self.handlers.first().map_or("", String::as_str),
        );
        let columns = [
            "payload",
            "handler",
            "msg/s",
            "ratio",
            "server us/msg",
            "ratio by CPU",
            "added us",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "client us/msg",
            "server cores",
            "others' cores",
            "errors",
        ];
        let mut table = Table::new(title, &columns);
        let mut data = Vec::new();
        for (payload, turns) in sizes {
            for (name, handler) in self.handlers.iter().zip(turns) {
                let (row, values) = row(*payload, name, handler, &turns[0]);
                table.row(row);
                data.push(values);
            }
        }
        Report {
            scenario: "echo",
            asked: json!({
                "handlers": self.handlers, "payloads": self.payloads, "connections": self.connections,
                "in_flight": self.in_flight, "burst": self.burst, "ids": self.ids, "rounds": self.rounds,
                "seconds": self.seconds,
            }),
            tables: vec![table],
            data: data.into(),
        }
    }
}

/// The plugin of a handler, and the type that it handles.
pub fn plugin(handler: &str) -> String {
    if handler.starts_with("raw-") { handler.to_owned() } else { format!("echo-{handler}") }
}

fn row(payload: usize, name: &str, turns: &Turns, base: &Turns) -> (Vec<String>, Value) {
    let ratio = turns.ratio(Turn::rate, base);
    let by_cpu = base.ratio(Turn::server, turns);
    let added = turns.difference(Turn::server, base);
    let all = turns.tally();
    let [p50, p99, p999] = [50.0, 99.0, 99.9].map(|percent| short(all.percentile(percent)));
    let row = vec![
        payload.to_string(),
        name.to_owned(),
        short(turns.median(Turn::rate)),
        short(ratio),
        short(turns.median(Turn::server)),
        short(by_cpu),
        short(added),
        p50,
        p99,
        p999,
        short(turns.median(Turn::client)),
        short(turns.median(Turn::server_cores)),
        short(turns.median(Turn::others)),
        all.complaints(),
    ];
    let values = json!({ "payload": payload, "handler": name, "ratio": ratio, "ratio_by_cpu": by_cpu, "added_us": added,
        "turns": turns.to_json() });
    (row, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_named_by_their_isolation() {
        assert_eq!((plugin("shared").as_str(), plugin("raw-native").as_str()), ("echo-shared", "raw-native"));
    }
}
