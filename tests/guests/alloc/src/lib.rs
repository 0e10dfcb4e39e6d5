//! Allocates without end and touches all of it.

use std::hint::black_box;

use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

const CHUNK_BYTES: usize = 1 << 20;

#[derive(Default)]
struct Alloc;

impl Plugin for Alloc {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("alloc_forever", |t| t.concurrent())
    }

    fn handle(&mut self, _ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        let mut chunks = Vec::new();
        loop {
            chunks.push(black_box(vec![1_u8; CHUNK_BYTES]));
        }
    }
}

switchboard_sdk::register_plugin!(Alloc);
