//! What becomes of requests, and of the duties that calls left behind.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::session::test_session::session;

/// How often each was done.
#[derive(Debug, Default, Clone)]
struct Done {
    given_up: Arc<AtomicUsize>,
    cancelled: Arc<AtomicUsize>,
}

impl Done {
    fn counts(&self) -> (usize, usize) {
        (self.given_up.load(Ordering::SeqCst), self.cancelled.load(Ordering::SeqCst))
    }
}

struct Counted(Done, Arc<OpenRequest>);

impl Duty for Counted {
    fn give_up(self: Box<Self>) {
        assert!(self.1.finish());
        self.0.given_up.fetch_add(1, Ordering::SeqCst);
    }

    fn cancelled(self: Box<Self>) {
        assert!(!self.1.finish());
        self.0.cancelled.fetch_add(1, Ordering::SeqCst);
    }
}

fn named(requests: &Requests, name: &str) -> Arc<OpenRequest> {
    let request = requests.open(Some(name.into()), None);
    assert_eq!(request.begin(name), Ok(()));
    request
}

fn left(requests: &Requests, name: &str) -> (Arc<OpenRequest>, Done, Option<Left>) {
    let (request, done) = (named(requests, name), Done::default());
    let place = requests.place().unwrap();
    let left = request.leave(place, Box::new(Counted(done.clone(), request.clone())));
    (request, done, left)
}

#[test]
fn a_name_is_free_again_once_its_request_has_ended() {
    let requests = Requests::new(4);
    let one = named(&requests, "a");
    assert_eq!(requests.open(None, None).begin("a"), Err(RequestFault::UnderWay));
    assert!(matches!(one.begin("b"), Err(RequestFault::LimitExceeded(_))), "it has one already");
    assert!(one.finish() && !one.finish());
    assert!(one.ended().is_cancelled() && !one.was_cancelled());
    assert!(!requests.cancel("a"), "there is none of that name");
    named(&requests, "a");
    assert_eq!(
        one.begin("c"),
        Err(RequestFault::LimitExceeded("a request has one name, and this one has it already".into()))
    );
}

#[test]
fn what_has_ended_takes_no_name() {
    let requests = Requests::new(4);
    let request = requests.open(None, None);
    assert!(request.cancel() && !request.cancel());
    assert_eq!(request.begin("a"), Err(RequestFault::Unknown));
    assert!(lock(&requests.table).by_name.is_empty());
}

#[test]
fn a_running_request_that_is_cancelled_is_told_nothing_more() {
    let requests = Requests::new(4);
    let request = named(&requests, "a");
    assert!(requests.cancel("a") && !requests.cancel("a"));
    assert!(request.ended().is_cancelled() && request.was_cancelled() && !request.finish());
}

#[test]
fn what_is_left_open_is_given_up_once_and_only_for_its_own_time() {
    let requests = Requests::new(4);
    let (request, done, first) = left(&requests, "a");
    let first = first.unwrap();
    let by = requests.open(None, None);
    let taken = requests.take("a", &by).ok().unwrap();
    assert!(first.over.is_cancelled());
    assert_eq!(requests.take("a", &by).err(), Some(RequestFault::Unknown), "it is gone on with already");
    let second = request.leave(requests.place().unwrap(), taken.duty).unwrap();
    request.give_up(Some(first.number));
    assert_eq!(done.counts(), (0, 0), "its time was up before it was left open again");
    request.give_up(Some(second.number));
    request.give_up(None);
    assert!(second.over.is_cancelled() && request.is_ended());
    assert_eq!(done.counts(), (1, 0));
}

#[test]
fn to_cancel_what_another_call_goes_on_with_interrupts_that_call() {
    let requests = Requests::new(4);
    let (request, done, _) = left(&requests, "a");
    let by = requests.open(None, None);
    let taken = requests.take("a", &by).ok().unwrap();
    assert!(requests.cancel("a"));
    assert!(by.was_cancelled() && request.was_cancelled());
    assert_eq!(done.counts(), (0, 0), "the duty is that call's");
    taken.duty.cancelled();
}

#[test]
fn so_many_are_left_open_and_no_more() {
    let requests = Requests::new(2);
    let (one, ..) = left(&requests, "a");
    let _two = left(&requests, "b");
    assert!(matches!(requests.place(), Err(RequestFault::LimitExceeded(text)) if text.contains("max_in_flight")));
    assert!(one.cancel());
    assert!(requests.place().is_ok());
}

#[test]
fn a_host_that_stops_answers_what_is_open_and_what_is_left_open_later() {
    let requests = Requests::new(4);
    let (_, before, _) = left(&requests, "a");
    let running = named(&requests, "r");
    requests.close();
    let (_, after, waits) = left(&requests, "b");
    assert!(waits.is_none());
    assert_eq!((before.counts(), after.counts()), ((1, 0), (1, 0)));
    assert!(!running.is_ended(), "its call goes on");
}

#[test]
fn with_its_session_a_request_ends_without_a_word() {
    let session = session("1", None, "alice");
    let (request, before, _) = left(&session.requests, "a");
    let running = named(&session.requests, "r");
    session.end(switchboard_protocol::ResumeFailure::UnknownSession);
    let (_, after, waits) = left(&session.requests, "b");
    assert!(waits.is_none() && request.is_ended());
    assert_eq!((before.counts(), after.counts()), ((0, 1), (0, 1)));
    assert!(!running.is_ended(), "what was started finishes");
    session.requests.close();
    let (_, late, _) = left(&session.requests, "c");
    assert_eq!(late.counts(), (0, 1), "nobody is there to be answered");
}

#[test]
fn no_request_of_another_session_is_found() {
    let (one, other) = (session("1", None, "alice"), session("2", None, "alice"));
    let (request, ..) = left(&one.requests, "a");
    let by = other.open_request(None);
    assert!(!other.requests.cancel("a"));
    assert_eq!(other.requests.take("a", &by).err(), Some(RequestFault::Unknown));
    assert!(!request.is_ended());
    named(&other.requests, "a");
}
