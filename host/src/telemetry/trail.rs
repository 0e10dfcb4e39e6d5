//! The newest audit events, in memory, for operators who ask.
//!
//! They are kept by who can cause them, each kind with a bound of its own. Guests and strangers cause as many
//! refusals as they like, and these must not push out what operators did.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Audit events of users, of which there is one for each connection. They are in the log alone.
const AUTHENTICATION: &str = "authentication";

/// A request of a plugin to a server that it was not granted.
pub(crate) const OUTBOUND_REFUSED: &str = "an outbound request was refused";

/// A tool called, a resource read or a prompt got on a user's behalf.
pub(crate) const ITEM_USED: &str = "something that a plugin offers was used";

/// A token that is not known to the admin listener.
pub(crate) const TOKEN_REFUSED: &str = "admin token refused";

/// A token that allows less than what was asked for.
pub(crate) const SCOPE_REFUSED: &str = "admin scope refused";

/// Of each kind: those of a busy week of deployments.
pub(crate) const MAX_EVENTS: usize = 1_000;

/// Of a text in a refusal. Whoever is refused has a say in some, such as the name of a host; what operators write
/// is bounded where it comes in.
const MAX_TEXT_BYTES: usize = 256;

/// Something that was changed, or refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AuditEvent {
    /// Unix seconds.
    pub time: f64,
    /// What it is about, such as `revocation`.
    pub event: String,
    /// Who, what and why, by name.
    pub fields: Map<String, Value>,
}

/// Audit events by who can cause them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuditKind {
    /// What operators and the host itself did, or tried to do.
    Operation,
    /// Requests to the admin listener that were refused for their token.
    Access,
    /// Requests of plugins to servers that they were not granted.
    Outbound,
    /// Tools that were called, resources that were read and prompts that were got, on behalf of users.
    Use,
}

impl AuditKind {
    #[cfg(test)]
    pub const ALL: [Self; 4] = [Self::Operation, Self::Access, Self::Outbound, Self::Use];

    /// `None`: it is not kept.
    pub fn of(event: &str) -> Option<Self> {
        match event {
            AUTHENTICATION => None,
            TOKEN_REFUSED | SCOPE_REFUSED => Some(Self::Access),
            OUTBOUND_REFUSED => Some(Self::Outbound),
            ITEM_USED => Some(Self::Use),
            _ => Some(Self::Operation),
        }
    }
}

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Trail {
    operation: VecDeque<AuditEvent>,
    access: VecDeque<AuditEvent>,
    outbound: VecDeque<AuditEvent>,
    uses: VecDeque<AuditEvent>,
}

impl Trail {
    pub fn add(&mut self, mut event: AuditEvent) {
        let Some(kind) = AuditKind::of(&event.event) else { return };
        if kind != AuditKind::Operation {
            event.fields.values_mut().for_each(shorten);
        }
        let events = match kind {
            AuditKind::Operation => &mut self.operation,
            AuditKind::Access => &mut self.access,
            AuditKind::Outbound => &mut self.outbound,
            AuditKind::Use => &mut self.uses,
        };
        if events.len() >= MAX_EVENTS {
            events.pop_front();
        }
        events.push_back(event);
    }

    /// The newest events that fit, newest first.
    pub fn newest(&self, limit: usize, kind: Option<AuditKind>, fits: impl Fn(&AuditEvent) -> bool) -> Vec<AuditEvent> {
        let kinds = [
            (AuditKind::Operation, &self.operation),
            (AuditKind::Access, &self.access),
            (AuditKind::Outbound, &self.outbound),
            (AuditKind::Use, &self.uses),
        ];
        let wanted = kinds.into_iter().filter(|(of, _)| kind.is_none_or(|kind| kind == *of));
        let mut events: Vec<_> =
            wanted.flat_map(|(_, events)| events.iter().rev()).filter(|event| fits(event)).collect();
        events.sort_by(|one, other| other.time.total_cmp(&one.time));
        events.into_iter().take(limit).cloned().collect()
    }
}

fn shorten(value: &mut Value) {
    if let Value::String(text) = value
        && text.len() > MAX_TEXT_BYTES
    {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        text.push('…');
        text.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time: usize, event: &str) -> AuditEvent {
        AuditEvent { time: f64::from(u32::try_from(time).unwrap()), event: event.to_owned(), fields: Map::new() }
    }

    #[test]
    fn the_newest_events_come_first_and_each_kind_is_bounded_by_itself() {
        let mut trail = Trail::default();
        for number in 0..=MAX_EVENTS {
            trail.add(event(number, &format!("e{number}")));
        }
        assert_eq!(trail.newest(usize::MAX, None, |_| true).len(), MAX_EVENTS);
        assert_eq!(trail.newest(1, None, |_| true)[0].event, format!("e{MAX_EVENTS}"));
        assert_eq!(trail.newest(5, None, |event| event.event == "e7").len(), 1);
        for number in 0..=MAX_EVENTS {
            trail.add(event(2 * MAX_EVENTS + number, OUTBOUND_REFUSED));
            trail.add(event(4 * MAX_EVENTS + number, TOKEN_REFUSED));
            trail.add(event(6 * MAX_EVENTS + number, ITEM_USED));
        }
        assert_eq!(trail.newest(usize::MAX, None, |_| true).len(), 4 * MAX_EVENTS);
        for kind in AuditKind::ALL {
            let of_kind = trail.newest(usize::MAX, Some(kind), |_| true);
            assert!(of_kind.len() == MAX_EVENTS && of_kind.iter().all(|e| AuditKind::of(&e.event) == Some(kind)));
        }
    }

    #[test]
    fn events_of_all_kinds_are_in_the_order_of_time() {
        let mut trail = Trail::default();
        for (time, name) in [(1, "deploy"), (2, OUTBOUND_REFUSED), (3, "rollback"), (4, SCOPE_REFUSED)] {
            trail.add(event(time, name));
        }
        let times: Vec<f64> = trail.newest(3, None, |_| true).iter().map(|event| event.time).collect();
        assert_eq!(times, [4.0, 3.0, 2.0]);
    }

    #[test]
    fn what_strangers_write_into_a_refusal_is_short() {
        let mut trail = Trail::default();
        for name in [OUTBOUND_REFUSED, "deploy"] {
            let fields = [("host".to_owned(), Value::from("ä".repeat(10_000)))].into_iter().collect();
            trail.add(AuditEvent { fields, ..event(1, name) });
        }
        let lengths = trail.newest(2, None, |_| true);
        let lengths: Vec<_> = lengths.iter().map(|event| event.fields["host"].as_str().unwrap().len()).collect();
        assert_eq!(lengths, [20_000, MAX_TEXT_BYTES + '…'.len_utf8()]);
    }
}
