//! HTTP requests to a server, with the answer's JSON.

use std::sync::LazyLock;

use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::Value;

/// An answer that was read whole.
#[derive(Debug)]
pub struct Http {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

/// One for all tests, since to make one is to read the machine's certificates. It keeps no connection,
/// since each test has a runtime of its own.
static CLIENT: LazyLock<reqwest::Client> =
    LazyLock::new(|| reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client"));

/// A request to be completed and sent.
pub fn http_request(method: Method, url: &str) -> RequestBuilder {
    CLIENT.request(method, url)
}

impl Http {
    pub async fn get(url: &str) -> Self {
        Self::send(CLIENT.get(url)).await
    }

    pub async fn request(method: Method, url: &str) -> Self {
        Self::send(http_request(method, url)).await
    }

    pub async fn send(request: RequestBuilder) -> Self {
        let answer = super::within_patience!("an HTTP answer", request.send()).expect("an HTTP answer");
        let (status, headers) = (answer.status(), answer.headers().clone());
        Self { status, headers, text: answer.text().await.expect("a body in UTF-8") }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|fault| panic!("not JSON ({fault}): {}", self.text))
    }
}
