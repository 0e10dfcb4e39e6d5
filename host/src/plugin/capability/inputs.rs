//! `inputs`: what was sent beside the arguments.

use super::super::{bindings::inputs::Host, call_state::CallState};

impl Host for CallState {
    fn responses(&mut self) -> String {
        self.context.inputs.responses.clone()
    }

    fn state(&mut self) -> Option<String> {
        self.context.inputs.state.clone()
    }

    fn client_capabilities(&mut self) -> String {
        self.context.inputs.client_capabilities.clone()
    }

    fn meta(&mut self) -> String {
        self.context.inputs.meta.clone()
    }
}
