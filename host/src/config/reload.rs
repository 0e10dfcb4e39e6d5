//! Applies the settings file as it is saved.
//!
//! The folder is watched, not the file, so that a rename into place and the swapped symlinks of
//! Kubernetes are seen; and the file is read again every few seconds, since some filesystems lose
//! events. What counts is the content: each one is judged, and told about, once. A file that does not
//! check is refused whole, and the running settings stay.

use std::{io, path::Path, time::Duration};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _, event::EventKind};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Config, LiveConfig,
    check::{self, Checked, FileDigest},
    effective::Effective,
    fault::Faults,
    raw::Sources,
};

/// How late a change is noticed where events are lost.
const RESCAN: Duration = Duration::from_secs(3);

/// How long a content has to stay the same to be complete: editors that write in place are done by then.
const SETTLE: Duration = Duration::from_millis(50);

/// How often a file that keeps changing is looked at before it is left to the next scan.
const SETTLE_TRIES: u32 = 20;

/// How a saved file was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reloaded {
    Applied,
    Refused,
}

impl Reloaded {
    /// The value of the `outcome` label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}

/// Watches until `stop`. `loaded` is the digest of the content that `live` was made from; `report` is
/// told of each content, after it was applied or refused.
pub(crate) fn watch(
    sources: Sources,
    loaded: Option<FileDigest>,
    live: LiveConfig,
    report: impl Fn(Reloaded) + Send + 'static,
    tasks: &TaskTracker,
    stop: CancellationToken,
) {
    let reload = Reload { sources, live, last: loaded.map_or(Seen::Nothing, Seen::Content) };
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = reload.run(report) => {}
        }
    });
}

/// What was there at the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Nothing,
    Content(FileDigest),
    /// The error's text.
    Unreadable(String),
}

struct Reload {
    sources: Sources,
    live: LiveConfig,
    last: Seen,
}

impl Reload {
    async fn run(mut self, report: impl Fn(Reloaded)) {
        // One is enough: whatever happened, the file is read as a whole.
        let (wake, mut woken) = mpsc::channel(1);
        let (path, _) = self.sources.path();
        let mut watcher = watch_folder(&path, &wake);
        let mut rescan = tokio::time::interval(RESCAN);
        rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = woken.recv() => {}
                _ = rescan.tick() => {
                    if watcher.is_none() {
                        watcher = watch_folder(&path, &wake);
                    }
                }
            }
            if let Some(outcome) = self.look(&path).await {
                report(outcome);
            }
        }
    }

    /// Judges the file if it is not what it was.
    async fn look(&mut self, path: &Path) -> Option<Reloaded> {
        let (seen, content) = settled(path, &self.last).await?;
        if seen == self.last {
            return None;
        }
        let before = std::mem::replace(&mut self.last, seen);
        match (&self.last, content) {
            (Seen::Content(_), Some(content)) => Some(self.judge(path, &content)),
            (Seen::Unreadable(problem), _) => {
                tell(path, &check::unreadable(path, &io::Error::other(problem.clone())));
                Some(Reloaded::Refused)
            }
            _ => {
                if before != Seen::Nothing {
                    tracing::warn!(file = %path.display(), "the settings file is gone; the running settings stay");
                }
                None
            }
        }
    }

    fn judge(&self, path: &Path, content: &[u8]) -> Reloaded {
        match check::check(&self.sources, Some(content)) {
            Ok(checked) => {
                self.apply(path, checked);
                Reloaded::Applied
            }
            Err(faults) => {
                tell(path, &faults);
                Reloaded::Refused
            }
        }
    }

    fn apply(&self, path: &Path, mut checked: Checked) {
        for warning in &checked.warnings {
            tracing::warn!("{warning}");
        }
        for setting in keep_fixed(&mut checked, &self.live.load(), &self.live.effective()) {
            tracing::warn!(setting, "this setting is only read at the start: restart for the change to count");
        }
        let changed = *self.live.load() != checked.config;
        self.live.publish_checked(checked);
        tracing::info!(file = %path.display(), changed, "settings applied");
    }
}

