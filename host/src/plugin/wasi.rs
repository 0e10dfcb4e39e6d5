//! WASI 0.2, empty: for components of toolchains whose standard library stands on it.
//!
//! Everything that such a library asks for is there, and nothing is behind it: no files (there is no folder to
//! open anything in), no sockets, no names to resolve, no environment, no arguments, an empty stdin. What is
//! written to stdout and stderr becomes log lines. Clocks and random numbers are what they are elsewhere, and
//! granted as the contract's own are: `wasi` alone gives neither.
//!
//! Invariant: a guest that waits here waits on its fiber, within the deadline of its call, and holds no thread;
//! and what it can make the host hold is bounded by [`MAX_RESOURCES`] and the sizes in `context`.

use wasmtime::component::{HasData, Linker, ResourceTable, ResourceTableError};
use wasmtime_wasi::{
    I32Exit, WasiView,
    cli::{WasiCli, WasiCliView},
    clocks::{WasiClocks, WasiClocksView},
    filesystem::{WasiFilesystem, WasiFilesystemView},
    p2::bindings::{cli, clocks, filesystem, random, sockets},
    random::WasiRandom,
    sockets::{WasiSockets, WasiSocketsView},
};
use wasmtime_wasi_io::bindings::wasi::io;

use super::failure::CallFailure;

mod console;
mod context;
#[cfg(test)]
mod tests;

pub(super) use context::{Bare, Wasi};

/// Streams, pollables and whatever else the host keeps for one instance. A program that talks to nobody has
/// a handful; the size of an entry is bounded, so that this bounds the memory.
const MAX_RESOURCES: usize = 1_024;

/// The line of WASI that is offered, in any of its patches: they only add.
const VERSION: &str = "0.2.";

const WASI: &[&str] = &["wasi"];
const WASI_CLOCK: &[&str] = &["wasi", "clock"];
const WASI_RANDOM: &[&str] = &["wasi", "random"];

/// What is offered, and which grants it takes.
const OFFERED: &[(&str, &[&str])] = &[
    ("cli/environment", WASI),
    ("cli/exit", WASI),
    ("cli/stdin", WASI),
    ("cli/stdout", WASI),
    ("cli/stderr", WASI),
    ("cli/terminal-input", WASI),
    ("cli/terminal-output", WASI),
    ("cli/terminal-stdin", WASI),
    ("cli/terminal-stdout", WASI),
    ("cli/terminal-stderr", WASI),
    ("clocks/wall-clock", WASI_CLOCK),
    ("clocks/monotonic-clock", WASI_CLOCK),
    ("filesystem/preopens", WASI),
    ("filesystem/types", WASI),
    ("io/error", WASI),
    ("io/poll", WASI),
    ("io/streams", WASI),
    ("random/random", WASI_RANDOM),
    ("random/insecure", WASI_RANDOM),
    ("random/insecure-seed", WASI_RANDOM),
    ("sockets/network", WASI),
    ("sockets/instance-network", WASI),
    ("sockets/ip-name-lookup", WASI),
    ("sockets/tcp", WASI),
    ("sockets/tcp-create-socket", WASI),
    ("sockets/udp", WASI),
    ("sockets/udp-create-socket", WASI),
];

/// Why an interface of WASI cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("`{0}` is another line of WASI than 0.2: build it with a toolchain for WASI 0.2 (preview 2)")]
    Version(String),
    #[error(
        "`{0}` is not offered: for a component from JavaScript, build with `--disable http --disable fetch-event`, which is what brings it in"
    )]
    Http(String),
    #[error(
        "`{0}` is not offered: of WASI there are cli, clocks, filesystem, io, random and sockets, and nothing behind them"
    )]
    Interface(String),
}

