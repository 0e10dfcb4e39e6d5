//! Which tests failed, in whose words: said once more at the end of a run, whose output is long, and of which a
//! machine that runs it for others may keep the last lines alone.

/// Lines that are repeated of what one test printed, from its first panic on.
const LINES: usize = 12;

/// Characters of a line.
const WIDTH: usize = 300;

/// Tests that are repeated; of the others, their number is told.
const TESTS: usize = 10;

/// What a test harness says of the tests that failed, read from its output line by line.
#[derive(Debug, Default)]
pub struct Failures {
    found: Vec<Failure>,
    /// Whether the lines are those of the test that was found last.
    is_open: bool,
}

#[derive(Debug)]
struct Failure {
    test: String,
    lines: Vec<String>,
    has_panicked: bool,
}

impl Failure {
    fn line(&mut self, line: &str) {
        if !self.has_panicked && line.starts_with("thread '") && line.contains("panicked at") {
            self.has_panicked = true;
            self.lines.clear();
        }
        if self.lines.len() < LINES && !line.trim().is_empty() {
            self.lines.push(line.chars().take(WIDTH).collect());
        }
    }
}

impl Failures {
    pub fn line(&mut self, line: &str) {
        if let Some(test) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.found.push(Failure { test: test.to_owned(), lines: Vec::new(), has_panicked: false });
            self.is_open = true;
        } else if line == "failures:" || line.starts_with("test result:") {
            self.is_open = false;
        } else if self.is_open
            && let Some(failure) = self.found.last_mut()
        {
            failure.line(line);
        }
    }

    /// Nothing where nothing failed.
    pub fn report(&self) -> String {
        let mut text = String::new();
        for Failure { test, lines, .. } in self.found.iter().take(TESTS) {
            text.push_str(&format!("\n{test} failed:\n"));
            lines.iter().for_each(|line| text.push_str(&format!("    {line}\n")));
        }
        if let Some(more @ 1..) = self.found.len().checked_sub(TESTS) {
            text.push_str(&format!("\nand {more} more failed\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> String {
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.line(line));
        failures.report()
    }

    #[test]
    fn a_test_that_failed_is_repeated_with_its_first_lines() {
        let output = "\
running 3 tests
test one::fails ... FAILED
test two ... ok

failures:

---- one::fails stdout ----
17 of 20 are done

thread 'one::fails' panicked at one.rs:7:9:
there is no such thing
thread 'another' panicked at two.rs:1:1:

---- three stdout ----
Error: no

failures:
    one::fails
    three

test result: FAILED. 1 passed; 2 failed; 0 ignored
noise";
        let told = "\none::fails failed:\n    thread 'one::fails' panicked at one.rs:7:9:\n    there is no such thing\n    \
                    thread 'another' panicked at two.rs:1:1:\n\
                    \nthree failed:\n    Error: no\n";
        assert_eq!(read(output), told);
        assert_eq!(read("test two ... ok\ntest result: ok. 1 passed; 0 failed"), "");
    }

    #[test]
    fn what_is_repeated_has_bounds() {
        let long = format!("---- long stdout ----\n{}", format!("{}\n", "x".repeat(1_000)).repeat(100));
        assert!(read(&long).len() < LINES * (WIDTH + 5) + 50);
        let many: String = (0..25).map(|n| format!("---- t{n} stdout ----\npanicked\n")).collect();
        let told = read(&many);
        assert!(told.contains("t9 failed") && !told.contains("t10"), "{told}");
        assert!(told.ends_with("\nand 15 more failed\n"), "{told}");
    }
}
