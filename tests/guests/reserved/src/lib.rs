//! Claims `error`, which belongs to the host.

use switchboard_sdk::{Manifest, Plugin};

#[derive(Default)]
struct Reserved;

impl Plugin for Reserved {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("error", |t| t)
    }
}

switchboard_sdk::register_plugin!(Reserved);
