//! `settings`: what the operator has configured. A change makes a new version of the plugin, so one
//! call never sees two answers.

use super::super::{bindings::settings::Host, call_state::CallState};

impl Host for CallState {
    fn get(&mut self) -> String {
        self.version.settings_json.to_string()
    }
}
