//! What a file is on its way to traffic, named by what has been proven about it.
//!
//! These stages depend on the bytes alone, so they never have to be repeated for them: a change of
//! config starts again from [`Compiled`]. The manifest belongs to the last of them, because a guest
//! has to be compiled before it can be asked for it. The stage that depends on config is
//! [`PluginVersion`](super::version::PluginVersion).

use std::{fmt::Write as _, sync::Arc};

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use super::manifest::Manifest;

/// A file that was read whole, while nobody was writing to it.
#[derive(Debug, Clone)]
pub(crate) struct Captured {
    /// The stem of the file: the plugin's identity.
    pub name: Arc<str>,
    pub bytes: Arc<[u8]>,
    /// SHA-256 in hex.
    pub digest: String,
}

impl Captured {
    pub fn new(name: Arc<str>, bytes: Vec<u8>) -> Self {
        let digest = hex(&Sha256::digest(&bytes));
        Self { name, bytes: bytes.into(), digest }
    }
}

/// A well-formed component that imports only what exists, and exports what has to be there.
#[derive(Debug, Clone)]
pub(crate) struct Validated {
    pub captured: Captured,
    /// What it has to be granted: the interfaces of `switchboard:plugin` whose functions it imports, and `wasi`.
    pub imports: Vec<&'static str>,
}

/// Machine code, and a manifest that holds together. Small and cheap to share: the bytes are gone.
pub(crate) struct Compiled {
    pub name: Arc<str>,
    pub digest: String,
    pub imports: Vec<&'static str>,
    pub component: Component,
    pub manifest: Manifest,
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
