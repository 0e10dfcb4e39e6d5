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
    process::{Meter, Spent},
    progress,
    report::{Report, Table, median, short},
    scenario::DRAIN,
    tally::Tally,
};

/// Before the first round counts: connections, caches, instances and the branch predictor have to be warm.
const WARM_UP: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub struct Echo {
    /// Isolations, the first of which the others are compared with; `native` is a handler inside the host
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

/// What one handler did in one turn.
struct Turn {
    handler: usize,
    payload: usize,
    spent: Spent,
    tally: Tally,
}

impl Turn {
    fn rate(&self) -> f64 {
        self.tally.answered as f64 / self.spent.wall.as_secs_f64()
    }

    /// Microseconds of CPU for an answer.
    fn cost(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / (self.tally.answered.max(1)) as f64
    }
}

impl Echo {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        let plugins: Vec<String> = self.handlers.iter().map(|handler| format!("echo-{handler}")).collect();
        let names: Vec<&str> = plugins.iter().map(String::as_str).collect();
        progress::stage("starting the host");
        let host = common.setup(&names).start()?;
        let meter = Meter::new(host.id());
        let mut fleet = Fleet::connect(host.address, common.threads, self.burst, Crowd::of(self.connections))?;
        let mut turns = Vec::new();
        for &payload in &self.payloads {
            for round in 0..=self.rounds {
                for step in 0..names.len() {
                    let handler = (round + step) % names.len();
                    progress::stage(format!("{} {payload} B, round {round} of {}", names[handler], self.rounds));
                    let lasts = if round == 0 { WARM_UP } else { Duration::from_secs_f64(self.seconds) };
                    let (spent, tally) = self.turn(&mut fleet, &meter, names[handler], payload, lasts)?;
                    if round > 0 {
                        turns.push(Turn { handler, payload, spent, tally });
                    }
                }
            }
        }
        Ok(self.report(&turns))
    }

    fn turn(
        &self,
        fleet: &mut Fleet,
        meter: &Meter,
        message_type: &str,
        bytes: usize,
        lasts: Duration,
    ) -> anyhow::Result<(Spent, Tally)> {
        let field = if self.ids { "id" } else { "correlation_id" };
        let text = format!(r#"{{"type":"{message_type}","{field}":"{NUMBER}","payload":{}}}"#, payload(bytes));
        let pace = Pace::Closed { in_flight: self.in_flight };
        let mut loads: Vec<Load> =
            fleet.engines.iter().map(|_| Load::new(Speech::Envelope, pace, &text, lasts)).collect();
        let begun = meter.sample()?;
        fleet.run(&mut loads, lasts + DRAIN, |_| Ok(()))?;
        let spent = meter.since(&begun)?;
        Ok((spent, Tally::sum(loads.into_iter().map(|load| load.finish().0))))
    }

    fn report(&self, turns: &[Turn]) -> Report {
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
        for &payload in &self.payloads {
            for handler in 0..self.handlers.len() {
                let (row, values) = self.row(turns, payload, handler);
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

    fn row(&self, turns: &[Turn], payload: usize, handler: usize) -> (Vec<String>, Value) {
        let of = |handler: usize| turns.iter().filter(move |turn| turn.payload == payload && turn.handler == handler);
        let of_all = |figure: fn(&Turn) -> f64| median(of(handler).map(figure));
        let pairs = || of(handler).zip(of(0));
        let rate = of_all(Turn::rate);
        let ratio = median(pairs().map(|(one, base)| one.rate() / base.rate()));
        let cost = of_all(|turn| turn.cost(turn.spent.server));
        let cpu = |turn: &Turn| turn.cost(turn.spent.server);
        let by_cpu = median(pairs().map(|(one, base)| cpu(base) / cpu(one)));
        let added = median(pairs().map(|(one, base)| cpu(one) - cpu(base)));
        let client = of_all(|turn| turn.cost(turn.spent.clients));
        let (cores, others) =
            (of_all(|turn| turn.spent.cores(turn.spent.server)), of_all(|turn| turn.spent.cores(turn.spent.others)));
        let all = Tally::sum(of(handler).map(|turn| turn.tally.clone()));
        let percentiles = [50.0, 99.0, 99.9].map(|percent| short(all.percentile(percent)));
        let [p50, p99, p999] = percentiles;
        let name = self.handlers[handler].clone();
        let row = vec![
            payload.to_string(),
            name.clone(),
            short(rate),
            short(ratio),
            short(cost),
            short(by_cpu),
            short(added),
            p50,
            p99,
            p999,
            short(client),
            short(cores),
            short(others),
            all.complaints(),
        ];
        let rounds: Vec<Value> = of(handler)
            .map(|turn| {
                let (server, client) = (turn.cost(turn.spent.server), turn.cost(turn.spent.clients));
                json!({ "rate": turn.rate(), "server_us": server, "client_us": client, "p50_us": turn.tally.percentile(50.0) })
            })
            .collect();
        let values = json!({
            "payload": payload, "handler": name, "rate": rate, "ratio": ratio, "ratio_by_cpu": by_cpu, "server_us": cost, "added_us": added,
            "client_us": client, "tally": all.to_json(), "rounds": rounds,
        });
        (row, values)
    }
}
