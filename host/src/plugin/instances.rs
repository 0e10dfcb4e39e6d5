//! Instances that outlive a call, or were started before one.
//!
//! Three policies, one kind of instance ([`live`]): of `message`, each serves one call; of `shared`, it
//! goes back among those that are [`ready`]; of `session`, it stays with its session ([`sessions`]), and
//! what it knows can move on to the next one ([`handover`]). When there is no room, somebody gives way
//! ([`room`]). What serves a call is always within the
//! call's own limits, and what trapped, ran out of time or was dropped in the middle never serves again.

pub(super) mod handover;
pub(super) mod live;
pub(super) mod ready;
pub(super) mod room;
pub(super) mod sessions;
#[cfg(test)]
mod tests;
mod turns;
