//! `host-info`: what the host tells about itself. Nothing of any user.

use super::super::{bindings::host_info::Host, call_state::CallState};

impl Host for CallState {
    fn stats(&mut self) -> String {
        self.context.effects.stats()
    }
}
