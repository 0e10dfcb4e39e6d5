//! When a source of the plugin was saved: signs of the file system, without those of compilers and editors, and
//! one for all that is saved at once.

use std::{
    ffi::OsStr,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _, event::EventKind};
use tokio::{sync::Notify, time::timeout};

use crate::{cli::conversation::ENDING, config::raw::DEFAULT_FILE};

/// Silence after which what was saved is taken for complete. An editor that saves all files takes a few
/// milliseconds.
const QUIET: Duration = Duration::from_millis(30);

/// However busy the folder is, a build begins after this.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Folders in which nobody writes sources by hand.
const NOT_SOURCES: [&str; 6] = ["target", "node_modules", "__pycache__", "venv", "dist", "build"];

pub(super) struct Watch {
    /// When the first of what was not asked for yet was saved.
    first: Arc<Mutex<Option<Instant>>>,
    sign: Arc<Notify>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    pub fn new(dir: &Path) -> anyhow::Result<Self> {
        let dir = std::fs::canonicalize(dir).with_context(|| format!("{} is not there", dir.display()))?;
        let (first, sign) = (Arc::new(Mutex::new(None)), Arc::new(Notify::new()));
        let (saved, wake, root) = (first.clone(), sign.clone(), dir.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Where signs were lost, something may have been saved.
            let counts = event
                .map_or(true, |event| is_change(event.kind) && event.paths.iter().any(|path| is_source(&root, path)));
            if counts {
                saved.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
                wake.notify_one();
            }
        });
        let mut watcher = watcher.context("the file system gives no signs of changes")?;
        watcher
            .watch(&dir, RecursiveMode::Recursive)
            .with_context(|| format!("{} cannot be watched", dir.display()))?;
        Ok(Self { first, sign, _watcher: watcher })
    }

    /// When it was, as soon as all that is saved at once was saved. Nothing is lost when it is not waited for.
    pub async fn saved(&mut self) -> anyhow::Result<Instant> {
        while self.first().is_none() {
            self.sign.notified().await;
        }
        let begun = Instant::now();
        while begun.elapsed() < LONGEST_WAIT && timeout(QUIET, self.sign.notified()).await.is_ok() {}
        Ok(self.first().take().unwrap_or(begun))
    }

    fn first(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(_) | EventKind::Modify(notify::event::ModifyKind::Metadata(_)))
}

/// Whether a build can depend on it.
fn is_source(root: &Path, path: &Path) -> bool {
    let inner: PathBuf = path.strip_prefix(root).unwrap_or(path).to_owned();
    let hidden = |name: &OsStr| name.to_string_lossy().starts_with('.');
    let foreign = |name: &OsStr| NOT_SOURCES.iter().any(|folder| name == *folder);
    let parts: Vec<&OsStr> = inner
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect();
    let Some((file, _)) = parts.split_last() else { return false };
    if parts.iter().any(|name| hidden(name) || foreign(name)) {
        return false;
    }
    let file = file.to_string_lossy();
    // Backups and half-written files of editors, and what is read by the host, by tests or by people.
    let endings = ["~", ".swp", ".swx", ".tmp", ".bak", ".md", ENDING];
    file != DEFAULT_FILE && file != "4913" && !endings.iter().any(|ending| file.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn sources_are_told_from_what_compilers_and_editors_write() {
        let root = Path::new("/p");
        for (path, expected) in [
            ("/p/src/lib.rs", true),
            ("/p/Cargo.toml", true),
            ("/p/wit/world.wit", true),
            ("/p/sdk/plugin-sdk/src/lib.rs", true),
            ("/p/target/plugins/p.wasm", false),
            ("/p/.git/index", false),
            ("/p/node_modules/x/y.js", false),
            ("/p/src/.lib.rs.swp", false),
            ("/p/src/lib.rs~", false),
            ("/p/tests/a.conversation.jsonl", false),
            ("/p/switchboard.toml", false),
            ("/p", false),
        ] {
            assert_eq!(is_source(root, Path::new(path)), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn what_is_saved_at_once_is_one_sign_and_what_is_no_source_is_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("target")).unwrap();
        let mut watch = Watch::new(folder.path()).unwrap();
        let begun = Instant::now();
        for name in ["target/x", "a.rs", "b.rs"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let saved = timeout(Duration::from_secs(20), watch.saved()).await.unwrap().unwrap();
        assert!(saved >= begun);
        fs::write(folder.path().join("target/y"), "x").unwrap();
        assert!(timeout(Duration::from_millis(100), watch.saved()).await.is_err(), "nothing was saved");
    }
}
