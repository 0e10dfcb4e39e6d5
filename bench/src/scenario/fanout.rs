//! `fanout`: one publisher, many subscribers of one topic. At a rate, deliveries are timed from when the publication was
//! due; without one, so many publications are under way as `--window` says, which finds the highest sustained rate.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    client::{
        connection::{Closed, Connection},
        engine::{Driver, Engine},
        template::{NUMBER, Template, decimal_after, number_after, text_after},
    },
    fleet::{Crowd, Fleet},
    load::payload,
    options::Common,
    process::{Meter, Spent},
    progress,
    report::{Report, Table, median, short},
    scenario::DRAIN,
    tally::Tally,
};

/// How often the publisher looks whether its subscribers, on all threads, have what was published.
const LOOK: Duration = Duration::from_micros(200);

/// For all subscriptions.
const SUBSCRIBING: Duration = Duration::from_secs(120);

/// What stands in a publication where its time goes.
const AT: &str = r#""at":""#;

#[derive(Debug, Args)]
pub struct Fanout {
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// Publications per second; 0: as many as can be sustained
    #[arg(long, value_delimiter = ',', default_value = "50,0")]
    rates: Vec<u32>,
    /// Publications that not everybody has yet, where no rate is given
    #[arg(long, default_value_t = 8)]
    window: u64,
    #[arg(long, default_value_t = 200)]
    payload: usize,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

struct Turn {
    rate: u32,
    spent: Spent,
    published: u64,
    tally: Tally,
}

impl Fanout {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        progress::stage("starting the host");
        let host = common.setup(&["system"]).start()?;
        let meter = Meter::new(host.id());
        // The first connection of the first engine publishes, and hears nothing of it.
        let mut fleet = Fleet::connect(host.address, common.threads, true, Crowd::of(self.subscribers + 1))?;
        progress::stage("subscribing");
        let mut subscribers: Vec<Subscriber> =
            fleet.engines.iter().enumerate().map(|(index, _)| Subscriber::new(index == 0)).collect();
        fleet.run(&mut subscribers, SUBSCRIBING, |_| Ok(()))?;
        let subscribed: usize = subscribers.iter().map(|one| one.done).sum();
        anyhow::ensure!(subscribed == self.subscribers, "{subscribed} of {} are subscribed", self.subscribers);
        let mut turns = Vec::new();
        for round in 0..=self.rounds {
            for &rate in &self.rates {
                let name = if rate == 0 { "as fast as it goes".to_owned() } else { format!("{rate}/s") };
                progress::stage(format!("publishing {name}, round {round} of {}", self.rounds));
                let turn = self.turn(&mut fleet, &meter, rate)?;
                turns.extend(Some(turn).filter(|_| round > 0));
            }
        }
        Ok(self.report(&turns))
    }

    fn turn(&self, fleet: &mut Fleet, meter: &Meter, rate: u32) -> anyhow::Result<Turn> {
        let (base, lasts) = (Instant::now(), Duration::from_secs_f64(self.seconds));
        let (delivered, published) = (AtomicU64::new(0), AtomicU64::new(0));
        let body = payload(self.payload.saturating_sub(AT.len() + NUMBER.len() + 12));
        let text = format!(
            r#"{{"type":"publish","payload":{{"topic":"bench","type":"tick","payload":{{"at":"{NUMBER}","data":{body}}}}}}}"#
        );
        let mut drivers: Vec<Listener> = (0..fleet.engines.len())
            .map(|index| Listener {
                base,
                end: base + lasts,
                publisher: (index == 0).then(|| Template::new(&text)),
                rate,
                window: self.window,
                receivers: self.subscribers as u64,
                delivered: &delivered,
                published: &published,
                finished: false,
                offsets: Vec::new(),
                tally: Tally::default(),
            })
            .collect();
        let begun = meter.sample()?;
        fleet.run(&mut drivers, lasts + DRAIN, |_| Ok(()))?;
        let spent = meter.since(&begun)?;
        let published = published.load(Relaxed);
        let mut tally = Tally::sum(drivers.into_iter().map(|driver| driver.tally));
        tally.sent = published;
        tally.lost = (published * self.subscribers as u64).saturating_sub(delivered.load(Relaxed));
        Ok(Turn { rate, spent, published, tally })
    }

    fn report(&self, turns: &[Turn]) -> Report {
        let title = format!(
            "1 -> {} subscribers, {} B; medians of {} rounds of {} s; window of {} where no rate is given",
            self.subscribers, self.payload, self.rounds, self.seconds, self.window
        );
        let columns = [
            "rate",
            "publications/s",
            "deliveries/s",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "server us/delivery",
            "client us/delivery",
            "others' cores",
            "errors",
        ];
        let (mut table, mut data) = (Table::new(title, &columns), Vec::new());
        for &rate in &self.rates {
            let of = || turns.iter().filter(move |turn| turn.rate == rate);
            let all = Tally::sum(of().map(|turn| turn.tally.clone()));
            let ms = |percent: f64| short(all.percentile(percent) / 1e3);
            let per_second = |turn: &Turn, count: u64| count as f64 / turn.spent.wall.as_secs_f64();
            let deliveries = median(of().map(|turn| per_second(turn, turn.tally.answered)));
            let publications = median(of().map(|turn| per_second(turn, turn.published)));
            let each = |turn: &Turn, cpu: Duration| cpu.as_secs_f64() * 1e6 / turn.tally.answered.max(1) as f64;
            let server = median(of().map(|turn| each(turn, turn.spent.server)));
            let client = median(of().map(|turn| each(turn, turn.spent.clients)));
            let others = median(of().map(|turn| turn.spent.cores(turn.spent.others)));
            table.row([
                if rate == 0 { "highest".to_owned() } else { rate.to_string() },
                short(publications),
                short(deliveries),
                ms(50.0),
                ms(99.0),
                ms(99.9),
                short(server),
                short(client),
                short(others),
                all.complaints(),
            ]);
            data.push(
                json!({ "rate": rate, "deliveries_per_second": deliveries, "publications_per_second": publications,
                "server_us": server, "client_us": client, "tally": all.to_json() }),
            );
        }
        let asked = json!({ "subscribers": self.subscribers, "rates": self.rates, "window": self.window,
            "payload": self.payload, "rounds": self.rounds, "seconds": self.seconds });
        Report { scenario: "fanout", asked, tables: vec![table], data: Value::from(data) }
    }
}

