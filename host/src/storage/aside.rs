//! A file that cannot be believed makes way, but not for good: someone may want to know what was in it.

use std::{
    fmt::Display,
    fs, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::beside;

/// Enough to see whether it happens again and again. Each may be as large as all sessions, or all state, together.
const MAX_KEPT: usize = 3;

const MARK: &str = "unreadable-";

/// Gives the file another name, and says in the log what that costs.
pub(super) fn set_aside(path: &Path, fault: &impl Display, lost: &'static str) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let to = free_name(path, now);
    fs::rename(path, &to)?;
    tracing::error!(
        path = %path.display(),
        set_aside_as = %to.display(),
        %fault,
        "{lost}: the file cannot be used",
    );
    remove_oldest(path);
    Ok(())
}

/// Later than its time, if there are some of this second, so that the newest has the highest.
fn free_name(path: &Path, now: u64) -> PathBuf {
    let newest = kept(path).into_iter().map(|(second, _)| second).max();
    let second = newest.map_or(now, |newest| now.max(newest.saturating_add(1)));
    beside(path, &format!("{MARK}{second}"))
}

fn remove_oldest(path: &Path) {
    let mut kept = kept(path);
    kept.sort_unstable();
    for (_, path) in kept.iter().rev().skip(MAX_KEPT) {
        if let Err(fault) = fs::remove_file(path) {
            tracing::warn!(path = %path.display(), %fault, "an old file that was set aside cannot be removed");
        }
    }
}

/// The files that were set aside, each with its second.
fn kept(path: &Path) -> Vec<(u64, PathBuf)> {
    let prefix = beside(path, MARK);
    let prefix = prefix.file_name().unwrap_or_default().to_string_lossy();
    let entries = path.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let second = entry.file_name().to_str()?.strip_prefix(&*prefix)?.parse().ok()?;
            Some((second, entry.path()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.redb");
        for other in ["sessions.redb.unreadable-by-me", "sessions.redb.lock"] {
            fs::write(folder.path().join(other), "").unwrap();
        }
        for content in 0..10_u8 {
            fs::write(&path, [content]).unwrap();
            set_aside(&path, &"a reason", "nothing is lost").unwrap();
        }
        assert!(!path.exists());
        let mut left: Vec<Vec<u8>> = kept(&path).iter().map(|(_, path)| fs::read(path).unwrap()).collect();
        left.sort_unstable();
        assert_eq!(left, [[7], [8], [9]]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), MAX_KEPT + 2);
    }
}
