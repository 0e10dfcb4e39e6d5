//! Takes memory, and touches it, until there is none: the page that is not there ends the call.

use std::hint::black_box;

use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

/// One page of linear memory at a time, so that the limit is met within one page.
const PIECE_BYTES: usize = 64 << 10;

/// The plugin.
#[derive(Debug, Default)]
pub struct Alloc;

impl Plugin for Alloc {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("alloc_forever", |t| t.description("Never answers"))
    }

    fn handle(&mut self, _ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        let mut pieces = Vec::new();
        loop {
            // Ones, because zeros could be had without touching the memory.
            pieces.push(black_box(vec![1_u8; PIECE_BYTES]));
        }
    }
}

switchboard_sdk::register_plugin!(Alloc);