/// Puts back what a running process cannot change, and names what would have.
fn keep_fixed(checked: &mut Checked, running: &Config, in_force: &[Effective]) -> Vec<String> {
    let next = &mut checked.config;
    next.server.clone_from(&running.server);
    next.limits.max_plugin_calls = running.limits.max_plugin_calls;
    next.limits.max_kept_instances = running.limits.max_kept_instances;
    next.limits.max_kept_instance_bytes = running.limits.max_kept_instance_bytes;
    next.logging.format = running.logging.format;
    let mut kept = Vec::new();
    for next in checked.effective.iter_mut().filter(|effective| effective.fixed) {
        let Some(now) = in_force.iter().find(|now| now.path == next.path) else { continue };
        if now.value != next.value {
            kept.push(next.path.clone());
            *next = now.clone();
        }
    }
    kept
}

fn tell(path: &Path, faults: &Faults) {
    for fault in &faults.0 {
        tracing::error!("{fault}");
    }
    tracing::error!(file = %path.display(), faults = faults.0.len(), "settings refused; the running ones stay");
}

/// What is there, once it stays the same: half of a file that is being written could check, and mean
/// something else. `None` if it kept changing.
async fn settled(path: &Path, last: &Seen) -> Option<(Seen, Option<Vec<u8>>)> {
    let mut before = read(path).await;
    // Most looks find what they found before; there is nothing to wait for then.
    if before.0 == *last {
        return Some(before);
    }
    for _ in 0..SETTLE_TRIES {
        tokio::time::sleep(SETTLE).await;
        let now = read(path).await;
        if now.0 == before.0 {
            return Some(now);
        }
        before = now;
    }
    None
}

async fn read(path: &Path) -> (Seen, Option<Vec<u8>>) {
    let path = path.to_owned();
    let content = tokio::task::spawn_blocking(move || check::read_bounded(&path)).await;
    match content.unwrap_or_else(|stopped| Err(io::Error::other(stopped))) {
        Ok(content) => (Seen::Content(check::digest_of(&content)), Some(content)),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => (Seen::Nothing, None),
        Err(problem) => (Seen::Unreadable(problem.to_string()), None),
    }
}

