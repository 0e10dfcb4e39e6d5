//! What a plugin knows of a call, and everything that it may ask of the host during one.
//!
//! Each method that reaches the host belongs to one interface of the contract, which the operator
//! grants by name. A plugin that never calls a method does not import its interface.

mod catalogue;
mod changes;
pub(crate) mod http;
mod inputs;
mod messages;
mod progress;
mod requests;
mod runs;
mod seals;
mod state;
mod toolbox;
mod topics;

use std::{cell::OnceCell, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Error, bindings::switchboard::plugin::types, host, message::from_json};

pub use catalogue::{Catalogue, CatalogueError, Forbidden, Item, ItemRequest, Kind, Limited, Listing, Notice};
pub use changes::{ChangeError, Changes, Span, Subject};
pub use http::Http;
pub use inputs::Inputs;
pub use messages::{Delivery, Messages, SendError, Target};
pub use progress::{Progress, ProgressError, Severity};
pub use requests::{RequestError, Requests};
pub use runs::{Run, RunError, Runs, Status};
pub use seals::{SealError, Seals};
pub use state::{Scope, State, StateError};
pub use toolbox::{HeardTool, ToolError, Toolbox};
pub use topics::{
    Member, Position, Publication, Receipt, SubscribeOptions, Subscribing, Subscription, TopicError, Topics,
};

pub use crate::bindings::switchboard::plugin::{logging::Level, types::Transport};

/// The circumstances of one call, and the way to the host during it.
#[derive(Debug)]
pub struct Context {
    call: types::Context,
    claims: OnceCell<Map<String, Value>>,
}

/// Who is calling, from verified token claims and from nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Principal<'a> {
    /// The token's `sub`.
    pub subject: &'a str,
    /// The tenant, if the operator configured a claim for it and the token has it.
    pub tenant: Option<&'a str>,
    /// The token's scopes.
    pub scopes: &'a [String],
    /// Those claims that the operator lets plugins see.
    pub claims: &'a Map<String, Value>,
}

impl Context {
    pub(crate) fn new(call: types::Context) -> Self {
        Self { call, claims: OnceCell::new() }
    }

