//! The imports of the contract, natively: the same functions as the generated ones, on the test host of the
//! call that this thread is in.

use std::{cell::RefCell, rc::Rc};

use super::world::World;

pub(crate) mod catalogue;
pub(crate) mod changes;
pub(crate) mod inputs;
pub(crate) mod progress;
pub(crate) mod requests;
pub(crate) mod seals;

thread_local! {
    /// The host of the call that is under way on this thread.
    static CURRENT: RefCell<Option<Rc<RefCell<World>>>> = const { RefCell::new(None) };
}

/// Puts a host in place for the time of `body`, and back what was there, also when `body` panics.
pub(super) fn within<R>(world: &Rc<RefCell<World>>, body: impl FnOnce() -> R) -> R {
    struct Restore(Option<Rc<RefCell<World>>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(Rc::clone(world))));
    body()
}

pub(super) fn current() -> Rc<RefCell<World>> {
    match CURRENT.with_borrow(Clone::clone) {
        Some(world) => world,
        None => panic!("a plugin can reach the host only during a call: use switchboard_sdk::testing::TestHost"),
    }
}

fn with<R>(change: impl FnOnce(&mut World) -> R) -> R {
    change(&mut current().borrow_mut())
}

pub(crate) mod messages {
    use crate::{
        Delivery, SendError, Target,
        testing::{outcome::Sent, rules},
    };

    pub(crate) fn send(to: &Target, kind: &str, payload: &str, how: Delivery) -> Result<u32, SendError> {
        rules::check_type(kind).map_err(SendError::Invalid)?;
        let payload = rules::object(payload).map_err(SendError::Invalid)?;
        super::with(|world| {
            let context = &world.call().context;
            let (own_user, own_connection) = (context.principal.subject.clone(), context.connection_id.clone());
            let reached = match to {
                Target::Caller => true,
                Target::User(subject) => *subject == own_user || world.online.contains(subject),
                Target::Connection(id) => {
                    *id == own_connection || id.strip_prefix("ws_").is_some_and(|user| world.online.contains(user))
                }
            };
            if !reached {
                return Err(SendError::Unreachable);
            }
            world.call().sent.push(Sent { to: to.clone(), kind: kind.to_owned(), payload, how });
            Ok(1)
        })
    }
}

pub(crate) mod topics {
    use crate::{
        Member, Position, Publication, Receipt, SubscribeOptions, Subscription, TopicError,
        testing::{outcome::Published, rules, world::World},
    };

    /// Names this run of the host.
    const EPOCH: &str = "test";

    fn check(world: &World, topic: &str, patterns: bool) -> Result<(), TopicError> {
        rules::check_topic(topic, patterns).map_err(TopicError::Invalid)?;
        if world.forbidden_topics.contains(topic) {
            return Err(TopicError::Forbidden(format!("you may not use the topic {topic:?}")));
        }
        Ok(())
    }

    fn position(world: &World, topic: &str) -> Position {
        let offset = world.history.get(topic).map_or(0, |published| published.len() as u64);
        Position { offset, epoch: EPOCH.to_owned() }
    }

    pub(crate) fn subscribe(topic: &str) -> Result<Position, TopicError> {
        super::with(|world| {
            check(world, topic, true)?;
            let session = world.call().context.session_id.clone();
            world.subscriptions.entry(session).or_default().insert(topic.to_owned());
            Ok(position(world, topic))
        })
    }

    /// The test host keeps everything, so what was missed since any position of its own is told.
    pub(crate) fn subscribe_with(topic: &str, options: &SubscribeOptions) -> Result<Subscription, TopicError> {
        if topic.contains('*') && (options.since.is_some() || options.presence) {
            return Err(TopicError::Invalid(format!(
                "{topic:?} is a pattern, which has neither position nor presence"
            )));
        }
        let already = super::with(|world| {
            let session = world.call().context.session_id.clone();
            world.subscriptions.get(&session).is_some_and(|topics| topics.contains(topic))
        });
        let position = subscribe(topic)?;
        let since = options.since.as_ref().filter(|since| since.epoch == EPOCH && since.offset <= position.offset);
        let missed = since.filter(|_| !already).map_or(0, |since| position.offset - since.offset);
        let replayed = u32::try_from(missed).unwrap_or(u32::MAX);
        if options.presence {
            super::with(|world| {
                let session = world.call().context.session_id.clone();
                world.watched.entry(session).or_default().insert(topic.to_owned());
            });
        }
        Ok(Subscription { position, recovered: since.is_some(), replayed })
    }

