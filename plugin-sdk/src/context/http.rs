//! Requests to other servers: the interface `http`.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Context, Error,
    bindings::switchboard::plugin::http::{self as wire, HttpError},
    host,
};

/// A request as it goes to the host.
pub type Request = wire::Request;

/// Requests to other servers; see [`Context::http`].
///
/// The operator names the hosts (`hosts` in the plugin's grants); a request to any other is refused. Credentials that
/// the operator keeps for a host are added on the way out, so leave them out. Redirects are not followed, and
/// nothing is decompressed.
///
/// ```
/// # use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};
/// # #[derive(Default)] struct Weather;
/// # impl Plugin for Weather {
/// #     fn manifest() -> Manifest { switchboard_sdk::manifest!().handles("weather", |t| t) }
/// fn handle(&mut self, ctx: &Context, _: Message) -> Result<Option<Message>, Error> {
///     let answer = ctx.http().get("https://api.example.com/weather").send()?.successful()?;
///     let weather: serde_json::Value = answer.json()?;
///     Message::answer("weather_is", &weather)
/// }
/// # }
/// # use serde_json::json;
/// # use switchboard_sdk::{http::Response, testing::TestHost};
/// # let mut host = TestHost::new()
/// #     .http("https://api.example.com/weather", |_| Ok(Response::new(200).with_json(&json!({ "sky": "blue" }))));
/// # assert_eq!(host.handle::<Weather>("weather", json!({})).answer()["sky"], "blue");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Http<'a>(&'a Context);

/// A request that is put together.
#[derive(Debug)]
#[must_use = "nothing happens before it is sent"]
pub struct Outgoing<'a> {
    #[allow(dead_code, reason = "ties the request to the call")]
    ctx: &'a Context,
    request: Request,
    /// What went wrong on the way, told when it is sent.
    fault: Option<String>,
}

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl<'a> Http<'a> {
    pub(super) fn new(ctx: &'a Context) -> Self {
        Self(ctx)
    }

    /// A request with the method `GET`.
    pub fn get(self, url: impl Into<String>) -> Outgoing<'a> {
        self.request("GET", url)
    }

    /// A request with the method `POST`.
    pub fn post(self, url: impl Into<String>) -> Outgoing<'a> {
        self.request("POST", url)
    }

    /// A request with any method but `CONNECT` and `TRACE`.
    pub fn request(self, method: &str, url: impl Into<String>) -> Outgoing<'a> {
        let (method, url) = (method.to_owned(), url.into());
        let request = Request { method, url, headers: Vec::new(), body: Vec::new(), timeout_ms: None };
        Outgoing { ctx: self.0, request, fault: None }
    }
}

impl Outgoing<'_> {
    /// Adds a header. One that an operator's secret is sent in gives way to that.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends these bytes.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.request.body = body.into();
        self
    }

    /// Sends a value as JSON, with the header for it.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.request.body = body,
            Err(fault) => self.fault = Some(format!("the body cannot be written as JSON: {fault}")),
        }
        self.header("content-type", "application/json")
    }

    /// How long the whole answer may take. The host gives up shortly before the call is over in any case.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.timeout_ms = Some(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
        self
    }

    /// Sends it and waits for the whole answer. One with an error status is an answer, too.
    ///
    /// # Errors
    ///
    /// The [`HttpError`] of the host; [`Error`] can be made of it.
    pub fn send(self) -> Result<Response, HttpError> {
        if let Some(fault) = self.fault {
            return Err(HttpError::Invalid(fault));
        }
        let wire::Response { status, headers, body } = host::http::send(&self.request)?;
        Ok(Response { status, headers, body })
    }
}

impl Response {
    /// An answer without headers and body, for tests.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// With a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With a body of JSON, and the header for it.
    #[must_use]
    pub fn with_json(self, value: &serde_json::Value) -> Self {
        self.with_header("content-type", "application/json").with_body(value.to_string())
    }

    /// The status: 200, 404 ...
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is from 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The answer itself, if its status says that all is well.
    ///
    /// # Errors
    ///
    /// `HTTP_STATUS` with the status.
    pub fn successful(self) -> Result<Self, Error> {
        if self.is_success() {
            return Ok(self);
        }
        Err(Error::new("HTTP_STATUS", format!("the server answered with the status {}", self.status)))
    }

    /// The first header of a name, which is compared without regard to case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All headers, in order.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as text. What is not UTF-8 is replaced by `\u{fffd}`.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// `HTTP_ANSWER_INVALID`, naming the path, if it is not what is expected.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let malformed = |fault: &dyn std::fmt::Display| {
            Error::new("HTTP_ANSWER_INVALID", format!("the answer is not what is expected: {fault}"))
        };
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        serde_path_to_error::deserialize(&mut json).map_err(|fault| malformed(&fault))
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn into_wire(self) -> wire::Response {
        wire::Response { status: self.status, headers: self.headers, body: self.body }
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Invalid(text) => Self::new("HTTP_REQUEST_INVALID", text),
            HttpError::NotGranted(text) => Self::new("HTTP_NOT_GRANTED", text).permanent(),
            HttpError::Unreachable(text) => Self::new("HTTP_UNREACHABLE", text),
            HttpError::Timeout => Self::new("HTTP_TIMEOUT", "there was no whole answer in time"),
            HttpError::TooLarge(text) => Self::new("HTTP_TOO_LARGE", text),
            HttpError::LimitExceeded(text) => Self::new("LIMIT_EXCEEDED", text),
            HttpError::Other(text) => Self::new("HTTP_FAILED", text),
        }
    }
}
