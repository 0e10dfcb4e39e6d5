//! The current keys, and the one task that renews them.
//!
//! Readers take an immutable snapshot. The task reads every source again now and then, when the
//! configuration names others, and when a token names an unknown key; in the last case whoever needs
//! the key waits for the same renewal, which starts at most once per [`MIN_PAUSE`]. A source that fails
//! keeps the keys that it had.

use std::{io::Read as _, path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    KeyError, KeySet, MAX_KEY_BYTES, SourceKeys, generated_key,
    material::{self, Material, Trust},
    origin, remote,
};
use crate::config::{AuthConfig, Config, KeySource, LiveConfig};

/// Between renewals that tokens asked for: made-up `kid`s must not become requests to the issuer.
const MIN_PAUSE: Duration = Duration::from_secs(10);

/// How long a handshake waits for a renewal: a little longer than that can take.
const MAX_WAIT: Duration = remote::FETCH_TIMEOUT.saturating_add(Duration::from_secs(1));

/// Hands out snapshots.
pub(in crate::auth) struct KeyStore {
    current: Arc<ArcSwap<KeySet>>,
    /// Asks the task for a renewal.
    wanted: Arc<Notify>,
    /// When the last renewal ended, with success or without.
    renewed: watch::Receiver<Option<Instant>>,
    min_pause: Duration,
}

impl KeyStore {
    /// Reads what is on this machine, and fails if it cannot be. Keys from URLs arrive later: an issuer
    /// that is down must not keep the host from starting.
    pub fn start(config: LiveConfig, tasks: &TaskTracker, stop: CancellationToken) -> Result<Self, KeyError> {
        Self::start_with(config, tasks, stop, MIN_PAUSE)
    }

    fn start_with(
        config: LiveConfig,
        tasks: &TaskTracker,
        stop: CancellationToken,
        min_pause: Duration,
    ) -> Result<Self, KeyError> {
        // Before the first look, so that no change falls between the two.
        let changes = config.subscribe();
        let snapshot = config.load();
        let sources = snapshot.auth.keys.iter().map(|source| match source {
            KeySource::JwksUrl(_) => Ok(SourceKeys { source: source.clone(), digest: None, keys: Vec::new() }),
            _ => digested(source, read_local(source, &snapshot.server.data_dir)),
        });
        let current = Arc::new(ArcSwap::from_pointee(KeySet { sources: sources.collect::<Result<_, _>>()? }));
        let wanted = Arc::new(Notify::new());
        let (finished, renewed) = watch::channel(None);
        let renewal = Renewal {
            config,
            current: Arc::clone(&current),
            wanted: Arc::clone(&wanted),
            finished,
            tasks: tasks.clone(),
            min_pause,
        };
        tasks.spawn(async move {
            // Cancelling drops a fetch that is under way, and with it `finished`, which frees who waits.
            stop.run_until_cancelled(renewal.run(changes)).await;
        });
        Ok(Self { current, wanted, renewed, min_pause })
    }

    pub fn current(&self) -> Arc<KeySet> {
        self.current.load_full()
    }

    /// Waits for a renewal, unless the last one was a moment ago. Returns whether there was one.
    pub async fn renew(&self) -> bool {
        let mut renewed = self.renewed.clone();
        if is_recent(*renewed.borrow_and_update(), self.min_pause) {
            return false;
        }
        self.wanted.notify_one();
        matches!(timeout(MAX_WAIT, renewed.changed()).await, Ok(Ok(())))
    }
}

fn is_recent(renewed: Option<Instant>, min_pause: Duration) -> bool {
    renewed.is_some_and(|at| at.elapsed() < min_pause)
}

/// The task that owns all renewing.
struct Renewal {
    config: LiveConfig,
    current: Arc<ArcSwap<KeySet>>,
    wanted: Arc<Notify>,
    finished: watch::Sender<Option<Instant>>,
    tasks: TaskTracker,
    min_pause: Duration,
}

