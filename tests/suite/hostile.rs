//! Guests that attack: each limit and each check of a file has one that tries it.
//!
//! Two tables say who attacks how, and what has to come of it: [`calls`] at run time, [`files`](file) at load
//! time. They drive the tests, and what the tests saw is written into docs/sandbox.md, so that the page
//! shows what callers and operators really get. While an attack goes on, another user asks another plugin
//! all the time, and has to get every answer.

mod attack;
mod calls;
mod file;
mod leaving;
mod page;
pub mod raw;
mod repeated;
mod seen;
mod when_called;
mod when_loaded;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attack_meets_its_limit_alone_and_the_page_says_what_was_seen() {
    let called = when_called::rows().await;
    let loaded = when_loaded::rows().await;
    page::is_fresh(&called, &loaded);
}
