//! Everything that the test host remembers, and how it changes. The imports are thin doors to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use serde_json::{Value, json};

use self::{
    offers::{Inputs, Notices, Offers},
    requests::{CallRequest, Open, Watch},
};
use super::{
    outcome::{LogLine, Published, Report, RunEvent, Sent},
    rules,
};
use crate::{
    RunError, Scope, Status, Subject, ToolError, ToolResult,
    bindings::switchboard::plugin::{runs, types},
    http::{HttpError, Request, Response},
};

pub(super) mod offers;
pub(super) mod requests;

/// 2026-01-01T00:00:00Z.
const START_OF_TIME_MS: u64 = 1_767_225_600_000;

pub(super) type ToolCall = Rc<dyn Fn(Value) -> Result<ToolResult, ToolError>>;

#[derive(Clone)]
pub(super) struct OfferedTool {
    pub description: Value,
    pub call: ToolCall,
}

pub(super) type HttpAnswer = Rc<dyn Fn(&Request) -> Result<Response, HttpError>>;

/// What requests to a URL get.
#[derive(Clone)]
pub(super) struct Server {
    pub url: String,
    pub answer: HttpAnswer,
}

impl Server {
    /// Its URL itself, or what begins like it if there is a `*` at its end.
    pub fn answers(&self, url: &str) -> bool {
        self.url.strip_suffix('*').map_or(url == self.url, |start| url.starts_with(start))
    }
}

pub(super) struct World {
    pub settings: Value,
    pub stats: Value,
    pub online: BTreeSet<String>,
    pub forbidden_topics: BTreeSet<String>,
    pub cancel_after: Option<usize>,
    pub other_runs: BTreeSet<String>,
    pub tools: Vec<OfferedTool>,
    pub servers: Vec<Server>,
    /// Topics and patterns by session.
    pub subscriptions: BTreeMap<String, BTreeSet<String>>,
    /// Topics with presence by session.
    pub watched: BTreeMap<String, BTreeSet<String>>,
    pub history: BTreeMap<String, Vec<Published>>,
    pub entries: BTreeMap<(String, String), Entry>,
    pub now: Duration,
    pub readings: u64,
    pub random: u64,
    pub runs_begun: u64,
    /// Those of the calls that are under way, outermost first.
    pub calls: Vec<Call>,
    /// What other plugins offer beside their tools.
    pub offers: Offers,
    /// What is sent along with the items that are being asked for, outermost first.
    pub passed: Vec<(Inputs, Notices)>,
    /// What tools, resources and prompts told whoever waits for them, since the test looked last.
    pub reports: Vec<Report>,
    /// Those that are not answered, by session and name.
    pub requests: BTreeMap<(String, String), Open>,
    /// What the host answered in place of the plugin, since the test looked last.
    pub answered_by_host: Vec<Value>,
    /// What is watched for as long as the session lasts.
    pub watches: BTreeMap<String, Vec<Watch>>,
}

/// One call and what it caused so far.
pub(super) struct Call {
    pub plugin: String,
    pub context: types::Context,
    pub sent: Vec<Sent>,
    pub published: Vec<Published>,
    pub logs: Vec<LogLine>,
    pub requests: Vec<Request>,
    pub run: Option<TestRun>,
    pub inputs: Inputs,
    pub notices: Notices,
    /// The last that was reported.
    pub progress: Option<f64>,
    /// Only of a message that is being handled.
    pub request: Option<CallRequest>,
    pub changed: Vec<Subject>,
}

pub(super) struct TestRun {
    pub ids: runs::Run,
    pub events: Vec<RunEvent>,
    pub ended: bool,
}

pub(super) struct Entry {
    pub value: Vec<u8>,
    pub until: Option<Duration>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            settings: json!({}),
            stats: json!({ "version": "0.0.0", "uptime_seconds": 0, "connections": 1, "sessions": 1, "plugins": [] }),
            online: BTreeSet::new(),
            forbidden_topics: BTreeSet::new(),
            cancel_after: None,
            other_runs: BTreeSet::new(),
            tools: Vec::new(),
            servers: Vec::new(),
            subscriptions: BTreeMap::new(),
            watched: BTreeMap::new(),
            history: BTreeMap::new(),
            entries: BTreeMap::new(),
            now: Duration::from_millis(START_OF_TIME_MS),
            readings: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            runs_begun: 0,
            calls: Vec::new(),
            offers: Offers::default(),
            passed: Vec::new(),
            reports: Vec::new(),
            requests: BTreeMap::new(),
            answered_by_host: Vec::new(),
            watches: BTreeMap::new(),
        }
    }
}

impl World {
    /// The innermost call.
    pub fn call(&mut self) -> &mut Call {
        match self.calls.last_mut() {
            Some(call) => call,
            None => panic!("the host was called outside of a call"),
        }
    }

