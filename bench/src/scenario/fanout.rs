//! `fanout`: one publisher, many subscribers of one topic. At a rate, deliveries are timed from when the publication was
//! due; without one, so many publications are under way as `--window` says, which finds the highest sustained rate.
//!
//! NATS, which checks no token here, takes turns with the host.

use std::{
    net::SocketAddr,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};

use self::{
    audience::{Counts, Listener, Plan, Subscriber},
    dialect::{AT, Dialect},
};
use crate::{
    client::template::{NUMBER, Template},
    fleet::{Crowd, Fleet},
    load::payload,
    options::Common,
    peer::Kind,
    process::Meter,
    progress,
    report::{Report, Table, median, short},
    scenario::DRAIN,
    tally::Tally,
    turn::{Turn, Turns},
};

pub mod audience;
pub mod dialect;

/// For all subscriptions.
const SUBSCRIBING: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub struct Fanout {
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// Publications per second; 0: as many as can be sustained
    #[arg(long, value_delimiter = ',', default_value = "50,0")]
    rates: Vec<u32>,
    /// Publications that not everybody has yet, where no rate is given
    #[arg(long, default_value_t = 64)]
    window: u64,
    #[arg(long, default_value_t = 200)]
    payload: usize,
    /// Measure the host alone
    #[arg(long)]
    alone: bool,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

/// Who delivers.
struct Contestant {
    name: &'static str,
    dialect: Dialect,
    meter: Meter,
    fleet: Fleet,
    /// For each of the rates.
    turns: Vec<Turns>,
}

impl Fanout {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        progress::stage("starting the servers");
        let host = common.setup(&["system"]).start()?;
        let mut all =
            vec![self.subscribe("Switchboard", Dialect::Switchboard, host.address, host.id(), common.threads)?];
        let peer = if self.alone { None } else { common.peers.start(Kind::Nats)? };
        if let Some(peer) = &peer {
            all.push(self.subscribe(Kind::Nats.name(), Dialect::Nats, peer.address, peer.id(), common.threads)?);
        }
        for round in 0..=self.rounds {
            for (index, &rate) in self.rates.iter().enumerate() {
                for step in 0..all.len() {
                    let one = (round + step) % all.len();
                    let one = &mut all[one];
                    let pace = if rate == 0 { "as fast as it goes".to_owned() } else { format!("{rate}/s") };
                    progress::stage(format!("{}, {pace}, round {round} of {}", one.name, self.rounds));
                    let turn = self.turn(one, rate)?;
                    one.turns[index].0.extend(Some(turn).filter(|_| round > 0));
                }
            }
        }
        Ok(self.report(&all, peer.is_none() && !self.alone))
    }

    fn subscribe(
        &self,
        name: &'static str,
        dialect: Dialect,
        address: SocketAddr,
        process: u32,
        threads: usize,
    ) -> anyhow::Result<Contestant> {
        // The first connection of the first engine publishes, and hears nothing of it.
        let crowd = Crowd { connections: self.subscribers + 1, door: dialect.door() };
        let mut fleet = Fleet::connect(address, threads, true, crowd)?;
        progress::stage(format!("subscribing to {name}"));
        let mut subscribers: Vec<Subscriber> =
            (0..fleet.engines.len()).map(|index| Subscriber::new(dialect, index == 0)).collect();
        fleet.run(&mut subscribers, SUBSCRIBING, |_| Ok(()))?;
        let subscribed: usize = subscribers.iter().map(|one| one.done).sum();
        anyhow::ensure!(subscribed == self.subscribers, "{subscribed} of {} are subscribed", self.subscribers);
        let turns = self.rates.iter().map(|_| Turns::default()).collect();
        Ok(Contestant { name, dialect, meter: Meter::new(process), fleet, turns })
    }

    fn turn(&self, one: &mut Contestant, rate: u32) -> anyhow::Result<Turn> {
        let (base, lasts, counts) = (Instant::now(), Duration::from_secs_f64(self.seconds), Counts::default());
        let receivers = self.subscribers as u64;
        let plan = Plan { dialect: one.dialect, base, end: base + lasts, rate, window: self.window, receivers };
        let text = publication(one.dialect, self.payload);
        let publisher = |index: usize| (index == 0).then(|| Template::new(&text));
        let mut listeners: Vec<Listener> =
            (0..one.fleet.engines.len()).map(|index| Listener::new(plan, publisher(index), &counts)).collect();
        let begun = one.meter.sample()?;
        one.fleet.run(&mut listeners, lasts + DRAIN, |_| Ok(()))?;
        let spent = one.meter.since(&begun)?;
        let mut tally = Tally::sum(listeners.into_iter().map(Listener::finish));
        tally.sent = counts.published.load(Relaxed);
        tally.lost = counts.lost(receivers);
        Ok(Turn { spent, tally })
    }

    fn report(&self, all: &[Contestant], is_peer_missing: bool) -> Report {
        let mut title = format!(
            "1 -> {} subscribers, {} B; medians of {} rounds of {} s; window of {} where no rate is given; `Switchboard does` \
             is its rate as a multiple of the other's, in the same round",
            self.subscribers, self.payload, self.rounds, self.seconds, self.window
        );
        if is_peer_missing {
            title.push_str("; not installed, and left out: NATS");
        }
        let columns = [
            "rate",
            "server",
            "publications/s",
            "deliveries/s",
            "Switchboard does",
            "by CPU",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "server us/delivery",
            "client us/delivery",
            "others' cores",
            "errors",
        ];
        let (mut table, mut data) = (Table::new(title, &columns), Vec::new());
        for (index, &rate) in self.rates.iter().enumerate() {
            for one in all {
                let (row, values) = row(rate, one.name, &one.turns[index], &all[0].turns[index]);
                table.row(row);
                data.push(values);
            }
        }
        Report {
            scenario: "fanout",
            asked: json!({ "subscribers": self.subscribers, "rates": self.rates, "window": self.window,
                "payload": self.payload, "rounds": self.rounds, "seconds": self.seconds }),
            tables: vec![table],
            data: data.into(),
        }
    }
}

/// The text that publishes so many bytes, about.
pub fn publication(dialect: Dialect, bytes: usize) -> String {
    dialect.publication(&payload(bytes.saturating_sub(AT.len() + NUMBER.len() + 12)))
}

fn row(rate: u32, name: &str, turns: &Turns, ours: &Turns) -> (Vec<String>, Value) {
    let all = turns.tally();
    let ms = |percent: f64| short(all.percentile(percent) / 1e3);
    let publications = median(turns.0.iter().map(|turn| turn.tally.sent as f64 / turn.spent.wall.as_secs_f64()));
    let (ratio, by_cpu) = (ours.ratio(Turn::rate, turns), turns.ratio(Turn::server, ours));
    let row = vec![
        if rate == 0 { "highest".to_owned() } else { rate.to_string() },
        name.to_owned(),
        short(publications),
        short(turns.median(Turn::rate)),
        short(ratio),
        short(by_cpu),
        ms(50.0),
        ms(99.0),
        ms(99.9),
        short(turns.median(Turn::server)),
        short(turns.median(Turn::client)),
        short(turns.median(Turn::others)),
        all.complaints(),
    ];
    let values = json!({ "rate": rate, "server": name, "publications_per_second": publications, "ratio": ratio,
        "ratio_by_cpu": by_cpu, "turns": turns.to_json() });
    (row, values)
}
