//! A manifest with three faults: no semantic version, a type with spaces, a schema that is none.

use switchboard_sdk::{Manifest, Plugin};

#[derive(Default)]
struct BadManifest;

impl Plugin for BadManifest {
    fn manifest() -> Manifest {
        Manifest::new("bad-manifest", "latest")
            .handles("Not A Type", |t| t)
            .handles("bad", |t| t.schema_value(serde_json::json!({ "type": 7 })))
    }
}

switchboard_sdk::register_plugin!(BadManifest);
