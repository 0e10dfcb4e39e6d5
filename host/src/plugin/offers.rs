//! What plugins offer beyond answers to messages (tools, resources, prompts), in the sandbox's own words.
//!
//! `plugin` knows neither what others offer nor who watches. Whoever does implements [`Offers`].

use std::sync::Arc;

use futures_util::future::BoxFuture;
use switchboard_protocol::MessageType;

use super::effects::CallContext;

/// A list that plugins fill together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Tools,
    Resources,
    ResourceTemplates,
    Prompts,
}

/// What one caller may use of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// A JSON array in the order of names, each entry with an additional member `x-plugin`.
    pub items: Arc<str>,
    /// Another one whenever the items are others.
    pub generation: Arc<str>,
    /// Whether it depends on who asks.
    pub private: bool,
}

/// One that is offered, by the name or URI that the list has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Tool(String),
    Resource(String),
    Prompt(String),
    /// By its `uriTemplate`. Can only be completed.
    ResourceTemplate(String),
}

/// What is sent with a request for an item.
#[derive(Debug)]
pub(crate) struct ItemRequest {
    /// The text of a JSON object.
    pub arguments: String,
    pub inputs: Arc<Inputs>,
    pub notices: Notices,
}

/// What a caller sent beside the arguments. All but the state are texts of JSON objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inputs {
    pub responses: String,
    pub state: Option<String>,
    pub client_capabilities: String,
    pub meta: String,
}

impl Default for Inputs {
    fn default() -> Self {
        let empty = || "{}".to_owned();
        Self { responses: empty(), state: None, client_capabilities: empty(), meta: empty() }
    }
}

/// What whoever waits for an item wants to be told meanwhile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notices {
    pub on_progress: Option<Arc<Notice>>,
    /// Of at least this severity.
    pub on_log: Option<(Severity, Arc<Notice>)>,
}

/// A message to the caller, made before it is known what it will say.
#[derive(Debug)]
pub(crate) struct Notice {
    pub message_type: MessageType,
    /// A JSON object.
    pub payload: serde_json::Value,
    /// JSON Pointer (RFC 6901) of the object in it that takes the members of what is reported.
    pub into: String,
}

/// As in RFC 5424, section 6.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }
}

#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub(crate) enum CatalogueError {
    #[error("nothing is offered as {0:?}")]
    Unknown(String),
    /// Names the path.
    #[error("{0}")]
    InvalidArguments(String),
    #[error("{reason}")]
    Forbidden { reason: String, missing_scopes: Vec<String> },
    #[error("{reason}")]
    Limited { reason: String, retry_after_ms: u32 },
    #[error("{0}")]
    Failed(String),
    #[error("it did not finish in time")]
    Timeout,
    /// Names the circle, or the depth.
    #[error("{0}")]
    Cycle(String),
}

/// What can change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Tools,
    Prompts,
    /// The list of resources, or of templates.
    Resources,
    /// The content of one, by URI.
    Resource(String),
}

/// How long something is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Span {
    Session,
    Request,
}

/// What is to be sent when a subject has changed.
#[derive(Debug)]
pub(crate) struct Watch {
    pub of: Subject,
    pub during: Span,
    pub message_type: MessageType,
    /// The text of a JSON object.
    pub payload: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ChangeError {
    #[error("{0}")]
    Unknown(String),
    #[error("{0}")]
    LimitExceeded(String),
    /// The call has no session, or no request, that could watch.
    #[error("{0}")]
    Other(String),
}

/// The host's side of `catalogue` and `changes`. Grants and limits of the calling plugin have been checked.
pub(crate) trait Offers: Send + Sync {
    fn list<'a>(&'a self, context: &'a CallContext, of: Kind) -> BoxFuture<'a, Result<Listed, CatalogueError>>;

    /// The text of a JSON object, as the plugin gave it, checked.
    fn get<'a>(
        &'a self,
        context: &'a CallContext,
        what: &'a Item,
        request: ItemRequest,
    ) -> BoxFuture<'a, Result<String, CatalogueError>>;

    /// `known` is the text of a JSON object.
    fn complete<'a>(
        &'a self,
        context: &'a CallContext,
        what: &'a Item,
        argument: String,
        value: String,
        known: String,
    ) -> BoxFuture<'a, Result<String, CatalogueError>>;

    fn watch<'a>(&'a self, context: &'a CallContext, watch: Watch) -> BoxFuture<'a, Result<(), ChangeError>>;

    /// Whether it was watched.
    fn unwatch(&self, context: &CallContext, of: &Subject, during: Span) -> bool;

    /// The plugin's own offer has changed.
    fn changed(&self, plugin: &Arc<str>, what: Subject) -> Result<(), ChangeError>;
}
