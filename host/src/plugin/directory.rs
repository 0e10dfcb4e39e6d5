//! The plugin directory: what is in it, as it changes, as validated components.
//!
//! Signs from the file system make a look immediate, and a look every two seconds makes up for file
//! systems that give none. Links are followed, so that a Kubernetes ConfigMap, which swaps a link
//! to a directory, works like a rename. A directory that cannot be read is no removal of anything.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _, event::EventKind};
use tokio::{
    sync::{Notify, mpsc},
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    arrivals::{Arrivals, RESCAN, STUCK, Sight, Stamp, Step},
    artifact::{Captured, Validated},
    directory_file::{ReadFault, plugin_name, read_whole, sight},
    status::{LoadFailure, Stage},
    validate::validate,
};

/// Between two looks at least: a copy gives a sign for every block that it writes.
const MIN_PAUSE: Duration = Duration::from_millis(10);

/// News about a file.
#[derive(Debug)]
pub(crate) enum Change {
    /// It holds something that it did not hold before.
    Content {
        name: Arc<str>,
        source: PathBuf,
        content: Result<Validated, LoadFailure>,
    },
    Gone {
        name: Arc<str>,
        source: PathBuf,
    },
}

/// A directory that is watched.
pub(crate) struct Directory {
    /// Only touched on threads for blocking work, one at a time.
    looker: Arc<Mutex<Looker>>,
    sign: Arc<Notify>,
    next_look: Duration,
}

impl Directory {
    /// Makes the directory if there is none, and begins to watch it.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        fs::read_dir(path)?;
        let sign = Arc::new(Notify::new());
        let watch = Watch::new(path, Arc::clone(&sign));
        let looker = Looker {
            path: path.to_owned(),
            watch,
            arrivals: Arrivals::default(),
            digests: HashMap::new(),
            ignored: HashSet::new(),
            unreadable: false,
        };
        Ok(Self { looker: Arc::new(Mutex::new(looker)), sign, next_look: RESCAN })
    }

    /// Files that were here when somebody last looked. Those that are not found have gone.
    pub fn expect(&self, names: impl IntoIterator<Item = Arc<str>>) {
        let mut looker = self.looker.lock().unwrap_or_else(PoisonError::into_inner);
        names.into_iter().for_each(|name| looker.arrivals.expect(name));
    }

    /// What has changed since the last look.
    pub async fn look(&mut self) -> Vec<Change> {
        let looker = Arc::clone(&self.looker);
        let looked = spawn_blocking(move || {
            let mut looker = looker.lock().unwrap_or_else(PoisonError::into_inner);
            let changes = looker.look(Instant::now());
            (changes, looker.arrivals.next_look())
        });
        // If it panicked, the next look finds what this one did not report.
        let (changes, next_look) = looked.await.unwrap_or((Vec::new(), RESCAN));
        self.next_look = next_look;
        changes
    }

    /// Reports what changes until the host stops, or nobody listens.
    pub async fn follow(mut self, listener: mpsc::Sender<Vec<Change>>, stop: CancellationToken) {
        while stop.run_until_cancelled(self.wait()).await.is_some() {
            let changes = self.look().await;
            if !changes.is_empty() && listener.send(changes).await.is_err() {
                return;
            }
        }
    }

    /// Waits until it is time for the next look.
    async fn wait(&self) {
        sleep(MIN_PAUSE).await;
        // Whether there was a sign or none for long enough, what follows is a look.
        let _ = timeout(self.next_look, self.sign.notified()).await;
    }
}

struct Looker {
    path: PathBuf,
    watch: Watch,
    arrivals: Arrivals,
    /// Of the contents that were last reported.
    digests: HashMap<Arc<str>, String>,
    /// Names that were mentioned in the log as not being plugins.
    ignored: HashSet<OsString>,
    unreadable: bool,
}

impl Looker {
    fn look(&mut self, now: Instant) -> Vec<Change> {
        self.watch.renew(&self.path);
        let seen = match self.scan() {
            Ok(seen) => seen,
            Err(fault) => {
                if !std::mem::replace(&mut self.unreadable, true) {
                    tracing::warn!(dir = %self.path.display(), %fault, "the plugin directory cannot be read: all plugins stay");
                }
                return Vec::new();
            }
        };
        self.unreadable = false;
        self.arrivals.look(now, &seen).into_iter().filter_map(|step| self.follow(step, now)).collect()
    }

    /// The files that can be plugins, by the stem of their names.
    fn scan(&mut self) -> io::Result<BTreeMap<Arc<str>, Sight>> {
        let mut seen = BTreeMap::new();
        let mut ignored = HashSet::new();
        for entry in fs::read_dir(&self.path)? {
            let file = entry?.file_name();
            match plugin_name(&file) {
                Ok(name) => match sight(&self.path.join(&file)) {
                    Ok(Some(sight)) => _ = seen.insert(Arc::from(name), sight),
                    Ok(None) => {}
                    Err(reason) => _ = ignored.insert((file, reason)),
                },
                Err(reason) => _ = ignored.insert((file, reason)),
            }
        }
        for (file, reason) in &ignored {
            if !self.ignored.contains(file) {
                reason.report(file);
            }
        }
        self.ignored = ignored.into_iter().map(|(file, _)| file).collect();
        Ok(seen)
    }

    fn follow(&mut self, step: Step, now: Instant) -> Option<Change> {
        match step {
            Step::Take { name, stamp, settled } => self.take(name, stamp, settled, now),
            Step::Gone { name } => {
                self.digests.remove(&name);
                Some(Change::Gone { source: self.source(&name), name })
            }
            Step::Stuck { name } => {
                let reason = format!(
                    "somebody has been writing to it for {} s: copy it under another name, and rename it into place",
                    STUCK.as_secs()
                );
                Some(self.failed(name, LoadFailure::new(Stage::Capture, reason)))
            }
        }
    }

