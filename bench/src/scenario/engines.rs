//! `engines`: echo servers that differ in their WebSocket engine alone, in turns. What they cost for a message, one by one and
//! in bursts; and what a connection holds, before it has said anything and when it is quiet again.

use std::{path::PathBuf, thread, time::Duration};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    client::template::NUMBER,
    fleet::{Crowd, Fleet},
    host::Host,
    load::{Load, Pace, Speech, payload},
    options::Common,
    process::{Meter, Spent},
    progress,
    report::{Report, Table, median, short},
    scenario::DRAIN,
    tally::Tally,
};

/// Before memory is read.
const REST: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub struct Engines {
    /// Where the echo servers are
    #[arg(long, default_value = "target/engines/release")]
    folder: PathBuf,
    /// Their names, the first of which the others are compared with
    #[arg(long, value_delimiter = ',', default_value = "tungstenite,yawc,tokio-websockets,fastwebsockets,own")]
    engines: Vec<String>,
    /// Sizes of the payload in bytes
    #[arg(long, value_delimiter = ',', default_value = "200,10240")]
    payloads: Vec<usize>,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Messages in flight of each connection that sends in bursts
    #[arg(long, default_value_t = 16)]
    in_flight: usize,
    /// Connections whose memory is measured
    #[arg(long, default_value_t = 2000)]
    idle: usize,
    /// How often each engine has its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a turn is
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

/// What is asked of all of them.
#[derive(Debug, Clone, Copy)]
struct Task {
    payload: usize,
    burst: bool,
}

/// What one of them did in one turn.
struct Turn {
    engine: usize,
    task: usize,
    spent: Spent,
    tally: Tally,
}

impl Turn {
    fn rate(&self) -> f64 {
        self.tally.answered as f64 / self.spent.wall.as_secs_f64()
    }

    /// Microseconds of the server's CPU for an answer.
    fn cost(&self) -> f64 {
        self.spent.server.as_secs_f64() * 1e6 / (self.tally.answered.max(1)) as f64
    }
}

/// Bytes that a connection takes.
struct Held {
    fresh: f64,
    /// After it has sent something, and got its answer.
    quiet: f64,
}

impl Engines {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        let mut servers = Vec::new();
        for engine in &self.engines {
            progress::stage(format!("starting {engine}"));
            let mut setup = common.setup(&[]);
            setup.program = self.folder.join(engine);
            servers.push(setup.start()?);
        }
        let tasks: Vec<Task> =
            self.payloads.iter().flat_map(|&payload| [false, true].map(|burst| Task { payload, burst })).collect();
        let mut held = Vec::new();
        for (server, engine) in servers.iter().zip(&self.engines) {
            progress::stage(format!("{engine}, {} idle connections", self.idle));
            held.push(self.hold(server, common)?);
        }
        let mut turns = Vec::new();
        for (index, task) in tasks.iter().enumerate() {
            for round in 0..=self.rounds {
                for step in 0..servers.len() {
                    let engine = (round + step) % servers.len();
                    progress::stage(format!("{}, {task:?}, round {round} of {}", self.engines[engine], self.rounds));
                    let (spent, tally) = self.turn(&servers[engine], common, *task)?;
                    // The first warms up.
                    if round > 0 {
                        turns.push(Turn { engine, task: index, spent, tally });
                    }
                }
            }
        }
        Ok(self.report(&tasks, &turns, &held))
    }

    fn hold(&self, server: &Host, common: &Common) -> anyhow::Result<Held> {
        let meter = Meter::new(server.id());
        let before = meter.resident()?;
        let mut fleet = Fleet::connect(server.address, common.threads, false, Crowd::of(self.idle))?;
        let each = |now: u64| (now as f64 - before as f64) / self.idle as f64;
        thread::sleep(REST);
        let fresh = each(meter.resident()?);
        say(&mut fleet, 1, 200, Duration::from_secs(1))?;
        thread::sleep(REST);
        Ok(Held { fresh, quiet: each(meter.resident()?) })
    }

    fn turn(&self, server: &Host, common: &Common, task: Task) -> anyhow::Result<(Spent, Tally)> {
        let meter = Meter::new(server.id());
        let mut fleet = Fleet::connect(server.address, common.threads, task.burst, Crowd::of(self.connections))?;
        let in_flight = if task.burst { self.in_flight } else { 1 };
        let begun = meter.sample()?;
        let tally = say(&mut fleet, in_flight, task.payload, Duration::from_secs_f64(self.seconds))?;
        Ok((meter.since(&begun)?, tally))
    }

    fn report(&self, tasks: &[Task], turns: &[Turn], held: &[Held]) -> Report {
        let columns =
            ["payload", "in flight", "engine", "msg/s", "ratio", "server us/msg", "by CPU", "others' cores", "faults"];
        let mut table = Table::new(format!("{} connections, {} rounds", self.connections, self.rounds), &columns);
        let mut data = Vec::new();
        for (index, task) in tasks.iter().enumerate() {
            for engine in 0..self.engines.len() {
                let of = |engine: usize| turns.iter().filter(move |turn| turn.task == index && turn.engine == engine);
                let pairs = || of(engine).zip(of(0));
                let (rate, cost) = (median(of(engine).map(Turn::rate)), median(of(engine).map(Turn::cost)));
                let ratio = median(pairs().map(|(one, base)| one.rate() / base.rate()));
                let by_cpu = median(pairs().map(|(one, base)| base.cost() / one.cost()));
                let others = median(of(engine).map(|turn| turn.spent.cores(turn.spent.others)));
                let in_flight = if task.burst { format!("{}, bursts", self.in_flight) } else { "1".to_owned() };
                let name = self.engines[engine].clone();
                table.row([
                    task.payload.to_string(),
                    in_flight,
                    name.clone(),
                    short(rate),
                    short(ratio),
                    short(cost),
                    short(by_cpu),
                    short(others),
                    Tally::sum(of(engine).map(|turn| turn.tally.clone())).complaints(),
                ]);
                data.push(json!({
                    "engine": name, "payload": task.payload, "burst": task.burst, "rate": rate, "ratio": ratio,
                    "server_us": cost, "ratio_by_cpu": by_cpu,
                }));
            }
        }
        let mut memory = Table::new(format!("{} connections", self.idle), &["engine", "bytes, fresh", "bytes, quiet"]);
        let mut kept: Vec<Value> = Vec::new();
        for (engine, held) in self.engines.iter().zip(held) {
            memory.row([engine.clone(), short(held.fresh), short(held.quiet)]);
            kept.push(json!({ "engine": engine, "fresh": held.fresh, "quiet": held.quiet }));
        }
        Report {
            scenario: "engines",
            asked: json!({ "engines": self.engines, "payloads": self.payloads, "connections": self.connections, "seconds": self.seconds }),
            tables: vec![table, memory],
            data: json!({ "echo": data, "memory": kept }),
        }
    }
}

/// A closed loop on all connections.
fn say(fleet: &mut Fleet, in_flight: usize, bytes: usize, lasts: Duration) -> anyhow::Result<Tally> {
    let text = format!(r#"{{"type":"echo","correlation_id":"{NUMBER}","payload":{}}}"#, payload(bytes));
    let pace = Pace::Closed { in_flight };
    let mut loads: Vec<Load> = fleet.engines.iter().map(|_| Load::new(Speech::Envelope, pace, &text, lasts)).collect();
    fleet.run(&mut loads, lasts + DRAIN, |_| Ok(()))?;
    Ok(Tally::sum(loads.into_iter().map(|load| load.finish().0)))
}
