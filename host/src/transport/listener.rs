//! From a listening socket to requests: the accept loop, and HTTP/1.1 on each connection.
//!
//! It outlives trouble: when the process has no file descriptors left, it waits and goes on. Clients
//! that send their request head too slowly are cut off, and only so many connections are in the HTTP
//! phase at one time (see `places`); a WebSocket has left it, and so has an answer that is a long stream
//! (see `seat`).

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, server::conn::http1, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    places::{Place, Places},
    seat::{Seat, Stage},
};
use crate::{shutdown::Shutdown, telemetry::Metrics};

/// Connections in the HTTP phase at one time; one more waits for a place, and others in the kernel's queue.
const MAX_HTTP_CONNECTIONS: usize = 1024;

/// For a request head, and for the next request on a connection that is kept alive.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// For a client's connection in the HTTP phase, from its beginning or its last request with a good token: the
/// head limit does not end one whose client takes no answers. Longer than any single request takes.
pub(crate) const CLIENT_LIMIT: Duration = Duration::from_secs(30);

/// For an operator's connection: whoever follows a log comes back once a day.
pub(crate) const OPERATOR_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// For the answer that is under way when a connection has had its time.
const LAST_ANSWER: Duration = Duration::from_secs(5);

/// For the answer that is under way when the host stops: what is left of it is computed already.
const PARTING: Duration = Duration::from_millis(500);

/// Of one connection's buffer, and so of the largest request head: tokens travel in headers, and the
/// larger ones have 8 KiB.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// After an accept that failed for lack of something, before the next.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(200);

/// Where a request came from, as axum's own listener would say it, so that all routers find it.
pub(crate) type Peer = ConnectInfo<SocketAddr>;

/// Accepts until the host stops; while it drains, requests are still answered (most of them with 503).
/// `limit` is the longest that a connection may stay in the HTTP phase.
pub(crate) async fn accept(
    listener: TcpListener,
    router: Router,
    limit: Duration,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
) {
    let places = Places::new(MAX_HTTP_CONNECTIONS, metrics.http_evictions.clone());
    loop {
        let entered = tokio::select! {
            () = shutdown.stop.cancelled() => return,
            entered = enter_one(&listener, &places) => entered,
        };
        let Some((stream, peer, place)) = entered else { return };
        let (router, stop) = (router.clone(), shutdown.stop.clone());
        shutdown.tasks.spawn(async move {
            let seat = place.seat().clone();
            let served = serve(stream, peer, router, seat.clone(), limit, stop);
            tokio::pin!(served);
            tokio::select! {
                () = seat.evicted() => return tracing::debug!(%peer, "an idle connection made room for another"),
                () = served.as_mut() => return,
                () = seat.reached(Stage::Stream) => drop(place),
            }
            served.await;
        });
    }
}

async fn enter_one(listener: &TcpListener, places: &Places) -> Option<(TcpStream, SocketAddr, Place)> {
    let (stream, peer) = accept_one(listener).await;
    let place = places.take(peer.ip()).await?;
    Some((stream, peer, place))
}

async fn accept_one(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The client went away before it was its turn.
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections; trying again");
                sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    seat: Arc<Seat>,
    limit: Duration,
    stop: CancellationToken,
) {
    // Answers are small and wait for nothing; without it, each can wait for a delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "the connection is gone");
        return;
    }
    let service = TowerToHyperService::new(router);
    let driving = seat.clone();
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(driving.clone());
        let (answer, seat) = (service.call(request), driving.clone());
        async move { seat.while_busy(answer).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let last = tokio::select! {
        ended = connection.as_mut() => return log_early_end(ended, peer),
        // A stream lasts as long as whoever looks after it lets it.
        () = seat.reached(Stage::Stream) => tokio::select! {
            biased;
            () = seat.reached(Stage::Cut) => return tracing::debug!(%peer, "the client takes nothing of its stream"),
            ended = connection.as_mut() => return log_early_end(ended, peer),
            () = seat.reached(Stage::Written) => LAST_ANSWER,
            () = stop.cancelled() => PARTING,
        },
        () = seat.worn_out(limit) => LAST_ANSWER,
        () = stop.cancelled() => PARTING,
    };
    connection.as_mut().graceful_shutdown();
    log_early_end(timeout(last, connection).await.unwrap_or(Ok(())), peer);
}

fn log_early_end(ended: hyper::Result<()>, peer: SocketAddr) {
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "an HTTP connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_client_that_takes_no_answers_loses_its_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let router = Router::new().route("/", get(async || "x".repeat(64 * 1024)));
        let limit = Duration::from_millis(50);
        let place = Places::new(1, Metrics::new().http_evictions.clone()).take(peer.ip()).await.unwrap();
        let write = async {
            // Until the server reads no more, and then gives up.
            while client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.is_ok() {}
        };
        timeout(limit + 2 * LAST_ANSWER, async {
            tokio::join!(serve(stream, peer, router, place.seat().clone(), limit, CancellationToken::new()), write)
        })
        .await
        .expect("the connection is ended");
    }
}
