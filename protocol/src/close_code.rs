//! Every code with which the host closes a WebSocket (RFC 6455, section 7.4).
//!
//! The private range tells a client what to do next: 4000-4099 do not come back, 4100-4199 come back
//! after a delay, 4200-4299 come back now.

macro_rules! close_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $reason:literal;)+) => {
        /// Why the host closed a socket.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum CloseCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl CloseCode {
            /// All codes, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The reason on the wire: one word.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)+ }
            }

            /// When it is used.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

close_codes! {
    /// The client closed, and the host answers in kind.
    Normal = 1000, "normal";
    /// A frame broke the WebSocket protocol.
    ProtocolError = 1002, "protocol_error";
    /// A text frame was not UTF-8.
    InvalidUtf8 = 1007, "invalid_utf8";
    /// A frame or message was larger than the socket accepts at all.
    MessageTooBig = 1009, "message_too_big";
    /// The host failed.
    InternalError = 1011, "internal_error";
    /// The host restarts: come back after a moment.
    ServiceRestart = 1012, "service_restart";
    /// A newer connection of the same user took this one's place.
    Evicted = 4003, "evicted";
    /// A token with another subject was offered during the connection.
    IdentityMismatch = 4004, "identity_mismatch";
    /// The token was revoked: come back only with a newer one.
    TokenRevoked = 4005, "token_revoked";
    /// Too many frames that were wrong or over the rate.
    PolicyViolation = 4008, "policy_violation";
    /// Another socket resumed this session.
    TakenOver = 4103, "taken_over";
    /// The token expired during the connection.
    TokenExpired = 4105, "token_expired";
    /// Nothing was heard for longer than the grace period.
    HeartbeatTimeout = 4202, "heartbeat_timeout";
    /// The client read more slowly than messages came in. The session can be resumed.
    SlowConsumer = 4204, "slow_consumer";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_rise_and_are_known_to_the_table_once() {
        assert!(CloseCode::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
    }
}