    pub(crate) fn unsubscribe(topic: &str) -> Result<bool, TopicError> {
        super::with(|world| {
            check(world, topic, true)?;
            let session = world.call().context.session_id.clone();
            if let Some(watched) = world.watched.get_mut(&session) {
                watched.remove(topic);
            }
            Ok(world.subscriptions.get_mut(&session).is_some_and(|topics| topics.remove(topic)))
        })
    }

    pub(crate) fn publish(topic: &str, kind: &str, payload: &str, exclude_caller: bool) -> Result<Receipt, TopicError> {
        rules::check_type(kind).map_err(TopicError::Invalid)?;
        let payload = rules::object(payload).map_err(TopicError::Invalid)?;
        super::with(|world| {
            check(world, topic, false)?;
            let publication = Published { topic: topic.to_owned(), kind: kind.to_owned(), payload, exclude_caller };
            world.history.entry(topic.to_owned()).or_default().push(publication.clone());
            world.call().published.push(publication);
            let session = world.call().context.session_id.clone();
            let hears = |name: &String| !(exclude_caller && *name == session);
            let sessions = world.subscriptions.iter().filter(|(name, topics)| hears(name) && topics.contains(topic));
            let receivers = u32::try_from(sessions.count()).unwrap_or(u32::MAX);
            Ok(Receipt { position: position(world, topic), receivers })
        })
    }

    pub(crate) fn members(topic: &str) -> Result<Vec<Member>, TopicError> {
        super::with(|world| {
            check(world, topic, false)?;
            let sessions = world.subscriptions.iter().filter(|(_, topics)| topics.contains(topic));
            let subjects = sessions.filter_map(|(session, _)| session.strip_prefix("session_"));
            let member = |subject: &str| Member { connection_id: format!("ws_{subject}"), subject: subject.to_owned() };
            Ok(subjects.map(member).collect())
        })
    }

    pub(crate) fn history(topic: &str, limit: u32) -> Result<Vec<Publication>, TopicError> {
        super::with(|world| {
            check(world, topic, false)?;
            let published = world.history.get(topic).map(Vec::as_slice).unwrap_or_default();
            let first = published.len().saturating_sub(limit as usize);
            let newest = published.iter().enumerate().skip(first);
            Ok(newest
                .map(|(index, publication)| Publication {
                    offset: index as u64 + 1,
                    type_: publication.kind.clone(),
                    payload: publication.payload.to_string(),
                    publisher: "test".to_owned(),
                    timestamp: world.now.as_secs_f64(),
                })
                .collect())
        })
    }
}

pub(crate) mod state {
    use crate::{Scope, StateError};

    /// The longest key, in bytes.
    const MAX_KEY_BYTES: usize = 256;

    fn check(key: &str) -> Result<(), StateError> {
        if (1..=MAX_KEY_BYTES).contains(&key.len()) {
            return Ok(());
        }
        Err(StateError::Invalid(format!("a key has 1 to {MAX_KEY_BYTES} bytes, and this one has {}", key.len())))
    }

    pub(crate) fn get(scope: Scope, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        check(key)?;
        super::with(|world| {
            let key = world.entry_key(scope, key);
            Ok(world.entry(&key))
        })
    }

    pub(crate) fn set(scope: Scope, key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), StateError> {
        check(key)?;
        super::with(|world| {
            let key = world.entry_key(scope, key);
            world.store(key, value.to_vec(), ttl_ms);
            Ok(())
        })
    }

    pub(crate) fn delete(scope: Scope, key: &str) -> Result<bool, StateError> {
        check(key)?;
        super::with(|world| {
            let key = world.entry_key(scope, key);
            let existed = world.entry(&key).is_some();
            world.entries.remove(&key);
            Ok(existed)
        })
    }

