//! What comes with a request: bodies with a bound and a deadline, and parameters with an error that says
//! which was wrong.
//!
//! What a web page can send without asking first (a form, or a request in no-CORS mode) is neither JSON
//! nor a component by its content type (Fetch, section 2.2.2).

use std::time::Duration;

use axum::{
    body::{self, Body},
    extract::{FromRequestParts, Path, Query},
    http::{HeaderMap, header, request::Parts},
};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use switchboard_protocol::ErrorCode;
use tokio::time::timeout;

use super::problem::Problem;

/// Longest JSON: all names and the reason at their longest, each character escaped.
const MAX_JSON_BYTES: usize = 16 * 1024;

/// For it to arrive.
const JSON_TIME: Duration = Duration::from_secs(10);

/// Largest component. Those that carry an interpreter have a tenth of it.
const MAX_COMPONENT_BYTES: usize = 128 << 20;

/// For it to arrive: 10 Mbit/s for the largest.
const COMPONENT_TIME: Duration = Duration::from_secs(120);

const COMPONENT: &str = "application/wasm";

/// Reads a JSON body. `example` says what is expected.
pub(super) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    example: &'static str,
) -> Result<T, Problem> {
    if !is_declared(headers, "application/json") {
        return Err(Problem::new(ErrorCode::MediaTypeUnsupported, "the Content-Type is not application/json").help(
            "send `Content-Type: application/json`; it keeps web pages from asking through an operator's browser",
        ));
    }
    let bytes = read(body, MAX_JSON_BYTES, JSON_TIME).await.map_err(|problem| problem.help(example))?;
    parsed(&bytes).map_err(|problem| problem.help(example))
}

/// Reads a JSON body that may be left out.
pub(super) async fn json_or_default<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Body,
    example: &'static str,
) -> Result<T, Problem> {
    if headers.contains_key(header::CONTENT_TYPE) {
        return json(headers, body, example).await;
    }
    let bytes = read(body, 0, JSON_TIME).await;
    bytes.map(|_| T::default()).map_err(|_| {
        Problem::new(ErrorCode::MediaTypeUnsupported, "there is a body without a Content-Type")
            .help("send `Content-Type: application/json`, or no body")
    })
}

/// Reads a component.
pub(super) async fn component(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    if !is_declared(headers, COMPONENT) {
        return Err(Problem::new(ErrorCode::MediaTypeUnsupported, format!("the Content-Type is not {COMPONENT}"))
            .help(format!("send the component itself with `Content-Type: {COMPONENT}`")));
    }
    read(body, MAX_COMPONENT_BYTES, COMPONENT_TIME)
        .await
        .map_err(|problem| problem.help("send one component; `switchboard plugin build` prints its size"))
}

async fn read(body: Body, most: usize, limit: Duration) -> Result<Bytes, Problem> {
    match timeout(limit, body::to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            let error = format!("the body has more than {most} bytes, or was cut off");
            Err(Problem::new(ErrorCode::MessageTooLarge, error))
        }
        Err(_) => {
            let error = format!("the body did not arrive within {} s", limit.as_secs());
            Err(Problem::new(ErrorCode::InvalidJson, error))
        }
    }
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|fault| {
        let code = if fault.is_data() { ErrorCode::PayloadInvalid } else { ErrorCode::InvalidJson };
        Problem::new(code, fault.to_string())
    })
}

/// The media type without its parameters, and not twice.
fn is_declared(headers: &HeaderMap, wanted: &str) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let first = types.next().and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    types.next().is_none() && first.is_some_and(|name| name.trim().eq_ignore_ascii_case(wanted))
}

/// The one variable part of a path, such as a plugin's name.
pub(super) struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(fault) => Err(Problem::new(ErrorCode::NotFound, fault.body_text())),
        }
    }
}

/// What stands behind the `?`.
pub(super) struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(fault) => Err(Problem::new(ErrorCode::PayloadInvalid, fault.body_text())
                .help("GET /openapi.json lists the parameters of each route")),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    fn declared(types: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in types {
            headers.append(header::CONTENT_TYPE, name.parse().unwrap());
        }
        headers
    }

    async fn status(types: &[&str], body: &'static str) -> u16 {
        match json::<serde_json::Value>(&declared(types), Body::from(body), "").await {
            Ok(_) => 200,
            Err(problem) => problem.into_response().status().as_u16(),
        }
    }

    #[tokio::test]
    async fn a_body_has_to_say_that_it_is_json_and_to_be_json() {
        assert_eq!(status(&["Application/JSON; charset=utf-8"], "{}").await, 200);
        for types in
            [&[][..], &["text/plain"], &["application/json", "text/plain"], &["text/plain; a=application/json"]]
        {
            assert_eq!(status(types, "{}").await, 415, "{types:?}");
        }
        assert_eq!(status(&["application/json"], "{").await, 400);
        assert_eq!(status(&["application/json"], "").await, 400);
    }

    #[tokio::test]
    async fn a_body_that_may_be_left_out_is_not_ignored_when_it_is_there() {
        let read = async |types: &[&str], body: &'static str| {
            json_or_default::<serde_json::Value>(&declared(types), Body::from(body), "").await
        };
        assert_eq!(read(&[], "").await.unwrap(), serde_json::Value::Null);
        assert_eq!(read(&["application/json"], "[1]").await.unwrap(), serde_json::json!([1]));
        assert!(read(&[], "[1]").await.is_err());
        assert!(read(&["application/json"], "").await.is_err());
    }

    #[tokio::test]
    async fn more_than_the_bound_is_refused() {
        let long = Body::from(vec![b' '; MAX_JSON_BYTES + 1]);
        let problem = json::<serde_json::Value>(&declared(&["application/json"]), long, "").await.unwrap_err();
        assert_eq!(problem.into_response().status(), 413);
    }
}
