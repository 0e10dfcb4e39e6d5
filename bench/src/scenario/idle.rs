//! `idle`: connections that say nothing. Their number rises in steps; after each, the host has a moment to come to rest,
//! then its memory is read and its CPU counted for a while. What one connection costs is the slope over the steps, so
//! that what the process needs by itself is in none of it.
//!
//! The clients are processes of their own, because a process may open only so many files. They answer pings and do
//! nothing else.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, TryRecvError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
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
    slope::slope,
};

/// Handshakes of one process that are under way at a time.
const AT_ONCE: usize = 32;

/// For one step.
const STEP_LIMIT: Duration = Duration::from_secs(300);

/// How often a client process looks for its next order.
const LOOK: Duration = Duration::from_millis(50);

/// Longer than any scenario.
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Args)]
pub struct Idle {
    /// Connections at each step
    #[arg(long, value_delimiter = ',', default_value = "1000,2500,5000,10000")]
    steps: Vec<usize>,
    /// Client processes, among which they are divided; each may open about 19,000
    #[arg(long, default_value_t = 1)]
    processes: usize,
    /// Before each measurement
    #[arg(long, default_value_t = 3.0)]
    rest_seconds: f64,
    /// Of each measurement; heartbeats come every 25 s by default, so less than that sees only a part of them
    #[arg(long, default_value_t = 25.0)]
    seconds: f64,
}

struct Step {
    connections: usize,
    resident: u64,
    /// Cores that the host used.
    cores: f64,
    others: f64,
    opened_in: Duration,
}

impl Idle {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        progress::stage("starting the host");
        let host = common.setup(&["system"]).start()?;
        let mut clients =
            (0..self.processes.max(1)).map(|_| Crew::start(host.address)).collect::<Result<Vec<_>, _>>()?;
        let meter = clients.iter().fold(Meter::new(host.id()), |meter, crew| meter.with(crew.process.id()));
        let mut steps = vec![self.measure(&meter, 0, Duration::ZERO)?];
        let (mut open, mut failed, processes) = (0, 0, clients.len());
        for &wanted in &self.steps {
            let begun = Instant::now();
            progress::stage(format!("opening up to {wanted} connections"));
            for (index, crew) in clients.iter_mut().enumerate() {
                let share = |total: usize| total / processes + usize::from(index < total % processes);
                crew.order(share(wanted).saturating_sub(share(open)), index)?;
            }
            for crew in &mut clients {
                failed += crew.report()?;
            }
            open = wanted;
            steps.push(self.measure(&meter, wanted, begun.elapsed())?);
        }
        let lost = clients.iter_mut().map(Crew::lost).sum::<anyhow::Result<usize>>()?;
        Ok(self.report(&steps, failed, lost))
    }

    fn measure(&self, meter: &Meter, connections: usize, opened_in: Duration) -> anyhow::Result<Step> {
        progress::stage(format!("{connections} connections, idle for {} s", self.seconds));
        thread::sleep(Duration::from_secs_f64(self.rest_seconds));
        let begun = meter.sample()?;
        thread::sleep(Duration::from_secs_f64(self.seconds));
        let spent = meter.since(&begun)?;
        let (cores, others) = (spent.cores(spent.server), spent.cores(spent.others));
        Ok(Step { connections, resident: meter.resident()?, cores, others, opened_in })
    }

    fn report(&self, steps: &[Step], failed: usize, lost: usize) -> Report {
        let columns =
            ["connections", "RSS MiB", "bytes each, since 0", "CPU us/s each", "opened in s", "others' cores"];
        let mut table = Table::new(format!("Each measured for {} s", self.seconds), &columns);
        let base = steps.first().map_or((0.0, 0.0), |first| (first.resident as f64, first.cores));
        for step in steps {
            let count = step.connections as f64;
            table.row([
                step.connections.to_string(),
                short(step.resident as f64 / f64::from(1 << 20)),
                short((step.resident as f64 - base.0) / count),
                short((step.cores - base.1) * 1e6 / count),
                short(step.opened_in.as_secs_f64()),
                short(step.others),
            ]);
        }
        let of = |figure: fn(&Step) -> f64| {
            let points: Vec<_> = steps.iter().skip(1).map(|step| (step.connections as f64, figure(step))).collect();
            slope(&points)
        };
        let (bytes, cores) = (of(|step| step.resident as f64), of(|step| step.cores));
        let mut slopes = Table::new(
            "Least squares over the steps but the first, and what a million would need by it",
            &["bytes each", "CPU us/s each", "RSS of 1,000,000 GiB", "cores of 1,000,000", "failed", "lost"],
        );
        slopes.row([
            short(bytes),
            short(cores * 1e6),
            short(bytes * 1e6 / f64::from(1 << 30)),
            short(cores * 1e6),
            failed.to_string(),
            lost.to_string(),
        ]);
        let all: Vec<_> = steps
            .iter()
            .map(|step| json!({ "connections": step.connections, "resident": step.resident, "cores": step.cores }))
            .collect();
        Report {
            scenario: "idle",
            asked: json!({ "steps": self.steps, "processes": self.processes, "seconds": self.seconds }),
            tables: vec![table, slopes],
            data: json!({ "steps": all, "bytes_each": bytes, "cpu_us_each": cores * 1e6, "failed": failed, "lost": lost }),
        }
    }
}

