//! Computes for ever and never calls the host, so that nothing but an interruption from outside ends it.

use std::hint::black_box;

use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

/// The plugin.
#[derive(Debug, Default)]
pub struct Spin;

impl Plugin for Spin {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("spin", |t| t.description("Never answers"))
    }

    fn handle(&mut self, _ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        let mut number = 0_u64;
        loop {
            number = black_box(number.wrapping_add(1));
        }
    }
}

switchboard_sdk::register_plugin!(Spin);