/// The place of the publisher in its engine.
const PUBLISHER: usize = 0;

/// Subscribes everybody but the publisher.
struct Subscriber {
    has_publisher: bool,
    begun: bool,
    waiting: usize,
    done: usize,
}

impl Subscriber {
    fn new(has_publisher: bool) -> Self {
        Self { has_publisher, begun: false, waiting: 0, done: 0 }
    }
}

impl Driver for Subscriber {
    fn message(&mut self, _connection: &mut Connection, text: &[u8], _now: Instant) {
        if text.starts_with(br#"{"type":"subscribed""#) {
            self.waiting -= 1;
            self.done += 1;
            progress::count(1);
        }
    }

    fn due(&mut self, engine: &mut Engine, _now: Instant) -> Option<Instant> {
        if !self.begun {
            self.begun = true;
            let text = r#"{"type":"subscribe","payload":{"topic":"bench"}}"#;
            let mut template = Template::new(text);
            for place in engine.places().into_iter().filter(|place| !self.has_publisher || *place != PUBLISHER) {
                engine.send(place, template.with(0));
                self.waiting += 1;
            }
        }
        None
    }

    fn is_done(&self) -> bool {
        self.begun && self.waiting == 0
    }
}

/// One thread's subscribers, and perhaps the publisher.
struct Listener<'a> {
    base: Instant,
    end: Instant,
    publisher: Option<Template>,
    rate: u32,
    window: u64,
    receivers: u64,
    delivered: &'a AtomicU64,
    published: &'a AtomicU64,
    /// The publisher has stopped.
    finished: bool,
    /// The newest publication that each connection has.
    offsets: Vec<Option<u64>>,
    tally: Tally,
}

impl Listener<'_> {
    fn publish(&mut self, engine: &mut Engine, due: Instant) {
        let Some(template) = &mut self.publisher else { return };
        let at = u64::try_from((due - self.base).as_nanos()).unwrap_or_default();
        engine.send(PUBLISHER, template.with(at));
        self.published.fetch_add(1, Relaxed);
    }

    fn keep_pace(&mut self, engine: &mut Engine, now: Instant) -> Instant {
        let interval = Duration::from_secs(1) / self.rate;
        loop {
            let turns = u32::try_from(self.published.load(Relaxed)).unwrap_or(u32::MAX);
            let due = self.base + interval * turns;
            if due > now || due >= self.end {
                return due;
            }
            self.publish(engine, due);
        }
    }

    /// As many as the window has room for.
    fn fill(&mut self, engine: &mut Engine, now: Instant) -> Instant {
        let complete = self.delivered.load(Relaxed) / self.receivers.max(1);
        while self.published.load(Relaxed) < complete + self.window {
            self.publish(engine, now);
        }
        now + LOOK
    }
}

impl Driver for Listener<'_> {
    fn message(&mut self, connection: &mut Connection, text: &[u8], now: Instant) {
        if !text.starts_with(br#"{"type":"tick""#) {
            if text.starts_with(br#"{"type":"error""#) {
                self.tally.error(text_after(text, r#""code":""#).unwrap_or("error"));
            }
            return;
        }
        let offset = decimal_after(text, r#""offset":"#);
        if self.offsets.len() <= connection.id {
            self.offsets.resize(connection.id + 1, None);
        }
        let last = std::mem::replace(&mut self.offsets[connection.id], offset);
        if last.is_some() && last >= offset {
            self.tally.twice += 1;
            return;
        }
        if let Some(at) = number_after(text, AT) {
            self.tally.took((now - self.base).saturating_sub(Duration::from_nanos(at)));
            self.delivered.fetch_add(1, Relaxed);
            progress::count(1);
        }
    }

    fn closed(&mut self, _id: usize, how: Closed, _now: Instant) {
        self.tally.error(&how.word());
    }

    fn due(&mut self, engine: &mut Engine, now: Instant) -> Option<Instant> {
        if now >= self.end {
            self.finished = true;
            // What is still on its way may be on its way to another thread.
            return Some(now + LOOK);
        }
        match (&self.publisher, self.rate) {
            (None, _) => Some(self.end),
            (Some(_), 0) => Some(self.fill(engine, now)),
            (Some(_), _) => Some(self.keep_pace(engine, now)),
        }
    }

    fn is_done(&self) -> bool {
        self.finished && self.delivered.load(Relaxed) >= self.published.load(Relaxed) * self.receivers
    }
}