/// Wakes the loop at events in the file's folder. Without a watcher, the scans remain.
fn watch_folder(path: &Path, wake: &mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let wake = wake.clone();
    let on_event = move |event: notify::Result<notify::Event>| {
        // Reading the file is an event, too: without this, each look would cause the next.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            // Full: the loop is awake, and has yet to read.
            let _ = wake.try_send(());
        }
    };
    let watching = notify::recommended_watcher(on_event).and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watching
        .inspect_err(|problem| tracing::debug!(folder = %folder.display(), %problem, "cannot watch; the file is read every few seconds"))
        .ok()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    /// Longer than several rescans on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(30);

    struct Running {
        folder: tempfile::TempDir,
        live: LiveConfig,
        reports: mpsc::Receiver<Reloaded>,
        stop: CancellationToken,
    }

    impl Running {
        fn file(&self) -> PathBuf {
            self.folder.path().join("switchboard.toml")
        }

        /// Saves the way that is documented.
        fn save(&self, text: &str) {
            let partial = self.folder.path().join(".partial");
            fs::write(&partial, text).unwrap();
            fs::rename(partial, self.file()).unwrap();
        }

        async fn outcome(&mut self) -> Reloaded {
            tokio::time::timeout(PATIENCE, self.reports.recv()).await.expect("a report").unwrap()
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    /// Without a file at first, if `text` is `None`.
    fn start(text: Option<&str>) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("switchboard.toml");
        if let Some(text) = text {
            fs::write(&file, text).unwrap();
        }
        let sources = Sources { file: Some(file), ..Sources::default() };
        let checked = check::check(&sources, text.map(str::as_bytes)).unwrap();
        let digest = checked.digest;
        let live = LiveConfig::from_checked(checked);
        let (report, reports) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let report = move |outcome| report.try_send(outcome).unwrap();
        watch(sources, digest, live.clone(), report, &TaskTracker::new(), stop.clone());
        Running { folder, live, reports, stop }
    }

    #[tokio::test]
    async fn a_saved_file_is_applied_and_announced() {
        let running = start(Some("[limits]\nmax_in_flight = 5\n"));
        let mut changes = running.live.subscribe();
        running.save("[limits]\nmax_in_flight = 6\n");
        tokio::time::timeout(PATIENCE, changes.changed()).await.unwrap().unwrap();
        assert_eq!(running.live.load().limits.max_in_flight, 6);
    }

    #[tokio::test]
    async fn a_file_that_does_not_check_changes_nothing_and_the_next_good_one_is_applied() {
        let mut running = start(Some("[limits]\nmax_in_flight = 5\n"));
        running.save("[limits]\nmax_in_flight = 6\nmax_subscriptions = 0\n");
        assert_eq!(running.outcome().await, Reloaded::Refused);
        assert_eq!(running.live.load().limits.max_in_flight, 5);
        assert_eq!(*running.live.subscribe().borrow(), 0);
        running.save("[limits]\nmax_in_flight = 7\n");
        assert_eq!(running.outcome().await, Reloaded::Applied);
        assert_eq!(running.live.load().limits.max_in_flight, 7);
    }

    #[tokio::test]
    async fn a_file_that_appears_later_is_applied_and_one_that_vanishes_leaves_its_settings() {
        let mut running = start(None);
        running.save("[limits]\nmax_in_flight = 6\n");
        assert_eq!(running.outcome().await, Reloaded::Applied);
        fs::remove_file(running.file()).unwrap();
        assert_eq!(running.live.load().limits.max_in_flight, 6);
        running.save("[limits]\nmax_in_flight = 7\n");
        assert_eq!(running.outcome().await, Reloaded::Applied);
        assert_eq!(running.live.load().limits.max_in_flight, 7);
    }

    #[tokio::test]
    async fn settings_of_the_process_keep_their_values_until_the_restart() {
        let mut running = start(Some("[server]\nlisten = \"127.0.0.1:7001\"\n"));
        running.save("[server]\nlisten = \"127.0.0.1:7002\"\n[limits]\nmax_in_flight = 6\nmax_plugin_calls = 3\n");
        assert_eq!(running.outcome().await, Reloaded::Applied);
        let config = running.live.load();
        assert_eq!(config.server.listen.port(), 7001);
        assert_ne!(config.limits.max_plugin_calls, 3);
        assert_eq!(config.limits.max_in_flight, 6);
        let effective = running.live.effective();
        let listen = effective.iter().find(|effective| effective.path == "server.listen").unwrap();
        assert_eq!(listen.value, "127.0.0.1:7001");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_swapped_symlink_is_a_saved_file() {
        use std::os::unix::fs::symlink;

        let mut running = start(None);
        let folder = running.folder.path().to_owned();
        for (version, text) in [("v1", "[limits]\nmax_in_flight = 6\n"), ("v2", "[limits]\nmax_in_flight = 7\n")] {
            fs::create_dir(folder.join(version)).unwrap();
            fs::write(folder.join(version).join("switchboard.toml"), text).unwrap();
        }
        symlink("v1", folder.join("..data")).unwrap();
        symlink("..data/switchboard.toml", running.file()).unwrap();
        assert_eq!(running.outcome().await, Reloaded::Applied);
        assert_eq!(running.live.load().limits.max_in_flight, 6);
        symlink("v2", folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        assert_eq!(running.outcome().await, Reloaded::Applied);
        assert_eq!(running.live.load().limits.max_in_flight, 7);
    }

    #[test]
    fn what_the_table_calls_fixed_is_what_a_reload_keeps() {
        let sources = Sources::default();
        let running = check::check(&sources, None).unwrap();
        let text = r#"
            [server]
            listen = "127.0.0.1:1"
            admin_listen = "127.0.0.1:2"
            data_dir = "a"
            plugin_dir = "b"
            drain_timeout = "1s"
            reconnect_window = "1s"
            seal_keys = ["env:SEALS"]
            [limits]
            max_kept_instances = 1
            max_kept_instance_bytes = 65536
            max_plugin_calls = 1
            [logging]
            format = "json"
        "#;
        let mut next = check::check(&sources, Some(text.as_bytes())).unwrap();
        let kept = keep_fixed(&mut next, &running.config, &running.effective);
        let fixed: Vec<String> =
            super::super::place::all().filter(|(_, setting)| setting.fixed).map(|(path, _)| path).collect();
        assert_eq!(kept, fixed);
        assert_eq!(next.config, running.config);
        assert_eq!(next.effective, running.effective);
    }
}
