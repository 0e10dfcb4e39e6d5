//! A process, one instruction at a time.
//!
//! It says when it is ready, and stops itself between what is to be counted. Only the thread that does that runs
//! meanwhile: what others would do at their own pace (the clock of the sandbox most of all, for which this is an eternity)
//! is in no count.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::{
        ptrace,
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// Then it is over for one that waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(900);

/// Repetitions that are counted. What happens once in a while is in few of them, and not in the one in the middle.
const ROUNDS: usize = 3;

/// What the process says when its repetitions begin with the next line that it reads.
const READY: &str = "ready";

/// Instructions of what the process does between two of its stops.
pub fn count(command: &mut Command) -> anyhow::Result<u64> {
    // A step is a change of processes and back, which is four times as quick where both have the same processor.
    let processors = on_one_processor().context("the processor cannot be chosen")?;
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = Traced(child.context("the host does not start")?);
    let counted = child.count_in_time();
    drop(child);
    sched_setaffinity(Pid::from_raw(0), &processors)?;
    counted
}

fn on_one_processor() -> nix::Result<CpuSet> {
    let this = Pid::from_raw(0);
    let all = sched_getaffinity(this)?;
    let mut one = CpuSet::new();
    for processor in (0..CpuSet::count()).filter(|at| all.is_set(*at).unwrap_or(false)).take(1) {
        one.set(processor)?;
    }
    sched_setaffinity(this, &one)?;
    Ok(all)
}

/// Ends with this.
struct Traced(Child);

impl Drop for Traced {
    fn drop(&mut self) {
        _ = self.0.kill();
        while wait().is_ok() {}
    }
}

/// For whatever happens next to a thread that is traced from here. The first of a process is not seen to end before all
/// others were.
fn wait() -> nix::Result<WaitStatus> {
    waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD))
}

/// For what happens next to this one.
fn wait_for(thread: Pid) -> nix::Result<WaitStatus> {
    loop {
        let status = wait()?;
        if status.pid() == Some(thread) {
            return Ok(status);
        }
    }
}

impl Traced {
    fn count_in_time(&mut self) -> anyhow::Result<u64> {
        let main = Pid::from_raw(i32::try_from(self.0.id())?);
        let (counting, over) = sync_channel::<()>(0);
        thread::scope(|scope| {
            scope.spawn(move || {
                if over.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                    // Nobody has waited for it yet, so that this is its number still.
                    _ = kill(main, Signal::SIGKILL);
                }
            });
            let counted = self.count(main);
            drop(counting);
            counted
        })
    }

    fn count(&mut self, main: Pid) -> anyhow::Result<u64> {
        let (mut input, output) = (self.0.stdin.take(), self.0.stdout.take());
        let mut line = String::new();
        BufReader::new(output.context("no output")?).read_line(&mut line)?;
        if line.trim() != READY {
            bail!("it did not get ready (see above)");
        }
        self.stop_all().context("it cannot be traced")?;
        input.as_mut().context("no input")?.write_all(b"\n")?;
        ptrace::cont(main, None)?;
        match wait_for(main)? {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
            other => bail!("it was to stop, and not {other:?}"),
        }
        let nothing = until_it_stops(main)?;
        let mut counts = (0..ROUNDS).map(|_| until_it_stops(main)).collect::<anyhow::Result<Vec<u64>>>()?;
        counts.sort_unstable();
        Ok(counts[ROUNDS / 2].saturating_sub(nothing))
    }

    /// Takes hold of every thread.
    fn stop_all(&self) -> anyhow::Result<()> {
        for thread in fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let name = thread?.file_name();
            let thread = Pid::from_raw(name.to_str().context("a thread is a number")?.parse()?);
            ptrace::attach(thread)?;
            wait_for(thread)?;
        }
        Ok(())
    }
}

/// Instructions up to the next stop.
fn until_it_stops(main: Pid) -> anyhow::Result<u64> {
    let (mut count, mut before, mut pass_on) = (0, None, None);
    loop {
        ptrace::step(main, pass_on.take())?;
        match wait_for(main)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {
                let now = instruction(main)?;
                // One that repeats itself, such as a copy of bytes, is met once for each time.
                count += u64::from(now.is_none() || now != before);
                before = now;
            }
            WaitStatus::Stopped(_, Signal::SIGSTOP) => return Ok(count),
            WaitStatus::Stopped(_, signal) => pass_on = Some(signal),
            other => bail!("it ended while it was counted: {other:?}"),
        }
    }
}

/// Where it is, on processors of which one instruction can be many steps.
#[cfg(target_arch = "x86_64")]
fn instruction(thread: Pid) -> nix::Result<Option<u64>> {
    ptrace::getregs(thread).map(|registers| Some(registers.rip))
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction(_: Pid) -> nix::Result<Option<u64>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    /// Some containers forbid tracing altogether, where nothing can be said.
    fn counted(script: &str) -> Option<anyhow::Result<u64>> {
        let counted = count(&mut shell(script));
        match counted.as_ref().err().and_then(|fault| fault.downcast_ref()) {
            Some(nix::Error::EPERM | nix::Error::ENOSYS) => {
                eprintln!("nothing may be traced on this machine: {counted:?}");
                None
            }
            _ => Some(counted),
        }
    }

    #[test]
    fn what_a_process_does_between_its_stops_is_counted() {
        let repeated = |work: &str| {
            let script = format!("echo ready; read -r line; kill -STOP $$; while :; do kill -STOP $$; {work}; done");
            counted(&script).map(|count| count.unwrap())
        };
        let (little, much) = ("x=1", "x=1; x=1; x=1; x=1; x=1; x=1; x=1; x=1; x=1; x=1; x=1");
        let Some(counts) = [little, much, much].into_iter().map(repeated).collect::<Option<Vec<u64>>>() else { return };
        assert!(counts[0] > 0 && counts[1] > counts[0] * 5, "{counts:?}");
        assert_eq!(counts[1], counts[2]);
    }

    #[test]
    fn one_that_does_not_get_ready_is_an_error() {
        let fault = count(&mut shell("echo no such step")).unwrap_err();
        assert!(fault.to_string().contains("did not get ready"), "{fault:#}");
    }

    #[test]
    fn one_that_ends_while_it_is_counted_is_an_error() {
        let Some(counted) = counted("echo ready; read -r line; kill -STOP $$; exit 3") else { return };
        let fault = counted.unwrap_err();
        assert!(fault.to_string().contains("it ended while it was counted"), "{fault:#}");
    }
}
