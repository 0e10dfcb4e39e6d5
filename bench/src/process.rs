//! What processes cost, as Linux counts it: CPU from `/proc/PID/stat`, memory from `/proc/PID/status`.
//!
//! All of it is read at the ends of a stretch, and never while something is measured.

use std::{
    fs,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
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

/// What the server has at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held {
    /// Bytes of memory.
    pub resident: u64,
    pub descriptors: u64,
    pub threads: u64,
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
        Ok(status_of(self.server, "VmRSS:")? << 10)
    }

    pub fn held(&self) -> anyhow::Result<Held> {
        let files = format!("/proc/{}/fd", self.server);
        let descriptors = fs::read_dir(&files).with_context(|| format!("{files} cannot be read"))?.count();
        let threads = status_of(self.server, "Threads:")?;
        Ok(Held { resident: self.resident()?, descriptors: u64::try_from(descriptors)?, threads })
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

/// A number of `/proc/PID/status`.
fn status_of(process: u32, name: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let line =
        text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("{path} has no {name}"))?;
    line.trim().trim_end_matches("kB").trim().parse().with_context(|| format!("{name} of {path} is no number"))
}

pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// Of today, in UTC, as ISO 8601 writes it.
pub fn date() -> String {
    date_of(unix_seconds() / (24 * 3600))
}

/// The Gregorian calendar from 1970 on.
fn date_of(mut days: u64) -> String {
    let is_leap = |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
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
    fn days_have_dates() {
        for (day, date) in [(0, "1970-01-01"), (11_016, "2000-02-29"), (20_088, "2024-12-31"), (20_454, "2026-01-01")] {
            assert_eq!(date_of(day), date);
        }
    }

    #[test]
    fn this_process_costs_something() {
        let meter = Meter::new(std::process::id());
        let begun = meter.sample().unwrap();
        let held = meter.held().unwrap();
        assert!(held.resident > 100_000 && held.descriptors > 2 && held.threads > 0);
        assert!(meter.since(&begun).unwrap().wall < Duration::from_secs(60));
    }
}
