//! What all tests share: a server of one's own, clients, tokens, and patience.

mod bearer;
mod client;
mod command;
pub mod doors;
mod http;
mod mcp;
mod news;
mod paths;
mod peers;
mod proxy;
mod resuming;
mod server;
mod tokens;
pub mod tour;
pub mod transcript;

use std::time::Duration;

pub use bearer::Bearer;
pub use client::{Client, Ids, Refusal, random_u64, request};
pub use command::{Ended, operate, raise_file_limit, run_switchboard, run_switchboard_in};
pub use http::{Http, http_request};
pub use mcp::{HANDSHAKE, MODERN, McpClient, initialize, modern, rpc};
pub use news::{expect_news, expect_refusal, publish, resumed, subscribe};
pub use paths::{authors_target, compile_cache, example, guest, language_tools, repository, switchboard_binary};
pub use peers::{Peer, conformance_suite, node, run_to_end};
pub use proxy::{Direction, Fate, Plan, Proxy};
pub use resuming::{Acks, Held, Options, Outcome, ResumingClient};
pub use server::{Server, ServerBuilder};
pub use tokens::{Claims, SECRET, token, unix_now};

/// How long a test waits for what has to happen. Far more than it takes: only a broken product, not a
/// busy machine, uses it up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Awaits a future, and fails the test with what was awaited when patience ends.
macro_rules! within_patience {
    ($what:expr, $future:expr) => {
        match tokio::time::timeout($crate::harness::PATIENCE, $future).await {
            Ok(value) => value,
            Err(_) => panic!("waited too long for {}", $what),
        }
    };
}
pub(crate) use within_patience;

/// Asks again and again until there is an answer, and fails the test when patience ends.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            // Not synchronisation: only the pace at which an outside state is looked at.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within_patience!(what, asking)
}
