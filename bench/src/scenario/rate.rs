//! `rate`: requests at a fixed rate, whatever the server does, timed from the moment that each was due.
//!
//! Handlers take turns as in `echo`; what one adds to another is a difference within a round.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::{
    client::template::NUMBER,
    fleet::{Crowd, Fleet},
    load::{Load, Pace, Speech, payload},
    options::Common,
    process::{Meter, Spent},
    progress,
    report::{Report, Table, median, short},
    scenario::{DRAIN, echo},
    tally::Tally,
};

#[derive(Debug, Args)]
pub struct Rate {
    /// Isolations, the first of which the others are compared with; `native` is a handler inside the host
    #[arg(long, value_delimiter = ',', default_value = "native,message,session,shared")]
    handlers: Vec<String>,
    /// Messages per second, in all
    #[arg(long, value_delimiter = ',', default_value = "1000")]
    rates: Vec<u32>,
    #[arg(long, default_value_t = 200)]
    payload: usize,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How often each handler has its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a turn is
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

struct Turn {
    rate: u32,
    handler: usize,
    spent: Spent,
    tally: Tally,
    lag: Tally,
}

impl Rate {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        let plugins: Vec<String> = self.handlers.iter().map(|handler| echo::plugin(handler)).collect();
        let names: Vec<&str> = plugins.iter().map(String::as_str).collect();
        progress::stage("starting the host");
        let host = common.setup(&names).start()?;
        let meter = Meter::new(host.id());
        let mut fleet = Fleet::connect(host.address, common.threads, false, Crowd::of(self.connections))?;
        let mut turns = Vec::new();
        for &rate in &self.rates {
            // The first round warms up, and does not count.
            for round in 0..=self.rounds {
                for step in 0..names.len() {
                    let handler = (round + step) % names.len();
                    progress::stage(format!("{} at {rate}/s, round {round} of {}", names[handler], self.rounds));
                    let turn = self.turn(&mut fleet, &meter, names[handler], rate, handler)?;
                    turns.extend(Some(turn).filter(|_| round > 0));
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
        rate: u32,
        handler: usize,
    ) -> anyhow::Result<Turn> {
        let body = payload(self.payload);
        let text = format!(r#"{{"type":"{message_type}","correlation_id":"{NUMBER}","payload":{body}}}"#);
        let lasts = Duration::from_secs_f64(self.seconds);
        let threads = u32::try_from(fleet.engines.len())?;
        let interval = Duration::from_secs(1) * threads / rate.max(1);
        let pace = Pace::Open { interval };
        let mut loads: Vec<Load> =
            fleet.engines.iter().map(|_| Load::new(Speech::Envelope, pace, &text, lasts)).collect();
        let begun = meter.sample()?;
        fleet.run(&mut loads, lasts + DRAIN, |_| Ok(()))?;
        let spent = meter.since(&begun)?;
        let (tallies, lags): (Vec<Tally>, Vec<Tally>) = loads.into_iter().map(Load::finish).unzip();
        Ok(Turn { rate, handler, spent, tally: Tally::sum(tallies), lag: Tally::sum(lags) })
    }

    fn report(&self, turns: &[Turn]) -> Report {
        let title = format!(
            "{} connections, {} B, open loop, timed from when each was due; medians of {} rounds of {} s",
            self.connections, self.payload, self.rounds, self.seconds
        );
        let columns = [
            "rate",
            "handler",
            "p50 us",
            "added p50 us",
            "p99 us",
            "p99.9 us",
            "generator's lag p50 us",
            "p99 us",
            "server us/msg",
            "others' cores",
            "errors",
        ];
        let (mut table, mut data) = (Table::new(title, &columns), Vec::new());
        for &rate in &self.rates {
            for (handler, name) in self.handlers.iter().enumerate() {
                let of = |handler: usize| turns.iter().filter(move |turn| turn.rate == rate && turn.handler == handler);
                let p50 = |turn: &Turn| turn.tally.percentile(50.0);
                let added = median(of(handler).zip(of(0)).map(|(one, base)| p50(one) - p50(base)));
                let all = Tally::sum(of(handler).map(|turn| turn.tally.clone()));
                let lag = Tally::sum(of(handler).map(|turn| turn.lag.clone()));
                let cost = median(
                    of(handler).map(|turn| turn.spent.server.as_secs_f64() * 1e6 / turn.tally.answered.max(1) as f64),
                );
                let others = median(of(handler).map(|turn| turn.spent.cores(turn.spent.others)));
                table.row([
                    rate.to_string(),
                    name.clone(),
                    short(median(of(handler).map(p50))),
                    short(added),
                    short(all.percentile(99.0)),
                    short(all.percentile(99.9)),
                    short(lag.percentile(50.0)),
                    short(lag.percentile(99.0)),
                    short(cost),
                    short(others),
                    all.complaints(),
                ]);
                data.push(json!({ "rate": rate, "handler": name, "added_p50_us": added, "server_us": cost,
                    "tally": all.to_json(), "lag": lag.to_json() }));
            }
        }
        let asked = json!({ "handlers": self.handlers, "rates": self.rates, "payload": self.payload,
            "connections": self.connections, "rounds": self.rounds, "seconds": self.seconds });
        Report { scenario: "rate", asked, tables: vec![table], data: data.into() }
    }
}
