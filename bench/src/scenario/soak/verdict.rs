//! What a soak found, held against bounds.

use clap::Args;
use serde_json::json;

use super::watch::{Sample, Samples};
use crate::{
    report::{Report, Table, short},
    slope::{later_half, slope},
    tally::Tally,
};

/// What the host may hold more of, and still pass.
#[derive(Debug, Clone, Args)]
pub struct Bounds {
    /// Growth of memory over the later half of the time, in per cent an hour
    #[arg(long, default_value_t = 10.0)]
    max_growth: f64,
    /// Files that are open when everybody has left, beyond those at the start
    #[arg(long, default_value_t = 8)]
    pub max_files: u64,
    /// Threads at the end, beyond the most in the first half
    #[arg(long, default_value_t = 4)]
    max_threads: u64,
}

/// One kind of load.
pub struct Part {
    name: &'static str,
    rate: u32,
    tally: Tally,
}

pub struct Run {
    pub parts: Vec<Part>,
    pub samples: Samples,
    pub replacing: Tally,
    pub failed: u64,
}

struct Check {
    what: &'static str,
    found: String,
    bound: String,
    holds: bool,
}

impl Part {
    pub fn new(name: &'static str, rate: u32, tally: Tally) -> Self {
        Self { name, rate, tally }
    }
}

impl Run {
    pub fn report(&self, minutes: f64, bounds: &Bounds) -> Report {
        let checks = self.checks(bounds);
        let passed = checks.iter().all(|check| check.holds);
        let title = format!("{} after {minutes} minutes", if passed { "PASSED" } else { "FAILED" });
        let mut verdict = Table::new(title, &["what", "found", "bound", ""]);
        for Check { what, found, bound, holds } in &checks {
            let word = if *holds { "holds" } else { "DOES NOT HOLD" };
            verdict.row([(*what).to_owned(), found.clone(), bound.clone(), word.to_owned()]);
        }
        let checks: Vec<_> = checks
            .iter()
            .map(|it| json!({ "what": it.what, "found": it.found, "bound": it.bound, "holds": it.holds }))
            .collect();
        let data = json!({
            "passed": passed, "checks": checks, "bytes_per_minute": self.growth().0, "percent_per_hour": self.growth().1,
            "replacing": self.replacing.to_json(), "samples": self.samples.to_json(),
            "parts": self.parts.iter().map(|part| (part.name.to_owned(), part.tally.to_json())).collect::<serde_json::Map<_, _>>(),
        });
        let asked = json!({ "minutes": minutes, "bounds": format!("{bounds:?}") });
        Report { scenario: "soak", asked, tables: vec![verdict, self.load(), self.held()], data }
    }

    fn checks(&self, bounds: &Bounds) -> Vec<Check> {
        let Samples { before, during, after } = &self.samples;
        let end = after.as_ref().unwrap_or(before);
        let all = Tally::sum(self.parts.iter().map(|part| part.tally.clone()));
        let (bytes, percent) = self.growth();
        let files = end.held.descriptors.saturating_sub(before.held.descriptors);
        let most = |samples: &[Sample]| samples.iter().map(|sample| sample.held.threads).max().unwrap_or(0);
        let (early, late) = during.split_at(during.len() / 2);
        let threads = most(late).saturating_sub(most(early));
        let none = |what, count: u64| Check { what, found: count.to_string(), bound: "0".into(), holds: count == 0 };
        vec![
            Check {
                what: "memory, later half of the time",
                found: format!("{} KiB/min, {} %/h", short(bytes / 1024.0), short(percent)),
                bound: format!("{} %/h", bounds.max_growth),
                holds: percent <= bounds.max_growth,
            },
            Check {
                what: "files left open",
                found: format!("{files} ({} before, {} after)", before.held.descriptors, end.held.descriptors),
                bound: bounds.max_files.to_string(),
                holds: files <= bounds.max_files,
            },
            Check {
                what: "more threads in the later half",
                found: threads.to_string(),
                bound: bounds.max_threads.to_string(),
                holds: threads <= bounds.max_threads,
            },
            none("errors", all.errors.values().sum()),
            none("lost", all.lost),
            none("twice", all.twice),
            none("replacements without an answer", self.failed),
        ]
    }