/// A client process, from the side of the one that started it.
struct Crew {
    process: Child,
    orders: ChildStdin,
    reports: BufReader<ChildStdout>,
}

impl Crew {
    fn start(to: SocketAddr) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["idle-client", "--to", &to.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("a client process does not start")?;
        let orders = process.stdin.take().context("it takes no orders")?;
        let reports = BufReader::new(process.stdout.take().context("it says nothing")?);
        Ok(Self { process, orders, reports })
    }

    fn order(&mut self, more: usize, first: usize) -> anyhow::Result<()> {
        writeln!(self.orders, "{more} {first}").context("a client process is gone")
    }

    /// Waits until the last order is carried out. Returns how many connections failed.
    fn report(&mut self) -> anyhow::Result<usize> {
        let mut line = String::new();
        self.reports.read_line(&mut line)?;
        line.trim().parse().with_context(|| format!("a client process says {line:?}"))
    }

    /// How many were lost since they were opened.
    fn lost(&mut self) -> anyhow::Result<usize> {
        self.order(0, 0)?;
        self.report()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Holds connections as it is told: each line on standard input says how many more, and which process it is; the answer is
/// how many have failed since the last.
#[derive(Debug, Args)]
pub struct Client {
    #[arg(long)]
    to: SocketAddr,
}

impl Client {
    pub fn run(&self) -> anyhow::Result<()> {
        let (sender, orders) = sync_channel(1);
        thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut holder = Holder::new(orders);
        Engine::new(self.to, false)?.run(&mut holder, Instant::now() + DAY)?;
        Ok(())
    }
}

struct Holder {
    orders: Receiver<String>,
    /// An order is being carried out, until then at the latest.
    busy: Option<Instant>,
    left: usize,
    under_way: usize,
    /// Names of users: the process's, and how many it has had.
    process: usize,
    users: usize,
    failed: usize,
    over: bool,
}

impl Holder {
    fn new(orders: Receiver<String>) -> Self {
        Self { orders, busy: None, left: 0, under_way: 0, process: 0, users: 0, failed: 0, over: false }
    }

    fn take_order(&mut self, now: Instant) {
        match self.orders.try_recv() {
            Ok(line) => {
                let mut numbers = line.split(' ').filter_map(|word| word.parse().ok());
                self.left = numbers.next().unwrap_or(0);
                self.process = numbers.next().unwrap_or(0);
                self.busy = Some(now + STEP_LIMIT);
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => self.over = true,
        }
    }

    fn carry_out(&mut self, engine: &mut Engine) {
        while self.left > 0 && self.under_way < AT_ONCE {
            self.left -= 1;
            self.users += 1;
            let subject = format!("{}-{}", user(self.users), self.process);
            match engine.open("/ws", &token::of(&subject), None) {
                Ok(_) => self.under_way += 1,
                Err(_) => self.failed += 1,
            }
        }
    }
}

impl Driver for Holder {
    fn message(&mut self, _connection: &mut Connection, text: &[u8], _now: Instant) {
        if text.starts_with(br#"{"type":"connection_established""#) {
            self.under_way -= usize::from(self.under_way > 0);
        }
    }

    fn closed(&mut self, _id: usize, _how: Closed, _now: Instant) {
        self.failed += 1;
        self.under_way -= usize::from(self.under_way > 0);
    }

    fn due(&mut self, engine: &mut Engine, now: Instant) -> Option<Instant> {
        if self.busy.is_none() {
            self.take_order(now);
        }
        if let Some(limit) = self.busy {
            self.carry_out(engine);
            if (self.left == 0 && self.under_way == 0) || now > limit {
                println!("{}", std::mem::take(&mut self.failed) + self.left + self.under_way);
                (self.busy, self.left, self.under_way) = (None, 0, 0);
            }
        }
        Some(now + LOOK)
    }

    fn is_done(&self) -> bool {
        self.over
    }
}
