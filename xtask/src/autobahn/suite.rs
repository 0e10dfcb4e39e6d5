//! The suite: a Python package in an environment of its own below `target/tools`, and its report as
//! verdicts.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::verdict::Verdict;
use crate::{
    process,
    tools::{AUTOBAHN, autobahn_folder, autobahn_program},
};

/// Cases at one time. More than the machine has cores, because some of them wait for seconds.
const PARALLEL: &str = "4";

/// How often a program that runs is looked at.
const PACE: Duration = Duration::from_millis(50);

/// One line for each case: id, verdict on the messages, verdict on the close, and what the suite says to
/// both. The report is JSON, for which Python is at hand.
const READ_REPORT: &str = r"
import json, pathlib, sys
report = pathlib.Path(sys.argv[1])
for cases in json.loads((report / 'index.json').read_text()).values():
    for name, case in cases.items():
        detail = json.loads((report / case['reportfile']).read_text())
        words = detail['result'], detail['resultClose']
        print(name, case['behavior'], case['behaviorClose'], ' '.join(' '.join(words).split()), sep='\t')
";

/// The suite, installed.
pub struct Suite(());

impl Suite {
    /// Installs it, if it is not there.
    pub fn installed() -> anyhow::Result<Self> {
        if !answers() {
            eprintln!("installing {AUTOBAHN} into {}", autobahn_folder().display());
            install().with_context(help)?;
        }
        if !answers() {
            bail!("{AUTOBAHN} was installed and does not answer\n{}", help());
        }
        Ok(Self(()))
    }

    /// Runs the cases, or all without any, and returns what the report says. The report stays in the
    /// folder.
    pub fn run(&self, url: &str, cases: &[String], folder: &Path, limit: Duration) -> anyhow::Result<Vec<Verdict>> {
        let (report, log) = (folder.join("report"), folder.join("suite.log"));
        let output = File::create(&log).context("the suite's log cannot be made")?;
        let mut command = Command::new(autobahn_program("kosoku"));
        command.arg(url).args(["--parallelism", PARALLEL, "--outdir"]).arg(&report);
        command.args(cases.iter().flat_map(|case| ["--include", case]));
        command.stdout(output.try_clone()?).stderr(output);
        let status = wait(command.spawn().context("the suite does not start")?, limit)?;
        if !report.join("index.json").is_file() {
            bail!("the suite made no report ({status}): see {}", log.display());
        }
        read(&report)
    }
}

fn read(report: &Path) -> anyhow::Result<Vec<Verdict>> {
    let output = Command::new(autobahn_program("python")).args(["-c", READ_REPORT]).arg(report).output()?;
    if !output.status.success() {
        bail!("the report cannot be read: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("the report is no text")?.lines().map(Verdict::read).collect()
}

fn answers() -> bool {
    let mut command = Command::new(autobahn_program("kosoku"));
    command.arg("-h").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn install() -> anyhow::Result<()> {
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(autobahn_folder()))?;
    let mut pip = Command::new(autobahn_program("python"));
    // A wheel: compiling it would take another Rust and minutes.
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", AUTOBAHN]);
    process::run(&mut pip)
}

fn help() -> String {
    let folder = autobahn_folder();
    let folder = folder.display();
    format!(
        "the Autobahn cases need Python 3.10 or later with venv (Debian: python3-venv), and {AUTOBAHN} of PyPI; \
         where PyPI cannot be reached, download the wheel elsewhere (`pip download --no-deps {AUTOBAHN}`) and run \
         `python3 -m venv {folder} && {folder}/bin/pip install FILE.whl`"
    )
}

/// Returns when the program has ended, and ends it itself when its time is over.
fn wait(mut program: Child, limit: Duration) -> anyhow::Result<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = program.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            program.kill()?;
            program.wait()?;
            bail!("the suite did not come to an end within {} s", limit.as_secs());
        }
        thread::sleep(PACE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_program_that_hangs_is_ended() {
        let hanging = Command::new("sleep").arg("60").spawn().expect("started");
        assert!(wait(hanging, Duration::from_millis(100)).is_err());
        let ending = Command::new("true").spawn().expect("started");
        assert!(wait(ending, Duration::from_secs(30)).expect("ended").success());
    }
}