impl Renewal {
    async fn run(self, mut changes: watch::Receiver<u64>) {
        let mut last = Instant::now();
        if !self.current.load().is_complete() {
            self.renew().await;
        }
        loop {
            let due = last + self.config.load().auth.key_refresh;
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.wanted.notified() => {
                    // Who asked just before the end of another renewal has been answered by that one.
                    if is_recent(*self.finished.borrow(), self.min_pause) {
                        continue;
                    }
                }
                changed = changes.changed() => match changed {
                    Ok(()) if self.names_other_sources() => {}
                    Ok(()) => continue,
                    Err(_) => return,
                },
            }
            self.renew().await;
            last = Instant::now();
        }
    }

    fn names_other_sources(&self) -> bool {
        let current = self.current.load();
        !current.sources.iter().map(|keys| &keys.source).eq(&self.config.load().auth.keys)
    }

    async fn renew(&self) {
        let config = self.config.load();
        let before = self.current.load_full();
        let loads = config.auth.keys.iter().map(|source| self.load(source, &config));
        let loaded = config.auth.keys.iter().zip(join_all(loads).await).collect();
        self.current.store(Arc::new(renewed(&before, loaded, &config.auth)));
        self.finished.send_replace(Some(Instant::now()));
    }

    async fn load(&self, source: &KeySource, config: &Arc<Config>) -> Result<SourceKeys, KeyError> {
        let content = match source {
            KeySource::JwksUrl(url) => remote::fetch(url, remote::FETCH_TIMEOUT).await,
            _ => {
                let (source, config) = (source.clone(), Arc::clone(config));
                let reading = self.tasks.spawn_blocking(move || read_local(&source, &config.server.data_dir));
                reading.await.unwrap_or_else(|fault| Err(fault.to_string()))
            }
        };
        digested(source, content)
    }
}

/// The next snapshot. A source that failed keeps its keys; sources that are no longer named stay for as
/// long as one that is named has never been read, so that a slip in the configuration locks nobody out.
fn renewed(before: &KeySet, loaded: Vec<(&KeySource, Result<SourceKeys, KeyError>)>, auth: &AuthConfig) -> KeySet {
    let mut after = KeySet::default();
    for (source, outcome) in loaded {
        let old = before.sources.iter().find(|keys| keys.source == *source);
        let new = outcome.unwrap_or_else(|fault| {
            let kept = old.map_or(0, |old| old.keys.len());
            tracing::warn!(origin = fault.origin, problem = fault.problem, kept, "verification keys were not renewed");
            old.cloned().unwrap_or_else(|| SourceKeys { source: source.clone(), digest: None, keys: Vec::new() })
        });
        if new.digest != old.and_then(|old| old.digest) {
            tracing::info!(origin = origin(source), keys = new.keys.len(), "verification keys changed");
        }
        after.sources.push(new);
    }
    if !after.is_complete() {
        let gone = before.sources.iter().filter(|keys| !auth.keys.contains(&keys.source));
        after.sources.extend(gone.cloned());
    }
    after
}

fn digested(source: &KeySource, content: Result<Vec<u8>, String>) -> Result<SourceKeys, KeyError> {
    let origin = origin(source);
    let read = content.and_then(|content| {
        let Material { keys, skipped } = match source {
            KeySource::Generated => material::generated(&content, &origin),
            KeySource::JwksUrl(_) => material::read(&content, &origin, Trust::Remote),
            KeySource::File(_) | KeySource::Environment(_) => material::read(&content, &origin, Trust::Local),
        }?;
        Ok((Sha256::digest(&content).into(), keys, skipped))
    });
    let (digest, keys, skipped) = read.map_err(|problem| KeyError { origin: origin.clone(), problem })?;
    if !skipped.is_empty() {
        tracing::debug!(origin, skipped = skipped.join("; "), "some keys cannot be used");
    }
    Ok(SourceKeys { source: source.clone(), digest: Some(digest), keys })
}