    pub fn advance(&mut self, time: Duration) {
        self.now += time;
        self.end_overdue_requests();
    }

    /// Calls within a call have the same caller.
    pub fn send_to_caller(&mut self, kind: &str, payload: Value) {
        if let Some(outermost) = self.calls.first_mut() {
            outermost.sent.push(Sent::to_caller(kind, payload));
        }
    }

    /// Goes forward by a millisecond with each reading, so that a plugin that waits for time to pass gets there.
    pub fn read_monotonic(&mut self) -> u64 {
        self.readings += 1;
        let elapsed = self.now - Duration::from_millis(START_OF_TIME_MS) + Duration::from_millis(self.readings);
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The same bytes in every test (splitmix64): never random, and never secret.
    pub fn random_bytes(&mut self, len: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len as usize + 8);
        while bytes.len() < len as usize {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.random;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.extend((mixed ^ (mixed >> 31)).to_be_bytes());
        }
        bytes.truncate(len as usize);
        bytes
    }

    /// Where an entry is kept: no plugin and no user can name another's.
    pub fn entry_key(&mut self, scope: Scope, key: &str) -> (String, String) {
        let call = self.call();
        let principal = &call.context.principal;
        let owner = match scope {
            Scope::Connection => format!("session {}", call.context.session_id),
            Scope::User => format!("user {:?} {}", principal.tenant, principal.subject),
            Scope::Plugin => "plugin".to_owned(),
        };
        (format!("{} {owner}", call.plugin), key.to_owned())
    }

    /// An entry that has not run out.
    pub fn entry(&self, key: &(String, String)) -> Option<Vec<u8>> {
        let entry = self.entries.get(key)?;
        entry.until.is_none_or(|until| until > self.now).then(|| entry.value.clone())
    }

    pub fn store(&mut self, key: (String, String), value: Vec<u8>, ttl_ms: Option<u64>) {
        let until = ttl_ms.map(|ttl| self.now + Duration::from_millis(ttl));
        self.entries.insert(key, Entry { value, until });
    }

    pub fn start_run(&mut self, thread_id: Option<&str>) -> Result<runs::Run, RunError> {
        if self.call().run.is_some() {
            return Err(RunError::LimitExceeded("a call has at most one run".to_owned()));
        }
        self.runs_begun += 1;
        let number = self.runs_begun;
        let thread_id = thread_id.map_or_else(|| format!("thread_{number}"), ToOwned::to_owned);
        let ids = runs::Run { run_id: format!("run_{number}"), thread_id };
        self.call().run = Some(TestRun { ids: ids.clone(), events: Vec::new(), ended: false });
        Ok(ids)
    }

    pub fn run_is_cancelled(&mut self) -> bool {
        let limit = self.cancel_after;
        self.call().run.as_ref().is_some_and(|run| limit.is_some_and(|limit| run.events.len() >= limit))
    }

    pub fn emit(&mut self, kind: &str, payload: &str) -> Result<(), RunError> {
        let cancelled = self.run_is_cancelled();
        let now = self.now;
        let Some(run) = &mut self.call().run else { return Err(RunError::UnknownRun) };
        if run.ended {
            return Err(RunError::Ended);
        }
        if cancelled {
            return Err(RunError::Cancelled);
        }
        if kind == TERMINAL_EVENT {
            return Err(RunError::Invalid(format!("{TERMINAL_EVENT:?} is emitted by `finish`")));
        }
        rules::check_type(kind).map_err(RunError::Invalid)?;
        run.push(kind, rules::object(payload).map_err(RunError::Invalid)?, now);
        Ok(())
    }

    pub fn finish_run(&mut self, how: Status, payload: &str) -> Result<(), RunError> {
        let now = self.now;
        let Some(run) = &mut self.call().run else { return Err(RunError::UnknownRun) };
        if run.ended {
            return Err(RunError::Ended);
        }
        let mut payload = rules::object(payload).map_err(RunError::Invalid)?;
        payload["status"] = status_word(how).into();
        run.push(TERMINAL_EVENT, payload, now);
        run.ended = true;
        Ok(())
    }
}

const TERMINAL_EVENT: &str = "agent_completed";

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Success => "success",
        Status::Error => "error",
        Status::Cancelled => "cancelled",
        Status::Timeout => "timeout",
    }
}

impl TestRun {
    fn push(&mut self, kind: &str, mut payload: Value, now: Duration) {
        payload["run_id"] = self.ids.run_id.clone().into();
        payload["thread_id"] = self.ids.thread_id.clone().into();
        payload["seq"] = (self.events.len() + 1).into();
        payload["timestamp"] = now.as_secs_f64().into();
        self.events.push(RunEvent { kind: kind.to_owned(), payload });
    }
}
