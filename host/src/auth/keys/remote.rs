//! A JWKS by URL. The answer is bounded in time and bytes, since another party decides about both.

use std::time::Duration;

use reqwest::{Client, Url, redirect};

use super::MAX_KEY_BYTES;

/// For the whole answer. A handshake with an unknown key may wait for it.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Enough for a provider that moved; a loop ends here.
const MAX_REDIRECTS: usize = 3;

/// Fetches the document; the error says what went wrong, without the URL.
pub(super) async fn fetch(url: &str, timeout: Duration) -> Result<Vec<u8>, String> {
    tokio::time::timeout(timeout, bounded(url))
        .await
        .unwrap_or_else(|_| Err(format!("no whole answer within {timeout:?}")))
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

#[cfg(test)]
pub(in crate::auth) mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };
    use tokio_util::task::TaskTracker;

    use super::*;

    /// A provider of keys on this machine, whose answer can be changed.
    pub(in crate::auth) struct Issuer {
        pub url: String,
        answer: Arc<Mutex<(u16, String)>>,
        requests: Arc<AtomicUsize>,
    }

    impl Issuer {
        pub async fn start(status: u16, body: &str) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/jwks?secret=1", listener.local_addr().unwrap());
            let answer = Arc::new(Mutex::new((status, body.to_owned())));
            let requests = Arc::new(AtomicUsize::new(0));
            let issuer = Self { url, answer: Arc::clone(&answer), requests: Arc::clone(&requests) };
            TaskTracker::new().spawn(async move {
                while let Ok((mut socket, _)) = listener.accept().await {
                    requests.fetch_add(1, Ordering::SeqCst);
                    let (status, body) = answer.lock().unwrap().clone();
                    let _ = socket.read(&mut [0; 4096]).await;
                    // Long enough for others to want the same keys meanwhile.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {status} Some\r\ncontent-length: {length}\r\nlocation: /elsewhere\r\n\
                         connection: close\r\n\r\n"
                    );
                    let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
                }
            });
            issuer
        }

        pub fn set(&self, status: u16, body: &str) {
            *self.answer.lock().unwrap() = (status, body.to_owned());
        }

        pub fn requests(&self) -> usize {
            self.requests.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn an_answer_is_taken_whole() {
        let issuer = Issuer::start(200, "{}").await;
        assert_eq!(fetch(&issuer.url, FETCH_TIMEOUT).await, Ok(b"{}".to_vec()));
    }

    #[tokio::test]
    async fn errors_loops_floods_and_delays_end_without_naming_the_url() {
        let issuer = Issuer::start(500, "").await;
        let failed = fetch(&issuer.url, FETCH_TIMEOUT).await.unwrap_err();
        assert!(failed.contains("status 500"), "{failed}");
        issuer.set(302, "");
        let looped = fetch(&issuer.url, FETCH_TIMEOUT).await.unwrap_err();
        assert!(looped.contains("redirect"), "{looped}");
        issuer.set(200, &"x".repeat(MAX_KEY_BYTES + 1));
        let flooded = fetch(&issuer.url, FETCH_TIMEOUT).await.unwrap_err();
        assert!(flooded.contains("more than"), "{flooded}");
        let late = fetch(&issuer.url, Duration::from_millis(10)).await.unwrap_err();
        assert!(late.contains("within 10ms"), "{late}");
        let refused = fetch("http://127.0.0.1:1/keys?secret=1", FETCH_TIMEOUT).await.unwrap_err();
        for text in [failed, looped, flooded, late, refused, fetch("nope", FETCH_TIMEOUT).await.unwrap_err()] {
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
