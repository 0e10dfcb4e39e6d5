//! A JWKS by URL. The answer is bounded in time and bytes, since another party decides about both.

use std::time::Duration;

use reqwest::{Client, Url, redirect};

use super::MAX_KEY_BYTES;

/// For the whole answer. A handshake with an unknown key may wait for it.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Enough for a provider that moved; a loop ends here.
const MAX_REDIRECTS: usize = 3;

/// Fetches the document; the error says what went wrong, without the URL.
pub(super) async fn fetch(url: &str) -> Result<Vec<u8>, String> {
    tokio::time::timeout(FETCH_TIMEOUT, bounded(url))
        .await
        .unwrap_or_else(|_| Err(format!("no whole answer within {} s", FETCH_TIMEOUT.as_secs())))
}

async fn bounded(url: &str) -> Result<Vec<u8>, String> {
    let url = Url::parse(url).map_err(|fault| format!("it is not a URL: {fault}"))?;
    // Made anew each time: fetches are minutes apart, and a kept connection would hide a moved server.
    let client = Client::builder()
        .https_only(url.scheme() == "https")
        .redirect(redirect::Policy::limited(MAX_REDIRECTS))
        .user_agent(concat!("switchboard/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(plain)?;
    let mut answer = client.get(url).header("accept", "application/json").send().await.map_err(plain)?;
    if !answer.status().is_success() {
        return Err(format!("the answer has status {}", answer.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(plain)? {
        if body.len() + part.len() > MAX_KEY_BYTES {
            return Err(format!("the answer has more than {MAX_KEY_BYTES} bytes"));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// The error with its causes, which `reqwest` leaves to the reader, and without the URL.
fn plain(fault: reqwest::Error) -> String {
    let fault = fault.without_url();
    let mut text = fault.to_string();
    let mut cause = std::error::Error::source(&fault);
    while let Some(fault) = cause {
        text = format!("{text}: {fault}");
        cause = fault.source();
    }
    text
}
