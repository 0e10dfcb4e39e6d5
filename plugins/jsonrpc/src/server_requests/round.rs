//! A round of questions: what a session remembers of them until all are answered.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use switchboard_sdk::{Context, Error, Scope, State};

use crate::{
    input_required::Question,
    rpc::{Fault, Request},
    text::to_raw,
};

/// In front of the ids of this server's requests.
const PREFIX: &str = "switchboard";

/// The number of the last round of the session.
const LAST: &str = "server_requests";

/// Beyond the time that the request stays open, so that a round outlives it.
const GRACE: Duration = Duration::from_secs(60);

/// Of those who bring answers of one round at the same time, one gets through each time.
const MAX_ATTEMPTS: usize = 1_000;

/// The request that waits, and what it waits for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Round {
    pub id: Box<RawValue>,
    pub method: String,
    pub params: Box<RawValue>,
    /// What the plugin wants to be reminded of.
    pub state: Option<String>,
    /// How often it has asked before.
    pub number: u32,
    /// By index.
    waiting: BTreeMap<usize, Waiting>,
    /// By the plugin's own keys.
    pub responses: BTreeMap<String, Box<RawValue>>,
    /// For how long it is remembered.
    lifetime: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Waiting {
    key: String,
    pub method: String,
}

impl Waiting {
    pub(super) fn new(key: &str, question: &Question) -> Self {
        Self { key: key.to_owned(), method: question.method.clone() }
    }
}

impl Round {
    pub(super) fn new(
        request: &Request<'_>,
        state: Option<String>,
        number: u32,
        waiting: Vec<Waiting>,
        wait: Duration,
    ) -> Result<Self, Fault> {
        let params = match request.params {
            Some(params) => params.to_owned(),
            None => to_raw(&serde_json::json!({}))?,
        };
        Ok(Self {
            id: request.id.to_owned(),
            method: request.method.clone(),
            params,
            state,
            number,
            waiting: waiting.into_iter().enumerate().collect(),
            responses: BTreeMap::new(),
            lifetime: wait + GRACE,
        })
    }

    /// Remembers it, under the number that is returned.
    pub(super) fn store(&self, ctx: &Context) -> Result<i64, Error> {
        let state = ctx.state(Scope::Connection);
        let number = state.increment(LAST, 1)?;
        state.set_for(&key_of(number), self, self.lifetime)?;
        Ok(number)
    }

    /// Notes an answer. The round, if it was the last one; none if others are missing, or this one was not asked for.
    pub(super) fn answered(
        ctx: &Context,
        number: i64,
        index: usize,
        answer: impl FnOnce(&Waiting) -> Box<RawValue>,
    ) -> Result<Option<Self>, Error> {
        let state = ctx.state(Scope::Connection);
        let key = key_of(number);
        let mut answer = Some(answer);
        let mut response = None;
        for _ in 0..MAX_ATTEMPTS {
            let Some((mut round, before)) = Self::load(state, &key)? else { return Ok(None) };
            let Some(waiting) = round.waiting.remove(&index) else { return Ok(None) };
            if let Some(answer) = answer.take() {
                response = Some(answer(&waiting));
            }
            round.responses.extend(response.clone().map(|response| (waiting.key, response)));
            let after = serde_json::to_vec(&round).map_err(Error::internal)?;
            if state.compare_and_set(&key, Some(&before), &after, Some(round.lifetime))? {
                if !round.waiting.is_empty() {
                    return Ok(None);
                }
                // Nobody waits for it any more: if this fails, it runs out by itself.
                let _ = state.delete(&key);
                return Ok(Some(round));
            }
        }
        Err(Error::internal("too many answers at the same time"))
    }

    fn load(state: State<'_>, key: &str) -> Result<Option<(Self, Vec<u8>)>, Error> {
        let Some(bytes) = state.get_bytes(key)? else { return Ok(None) };
        let round = serde_json::from_slice(&bytes).map_err(Error::internal)?;
        Ok(Some((round, bytes)))
    }
}

fn key_of(number: i64) -> String {
    format!("server_requests {number}")
}

/// The id of one of its requests.
pub(super) fn id_of(number: i64, index: usize) -> String {
    format!("{PREFIX}-{number}-{index}")
}

/// The round that an id belongs to, and which of its requests it is.
pub(super) fn number_of(id: &RawValue) -> Option<(i64, usize)> {
    let id: String = serde_json::from_str(id.get()).ok()?;
    let mut parts = id.strip_prefix(PREFIX)?.strip_prefix('-')?.split('-');
    let found = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(found)
}
