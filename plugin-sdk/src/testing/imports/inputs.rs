//! `inputs`: what was sent beside the arguments of the innermost call.

use super::with;

pub(crate) fn responses() -> String {
    with(|world| world.call().inputs.responses.clone())
}

pub(crate) fn state() -> Option<String> {
    with(|world| world.call().inputs.state.clone())
}

pub(crate) fn client_capabilities() -> String {
    with(|world| world.call().inputs.client_capabilities.clone())
}

pub(crate) fn meta() -> String {
    with(|world| world.call().inputs.meta.clone())
}
