//! What a hostile guest does while it is called, and what has to come of it: one row of a table.

use std::path::PathBuf;

use super::raw::Raw;
use crate::harness::{ServerBuilder, guest};

/// One attack at run time.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// What it does, as the page says it.
    pub does: &'static str,
    /// The stem of its file.
    pub plugin: &'static str,
    pub guest: Guest,
    /// Type and payload of the message that starts it.
    pub send: (&'static str, &'static str),
    /// Started first, in another session of the same user.
    pub with: Option<(&'static str, &'static str)>,
    /// In `[plugins.NAME.limits]`.
    pub limits: &'static str,
    /// In `[plugins.NAME.grants]`.
    pub grants: &'static str,
    /// What holds it, as the page says it.
    pub held_by: &'static str,
    /// The code of the error, or the type of the message, that its caller gets, and words in it.
    pub answer: (&'static str, &'static str),
    /// Of the call, in metrics.
    pub outcome: &'static str,
    /// Words of the log line; none where an operator is not to be bothered.
    pub logged: Option<&'static str>,
}

/// Where a component comes from.
#[derive(Debug, Clone, Copy)]
pub enum Guest {
    /// A crate of `tests/guests`.
    Crate(&'static str),
    /// A text of `tests/guests/raw`.
    Raw(&'static str),
}

impl Guest {
    pub fn bytes(self, plugin: &str) -> Vec<u8> {
        match self {
            Self::Crate(name) => std::fs::read(guest(name)).expect("the component is read"),
            Self::Raw(file) => Raw::new(file, plugin).build(),
        }
    }
}

impl Attack {
    /// A guest of `tests/guests/raw` that handles the type of its own name, crashes, and is logged.
    pub const fn raw(file: &'static str, does: &'static str) -> Self {
        Self {
            does,
            plugin: file,
            guest: Guest::Raw(file),
            send: (file, "{}"),
            with: None,
            limits: "",
            grants: "",
            held_by: "",
            answer: ("PLUGIN_CRASHED", "the handler crashed"),
            outcome: "crashed",
            logged: Some("a call failed"),
        }
    }

    /// A crate of `tests/guests`.
    pub const fn of(name: &'static str, does: &'static str, message: &'static str, payload: &'static str) -> Self {
        let raw = Self::raw(name, does);
        Self { guest: Guest::Crate(name), send: (message, payload), ..raw }
    }

    pub const fn limits(self, limits: &'static str) -> Self {
        Self { limits, ..self }
    }

    pub const fn granted(self, grants: &'static str) -> Self {
        Self { grants, ..self }
    }

    pub const fn held_by(self, held_by: &'static str) -> Self {
        Self { held_by, ..self }
    }

    /// Crashes, and these words say how.
    pub const fn crashes(self, words: &'static str) -> Self {
        Self { answer: ("PLUGIN_CRASHED", words), ..self }
    }

    pub const fn times_out(self, words: &'static str) -> Self {
        Self { answer: ("PLUGIN_TIMEOUT", words), outcome: "timed_out", ..self }
    }

    pub const fn exceeds(self, words: &'static str) -> Self {
        Self { answer: ("PLUGIN_LIMIT_EXCEEDED", words), outcome: "limit_exceeded", ..self }
    }

    pub const fn answers_wrongly(self, words: &'static str) -> Self {
        Self { answer: ("PLUGIN_ANSWER_INVALID", words), outcome: "answer_invalid", ..self }
    }

    /// Is stopped at the edge of the sandbox, and goes on to answer.
    pub const fn is_told(self, message: &'static str, words: &'static str) -> Self {
        Self { answer: (message, words), outcome: "ok", logged: None, ..self }
    }

    pub const fn refuses(self, words: &'static str) -> Self {
        Self { answer: ("REFUSED_BY_HOST", words), outcome: "refused", logged: None, ..self }
    }

    /// Whether it uses up processor time until it is stopped.
    pub fn spins(&self) -> bool {
        self.limits.contains("cpu_time")
    }
}

/// Nothing that remembers failures is to stand before the limits: the same call fails ten thousand times.
const NO_BREAKER: &str = "[plugin_defaults.health]\nfailures_to_open = 0\npoison_crashes = 0";

/// With all the guests of these attacks, and their limits after a change.
pub fn with_guests(
    mut builder: ServerBuilder,
    attacks: &[Attack],
    folder: &tempfile::TempDir,
    change: impl Fn(&str) -> String,
) -> ServerBuilder {
    builder = builder.config(NO_BREAKER);
    let mut known: Vec<&str> = Vec::new();
    for attack in attacks {
        if known.contains(&attack.plugin) {
            continue;
        }
        known.push(attack.plugin);
        let path: PathBuf = folder.path().join(format!("{}.wasm", attack.plugin));
        std::fs::write(&path, attack.guest.bytes(attack.plugin)).expect("the component is written");
        builder = builder.plugin(attack.plugin, path);
        let limits = attacks.iter().filter(|other| other.plugin == attack.plugin).map(|other| other.limits);
        if let Some(limits) = limits.max_by_key(|limits| limits.len()).filter(|limits| !limits.is_empty()) {
            builder = builder.config(&format!("[plugins.{}.limits]\n{}", attack.plugin, change(limits)));
        }
        if !attack.grants.is_empty() {
            builder = builder.config(&format!("[plugins.{}.grants]\n{}", attack.plugin, attack.grants));
        }
    }
    builder
}
