//! What an operator asks for, checked: which tokens, until when, and why.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{super::claims::MAX_NAME_BYTES, KEPT_AFTER_EXPIRY, Moment, Scope};

/// Longest reason: a sentence or two for whoever reads the audit log.
const MAX_REASON_BYTES: usize = 500;

/// How far ahead a bound may lie, in seconds: enough for an issuer whose clock is fast, and too little
/// to lock everybody out for long by a slip of the pen.
const MAX_AHEAD: u64 = 60 * 60;

/// The body of `POST /revocations`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevocationRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub issued_before: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why a request cannot be granted, and what to ask instead.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{problem}")]
pub(crate) struct RequestFault {
    pub problem: String,
    pub help: &'static str,
}

/// A request that makes sense.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub scope: Scope,
    /// `None` for a single token, whose age does not matter.
    pub issued_before: Option<Moment>,
    pub expires_at: Option<Moment>,
    pub reason: Option<String>,
}

impl RevocationRequest {
    /// `now` in Unix seconds.
    pub(super) fn checked(self, now: u64) -> Result<Wanted, RequestFault> {
        for (field, text, most) in [
            ("jti", &self.jti, MAX_NAME_BYTES),
            ("sub", &self.sub, MAX_NAME_BYTES),
            ("tenant", &self.tenant, MAX_NAME_BYTES),
            ("reason", &self.reason, MAX_REASON_BYTES),
        ] {
            check_text(field, text.as_deref(), most)?;
        }
        check_times(self.issued_before, self.expires_at, now)?;
        let Self { jti, sub, tenant, issued_before, expires_at, reason } = self;
        let (scope, issued_before) = match (jti, sub, tenant, issued_before) {
            (Some(jti), None, None, None) => (Scope::Token { jti }, None),
            // A token's `iat` has whole seconds, so one of this very second may be older than the request.
            (None, Some(sub), tenant, before) => {
                (Scope::Subject { sub, tenant }, before.or(Some(Moment::from_unix(now + 1))))
            }
            (None, None, Some(tenant), Some(before)) => (Scope::Tenant { tenant }, Some(before)),
            (None, None, None, Some(before)) => (Scope::All, Some(before)),
            (Some(_), ..) => return Err(fault("`jti` names one token, so nothing else narrows it down", ONE_OF)),
            (None, None, Some(_), None) => return Err(fault("`tenant` alone does not say which tokens", ONE_OF)),
            (None, None, None, None) => return Err(fault("it does not say which tokens", ONE_OF)),
        };
        Ok(Wanted { scope, issued_before, expires_at, reason })
    }
}

const ONE_OF: &str = "send one of {\"jti\"}, {\"sub\"}, {\"sub\",\"tenant\"}, {\"issued_before\"} or {\"tenant\",\"issued_before\"}; \
     `sub` takes `issued_before`, too, and all take `reason` and `expires_at`";

fn check_text(field: &str, text: Option<&str>, most: usize) -> Result<(), RequestFault> {
    let Some(text) = text else { return Ok(()) };
    if holds_token(text) {
        let problem = format!("`{field}` holds a whole token, which must not end up in logs");
        return Err(fault(problem, "send the token's claim `jti`; switch to a new token if this one was shown around"));
    }
    if !(1..=most).contains(&text.len()) {
        let problem = format!("`{field}` has {} bytes, and 1 to {most} are allowed", text.len());
        return Err(fault(problem, "copy the claim as it stands in the token, or leave the field out"));
    }
    Ok(())
}

/// Whether there is anything in the form of a signed token: three parts, of which the first is the
/// base64url of a JSON object (RFC 7515, section 3.3).
fn holds_token(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.split(|letter: char| !letter.is_ascii() || !is_part(letter as u8))
        .any(|word| word.starts_with("ey") && word.split('.').filter(|part| part.len() > 8).count() >= 3)
}

