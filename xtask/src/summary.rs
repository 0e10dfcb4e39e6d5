//! The numbers behind the last line of `cargo xtask test`.

use std::{ops::AddAssign, time::Duration};

use crate::{disk, failures::Failures};

/// Tests that passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub passed: u64,
    pub failed: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl Count {
    /// From a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; ...`; zero from any other.
    pub fn of_line(line: &str) -> Self {
        let Some(result) = line.trim().strip_prefix("test result:") else { return Self::default() };
        let number = |word: &str| {
            result.split(['.', ';']).find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok()).unwrap_or(0)
        };
        Self { passed: number("passed"), failed: number("failed") }
    }
}

/// One step of the run.
#[derive(Debug)]
pub struct Outcome {
    pub name: String,
    pub count: Count,
    pub failures: Failures,
    pub fault: Option<String>,
    pub took: Duration,
    /// Bytes that were left on the disk after it.
    pub disk_left: Option<u64>,
}

impl Outcome {
    /// A step that failed without a failed test (it did not compile, it is not formatted) is one failure:
    /// nothing that went wrong adds up to zero.
    pub fn counted(&self) -> Count {
        let unseen = u64::from(self.fault.is_some() && self.count.failed == 0);
        Count { failed: self.count.failed + unseen, ..self.count }
    }
}

/// All steps, then the tests that failed, then the sum alone on its line.
pub fn report(outcomes: &[Outcome]) -> (String, Count) {
    let mut text = String::from("\n");
    let mut sum = Count::default();
    for outcome in outcomes {
        let verdict = if outcome.fault.is_some() { "FAILED" } else { "ok" };
        let left = outcome.disk_left.map(|left| format!("  ({} of disk left)", disk::text(left))).unwrap_or_default();
        text.push_str(&format!("{verdict:>6} {:>6.1}s  {}{left}\n", outcome.took.as_secs_f64(), outcome.name));
        if let Some(fault) = &outcome.fault {
            text.push_str(&format!("                {}\n", fault.replace('\n', "\n                ")));
        }
        sum += outcome.counted();
    }
    outcomes.iter().for_each(|outcome| text.push_str(&outcome.failures.report()));
    text.push_str(&format!("\n{} passed, {} failed\n", sum.passed, sum.failed));
    (text, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_from_their_lines_and_from_no_others() {
        let count =
            Count::of_line("test result: FAILED. 24 passed; 1 failed; 0 ignored; 0 measured; finished in 0.17s");
        assert_eq!(count, Count { passed: 24, failed: 1 });
        assert_eq!(Count::of_line("test result: ok. 3 passed; 0 failed; 9 ignored"), Count { passed: 3, failed: 0 });
        assert_eq!(Count::of_line("7 passed; 7 failed"), Count::default());
    }

    #[test]
    fn a_step_that_failed_without_a_test_is_not_lost_in_the_sum() {
        let outcome = |fault: Option<&str>, passed, failed| Outcome {
            name: "step".to_owned(),
            count: Count { passed, failed },
            failures: Failures::default(),
            fault: fault.map(str::to_owned),
            took: Duration::ZERO,
            disk_left: None,
        };
        let (text, sum) = report(&[outcome(None, 2, 0), outcome(Some("no"), 0, 0), outcome(Some("no"), 1, 3)]);
        assert_eq!(sum, Count { passed: 3, failed: 4 });
        assert!(text.ends_with("\n3 passed, 4 failed\n"), "{text}");

        let mut with_a_test = outcome(Some("no"), 0, 1);
        with_a_test.failures.line("---- a::test stdout ----");
        let (text, _) = report(&[with_a_test, outcome(None, 2, 0)]);
        assert!(text.ends_with("step\n\na::test failed:\n\n2 passed, 1 failed\n"), "{text}");
    }
}
