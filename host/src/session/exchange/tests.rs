//! Exchanges and the stream of a session without a socket.

use futures_util::FutureExt as _;

use super::*;
use crate::session::test_session::without_socket;

const MAX_BYTES: usize = 1_000;

fn taken(exchange: &Exchange) -> Option<Option<Bytes>> {
    exchange.next().now_or_never()
}

fn text(text: &'static str) -> Option<Option<Bytes>> {
    Some(Some(Bytes::from_static(text.as_bytes())))
}

#[test]
fn what_belongs_to_a_request_leaves_through_its_exchange_and_the_rest_through_the_stream() {
    let session = without_socket("1", Some(1_000));
    let (one, two) = (session.open_exchange("k1".into(), MAX_BYTES), session.open_exchange("k2".into(), MAX_BYTES));
    let mut stream = session.read_stream();
    session.push_to(Some("k1"), Frame::kept("a")).unwrap();
    session.push_to(Some("k2"), Frame::kept("b")).unwrap();
    session.push(Frame::kept("c")).unwrap();
    assert_eq!((taken(&one), taken(&one)), (text("a"), None));
    assert_eq!(taken(&two), text("b"));
    assert_eq!(stream.next().now_or_never(), text("c"));
    assert!(session.push_to(Some("k3"), Frame::kept("d")).is_err(), "there is no such request");
    assert_eq!(stream.next().now_or_never(), None);
}

#[test]
fn an_exchange_ends_with_its_request_after_what_waits_was_taken() {
    let session = without_socket("1", None);
    let exchange = session.open_exchange("k".into(), MAX_BYTES);
    let request = session.open_request(Some("k".into()));
    session.push_to(Some("k"), Frame::kept("a")).unwrap();
    assert!(request.finish());
    session.push_to(Some("k"), Frame::kept("b")).unwrap();
    request.finished(End::Answered);
    assert!(session.push_to(Some("k"), Frame::kept("late")).is_err());
    assert_eq!((exchange.is_ended(), exchange.ended()), (true, Some(End::Answered)));
    assert_eq!([taken(&exchange), taken(&exchange), taken(&exchange)], [text("a"), text("b"), Some(None)]);
    drop(exchange);
    assert!(!request.was_cancelled());
}

#[test]
fn a_client_that_leaves_cancels_its_request_unless_it_was_let_go_of() {
    let session = without_socket("1", Some(1_000));
    let (left, let_go) = (session.open_exchange("k1".into(), MAX_BYTES), session.open_exchange("k2".into(), MAX_BYTES));
    let [one, two] = ["k1", "k2"].map(|key| session.open_request(Some(key.into())));
    drop(left);
    let_go.let_go();
    assert!(one.was_cancelled() && !two.is_ended());
    assert!(session.push_to(Some("k1"), Frame::kept("a")).is_err());
    assert!(session.push_to(Some("k2"), Frame::kept("a")).is_ok(), "it goes on, and nobody hears of it");
    // One that comes later finds that its client has left.
    session.open_exchange("k3".into(), MAX_BYTES).let_go();
    assert!(!session.open_request(Some("k3".into())).is_ended());
}

#[test]
fn a_client_that_reads_too_slowly_ends_its_request() {
    let session = without_socket("1", None);
    let exchange = session.open_exchange("k".into(), MAX_BYTES);
    let request = session.open_request(Some("k".into()));
    let pushed = (0..1_000).take_while(|_| session.push_to(Some("k"), Frame::kept(vec![b'x'; 100])).is_ok()).count();
    assert!((1..10).contains(&pushed), "{pushed} messages of 100 bytes were taken in");
    assert_eq!(exchange.ended(), Some(End::TooSlow));
    assert!(request.was_cancelled());
    assert_eq!(taken(&exchange), Some(None), "what waited is gone");
}

#[test]
fn one_message_can_always_go_however_large_it_is() {
    let session = without_socket("1", None);
    let exchange = session.open_exchange("k".into(), 1);
    assert!(session.push_to(Some("k"), Frame::kept("large")).is_ok());
    assert_eq!(taken(&exchange), text("large"));
}

#[test]
fn the_oldest_is_dropped_from_a_stream_that_nobody_reads() {
    let session = without_socket("1", Some(3));
    for text in ["a", "b", "c", "d"] {
        session.push(Frame::kept(text)).unwrap();
    }
    let mut stream = session.read_stream();
    assert_eq!(stream.next().now_or_never(), text("b"));
    session.push(Frame::kept("far too long")).unwrap();
    assert_eq!(stream.next().now_or_never(), None, "it can never be held");
    assert!(session.ended().is_none());
}

#[test]
fn the_newest_reader_has_the_stream() {
    let session = without_socket("1", Some(1_000));
    let mut old = session.read_stream();
    let mut new = session.read_stream();
    session.push(Frame::kept("a")).unwrap();
    assert_eq!(old.next().now_or_never(), Some(None));
    assert_eq!(new.next().now_or_never(), text("a"));
}

#[tokio::test]
async fn readers_are_woken() {
    let session = without_socket("1", Some(1_000));
    let exchange = session.open_exchange("k".into(), MAX_BYTES);
    let mut stream = session.read_stream();
    let push = async {
        tokio::task::yield_now().await;
        session.push(Frame::kept("c")).unwrap();
        session.push_to(Some("k"), Frame::kept("a")).unwrap();
    };
    let (from_stream, from_exchange, ()) = tokio::join!(stream.next(), exchange.next(), push);
    assert_eq!((from_stream.as_deref(), from_exchange.as_deref()), (Some(&b"c"[..]), Some(&b"a"[..])));
    let end = async {
        tokio::task::yield_now().await;
        assert!(session.end_without_socket("closed"));
    };
    let (from_stream, from_exchange, ()) = tokio::join!(stream.next(), exchange.next(), end);
    assert_eq!((from_stream, from_exchange), (None, None));
}

#[test]
fn with_its_session_all_ends_and_what_waits_can_be_taken() {
    let session = without_socket("1", Some(1_000));
    let exchange = session.open_exchange("k".into(), MAX_BYTES);
    let request = session.open_request(Some("k".into()));
    session.push_to(Some("k"), Frame::kept("a")).unwrap();
    assert!(session.end_without_socket("closed"));
    assert_eq!(exchange.ended(), Some(End::SessionEnded));
    assert!(request.was_cancelled() && session.ended().is_some());
    assert_eq!([taken(&exchange), taken(&exchange)], [text("a"), Some(None)]);
    assert!(session.push(Frame::kept("b")).is_err());
    assert_eq!(session.open_exchange("k2".into(), MAX_BYTES).ended(), Some(End::SessionEnded));
}

#[test]
fn a_session_with_a_socket_has_no_exchanges() {
    let session = crate::session::test_session::session("1", None, "alice");
    assert_eq!(session.open_exchange("k".into(), MAX_BYTES).ended(), Some(End::SessionEnded));
    assert!(!session.end_without_socket("closed") && session.ended().is_none());
    assert!(session.push_to(Some("k"), Frame::kept("a")).is_ok(), "it goes to the socket");
}

#[test]
fn the_last_word_on_how_an_answer_is_shown_counts() {
    let session = without_socket("1", None);
    let exchange = session.open_exchange("k".into(), MAX_BYTES);
    let request = session.open_request(Some("k".into()));
    assert_eq!(exchange.shown(), None);
    for status in [400, 404] {
        request.show(Shown { status, missing_scopes: vec!["a".into()] });
    }
    assert_eq!(exchange.shown(), Some(Shown { status: 404, missing_scopes: vec!["a".into()] }));
}
