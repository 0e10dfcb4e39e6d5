//! Sockets that come and go while others write: what each of them may take, and how much is held.

use super::{
    saved::Home,
    test_session::{BOUNDS, TOKEN, session, with_detached},
    *,
};
use crate::session::{state::State, token::TokenDigest};

fn connection(id: &str) -> Arc<Connection> {
    Arc::new(Connection::new(id.into(), State::Open))
}

fn attachment(session: &Arc<Session>, generation: u64) -> Attachment {
    Attachment { session: session.clone(), generation }
}

fn taken_over(session: &Arc<Session>) -> Attachment {
    let request = ResumeRequest { token: TokenDigest::of(TOKEN), epoch: "epoch", last_seq: 0 };
    let announce = |_, _: Option<&str>| (vec![Bytes::from("resumed")], Bytes::from("replay_complete"));
    let next = TokenDigest::of("next");
    let replay = session.resume(request, next, Duration::from_secs(60), &connection("ws_new"), announce);
    attachment(session, replay.ok().unwrap().resumption.generation)
}

fn texts(batch: &VecDeque<Outgoing>) -> Vec<&[u8]> {
    batch.iter().map(|frame| &frame.bytes[..]).collect()
}

#[test]
fn a_socket_that_was_fenced_takes_nothing_that_is_meant_for_its_successor() {
    let session = session("1", None, "alice");
    session.push(Frame::kept("a")).unwrap();
    let (old, new) = (attachment(&session, 1), taken_over(&session));
    // The old writer was on its way to the session's lock when the new socket had it.
    let mut batch = VecDeque::new();
    assert_eq!(old.take(&mut batch), None);
    assert_eq!(texts(&batch), [&b""[..]; 0]);
    assert!(new.take(&mut batch).is_some());
    assert_eq!(texts(&batch), [&b"resumed"[..], b"a", b"replay_complete"]);
}

#[test]
fn a_client_that_is_closed_as_too_slow_holds_no_more_than_while_it_is_away() {
    let detached = Arc::new(Detached::new(usize::MAX));
    let session = with_detached("1", &Principal::named(None, "alice"), &detached);
    // Its socket takes nothing, and needs seconds to end: the host goes on meanwhile.
    let most = 2 * BOUNDS.waiting_bytes + BOUNDS.window_bytes;
    let pushed = (0..1_000).take_while(|_| session.push(Frame::kept(vec![b'x'; 100])).is_ok()).count();
    assert!(pushed * 100 <= most, "{pushed} frames were taken in, and {most} bytes are the most that may wait");
}

#[test]
fn a_pong_of_the_socket_s_fresh_session_says_nothing_of_a_session_from_before_a_restart() {
    let before = session("1", None, "alice");
    assert!(attachment(&before, 1).detach("draining"));
    let home = Home {
        handlers: Handlers::new(1, tokio_util::task::TaskTracker::new()),
        requests: Requests::new(1),
        bounds: BOUNDS,
        detached: Arc::new(Detached::new(usize::MAX)),
        conflated: Counter::default(),
        now: std::time::SystemTime::now(),
    };
    let restored = Session::restored(before.save(home.now), home);
    // What a pong is told apart by is the generation alone, and a fresh session has the first.
    assert_ne!(taken_over(&restored).generation, 1);
}
