//! What a guest's calls of WASI lead to, without a guest.

use wasmtime_wasi::cli::StdoutStream as _;

use super::{
    super::call_log::{CallLog, Stream},
    console::Console,
    *,
};

fn log(plugin: &str) -> std::sync::Arc<CallLog> {
    CallLog::new(plugin.into(), "1.0.0".into(), "c".into(), 10)
}

#[test]
fn what_is_written_belongs_to_the_call_that_is_under_way() {
    let (first, second) = (log("first"), log("second"));
    let console = Console::new(first.clone());
    let mut stream = console.stream(Stream::Stderr).p2_stream();
    stream.write("one\ntw".into()).unwrap();
    assert_eq!(first.last_error().as_deref(), Some("one"));
    console.attach(&second);
    stream.write("three\n".into()).unwrap();
    assert_eq!(second.last_error().as_deref(), Some("three"));
    first.flush();
    assert_eq!(first.last_error().as_deref(), Some("tw"));
}

#[test]
fn a_program_that_exits_has_crashed_and_one_that_leaks_has_hit_a_limit() {
    let failure = |fault: wasmtime::Error| failure(&fault, "frames").map(|failure| failure.to_string());
    let exited = failure(wasmtime::Error::from(I32Exit(0))).unwrap();
    assert!(exited.contains("called `exit` with the status 0"), "{exited}");
    let mut table = table();
    let full = std::iter::repeat_with(|| table.push(())).find_map(Result::err).unwrap();
    let leaked = failure(full.into()).unwrap();
    assert!(leaked.contains("`resources`") && leaked.contains("1024"), "{leaked}");
    assert_eq!(failure(wasmtime::Error::msg("else")), None);
}

#[test]
fn clocks_and_random_numbers_are_granted_as_the_contracts_own() {
    let all = OFFERED.iter().map(|(name, _)| *name).filter(|name| grants_for(&format!("wasi:{name}@0.2.0")).is_ok());
    assert_eq!(all.count(), OFFERED.len());
    for (name, grants) in OFFERED {
        let kind = name.split('/').next().unwrap();
        let expected: &[&str] = match kind {
            "clocks" => &["wasi", "clock"],
            "random" => &["wasi", "random"],
            _ => &["wasi"],
        };
        assert_eq!(*grants, expected, "{name}");
    }
}