    pub(crate) fn increment(scope: Scope, key: &str, by: i64) -> Result<i64, StateError> {
        check(key)?;
        super::with(|world| {
            let key = world.entry_key(scope, key);
            let text = world.entry(&key).unwrap_or_else(|| b"0".to_vec());
            let number = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<i64>().ok());
            let sum = number.ok_or(StateError::NotANumber)?.saturating_add(by);
            world.store(key, sum.to_string().into_bytes(), None);
            Ok(sum)
        })
    }

    pub(crate) fn compare_and_set(
        scope: Scope,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
        ttl_ms: Option<u64>,
    ) -> Result<bool, StateError> {
        check(key)?;
        super::with(|world| {
            let key = world.entry_key(scope, key);
            let unchanged = world.entry(&key).as_deref() == expected;
            if unchanged {
                world.store(key, value.to_vec(), ttl_ms);
            }
            Ok(unchanged)
        })
    }
}

pub(crate) mod settings {
    pub(crate) fn get() -> String {
        super::with(|world| world.settings.to_string())
    }
}

pub(crate) mod logging {
    use serde_json::Value;

    use crate::{Level, testing::outcome::LogLine};

    pub(crate) fn log(level: Level, message: &str, fields: &str) {
        let fields = serde_json::from_str(fields).unwrap_or(Value::Null);
        super::with(|world| world.call().logs.push(LogLine { level, message: message.to_owned(), fields }));
    }
}

pub(crate) mod clock {
    pub(crate) fn now_ms() -> u64 {
        super::with(|world| u64::try_from(world.now.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn monotonic_ns() -> u64 {
        super::with(|world| world.read_monotonic())
    }
}

pub(crate) mod random {
    pub(crate) fn bytes(len: u32) -> Vec<u8> {
        super::with(|world| world.random_bytes(len))
    }
}

pub(crate) mod toolbox {
    use serde_json::Value;

    use crate::{
        ToolError,
        testing::{
            call::within_call,
            rules,
            world::offers::{Inputs, Notices},
        },
    };

    pub(crate) fn list() -> Result<String, ToolError> {
        super::with(|world| {
            let tools = world.tools.iter().map(|tool| tool.description.clone());
            Ok(Value::Array(tools.collect()).to_string())
        })
    }

    pub(crate) fn call(name: &str, arguments: &str) -> Result<String, ToolError> {
        let found = super::with(|world| world.tools.iter().find(|tool| tool.description["name"] == name).cloned());
        let tool = found.ok_or_else(|| ToolError::UnknownTool(name.to_owned()))?;
        let arguments = rules::object(arguments).map_err(ToolError::InvalidArguments)?;
        rules::check_schema(&tool.description["inputSchema"], &arguments).map_err(ToolError::InvalidArguments)?;
        // Without a borrow of the world: a tool may call the host itself.
        let result = within_call(Inputs::default(), Notices::default(), || (tool.call)(arguments))?;
        serde_json::to_string(&result).map_err(|fault| ToolError::Other(fault.to_string()))
    }
}

pub(crate) mod runs {
    use crate::{RunError, Status, bindings::switchboard::plugin::runs::Run};

    pub(crate) fn start(thread_id: Option<&str>) -> Result<Run, RunError> {
        super::with(|world| world.start_run(thread_id))
    }

    pub(crate) fn emit(kind: &str, payload: &str) -> Result<(), RunError> {
        super::with(|world| world.emit(kind, payload))
    }

    pub(crate) fn finish(how: Status, payload: &str) -> Result<(), RunError> {
        super::with(|world| world.finish_run(how, payload))
    }

    pub(crate) fn is_cancelled() -> bool {
        super::with(|world| world.run_is_cancelled())
    }

    pub(crate) fn cancel(run_id: &str) -> Result<(), RunError> {
        super::with(|world| if world.other_runs.remove(run_id) { Ok(()) } else { Err(RunError::UnknownRun) })
    }
}

pub(crate) mod http {
    use crate::{
        bindings::switchboard::plugin::http::Response,
        http::{HttpError, Request},
    };

    pub(crate) fn send(request: &Request) -> Result<Response, HttpError> {
        let server = super::with(|world| {
            world.call().requests.push(request.clone());
            world.servers.iter().find(|server| server.answers(&request.url)).cloned()
        });
        let Some(server) = server else {
            return Err(HttpError::NotGranted(format!(
                "the test has no answer for {}: add `.http(url, ...)`",
                request.url
            )));
        };
        // Without a borrow of the world: the answer is the test's own code.
        Ok((server.answer)(request)?.into_wire())
    }
}

pub(crate) mod host_info {
    pub(crate) fn stats() -> String {
        super::with(|world| world.stats.to_string())
    }
}