fn check_times(issued_before: Option<Moment>, expires_at: Option<Moment>, now: u64) -> Result<(), RequestFault> {
    if let Some(before) = issued_before.filter(|before| before.as_unix() > now + MAX_AHEAD) {
        let problem = format!("`issued_before` is {before}, more than an hour ahead of this server's clock");
        return Err(fault(problem, "name a time that has passed: tokens are revoked, and users may log in again"));
    }
    if let Some(end) = expires_at.filter(|end| end.as_unix() + KEPT_AFTER_EXPIRY <= now) {
        let problem = format!("`expires_at` is {end}, and what has expired need not be revoked");
        return Err(fault(problem, "leave `expires_at` out if the token's `exp` is not known"));
    }
    Ok(())
}

fn fault(problem: impl Into<String>, help: &'static str) -> RequestFault {
    RequestFault { problem: problem.into(), help }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_000_000;

    fn ask(body: Value) -> Result<Wanted, String> {
        let request: RevocationRequest = serde_json::from_value(body).map_err(|fault| fault.to_string())?;
        request.checked(NOW).map_err(|fault| fault.problem)
    }

    #[test]
    fn each_form_has_its_scope_and_its_bound() {
        let text = |text: &str| text.to_owned();
        let alice = |tenant: Option<&str>| Scope::Subject { sub: text("alice"), tenant: tenant.map(text) };
        for (body, scope, bound) in [
            (json!({"jti": "7"}), Scope::Token { jti: text("7") }, None),
            (json!({"sub": "alice"}), alice(None), Some(NOW + 1)),
            (json!({"sub": "alice", "tenant": "acme"}), alice(Some("acme")), Some(NOW + 1)),
            (json!({"sub": "alice", "issued_before": 5}), alice(None), Some(5)),
            (json!({"issued_before": "1970-01-01T00:00:05Z"}), Scope::All, Some(5)),
            (json!({"issued_before": NOW + 60}), Scope::All, Some(NOW + 60)),
            (json!({"tenant": "acme", "issued_before": 5.5}), Scope::Tenant { tenant: text("acme") }, Some(6)),
        ] {
            let wanted = ask(body.clone()).unwrap();
            assert_eq!((wanted.scope, wanted.issued_before.map(Moment::as_unix)), (scope, bound), "{body}");
        }
    }

    #[test]
    fn what_is_ambiguous_or_a_slip_is_refused_with_its_name() {
        for (body, problem) in [
            (json!({}), "which tokens"),
            (json!({"tenant": "acme"}), "`tenant` alone"),
            (json!({"jti": "7", "sub": "alice"}), "`jti`"),
            (json!({"jti": "7", "issued_before": 5}), "`jti`"),
            (json!({"jti": ""}), "`jti` has 0 bytes"),
            (json!({"sub": "x".repeat(257)}), "`sub` has 257 bytes"),
            (json!({"sub": "a", "reason": "x".repeat(501)}), "`reason` has 501 bytes"),
            (json!({"subject": "alice"}), "unknown field `subject`"),
            (json!({"sub": 7}), "invalid type"),
            (json!({"issued_before": NOW * 1000}), "an hour ahead"),
            (json!({"issued_before": 1_795_249_956_000_u64}), "milliseconds"),
            (json!({"jti": "7", "expires_at": 5}), "`expires_at`"),
        ] {
            let fault = ask(body.clone()).unwrap_err();
            assert!(fault.contains(problem), "{body}: {fault}");
        }
    }

    #[test]
    fn a_whole_token_is_refused_wherever_it_stands_and_not_repeated() {
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";
        for body in [
            json!({"jti": token}),
            json!({"sub": token}),
            json!({"jti": "7", "reason": format!("somebody posted {token}, and more")}),
            json!({"jti": "7", "reason": format!("Bearer:{token}")}),
        ] {
            let fault = ask(body).unwrap_err();
            assert!(fault.contains("whole token") && !fault.contains("eyJ"), "{fault}");
        }
        assert!(ask(json!({"jti": "eyebright.example.com", "reason": "é eye.e.f"})).is_ok());
    }
}