/// Which grants an interface of WASI takes, by its whole name.
pub(super) fn grants_for(name: &str) -> Result<&'static [&'static str], Refused> {
    let (path, version) = name.split_once('@').unwrap_or((name, ""));
    let path = path.strip_prefix("wasi:").unwrap_or(path);
    let Some((_, grants)) = OFFERED.iter().find(|(offered, _)| *offered == path) else {
        let refused = if path.starts_with("http/") { Refused::Http } else { Refused::Interface };
        return Err(refused(name.to_owned()));
    };
    let patch = version.strip_prefix(VERSION).unwrap_or_default();
    if patch.is_empty() || !patch.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refused::Version(name.to_owned()));
    }
    Ok(grants)
}

/// Adds what is granted; without `wasi`, that is nothing.
pub(super) fn link<T: WasiView>(linker: &mut Linker<T>, granted: impl Fn(&str) -> bool) -> Result<(), wasmtime::Error> {
    if !granted("wasi") {
        return Ok(());
    }
    link_streams(linker)?;
    link_files_and_sockets(linker)?;
    if granted("clock") {
        clocks::wall_clock::add_to_linker::<T, WasiClocks>(linker, T::clocks)?;
        clocks::monotonic_clock::add_to_linker::<T, WasiClocks>(linker, T::clocks)?;
    }
    if granted("random") {
        random::random::add_to_linker::<T, WasiRandom>(linker, |data| data.ctx().ctx.random())?;
        random::insecure::add_to_linker::<T, WasiRandom>(linker, |data| data.ctx().ctx.random())?;
        random::insecure_seed::add_to_linker::<T, WasiRandom>(linker, |data| data.ctx().ctx.random())?;
    }
    Ok(())
}

struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

fn link_streams<T: WasiView>(linker: &mut Linker<T>) -> Result<(), wasmtime::Error> {
    io::error::add_to_linker::<T, Table>(linker, |data| data.ctx().table)?;
    io::poll::add_to_linker::<T, Table>(linker, |data| data.ctx().table)?;
    io::streams::add_to_linker::<T, Table>(linker, |data| data.ctx().table)?;
    cli::environment::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::exit::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(linker, T::cli)
}

/// They have to be there, because libraries import them unasked; the context denies all of it.
fn link_files_and_sockets<T: WasiView>(linker: &mut Linker<T>) -> Result<(), wasmtime::Error> {
    let options = sockets::network::LinkOptions::default();
    filesystem::preopens::add_to_linker::<T, WasiFilesystem>(linker, T::filesystem)?;
    filesystem::types::add_to_linker::<T, WasiFilesystem>(linker, T::filesystem)?;
    sockets::network::add_to_linker::<T, WasiSockets>(linker, &options, T::sockets)?;
    sockets::instance_network::add_to_linker::<T, WasiSockets>(linker, T::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<T, WasiSockets>(linker, T::sockets)?;
    sockets::tcp::add_to_linker::<T, WasiSockets>(linker, T::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<T, WasiSockets>(linker, T::sockets)?;
    sockets::udp::add_to_linker::<T, WasiSockets>(linker, T::sockets)?;
    sockets::udp_create_socket::add_to_linker::<T, WasiSockets>(linker, T::sockets)
}

/// A table that a guest cannot fill without end.
pub(super) fn table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_RESOURCES);
    table
}

/// What an error stands for, if it is one of WASI's own ways to end a guest.
pub(super) fn failure(fault: &wasmtime::Error, backtrace: &str) -> Option<CallFailure> {
    if let Some(I32Exit(status)) = fault.downcast_ref() {
        let trap = format!("it called `exit` with the status {status}, which ends a program and answers nobody");
        return Some(CallFailure::Crashed { trap, backtrace: backtrace.to_owned() });
    }
    if let Some(ResourceTableError::Full) = fault.downcast_ref() {
        let detail = format!("it held more than {MAX_RESOURCES} streams, pollables and the like at once");
        return Some(CallFailure::LimitExceeded { limit: "resources", detail });
    }
    None
}
