//! What a graceful restart keeps: sessions with what their clients have yet to get, their
//! subscriptions and what they watch, what plugins remember for them, the record of handled messages, the topics' histories. Saved when the
//! last handler has ended, and put back before the first socket of the next process.
//!
//! A process that is killed saves nothing; its clients are told so when they come back, because their
//! sessions' epoch is not known any more.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use serde::{Serialize, de::DeserializeOwned};
use switchboard_protocol::unix_seconds;

use super::{Dispatcher, changes::saved::SavedWatch, sessions::bounds};
use crate::{
    plugin::state::SavedState,
    session::{
        Handlers, Session,
        answers::{Bounds, SavedAnswer},
        requests::Requests,
        saved::{Home, SavedSession},
    },
    storage::{Row, Rows, Store, StoreError, Tables},
    topic::saved::{SavedSubscription, SavedTopic},
};

const ANSWERS: &str = "answers";
const CONNECTION_STATE: &str = "connection_state";
const EPOCHS: &str = "epochs";
const SESSIONS: &str = "sessions";
const SUBSCRIPTIONS: &str = "subscriptions";
const TOPICS: &str = "topics";
const WATCHES: &str = "watches";

/// Earlier runs that are remembered: a session that outlived so many restarts is not looked for.
const MAX_EPOCHS: usize = 64;

impl Dispatcher {
    /// Blocks. To be called when nothing runs any more. Returns how many sessions were saved.
    pub fn save(&self, store: &Store) -> Result<usize, StoreError> {
        let deliver = &self.deliver;
        let now = SystemTime::now();
        let sessions: Vec<_> = deliver
            .sessions
            .all()
            .into_iter()
            .filter(|session| session.resumable && session.ended().is_none())
            .collect();
        let epochs: Vec<String> = std::iter::once(&deliver.run)
            .chain(deliver.earlier_runs.load().iter())
            .take(MAX_EPOCHS)
            .map(ToString::to_string)
            .collect();
        let subscriptions = |session: &Arc<Session>| row(&session.id, &deliver.topics.subscriptions_of(&session.id));
        let answers = deliver.answers.export(Instant::now(), now);
        let state = |session: &Arc<Session>| {
            let state = deliver.plugins.session_state(&session.id);
            if state.is_empty() { None } else { row(&session.id, &state) }
        };
        let watches = |session: &Arc<Session>| {
            let watches = deliver.changes.export(&session.id);
            if watches.is_empty() { None } else { row(&session.id, &watches) }
        };
        let tables: [(&'static str, Rows<'_>); 7] = [
            (ANSWERS, Box::new(numbered(answers))),
            (CONNECTION_STATE, Box::new(sessions.iter().filter_map(state))),
            (EPOCHS, Box::new(row("", &epochs).into_iter())),
            (SESSIONS, Box::new(sessions.iter().filter_map(|session| row(&session.id, &session.save(now))))),
            (SUBSCRIPTIONS, Box::new(sessions.iter().filter_map(subscriptions))),
            (TOPICS, Box::new(numbered(deliver.topics.export()))),
            (WATCHES, Box::new(sessions.iter().filter_map(watches))),
        ];
        store.save(tables)?;
        Ok(sessions.len())
    }

    /// To be called before the first socket.
    pub fn restore(&self, mut tables: Tables) {
        let deliver = &self.deliver;
        let now = SystemTime::now();
        let epochs = decoded::<Vec<String>>(EPOCHS, tables.remove(EPOCHS)).into_iter().flat_map(|(_, epochs)| epochs);
        deliver.earlier_runs.store(Arc::new(epochs.map(Into::into).collect()));
        let topics = decoded::<SavedTopic>(TOPICS, tables.remove(TOPICS));
        deliver.topics.restore(topics.into_iter().map(|(_, topic)| topic).collect(), unix_seconds(now));
        let answers = decoded::<SavedAnswer>(ANSWERS, tables.remove(ANSWERS));
        let bounds = Bounds::from(&self.config.load().sessions);
        let answers: Vec<_> = answers.into_iter().map(|(_, answer)| answer).collect();
        deliver.answers.restore(answers, &bounds, Instant::now(), now);
        let sessions = decoded::<SavedSession>(SESSIONS, tables.remove(SESSIONS));
        let count = sessions.len();
        sessions.into_iter().for_each(|(_, saved)| self.restore_session(saved, now));
        for (session_id, subscriptions) in decoded(SUBSCRIPTIONS, tables.remove(SUBSCRIPTIONS)) {
            self.restore_subscriptions(&session_id, subscriptions);
        }
        for (session_id, saved) in decoded::<Vec<SavedWatch>>(WATCHES, tables.remove(WATCHES)) {
            if let Some(session) = deliver.sessions.by_id(&session_id) {
                deliver.changes.restore(&session, saved);
            }
        }
        for (session_id, state) in decoded::<Vec<SavedState>>(CONNECTION_STATE, tables.remove(CONNECTION_STATE)) {
            // With a session that has ended, its state has, too.
            if let Some(session) = deliver.sessions.by_id(&session_id) {
                deliver.plugins.restore_session_state(&session.id, &*session, state);
            }
        }
        tracing::info!(sessions = count, "sessions wait for their clients, as the last process left them");
    }

    fn restore_session(&self, saved: SavedSession, now: SystemTime) {
        let (deliver, config) = (&self.deliver, self.config.load());
        let home = Home {
            handlers: Handlers::new(config.limits.max_in_flight, self.connections.clone()),
            requests: Requests::new(config.limits.max_in_flight),
            bounds: bounds(&config),
            detached: deliver.sessions.detached.clone(),
            conflated: deliver.metrics.conflated.clone(),
            now,
        };
        let session = Session::restored(saved, home);
        deliver.sessions.insert(session.clone());
        // It may have been revoked while no process ran.
        self.end_if_revoked(&session);
    }

    fn restore_subscriptions(&self, session_id: &str, subscriptions: Vec<SavedSubscription>) {
        let Some(session) = self.deliver.sessions.by_id(session_id) else { return };
        for SavedSubscription { name, presence, .. } in subscriptions {
            let restored = self.deliver.topics.resubscribe(&session.id, session.clone(), &name, presence);
            if let Err(fault) = restored {
                tracing::warn!(session_id, %fault, "a subscription is not restored");
            }
        }
    }
}

fn row(key: &str, value: &impl Serialize) -> Option<Row> {
    match postcard::to_allocvec(value) {
        Ok(value) => Some((key.as_bytes().to_vec(), value)),
        Err(fault) => {
            tracing::error!(%fault, "something cannot be saved");
            None
        }
    }
}

fn numbered<T: Serialize>(values: Vec<T>) -> impl Iterator<Item = Row> {
    (0_u64..).zip(values).filter_map(|(number, value)| row(&format!("{number:020}"), &value))
}

fn decoded<T: DeserializeOwned>(table: &'static str, rows: Vec<Row>) -> Vec<(String, T)> {
    let all = rows.len();
    let read = |(key, value): Row| Some((String::from_utf8(key).ok()?, postcard::from_bytes::<T>(&value).ok()?));
    let read: Vec<_> = rows.into_iter().filter_map(read).collect();
    if read.len() < all {
        tracing::error!(table, lost = all - read.len(), "some of what the last process saved cannot be read");
    }
    read
}