    /// Bytes a minute, and per cent an hour, of the later half.
    fn growth(&self) -> (f64, f64) {
        let points = self.samples.points(|sample| sample.held.resident as f64);
        let later = later_half(&points);
        let mean = later.iter().map(|point| point.1).sum::<f64>() / later.len().max(1) as f64;
        let bytes = slope(later);
        (bytes, bytes * 60.0 / mean.max(1.0) * 100.0)
    }

    fn load(&self) -> Table {
        let columns = ["load", "asked for a second", "done", "p50 ms", "p99 ms", "slowest ms", "errors"];
        let mut table = Table::new("What was done meanwhile, timed from when it was due", &columns);
        let row = |name: &str, rate: String, tally: &Tally| {
            let ms = |percent: f64| short(tally.percentile(percent) / 1e3);
            [name.to_owned(), rate, tally.answered.to_string(), ms(50.0), ms(99.0), ms(100.0), tally.complaints()]
        };
        for part in &self.parts {
            table.row(row(part.name, part.rate.to_string(), &part.tally));
        }
        table.row(row("replacements, to the first answer", "-".to_owned(), &self.replacing));
        table
    }

    /// A few of the samples: all of them are in the JSON.
    fn held(&self) -> Table {
        let columns = [
            "when",
            "RSS MiB",
            "files",
            "threads",
            "cores",
            "connections",
            "detached",
            "subscriptions",
            "instances kept",
        ];
        let mut table = Table::new("What the host held", &columns);
        let Samples { before, during, after } = &self.samples;
        let tenths = (0..=10).filter_map(|tenth| during.get((during.len().saturating_sub(1)) * tenth / 10));
        let mut shown: Vec<(String, &Sample)> = vec![("before".to_owned(), before)];
        for sample in tenths {
            let minute = format!("{:.1} min", sample.minutes);
            if shown.last().is_none_or(|(last, _)| *last != minute) {
                shown.push((minute, sample));
            }
        }
        shown.extend(after.as_ref().map(|sample| ("after".to_owned(), sample)));
        for (when, sample) in shown {
            let gauge = |name: &str| short(sample.gauges.get(name).copied().unwrap_or(f64::NAN));
            let held = sample.held;
            table.row([
                when,
                short(held.resident as f64 / f64::from(1 << 20)),
                held.descriptors.to_string(),
                held.threads.to_string(),
                short(sample.cores),
                gauge("switchboard_connections"),
                gauge("switchboard_sessions_detached"),
                gauge("switchboard_subscriptions"),
                gauge("switchboard_plugin_instances_kept"),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Held;

    const BOUNDS: Bounds = Bounds { max_growth: 10.0, max_files: 8, max_threads: 4 };

    /// A sample a minute, of so much memory.
    fn run(mebibytes: impl IntoIterator<Item = u64>) -> Run {
        let sample = |(minute, mebibytes): (usize, u64)| Sample {
            minutes: minute as f64,
            held: Held { resident: mebibytes << 20, descriptors: 100, threads: 10 },
            ..Sample::default()
        };
        let during = mebibytes.into_iter().enumerate().map(sample).collect();
        let samples = Samples { before: Sample::default(), during, after: Some(Sample::default()) };
        Run { parts: vec![Part::new("requests", 1, Tally::default())], samples, replacing: Tally::default(), failed: 0 }
    }

    fn broken(run: &Run) -> Vec<&'static str> {
        run.checks(&BOUNDS).into_iter().filter(|check| !check.holds).map(|check| check.what).collect()
    }

    #[test]
    fn memory_may_grow_at_first_but_not_for_ever() {
        assert!(broken(&run([50, 80, 90, 100, 100, 100, 100, 100])).is_empty());
        assert_eq!(broken(&run([50, 51, 52, 53, 54, 55, 56, 57])), ["memory, later half of the time"]);
        assert!(broken(&run([57, 56, 55, 54, 53, 52, 51, 50])).is_empty());
    }

    #[test]
    fn what_is_left_behind_or_lost_does_not_pass() {
        let mut run = run([100; 8]);
        run.samples.after = Some(Sample { held: Held { descriptors: 9, ..Held::default() }, ..Sample::default() });
        run.samples.during[7].held.threads = 15;
        run.parts[0].tally.lost = 1;
        run.failed = 1;
        assert_eq!(
            broken(&run),
            ["files left open", "more threads in the later half", "lost", "replacements without an answer"]
        );
        let Some(title) = run.report(8.0, &BOUNDS).tables.first().map(|table| table.title.clone()) else { panic!() };
        assert_eq!(title, "FAILED after 8 minutes");
    }
}
