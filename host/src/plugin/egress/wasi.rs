//! `wasi:http/outgoing-handler` (WASI 0.2): the way out that the standard libraries of other languages know, such as
//! JavaScript's `fetch`. It leads through the same checks and bounds as the contract's own `http`.
//!
//! A request's body is taken from the guest whole before it is sent, and an answer read whole before the guest gets
//! it: both within their bounds. What waits here is a task of the instance, and ends with it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderName, Request, header::CONTENT_LENGTH};
use hyper::body::{Body, Frame};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;
use wasmtime::component::Linker;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView, p2,
};

use super::{Answered, Egress, EgressFault, Outgoing};
use crate::{
    config::secret::HOST_HEADERS,
    plugin::{call_state::CallState, instance_state::InstanceState},
};

/// What comes back: the answer, and what is left to do in the background, which is nothing.
type Sent = Result<(http::Response<WasiBody>, Background), Error>;
type Background = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// Adds the two interfaces that a client needs.
pub(in crate::plugin) fn link<T: WasiHttpView + 'static>(linker: &mut Linker<T>) -> Result<(), wasmtime::Error> {
    p2::add_only_http_to_linker_async(linker)
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.call, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Requests are those of the call that is under way.
impl WasiHttpHooks for CallState {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Background,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let begun = self.begin_outbound();
        let work = async move {
            let (egress, deadline) = begun.map_err(in_wasi)?;
            let outgoing = taken(request, options, &egress, deadline).await?;
            let answered = egress.send(outgoing, deadline).await.map_err(in_wasi)?;
            Ok((response(answered)?, Box::new(async { Ok(()) }) as Background))
        };
        // It runs as a task of its own, and is still that call's.
        Box::new(work.in_current_span())
    }
}

/// For a guest that is asked for its manifest, which may not do anything.
pub(in crate::plugin) struct NoWayOut;

impl WasiHttpHooks for NoWayOut {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Background,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

/// `content-length` is let through and left out later: WASI itself holds the body to it.
fn is_forbidden(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name) || (*name != CONTENT_LENGTH && HOST_HEADERS.contains(&name.as_str()))
}

/// The request with its whole body, as soon as the guest has written it.
async fn taken(
    request: Request<WasiBody>,
    options: Option<RequestOptions>,
    egress: &Egress,
    deadline: Instant,
) -> Result<Outgoing, Error> {
    let (parts, body) = request.into_parts();
    let body = timeout_at(deadline, whole(body, egress.max_request_bytes));
    let body = body.await.map_err(|_| Error::ConnectionWriteTimeout)??;
    let headers = parts.headers.iter().filter(|(name, _)| **name != CONTENT_LENGTH);
    Ok(Outgoing {
        method: parts.method.to_string(),
        url: parts.uri.to_string(),
        headers: headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect(),
        body,
        // The guest gets the first byte when all are there.
        timeout: options.and_then(|options| options.first_byte_timeout),
    })
}

async fn whole(mut body: WasiBody, most: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        // Trailers are no part of what is sent.
        let Ok(part) = frame?.into_data() else { continue };
        if bytes.len() + part.len() > most {
            return Err(Error::HttpRequestBodySize(u64::try_from(most).ok()));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

fn response(Answered { status, headers, body }: Answered) -> Result<http::Response<WasiBody>, Error> {
    let mut response = http::Response::new(WasiBody::new(Whole(Some(body.into()))));
    *response.status_mut() = http::StatusCode::from_u16(status).map_err(|_| Error::HttpProtocolError)?;
    *response.headers_mut() = headers;
    Ok(response)
}

/// A body that is there.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let rest = self.0.take().filter(|bytes| !bytes.is_empty());
        Poll::Ready(rest.map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn in_wasi(fault: EgressFault) -> Error {
    match fault {
        EgressFault::HostNotGranted(_) => Error::HttpRequestDenied,
        EgressFault::AddressNotGranted { .. } => Error::DestinationIpProhibited,
        EgressFault::Unreachable(_) => Error::DestinationUnavailable,
        EgressFault::TimedOut => Error::HttpResponseTimeout,
        EgressFault::TooLarge(_) => Error::HttpResponseBodySize(None),
        EgressFault::LimitExceeded(_) => Error::ConnectionLimitReached,
        EgressFault::Invalid(text) | EgressFault::Other(text) => Error::InternalError(Some(text)),
    }
}
