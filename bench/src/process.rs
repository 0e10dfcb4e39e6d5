//! What processes cost, as Linux counts it: CPU from `/proc/PID/stat`, memory from `/proc/PID/status`.
//!
//! All of it is read at the ends of a stretch, and never while something is measured.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::Context as _;

/// The unit of `/proc` on every architecture that Linux runs on (proc(5), `sysconf(_SC_CLK_TCK)`).
const TICK: Duration = Duration::from_millis(10);

/// Whose CPU is counted.
#[derive(Debug, Clone)]
pub struct Meter {
    server: u32,
    clients: Vec<u32>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    at: Instant,
    server: Duration,
    clients: Duration,
    machine: Duration,
}

/// What a stretch of time took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    pub wall: Duration,
    pub server: Duration,
    pub clients: Duration,
    /// Everybody else on this machine.
    pub others: Duration,
}

impl Meter {
    /// For a server, and for this process.
    pub fn new(server: u32) -> Self {
        Self { server, clients: vec![std::process::id()] }
    }

    /// Clients that are processes of their own, too.
    pub fn with(mut self, client: u32) -> Self {
        self.clients.push(client);
        self
    }

    pub fn sample(&self) -> anyhow::Result<Sample> {
        let clients = self.clients.iter().map(|id| cpu_of(*id)).sum::<anyhow::Result<Duration>>()?;
        Ok(Sample { at: Instant::now(), server: cpu_of(self.server)?, clients, machine: cpu_of_machine()? })
    }

    pub fn since(&self, begun: &Sample) -> anyhow::Result<Spent> {
        let now = self.sample()?;
        let (server, clients) = (now.server.saturating_sub(begun.server), now.clients.saturating_sub(begun.clients));
        let machine = now.machine.saturating_sub(begun.machine);
        Ok(Spent { wall: now.at - begun.at, server, clients, others: machine.saturating_sub(server + clients) })
    }

    /// Resident memory of the server in bytes.
    pub fn resident(&self) -> anyhow::Result<u64> {
        resident_of(self.server)
    }
}

impl Spent {
    /// How many cores somebody used on average.
    pub fn cores(&self, of: Duration) -> f64 {
        of.as_secs_f64() / self.wall.as_secs_f64().max(1e-9)
    }
}

fn cpu_of(process: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    cpu_in(&text).with_context(|| format!("{path} is not in the form that proc(5) describes"))
}

/// User and system time, fields 14 and 15. The second field is a name that may hold anything.
fn cpu_in(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * (ticks()? + ticks()?))
}

/// All cores, all that is not idle. Time that the hypervisor gave to others counts as used.
fn cpu_of_machine() -> anyhow::Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("/proc/stat cannot be read")?;
    machine_in(&text).context("/proc/stat has no line for all cores")
}

fn machine_in(stat: &str) -> Option<Duration> {
    let values: Vec<u64> = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_ascii_whitespace()
        .filter_map(|value| value.parse().ok())
        .collect();
    let [user, nice, system, _idle, _wait, interrupts, soft, stolen, ..] = values[..] else { return None };
    let ticks = user + nice + system + interrupts + soft + stolen;
    Some(Duration::from_millis(ticks.checked_mul(10)?))
}

fn resident_of(process: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no line for resident memory")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().context("resident memory is no number")?;
    Ok(kib << 10)
}

/// What figures are worth nothing without.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("", |it| it.1);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("{cores} cores, {model}, Linux {}, load {load}", read("/proc/sys/kernel/osrelease").trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(cpu_in(stat), Some(Duration::from_secs(3)));
        assert_eq!(machine_in("cpu  1 2 3 400 500 6 7 8 0 0\ncpu0 1"), Some(Duration::from_millis(270)));
    }

    #[test]
    fn this_process_costs_something() {
        let meter = Meter::new(std::process::id());
        let begun = meter.sample().unwrap();
        assert!(meter.resident().unwrap() > 100_000);
        assert!(meter.since(&begun).unwrap().wall < Duration::from_secs(60));
    }
}
