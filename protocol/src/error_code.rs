//! Every error that the host itself reports to a client: one table, used by sockets, HTTP and docs.
//!
//! Plugins refuse with codes of their own, which are not listed here.

/// An HTTP status code (RFC 9110, section 15).
pub type HttpStatus = u16;

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $status:literal, $recoverable:literal, $help:literal;)+) => {
        /// A code of the host. Plugins may refuse with codes of their own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ErrorCode {
            /// All codes, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code as it is on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The HTTP status that it has where the answer is an HTTP response.
            #[must_use]
            pub const fn http_status(self) -> HttpStatus {
                match self { $(Self::$variant => $status,)+ }
            }

            /// Whether the same client can succeed, later or with a corrected request, on the same
            /// connection or, for a refused handshake, with the same token.
            #[must_use]
            pub const fn recoverable(self) -> bool {
                match self { $(Self::$variant => $recoverable,)+ }
            }

            /// What to do about it, when nothing more exact is known.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)+ }
            }

            /// When it arises.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

error_codes! {
    /// The request carries no token and no ticket.
    JwtTokenMissing = "JWT_TOKEN_MISSING", 401, false, "send a JWT as `Authorization: Bearer <jwt>`, as WebSocket subprotocol `jwt.<jwt>`, or as a ticket from POST /ws/ticket";
    /// The token is not a JWT in compact form.
    JwtFormatInvalid = "JWT_FORMAT_INVALID", 401, false, "send a signed JWT in compact form: three base64url parts with dots between them";
    /// The signature does not fit, or no key with the token's `kid` is known.
    JwtSignatureInvalid = "JWT_SIGNATURE_INVALID", 401, false, "get a token signed with a key that this server trusts";
    /// `exp` has passed.
    JwtExpired = "JWT_EXPIRED", 401, false, "get a new token; check the clock of the issuer if it is new";
    /// `nbf` has not come yet.
    JwtNotYetValid = "JWT_NOT_YET_VALID", 401, true, "wait until the token's `nbf`; check the clock of the issuer";
    /// `aud` is not the audience that this server expects.
    JwtAudienceInvalid = "JWT_AUDIENCE_INVALID", 401, false, "ask the issuer for a token for this server's audience";
    /// `iss` is not an issuer that this server trusts.
    JwtIssuerInvalid = "JWT_ISSUER_INVALID", 401, false, "get a token from the issuer that this server trusts";
    /// The token's `alg` is not on the server's allow-list.
    JwtAlgorithmRefused = "JWT_ALGORITHM_REFUSED", 401, false, "get a token signed with an algorithm that the server allows";
    /// The operator revoked the token, or all tokens of its subject, or all that were issued before some time.
    JwtRevoked = "JWT_REVOKED", 401, false, "log in again to get a new token";
    /// A claim that is required (`sub`, `exp`) is missing or of the wrong type.
    JwtClaimInvalid = "JWT_CLAIM_INVALID", 401, false, "ask the issuer to include the claim as RFC 7519, section 4.1, describes it";
    /// A token that was offered during the connection belongs to somebody else.
    IdentityMismatch = "IDENTITY_MISMATCH", 401, false, "refresh with a token of the same `sub` and tenant; open another connection for another user";
    /// More than one of header, subprotocol and query carry a token.
    AuthCarrierConflict = "AUTH_CARRIER_CONFLICT", 401, false, "send the token in exactly one place";
    /// The ticket is unknown, was used before, or has expired.
    TicketInvalid = "TICKET_INVALID", 401, true, "get a new ticket from POST /ws/ticket; each is good for one connection within 30 seconds";
    /// The keys that verify tokens could not be fetched.
    AuthKeysUnavailable = "AUTH_KEYS_UNAVAILABLE", 503, true, "try again; the operator finds the reason in the server's log";
    /// The Origin header names an origin that is not allowed.
    OriginRefused = "ORIGIN_REFUSED", 403, false, "connect from an allowed origin, or ask the operator to add yours to `origins.allow`";
    /// The Host header does not name this server, as when a web page points its own name here (DNS rebinding).
    HostRefused = "HOST_REFUSED", 403, false, "address the server by its own name";
    /// The server holds as many connections as it may.
    ConnectionLimitReached = "CONNECTION_LIMIT_REACHED", 503, true, "try again later";
    /// The user holds as many connections as one user may.
    UserConnectionLimitReached = "USER_CONNECTION_LIMIT_REACHED", 429, true, "close another connection of this user first";
    /// This address tried to connect too often.
    HandshakeRateLimited = "HANDSHAKE_RATE_LIMITED", 429, true, "wait for `retry_after_ms` before the next attempt";
    /// The server is shutting down.
    ServerDraining = "SERVER_DRAINING", 503, true, "connect again after `retry_after_ms`";
    /// The request is not a WebSocket upgrade.
    UpgradeRequired = "UPGRADE_REQUIRED", 426, true, "open this address as a WebSocket (RFC 6455)";
    /// No such route.
    NotFound = "NOT_FOUND", 404, true, "GET /ws/config lists the endpoints";
    /// The route does not answer this method.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405, true, "see the `Allow` header";
    /// The body of a request to operate the server is not declared as what the route takes.
    MediaTypeUnsupported = "MEDIA_TYPE_UNSUPPORTED", 415, true, "send JSON with `Content-Type: application/json`, and components with `application/wasm`";
    /// A request to operate the server carries no token.
    AdminTokenMissing = "ADMIN_TOKEN_MISSING", 401, false, "send a token of the admin listener as `Authorization: Bearer sba_…`; `switchboard admin token create` makes one";
    /// A token of the admin listener is not known, has expired, or was revoked.
    AdminTokenInvalid = "ADMIN_TOKEN_INVALID", 401, false, "get a new one with `switchboard admin token create`";
    /// The token allows less than what was asked for.
    AdminScopeInsufficient = "ADMIN_SCOPE_INSUFFICIENT", 403, false, "use a token with the scope that the error names";
    /// What an operator asked for does not go with how things are at the moment.
    OperationConflict = "OPERATION_CONFLICT", 409, true, "look at how things are, and ask for what goes with it";
    /// A component that was deployed does not come to traffic; what served before goes on.
    ComponentUnfit = "COMPONENT_UNFIT", 422, true, "correct what `stage` and `reason` name; `switchboard plugin check` says the same without a server";
    /// An operator asked for one revocation of tokens more than the server holds.
    RevocationLimitReached = "REVOCATION_LIMIT_REACHED", 409, true, "take back those that are no longer needed, or revoke all tokens issued before a time";

    /// The frame is not JSON.
    InvalidJson = "INVALID_JSON", 400, true, "send one JSON object per frame: {\"type\":\"ping\",\"payload\":{}}";
    /// The bytes of a binary frame are not UTF-8. (In a text frame, RFC 6455, section 8.1, demands close code 1007.)
    InvalidUtf8 = "INVALID_UTF8", 400, true, "encode the JSON as UTF-8";
    /// The frame is JSON, but not an object.
    EnvelopeNotObject = "ENVELOPE_NOT_OBJECT", 400, true, "send one JSON object per frame: {\"type\":\"ping\",\"payload\":{}}";
    /// The object has no `type`.
    TypeMissing = "TYPE_MISSING", 400, true, "add a `type`: {\"type\":\"ping\",\"payload\":{}}";
    /// `type` is not in the form of a message type.
    TypeInvalid = "TYPE_INVALID", 400, true, "use 1 to 128 characters of a-z 0-9 _ . -";
    /// A field of the envelope has the wrong JSON type, or stands there twice.
    FieldInvalid = "FIELD_INVALID", 400, true, "`payload` is an object, `timestamp` a number, `id` and `correlation_id` are strings of at most 256 bytes";
    /// The message has more bytes than are allowed.
    MessageTooLarge = "MESSAGE_TOO_LARGE", 413, true, "send less at once; GET /ws/config tells the limit";
    /// The message nests deeper than is allowed.
    MessageTooDeep = "MESSAGE_TOO_DEEP", 400, true, "flatten the payload; GET /ws/config tells the limit";
    /// The frame is a JSON-RPC object without an envelope, on a socket that did not choose `mcp`.
    UnwrappedJsonrpc = "UNWRAPPED_JSONRPC", 400, true, "wrap it: {\"type\":\"jsonrpc\",\"payload\":{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}}, or connect with subprotocol `mcp`";
    /// No plugin handles this type.
    UnknownMessageType = "UNKNOWN_MESSAGE_TYPE", 404, true, "GET /ws/config lists the types that are handled";
    /// The type belongs to the server, or is not expected now.
    ReservedMessageType = "RESERVED_MESSAGE_TYPE", 400, true, "choose another type: this one belongs to the server";
    /// The payload does not fit the schema that the handler declared.
    PayloadInvalid = "PAYLOAD_INVALID", 400, true, "correct the payload at the path that the error names; GET /ws/config holds the schema";
    /// More messages (or tickets) than the connection, the user or the message type may have in that time.
    RateLimited = "RATE_LIMITED", 429, true, "wait for `retry_after_ms`, and send more slowly";
    /// An `ack` names a `seq` that the server has not sent.
    AckInvalid = "ACK_INVALID", 400, true, "acknowledge the highest `seq` that was received";
    /// The server stopped before the handler had finished; whether it took effect is not known.
    MessageInterrupted = "MESSAGE_INTERRUPTED", 503, true, "find out what became of it, or send it again under a new `id` if doing it twice does no harm";
    /// A repeat of a message that was handled before; its answer was too large to keep, or gave way to newer ones.
    AnswerNotKept = "ANSWER_NOT_KEPT", 410, true, "the message was handled and is not handled again: ask for what became of it, or send it under a new `id` if doing it twice does no harm";
    /// The session has as many unanswered messages as it may.
    TooManyInFlight = "TOO_MANY_IN_FLIGHT", 429, true, "wait for answers before sending more";

    /// The plugin serves as many calls as it may.
    PluginBusy = "PLUGIN_BUSY", 503, true, "try again after `retry_after_ms`";
    /// The handler used up its time: that of the whole call, or that of computing. The error says which.
    PluginTimeout = "PLUGIN_TIMEOUT", 504, true, "ask for less at once, or ask the operator to raise the setting that the error names";
    /// The handler crashed.
    PluginCrashed = "PLUGIN_CRASHED", 502, true, "the operator finds the reason in the server's log; nothing of this message was kept";
    /// The handler used all the memory that it may.
    PluginOutOfMemory = "PLUGIN_OUT_OF_MEMORY", 502, true, "ask for less at once, or ask the operator for a larger memory limit";
    /// The handler exceeded another of its limits.
    PluginLimitExceeded = "PLUGIN_LIMIT_EXCEEDED", 502, true, "the error names the limit, which the operator can raise";
    /// The handler answered with something that is not a message.
    PluginAnswerInvalid = "PLUGIN_ANSWER_INVALID", 502, true, "report it to the plugin's author";
    /// The same message has brought the handler down before, and is not run again for a while.
    MessagePoisoned = "MESSAGE_POISONED", 422, false, "send something else; the operator finds the reason in the server's log";
    /// No version of the plugin can serve at the moment, or its calls failed and it is left alone for a while.
    PluginUnavailable = "PLUGIN_UNAVAILABLE", 503, true, "try again after `retry_after_ms`";
    /// The operator switched the plugin off.
    PluginDisabled = "PLUGIN_DISABLED", 503, true, "ask the operator to enable the plugin";
    /// The server failed.
    InternalError = "INTERNAL_ERROR", 500, true, "try again; the operator finds the reason in the server's log";
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_say_what_to_do() {
        let mut seen = std::collections::BTreeSet::new();
        for code in ErrorCode::ALL {
            assert!(seen.insert(code.as_str()), "{code} stands in the table twice");
            assert!(!code.help().is_empty() && !code.meaning().is_empty(), "{code}");
            assert!((400..600).contains(&code.http_status()), "{code}");
        }
    }
}
