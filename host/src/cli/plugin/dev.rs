//! `switchboard plugin dev`: from a saved file to the next message answered by it, again and again.
//!
//! Each round is what an author would do by hand: build, check, deploy, with the code of these commands. Whatever
//! fails, what served goes on serving, and the line that ends the round says so. Meanwhile the plugin's log
//! is shown as it comes.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use tokio::task::spawn_blocking;

use super::{
    build::{self, Built},
    check::misfit_as_text,
    toolchain,
};
use crate::{
    cli::admin_client::AdminArgs,
    config::Config,
    plugin::{CheckFault, CheckedPlugin, check_file},
    shutdown::Signals,
};

mod log;
mod target;
mod watch;

use log::Log;
use target::Target;
use watch::Watch;

/// How long threads that are busy (a compiler that is being waited for) may hold up the end.
const LAST_THREADS: Duration = Duration::from_secs(1);

/// Digits of a digest that are shown.
const DIGEST_SHOWN: usize = 8;

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// The folder of the plugin.
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Put the component into this folder, which some host watches.
    #[arg(long, value_name = "DIR", conflicts_with = "admin")]
    plugin_dir: Option<PathBuf>,
    /// Where the host that is started here listens [default: a free port]
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["admin", "plugin_dir"])]
    listen: Option<SocketAddr>,
    /// Load this component, too, into the host that is started here; repeat it for several.
    #[arg(long = "with", value_name = "FILE", conflicts_with_all = ["admin", "plugin_dir"])]
    beside: Vec<PathBuf>,
    /// What compiles crates.
    #[arg(long, value_enum, default_value_t = toolchain::Choice::Auto)]
    toolchain: toolchain::Choice,
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) fn run(args: DevArgs) -> anyhow::Result<()> {
    let runtime = crate::cli::runtime()?;
    let result = runtime.block_on(develop(args));
    runtime.shutdown_timeout(LAST_THREADS);
    result
}

async fn develop(args: DevArgs) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen to signals")?;
    // Before the first build, so that nothing that is saved meanwhile is missed.
    let mut watch = Watch::new(&args.dir)?;
    let target = Target::find(&args).await?;
    println!("{}", target.greeting()?);
    let mut rounds = Rounds { dir: args.dir, toolchain: args.toolchain, target, log: Log::Silent, serving: None };
    let mut saved = Instant::now();
    loop {
        tokio::select! {
            _ = signals.next() => break,
            () = rounds.round(saved) => {}
        }
        tokio::select! {
            _ = signals.next() => break,
            at = rounds.wait_for(&mut watch) => saved = at?,
        }
    }
    println!("ended");
    rounds.target.end().await
}

/// What is known from one round to the next.
struct Rounds {
    dir: PathBuf,
    toolchain: toolchain::Choice,
    target: Target,
    log: Log,
    /// What was last brought to traffic from here.
    serving: Option<Served>,
}

struct Served {
    digest: String,
    label: String,
}

/// How long the parts of a round took.
#[derive(Default)]
struct Took {
    build: Duration,
    check: Duration,
    swap: Duration,
}

/// Why a round ended before anything new served.
enum Failed {
    Build(anyhow::Error),
    /// In the words of `plugin check`.
    Unfit(String),
    Other(anyhow::Error),
}

impl Rounds {
    /// Until a source is saved. Prints what the plugin logs meanwhile.
    async fn wait_for(&mut self, watch: &mut Watch) -> anyhow::Result<Instant> {
        loop {
            tokio::select! {
                saved = watch.saved() => return saved,
                line = self.log.next() => println!("{line}"),
            }
        }
    }

    /// Everything from the sources to traffic, and the line that says how it went.
    async fn round(&mut self, saved: Instant) {
        let mut took = Took::default();
        let begun = Instant::now();
        match self.deploy(&mut took).await {
            Ok(Some(checked)) => {
                println!("{}", summary(saved, &took, self.serving.as_ref()));
                if matches!(self.log, Log::Silent) {
                    println!("{}", self.target.suggestion(&checked));
                    self.log = self.target.log(&checked.plugin).await;
                }
            }
            Ok(None) => println!("the component is the same as before (build {})", seconds(took.build)),
            Err(failed) => {
                let what = match failed {
                    Failed::Build(fault) => format!("{fault:#}\nit does not build"),
                    Failed::Unfit(text) => format!("{text}\nit would not be loaded"),
                    Failed::Other(fault) => format!("{fault:#}\nit was not deployed"),
                };
                let serving = match &self.serving {
                    Some(served) => format!("{} goes on serving", served.label),
                    None => "nothing serves yet".to_owned(),
                };
                println!("{what} ({}); {serving}", seconds(begun.elapsed()));
            }
        }
    }

    /// `None` if there is nothing new to serve.
    async fn deploy(&mut self, took: &mut Took) -> Result<Option<CheckedPlugin>, Failed> {
        let (dir, toolchain) = (self.dir.clone(), self.toolchain);
        println!("building");
        let begun = Instant::now();
        let built = spawn_blocking(move || build::build_one(&dir, toolchain)).await;
        took.build = begun.elapsed();
        let built = built.map_err(|fault| Failed::Other(fault.into()))?.map_err(Failed::Build)?;

        println!("built in {}: checking", seconds(took.build));
        let begun = Instant::now();
        let config = self.target.config().map_err(Failed::Other)?;
        let checked = check(&config, &built).await?;
        took.check = begun.elapsed();
        if self.serving.as_ref().is_some_and(|served| served.digest == checked.digest) {
            return Ok(None);
        }

        let begun = Instant::now();
        self.target.deploy(&built, &checked).await?;
        took.swap = begun.elapsed();
        let digest = checked.digest.get(..DIGEST_SHOWN).unwrap_or(&checked.digest);
        let label = format!("{} {} {digest}", checked.plugin, checked.version);
        self.serving = Some(Served { digest: checked.digest.clone(), label });
        Ok(Some(checked))
    }
}

async fn check(config: &Config, built: &Built) -> Result<CheckedPlugin, Failed> {
    check_file(config, &built.path).await.map_err(|fault| match fault {
        CheckFault::Unfit(misfit) => Failed::Unfit(misfit_as_text(&built.place(), &misfit)),
        CheckFault::Setup(fault) => Failed::Other(fault.into()),
    })
}

fn summary(saved: Instant, took: &Took, serving: Option<&Served>) -> String {
    format!(
        "saved -> serving {} (build {}, check {}, swap {})  {}",
        seconds(saved.elapsed()),
        seconds(took.build),
        seconds(took.check),
        seconds(took.swap),
        serving.map_or("", |served| served.label.as_str())
    )
}

/// With as many digits as tell something.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 0.1 { format!("{seconds:.3} s") } else { format!("{seconds:.1} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_round_says_where_the_time_went() {
        let took = Took {
            build: Duration::from_millis(1_700),
            check: Duration::from_millis(20),
            swap: Duration::from_millis(5),
        };
        let served = Served { digest: "9f3c2a1b00".to_owned(), label: "notes 0.1.0 9f3c2a1b".to_owned() };
        let line = summary(Instant::now(), &took, Some(&served));
        assert!(line.ends_with("(build 1.7 s, check 0.020 s, swap 0.005 s)  notes 0.1.0 9f3c2a1b"), "{line}");
    }
}
