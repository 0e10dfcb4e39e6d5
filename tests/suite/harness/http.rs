//! HTTP requests to a server, with the answer's JSON.

use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::Value;

/// An answer that was read whole.
#[derive(Debug)]
pub struct Http {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Http {
    pub async fn get(url: &str) -> Self {
        Self::send(reqwest::Client::new().get(url)).await
    }

    pub async fn request(method: Method, url: &str) -> Self {
        Self::send(reqwest::Client::new().request(method, url)).await
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