    /// Who is calling.
    #[must_use]
    pub fn principal(&self) -> Principal<'_> {
        let types::Principal { subject, tenant, scopes, claims } = &self.call.principal;
        Principal {
            subject,
            tenant: tenant.as_deref(),
            scopes,
            claims: self.claims.get_or_init(|| serde_json::from_str(claims).unwrap_or_default()),
        }
    }

    /// The caller's `sub`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.call.principal.subject
    }

    /// Whether the caller's token has a scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.call.principal.scopes.iter().any(|held| held == scope)
    }

    /// The caller's connection, as it stands in every log line.
    #[must_use]
    pub fn connection_id(&self) -> &str {
        &self.call.connection_id
    }

    /// The caller's session, which can outlive a connection.
    #[must_use]
    pub fn session_id(&self) -> &str {
        &self.call.session_id
    }

    /// Where the message came in.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.call.transport
    }

    /// The agent thread, in a tool that an agent calls.
    #[must_use]
    pub fn thread_id(&self) -> Option<&str> {
        self.call.thread_id.as_deref()
    }

    /// The agent run, in a tool that an agent calls.
    #[must_use]
    pub fn run_id(&self) -> Option<&str> {
        self.call.run_id.as_deref()
    }

    /// How much time there was for the whole call when it began.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.call.deadline_ms.into())
    }

    /// The W3C Trace Context `traceparent`, when the caller is traced.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.call.traceparent.as_deref()
    }

    /// Messages to clients. Interface `messages`.
    #[must_use]
    pub fn messages(&self) -> Messages<'_> {
        Messages::new(self)
    }

    /// Publish and subscribe. Interface `topics`.
    #[must_use]
    pub fn topics(&self) -> Topics<'_> {
        Topics::new(self)
    }

    /// What the plugin remembers. Interface `state`.
    #[must_use]
    pub fn state(&self, scope: Scope) -> State<'_> {
        State::new(self, scope)
    }

    /// The tools of all plugins. Interface `toolbox`.
    #[must_use]
    pub fn toolbox(&self) -> Toolbox<'_> {
        Toolbox::new(self)
    }

    /// Agent runs. Interface `runs`.
    #[must_use]
    pub fn runs(&self) -> Runs<'_> {
        Runs::new(self)
    }

    /// Requests to other servers, as far as the operator has granted them. Interface `http`.
    #[must_use]
    pub fn http(&self) -> Http<'_> {
        Http::new(self)
    }

    /// What was sent beside the arguments to a tool, or for a resource or prompt. Interface `inputs`.
    #[must_use]
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs::new(self)
    }

    /// What whoever waits for a result is told meanwhile. Interface `progress`.
    #[must_use]
    pub fn progress(&self) -> Progress<'_> {
        Progress::new(self)
    }

    /// That something which is offered has changed. Interface `changes`.
    #[must_use]
    pub fn changes(&self) -> Changes<'_> {
        Changes::new(self)
    }

    /// What all plugins offer to MCP clients. Interface `catalogue`.
    #[must_use]
    pub fn catalogue(&self) -> Catalogue<'_> {
        Catalogue::new(self)
    }

    /// The request that is being handled, where it is more than one call. Interface `requests`.
    #[must_use]
    pub fn requests(&self) -> Requests<'_> {
        Requests::new(self)
    }

    /// Text that only this plugin can read again, for the same user. Interface `seals`.
    #[must_use]
    pub fn seals(&self) -> Seals<'_> {
        Seals::new(self)
    }

    /// The clock. Interface `clock`.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(())
    }

    /// Random bytes. Interface `random`.
    #[must_use]
    pub fn random(&self) -> Random {
        Random(())
    }

    /// The plugin's settings, as the operator has them now. Interface `settings`.
    ///
    /// # Errors
    ///
    /// `SETTINGS_INVALID`, naming the path, if they do not fit; with [`Manifest::settings`](crate::Manifest::settings)
    /// the host refuses such settings before they get here.
    pub fn settings<S: DeserializeOwned>(&self) -> Result<S, Error> {
        from_json(&host::settings::get()).map_err(|fault| Error { code: "SETTINGS_INVALID".into(), ..fault })
    }

    /// Writes a line to the host's log, which adds plugin, version and connection. `fields` is a JSON object, or
    /// null. Lines beyond the plugin's limit are counted and dropped. Interface `logging`.
    pub fn log(&self, level: Level, message: &str, fields: Value) {
        let fields = if fields.is_object() { fields.to_string() } else { String::new() };
        host::logging::log(level, message, &fields);
    }

    /// What the host knows of itself: `version`, `uptime_seconds`, `connections`, `sessions`, `plugins`. Nothing of
    /// any user. Interface `host-info`.
    ///
    /// # Errors
    ///
    /// `INTERNAL` if the host's answer is not JSON.
    pub fn host_stats(&self) -> Result<Value, Error> {
        serde_json::from_str(&host::host_info::stats()).map_err(Error::internal)
    }
}

/// The clock; see [`Context::clock`].
#[derive(Debug, Clone, Copy)]
pub struct Clock(());

impl Clock {
    /// Unix time in milliseconds.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        host::clock::now_ms()
    }

    /// Unix time in seconds, as in a message's `timestamp`.
    #[must_use]
    pub fn unix_seconds(self) -> f64 {
        self.unix_ms() as f64 / 1000.0
    }

    /// Time since a moment before the call; it never goes back.
    #[must_use]
    pub fn monotonic(self) -> Duration {
        Duration::from_nanos(host::clock::monotonic_ns())
    }
}

/// Random bytes; see [`Context::random`].
#[derive(Debug, Clone, Copy)]
pub struct Random(());

impl Random {
    /// Cryptographically secure random bytes, at most 64 KiB at a time.
    #[must_use]
    pub fn bytes(self, len: u32) -> Vec<u8> {
        host::random::bytes(len)
    }

    /// A random number.
    #[must_use]
    pub fn u64(self) -> u64 {
        self.bytes(8).into_iter().fold(0, |number, byte| number << 8 | u64::from(byte))
    }

    /// `bytes` random bytes as hexadecimal digits: 16 of them make an id that nobody guesses.
    #[must_use]
    pub fn hex(self, bytes: u32) -> String {
        self.bytes(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
