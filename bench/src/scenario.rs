//! What can be measured, one file each.
//!
//! A scenario starts a host, does one thing to it for a bounded time, and makes a report.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};

use crate::{
    options::{Common, Options, Scenario},
    progress,
    report::Report,
};

pub mod all;
pub mod echo;
pub mod engines;
pub mod fanout;
pub mod handshake;
pub mod idle;
pub mod mcp;
pub mod rate;
pub mod reload;
pub mod soak;
pub mod start;
pub mod storm;
pub mod swap;

/// For answers that are still missing when nothing more is asked. What has not come by then is lost.
pub const DRAIN: Duration = Duration::from_secs(10);

/// How often a thread that waits for others looks.
const LOOK: Duration = Duration::from_micros(500);

pub fn run(options: Options) -> anyhow::Result<()> {
    let Options { common, scenario } = options;
    if let Scenario::IdleClient(client) = &scenario {
        return client.run();
    }
    progress::show();
    if let Scenario::All(all) = &scenario {
        return all.run(&common);
    }
    let report = measure(&scenario, &common)?;
    progress::clear();
    report.publish(common.json.as_deref())
}

/// Those that make a report of their own.
fn measure(scenario: &Scenario, common: &Common) -> anyhow::Result<Report> {
    match scenario {
        Scenario::Echo(echo) => echo.run(common),
        Scenario::Rate(rate) => rate.run(common),
        Scenario::Fanout(fanout) => fanout.run(common),
        Scenario::Idle(idle) => idle.run(common),
        Scenario::Handshake(handshake) => handshake.run(common),
        Scenario::Storm(storm) => storm.run(common),
        Scenario::Reload(reload) => reload.run(common),
        Scenario::Swap(swap) => swap.run(common),
        Scenario::Start(start) => start.run(common),
        Scenario::Mcp(mcp) => mcp.run(common),
        Scenario::Soak(soak) => soak.run(common),
        Scenario::Engines(engines) => engines.run(common),
        Scenario::All(_) | Scenario::IdleClient(_) => bail!("it makes no report"),
    }
}

/// Waits for something that another thread brings about, until that thread has ended.
pub fn wait_for<T>(ended: &AtomicBool, what: &str, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if ended.load(Relaxed) {
            // It may have come at the last moment.
            return look().with_context(|| format!("the load ended before {what}"));
        }
        thread::sleep(LOOK);
    }
}
