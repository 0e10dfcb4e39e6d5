//! The bytes of a body, within bounds of size and time. Only of those who have shown who they are; of others
//! it is read to be forgotten.

use std::time::Duration;

use axum::body::Body;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use http::{HeaderMap, header::CONTENT_LENGTH};
use switchboard_protocol::ErrorCode;
use tokio::time::timeout;

use super::fault::Fault;
use crate::transport::refusal::Refusal;

/// For a whole body. The largest that is allowed by default takes a tenth of a second on a slow line.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// Of a body that nobody wants: what a client has sent before it could hear the answer.
const DISCARDED_BYTES: usize = 64 * 1024;

/// For that.
const DISCARD_LIMIT: Duration = Duration::from_millis(500);

pub(super) async fn read(headers: &HeaderMap, body: Body, max_bytes: usize) -> Result<BytesMut, Fault> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if let Some(length) = announced.filter(|length| *length > max_bytes) {
        discard(body).await;
        return Err(too_large(&format!("the body has {length} bytes"), max_bytes));
    }
    let reading = async {
        let mut bytes = BytesMut::new();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Fault::invalid("the body ended early"))?;
            if bytes.len() + chunk.len() > max_bytes {
                return Err(too_large("the body has more bytes", max_bytes));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    within(READ_LIMIT, reading).await
}

async fn within<T>(limit: Duration, reading: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let late = || Fault::new(http::StatusCode::REQUEST_TIMEOUT, -32600, "the body did not come in time");
    timeout(limit, reading).await.unwrap_or_else(|_| Err(late()))
}

/// Reads what is on its way, so that the answer arrives.
pub(super) async fn discard(body: Body) {
    let reading = async {
        let (mut seen, mut chunks) = (0, body.into_data_stream());
        while let Some(Ok(chunk)) = chunks.next().await {
            seen += chunk.len();
            if seen > DISCARDED_BYTES {
                return;
            }
        }
    };
    // Whoever sends more, or more slowly, may miss the answer.
    let _ = timeout(DISCARD_LIMIT, reading).await;
}

fn too_large(problem: &str, max_bytes: usize) -> Fault {
    Refusal::new(ErrorCode::MessageTooLarge, format!("{problem}, and {max_bytes} are allowed")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_whether_it_announces_its_length_or_not() {
        let none = HeaderMap::new();
        assert_eq!(read(&none, Body::from("12345"), 5).await.unwrap(), "12345");
        assert_eq!(read(&none, Body::from("123456"), 5).await.unwrap_err().status, 413);
        let mut announced = HeaderMap::new();
        announced.insert(CONTENT_LENGTH, http::HeaderValue::from_static("6"));
        assert_eq!(read(&announced, Body::from("123456"), 5).await.unwrap_err().status, 413);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = futures_util::future::pending::<Result<(), Fault>>();
        assert_eq!(within(Duration::from_millis(1), never).await.unwrap_err().status, 408);
        discard(Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>())).await;
    }
}
