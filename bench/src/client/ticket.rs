//! What a session is resumed with, as its greeting says it.

use super::template::text_after;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    session: String,
    secret: String,
    epoch: String,
}

impl Ticket {
    /// `None` if the greeting offers no return.
    pub fn in_greeting(text: &[u8]) -> Option<Self> {
        let field = |name: &str| text_after(text, &format!(r#""{name}":""#)).map(str::to_owned);
        Some(Self { session: field("session_id")?, secret: field("resume_token")?, epoch: field("epoch")? })
    }

    /// The message that asks for the session, and for all that it has kept.
    pub fn message(&self) -> String {
        let Self { session, secret, epoch } = self;
        format!(
            r#"{{"type":"resume","payload":{{"session_id":"{session}","resume_token":"{secret}","epoch":"{epoch}","last_seq":0}}}}"#
        )
    }

    /// Each return has another secret.
    pub fn renew(&mut self, resumed: &[u8]) {
        if let Some(secret) = text_after(resumed, r#""resume_token":""#) {
            secret.clone_into(&mut self.secret);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_that_of_the_last_return() {
        let greeting =
            br#"{"type":"connection_established","payload":{"session_id":"s","resume_token":"a","epoch":"e"}}"#;
        let mut ticket = Ticket::in_greeting(greeting).unwrap();
        ticket.renew(br#"{"type":"resumed","payload":{"resume_token":"b"}}"#);
        assert!(ticket.message().contains(r#""resume_token":"b","epoch":"e""#));
        assert_eq!(Ticket::in_greeting(b"{}"), None);
    }
}