    fn take(&mut self, name: Arc<str>, stamp: Stamp, settled: bool, now: Instant) -> Option<Change> {
        let source = self.source(&name);
        let bytes = match read_whole(&source, stamp) {
            Ok(bytes) => bytes,
            Err(ReadFault::Changed(stamp)) => {
                self.arrivals.wait_for(&name, stamp, now);
                return None;
            }
            // The next look will miss it, too.
            Err(ReadFault::Gone) => return None,
            Err(ReadFault::Refused(reason)) => {
                return Some(self.failed(name, LoadFailure::new(Stage::Capture, reason)));
            }
        };
        let captured = Captured::new(Arc::clone(&name), bytes);
        if self.digests.get(&name) == Some(&captured.digest) {
            return None;
        }
        let digest = captured.digest.clone();
        let content = validate(captured).map_err(|fault| LoadFailure::new(Stage::Validate, fault));
        if content.is_err() && !settled {
            // It may not be whole yet.
            self.arrivals.wait_for(&name, stamp, now);
            return None;
        }
        self.digests.insert(Arc::clone(&name), digest);
        Some(Change::Content { name, source, content })
    }

    fn failed(&mut self, name: Arc<str>, failure: LoadFailure) -> Change {
        // Whatever it holds next is news.
        self.digests.remove(&name);
        Change::Content { source: self.source(&name), name, content: Err(failure) }
    }

    fn source(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.wasm"))
    }
}

/// Signs from the file system, as far as it gives any.
struct Watch {
    watcher: Option<RecommendedWatcher>,
    /// Device and inode of what is watched, which a path can stop leading to.
    watched: Option<(u64, u64)>,
}

impl Watch {
    fn new(path: &Path, sign: Arc<Notify>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading is no change, and would make each look call for the next.
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                sign.notify_one();
            }
        });
        let watcher = watcher
            .inspect_err(
                |fault| tracing::warn!(%fault, "no signs from the file system: the directory is looked at regularly"),
            )
            .ok();
        let mut watch = Self { watcher, watched: None };
        watch.renew(path);
        watch
    }

    /// Watches what the path leads to now.
    fn renew(&mut self, path: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        let now = fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        if now == self.watched {
            return;
        }
        if self.watched.is_some() {
            // It fails when what was watched is gone, and the watch with it.
            let _ = watcher.unwatch(path);
        }
        self.watched = now.filter(|_| {
            let result = watcher.watch(path, RecursiveMode::NonRecursive);
            result.inspect_err(|fault| tracing::debug!(%fault, "the plugin directory gives no signs")).is_ok()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looker(path: &Path) -> Looker {
        let looker = Directory::open(path).unwrap().looker;
        Arc::into_inner(looker).unwrap().into_inner().unwrap()
    }

    fn describe(changes: Vec<Change>) -> Vec<String> {
        let describe = |change| match change {
            Change::Content { name, content: Ok(_), .. } => format!("{name} fits"),
            Change::Content { name, content: Err(failure), .. } => format!("{name} {failure}"),
            Change::Gone { name, .. } => format!("{name} gone"),
        };
        changes.into_iter().map(describe).collect()
    }

    #[test]
    fn a_broken_file_is_reported_once_when_it_has_settled() {
        let folder = tempfile::tempdir().unwrap();
        let mut looker = looker(folder.path());
        let start = Instant::now();
        fs::write(folder.path().join("a.wasm"), b"").unwrap();
        assert!(looker.look(start).is_empty());
        let later = |looks| start + Duration::from_millis(200) * looks;
        assert_eq!(describe(looker.look(later(1))), ["a validate: the file is empty: copy the component again"]);
        assert!(looker.look(later(2)).is_empty());
        fs::write(folder.path().join("a.wasm"), b"").unwrap();
        assert!(looker.look(later(3)).is_empty());
        assert!(looker.look(later(4)).is_empty(), "it holds the same as before");
    }

    #[test]
    fn a_directory_that_vanishes_removes_nothing_and_can_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins");
        let mut looker = looker(&path);
        let start = Instant::now();
        fs::write(path.join("a.wasm"), b"x").unwrap();
        looker.look(start);
        fs::rename(&path, folder.path().join("away")).unwrap();
        assert!(looker.look(start + Duration::from_secs(10)).is_empty());
        assert!(looker.look(start + Duration::from_secs(20)).is_empty());
        fs::rename(folder.path().join("away"), &path).unwrap();
        assert_eq!(describe(looker.look(start + Duration::from_secs(30))).len(), 1);
    }

    #[test]
    fn links_are_followed_and_a_swap_behind_them_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins");
        for version in ["v1", "v2"] {
            fs::create_dir_all(path.join(format!("..{version}"))).unwrap();
            fs::write(path.join(format!("..{version}/a.wasm")), version).unwrap();
        }
        std::os::unix::fs::symlink("..v1", path.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.wasm", path.join("a.wasm")).unwrap();
        let mut looker = looker(&path);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        looker.look(at(0));
        assert_eq!(describe(looker.look(at(200))).len(), 1);
        std::os::unix::fs::symlink("..v2", path.join("..next")).unwrap();
        fs::rename(path.join("..next"), path.join("..data")).unwrap();
        looker.look(at(400));
        assert_eq!(describe(looker.look(at(600))).len(), 1);
    }
}
