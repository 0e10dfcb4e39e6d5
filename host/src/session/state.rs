//! Where a connection is in its life: one enum, and one match that holds every transition.
//!
//! Life only goes forward. An event that does not fit changes nothing, so that two reasons to close
//! which arrive together need no arbiter.

/// `Connecting -> Authenticating -> Open -> Draining -> Closed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The request's first byte came in.
    Connecting,
    /// Its token is being checked.
    Authenticating,
    /// Messages flow.
    Open,
    /// Nothing more is read; handlers finish and what waits is written.
    Draining,
    /// The socket is gone.
    Closed,
}

/// What moves a connection on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    CredentialsTaken,
    Upgraded,
    Leaving,
    SocketGone,
}

impl State {
    /// The state after an event.
    #[must_use]
    pub fn after(self, event: Event) -> Self {
        match (self, event) {
            // The request passed the checks that need no identity.
            (Self::Connecting, Event::CredentialsTaken) => Self::Authenticating,
            // The token was good, and the 101 is on its way.
            (Self::Authenticating, Event::Upgraded) => Self::Open,
            // The host shuts down, or has decided to close.
            (Self::Open, Event::Leaving) => Self::Draining,
            // From anywhere: a socket can vanish at any moment, a handshake can be refused.
            (_, Event::SocketGone) => Self::Closed,
            // Everything else came too late or too early.
            (state, _) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_goes_through_each_state_in_order() {
        let mut state = State::Connecting;
        let mut seen = vec![state];
        for event in [Event::CredentialsTaken, Event::Upgraded, Event::Leaving, Event::SocketGone] {
            state = state.after(event);
            seen.push(state);
        }
        assert_eq!(seen, [State::Connecting, State::Authenticating, State::Open, State::Draining, State::Closed]);
    }

    #[test]
    fn nothing_leads_back_and_nothing_skips_the_token() {
        let states = [State::Connecting, State::Authenticating, State::Open, State::Draining, State::Closed];
        for (place, state) in states.into_iter().enumerate() {
            for event in [Event::CredentialsTaken, Event::Upgraded, Event::Leaving, Event::SocketGone] {
                let next = states.iter().position(|candidate| *candidate == state.after(event)).unwrap();
                assert!(next >= place, "{state:?} went back on {event:?}");
            }
        }
        assert_eq!(State::Connecting.after(Event::Upgraded), State::Connecting);
        assert_eq!(State::Closed.after(Event::Upgraded), State::Closed);
    }
}
