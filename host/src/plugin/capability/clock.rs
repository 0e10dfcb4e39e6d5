//! `clock`: the time of day, and time since the call began.

use std::time::{SystemTime, UNIX_EPOCH};

use super::super::{bindings::clock::Host, call_state::CallState};

impl Host for CallState {
    fn now_ms(&mut self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic_ns(&mut self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
