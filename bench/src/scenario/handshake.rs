//! `handshake`: new connections at a fixed rate, each with a token of its own, timed from when it was due until the server
//! has greeted it: TCP, the upgrade, the verification of the token, a session. Then each says goodbye.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::json;

use crate::{
    client::{
        connection::{Closed, Connection},
        engine::{Driver, Engine},
        token,
    },
    fleet::user,
    options::Common,
    process::Meter,
    progress,
    report::{Report, Table, short},
    scenario::DRAIN,
    tally::Tally,
};

/// RFC 6455, section 7.4.1.
const NORMAL: u16 = 1000;

#[derive(Debug, Args)]
pub struct Handshake {
    /// Handshakes per second
    #[arg(long, value_delimiter = ',', default_value = "100,500,1000")]
    rates: Vec<u32>,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

impl Handshake {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        progress::stage("starting the host");
        let host = common.setup(&["system"]).start()?;
        let meter = Meter::new(host.id());
        let columns = [
            "rate",
            "handshakes/s",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "generator's lag p99 ms",
            "server us/handshake",
            "client us/handshake",
            "others' cores",
            "errors",
        ];
        let title = format!("JWT (HS256), timed from when it was due to the greeting; {} s each", self.seconds);
        let (mut table, mut data) = (Table::new(title, &columns), Vec::new());
        for &rate in &self.rates {
            progress::stage(format!("{rate} handshakes per second"));
            let lasts = Duration::from_secs_f64(self.seconds);
            let count = (f64::from(rate) * self.seconds) as usize;
            let tokens = (0..count).map(|number| token::of(&user(number))).collect();
            let mut visitors = Visitors::new(tokens, Duration::from_secs(1) / rate.max(1));
            let mut engine = Engine::new(host.address, false)?;
            let begun = meter.sample()?;
            engine.run(&mut visitors, Instant::now() + lasts + DRAIN)?;
            let spent = meter.since(&begun)?;
            let Visitors { mut tally, lag, due, .. } = visitors;
            tally.lost = due.len() as u64;
            let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / tally.answered.max(1) as f64;
            let ms = |tally: &Tally, percent: f64| short(tally.percentile(percent) / 1e3);
            let achieved = tally.answered as f64 / spent.wall.as_secs_f64();
            table.row([
                rate.to_string(),
                short(achieved),
                ms(&tally, 50.0),
                ms(&tally, 99.0),
                ms(&tally, 99.9),
                ms(&lag, 99.0),
                short(each(spent.server)),
                short(each(spent.clients)),
                short(spent.cores(spent.others)),
                tally.complaints(),
            ]);
            data.push(json!({ "rate": rate, "achieved": achieved, "server_us": each(spent.server),
                "client_us": each(spent.clients), "tally": tally.to_json(), "lag": lag.to_json() }));
        }
        let asked = json!({ "rates": self.rates, "seconds": self.seconds });
        Ok(Report { scenario: "handshake", asked, tables: vec![table], data: data.into() })
    }
}

/// They come, are greeted, and leave.
struct Visitors {
    tokens: Vec<String>,
    next: usize,
    interval: Duration,
    begun: Option<Instant>,
    /// Of those who were not greeted yet.
    due: HashMap<usize, Instant>,
    /// Greeted, and not gone.
    leaving: usize,
    tally: Tally,
    lag: Tally,
}

impl Visitors {
    fn new(tokens: Vec<String>, interval: Duration) -> Self {
        let (due, tally, lag) = (HashMap::new(), Tally::default(), Tally::default());
        Self { tokens, next: 0, interval, begun: None, due, leaving: 0, tally, lag }
    }
}

impl Driver for Visitors {
    fn message(&mut self, connection: &mut Connection, _text: &[u8], now: Instant) {
        if let Some(due) = self.due.remove(&connection.id) {
            self.tally.took(now - due);
            self.leaving += 1;
            progress::count(1);
            connection.close(NORMAL);
        }
    }

    fn closed(&mut self, id: usize, how: Closed, _now: Instant) {
        if self.due.remove(&id).is_some() {
            self.tally.error(&how.word());
        } else {
            self.leaving -= usize::from(self.leaving > 0);
            if how != Closed::Code(NORMAL) {
                self.tally.error(&how.word());
            }
        }
    }

    fn due(&mut self, engine: &mut Engine, now: Instant) -> Option<Instant> {
        let begun = *self.begun.get_or_insert(now);
        loop {
            let token = self.tokens.get(self.next)?;
            let due = begun + self.interval * u32::try_from(self.next).unwrap_or(u32::MAX);
            if due > now {
                return Some(due);
            }
            self.next += 1;
            self.tally.sent += 1;
            self.lag.took(now - due);
            match engine.open("/ws", token, None) {
                Ok(id) => _ = self.due.insert(id, due),
                Err(fault) => self.tally.error(&fault.kind().to_string()),
            }
        }
    }

    fn is_done(&self) -> bool {
        self.next >= self.tokens.len() && self.due.is_empty() && self.leaving == 0
    }
}