fn read_local(source: &KeySource, data_dir: &Path) -> Result<Vec<u8>, String> {
    match source {
        KeySource::Generated => {
            let key = generated_key(data_dir).map_err(|fault| format!("{}: {}", fault.origin, fault.problem))?;
            Ok(key.bytes().to_vec())
        }
        KeySource::File(path) => read_file(path),
        KeySource::Environment(name) => std::env::var(name).map(String::into_bytes).map_err(|fault| fault.to_string()),
        KeySource::JwksUrl(_) => Err("it is not on this machine".to_owned()),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(|fault| fault.to_string())?;
    file.take(MAX_KEY_BYTES as u64 + 1).read_to_end(&mut content).map_err(|fault| fault.to_string())?;
    if content.len() > MAX_KEY_BYTES {
        return Err(format!("it has more than {MAX_KEY_BYTES} bytes"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::Algorithm;
    use serde_json::json;

    use super::{super::remote::tests::Issuer, *};

    /// Stops the task when it is dropped.
    struct Running {
        store: KeyStore,
        config: LiveConfig,
        _stop: tokio_util::sync::DropGuard,
    }

    fn start(sources: Vec<KeySource>, refresh: Duration, min_pause: Duration) -> Result<Running, KeyError> {
        let mut config = Config::for_tests(Path::new("/nowhere"));
        config.auth.keys = sources;
        config.auth.key_refresh = refresh;
        let (config, stop) = (LiveConfig::new(config), CancellationToken::new());
        let store = KeyStore::start_with(config.clone(), &TaskTracker::new(), stop.clone(), min_pause)?;
        Ok(Running { store, config, _stop: stop.drop_guard() })
    }

    const RARELY: Duration = Duration::from_secs(3600);

    fn jwks(kids: &[&str]) -> String {
        // Any point of the right length will do: nothing is verified here.
        let key =
            |kid: &&str| json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": "A".repeat(43), "y": "A".repeat(43)});
        json!({"keys": kids.iter().map(key).collect::<Vec<_>>()}).to_string()
    }

    async fn eventually(what: &str, condition: impl Fn() -> bool) {
        for _ in 0..500 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not within five seconds: {what}");
    }

    fn has_secret(store: &KeyStore, secret: &[u8]) -> bool {
        let keys = store.current();
        keys.candidates(Algorithm::HS256, None).any(|key| key.decoding.try_get_as_bytes().unwrap() == secret)
    }

    #[tokio::test]
    async fn a_source_on_this_machine_that_cannot_be_read_stops_the_start_by_name() {
        for source in [KeySource::File("/nowhere/key.pem".into()), KeySource::Environment("SWITCHBOARD_UNSET".into())] {
            let fault = start(vec![source], RARELY, RARELY).err().unwrap().to_string();
            assert!(fault.contains("/nowhere/key.pem") || fault.contains("SWITCHBOARD_UNSET"), "{fault}");
        }
    }

    #[tokio::test]
    async fn a_changed_file_is_taken_up_and_a_broken_one_keeps_the_old_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let (old, new) = ([b'o'; 40], [b'n'; 40]);
        std::fs::write(&path, old).unwrap();
        let running = start(vec![KeySource::File(path.clone())], Duration::from_millis(20), RARELY).unwrap();
        assert!(has_secret(&running.store, &old));
        std::fs::write(&path, new).unwrap();
        eventually("the new key", || has_secret(&running.store, &new)).await;
        assert!(!has_secret(&running.store, &old));
        for broken in ["short", "{", "-----BEGIN PRIVATE KEY-----"] {
            std::fs::write(&path, broken).unwrap();
            tokio::time::sleep(Duration::from_millis(60)).await;
            assert!(has_secret(&running.store, &new));
        }
        std::fs::remove_file(&path).unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(has_secret(&running.store, &new) && running.store.current().is_complete());
    }

    #[tokio::test]
    async fn an_unknown_key_is_fetched_once_however_many_ask_and_then_not_for_a_while() {
        let issuer = Issuer::start(200, &jwks(&["a"])).await;
        let running = start(vec![KeySource::JwksUrl(issuer.url.clone())], RARELY, RARELY).unwrap();
        assert!(!running.store.current().is_complete());
        let renewals = join_all((0..100).map(|_| running.store.renew())).await;
        assert!(renewals.into_iter().all(|renewed| renewed));
        assert!(running.store.current().knows("a") && running.store.current().is_complete());
        assert_eq!(issuer.requests(), 1);
        assert!(!running.store.renew().await, "the last renewal was a moment ago");
        assert_eq!(issuer.requests(), 1);
    }

    #[tokio::test]
    async fn keys_rotate_and_an_issuer_that_fails_keeps_the_old_ones() {
        let issuer = Issuer::start(200, &jwks(&["a"])).await;
        let running = start(vec![KeySource::JwksUrl(issuer.url.clone())], RARELY, Duration::from_millis(1)).unwrap();
        let renewed = || async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(running.store.renew().await);
            let keys = running.store.current();
            ["a", "b"].map(|kid| keys.knows(kid))
        };
        assert_eq!(renewed().await, [true, false]);
        issuer.set(200, &jwks(&["a", "b"]));
        assert_eq!(renewed().await, [true, true]);
        issuer.set(200, &jwks(&["b"]));
        assert_eq!(renewed().await, [false, true]);
        for (status, body) in [(503, ""), (200, "{}"), (200, "<html>")] {
            issuer.set(status, body);
            assert_eq!(renewed().await, [false, true], "{status} {body}");
        }
    }

    #[tokio::test]
    async fn other_sources_in_the_configuration_are_read_at_once_and_replace_the_old_ones_when_they_can_be() {
        let issuer = Issuer::start(500, "").await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, [b's'; 40]).unwrap();
        let running = start(vec![KeySource::File(path)], RARELY, Duration::from_millis(1)).unwrap();
        let mut config = Config::clone(&running.config.load());
        config.auth.keys = vec![KeySource::JwksUrl(issuer.url.clone())];
        running.config.publish(config);
        eventually("a try", || issuer.requests() > 0 && running.store.renewed.borrow().is_some()).await;
        assert!(has_secret(&running.store, &[b's'; 40]), "nobody is locked out by a slip");
        assert!(!running.store.current().is_complete());
        issuer.set(200, &jwks(&["a"]));
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(running.store.renew().await && running.store.current().knows("a"));
        assert!(!has_secret(&running.store, &[b's'; 40]));
    }
}
