//! One file in the plugin directory: whether it can be a plugin by its name, which file it is, and its
//! contents, if nobody writes to it meanwhile.

use std::{ffi::OsStr, fs, io, os::unix::fs::MetadataExt as _, path::Path};

use super::arrivals::{Sight, Stamp};

/// The largest file that is read. Components from Python have 18 MB.
pub(super) const MAX_FILE_BYTES: u64 = 128 << 20;

/// The longest name of a plugin: it is a label in metrics and a prefix of tools' names.
pub(super) const MAX_NAME_BYTES: usize = 64;

/// Why a file in the directory is no plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Ignored {
    Hidden,
    Partial,
    OtherExtension,
    NotAFile,
    BadName,
}

impl Ignored {
    pub fn report(self, file: &OsStr) {
        let file = file.to_string_lossy();
        match self {
            Self::Hidden => tracing::debug!(%file, "ignored: its name begins with a dot"),
            Self::Partial => tracing::debug!(%file, "ignored: its name is that of an unfinished file"),
            Self::OtherExtension => tracing::debug!(%file, "ignored: its name does not end in .wasm"),
            Self::NotAFile => tracing::debug!(%file, "ignored: it is not a file"),
            Self::BadName => tracing::warn!(%file, "ignored: {}", self.in_words()),
        }
    }

    /// Why a file of that name would be no plugin, and what to do.
    pub fn in_words(self) -> String {
        let why = match self {
            Self::Hidden => "its name begins with a dot",
            Self::Partial => "its name is that of an unfinished file",
            Self::OtherExtension => "its name does not end in .wasm",
            Self::NotAFile => "it is not a file",
            Self::BadName => "its name has other characters, or more of them",
        };
        format!(
            "{why}: the name of a plugin is 1 to {MAX_NAME_BYTES} characters of a-z 0-9 _ -, followed by .wasm; rename it"
        )
    }
}

/// The plugin's name.
pub(super) fn plugin_name(file: &OsStr) -> Result<&str, Ignored> {
    let Some(file) = file.to_str() else { return Err(Ignored::BadName) };
    if file.starts_with('.') {
        return Err(Ignored::Hidden);
    }
    if file.ends_with('~') || [".tmp", ".part", ".partial", ".swp"].iter().any(|ending| file.ends_with(ending)) {
        return Err(Ignored::Partial);
    }
    let name = file.strip_suffix(".wasm").ok_or(Ignored::OtherExtension)?;
    if is_plugin_name(name) { Ok(name) } else { Err(Ignored::BadName) }
}

/// Whether a plugin can have this name, wherever it comes from.
pub(super) fn is_plugin_name(name: &str) -> bool {
    let fits = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    fits && (1..=MAX_NAME_BYTES).contains(&name.len())
}

/// What is there; nothing if it is gone, or a link to nothing.
pub(super) fn sight(path: &Path) -> Result<Option<Sight>, Ignored> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(Sight::File(stamp(&metadata)))),
        Ok(_) => Err(Ignored::NotAFile),
        // Deleted since, or a link to nothing.
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(_) => Ok(Some(Sight::Unclear)),
    }
}

fn stamp(metadata: &fs::Metadata) -> Stamp {
    Stamp {
        file: (metadata.dev(), metadata.ino(), metadata.created().ok()),
        bytes: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// Why a file was not read.
pub(super) enum ReadFault {
    /// Into this, since it was looked at.
    Changed(Stamp),
    Gone,
    Refused(String),
}

impl From<io::Error> for ReadFault {
    fn from(fault: io::Error) -> Self {
        match fault.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            _ => Self::Refused(format!("it cannot be read: {fault}")),
        }
    }
}

/// Reads a file that somebody has named, within the same bounds.
pub(super) fn read_any(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |fault: io::Error| format!("it cannot be read: {fault}");
    match read_whole(path, stamp(&fs::metadata(path).map_err(cannot)?)) {
        Ok(bytes) => Ok(bytes),
        Err(ReadFault::Refused(reason)) => Err(reason),
        Err(ReadFault::Changed(_)) => Err("somebody is writing to it: try again when it is whole".to_owned()),
        Err(ReadFault::Gone) => Err("it is gone".to_owned()),
    }
}

/// Reads a file that nobody writes to meanwhile.
pub(super) fn read_whole(path: &Path, expected: Stamp) -> Result<Vec<u8>, ReadFault> {
    if expected.bytes > MAX_FILE_BYTES {
        return Err(ReadFault::Refused(format!(
            "it has {} bytes, and {MAX_FILE_BYTES} are allowed: leave out what it does not need",
            expected.bytes
        )));
    }
    let file = fs::File::open(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(expected.bytes).unwrap_or(0));
    // No more than was announced, even if it grows faster than it is read.
    io::Read::read_to_end(&mut io::Read::take(&file, expected.bytes.saturating_add(1)), &mut bytes)?;
    let found = stamp(&file.metadata()?);
    if found != expected || bytes.len() as u64 != expected.bytes {
        return Err(ReadFault::Changed(found));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_finished_components() {
        let table = [
            ("system.wasm", Ok("system")),
            ("my_plugin-2.wasm", Ok("my_plugin-2")),
            (".hidden.wasm", Err(Ignored::Hidden)),
            ("..data", Err(Ignored::Hidden)),
            ("system.wasm.tmp", Err(Ignored::Partial)),
            ("system.wasm.part", Err(Ignored::Partial)),
            ("system.wasm~", Err(Ignored::Partial)),
            ("README.md", Err(Ignored::OtherExtension)),
            ("system.WASM", Err(Ignored::OtherExtension)),
            (".wasm", Err(Ignored::Hidden)),
            ("System.wasm", Err(Ignored::BadName)),
            ("a.b.wasm", Err(Ignored::BadName)),
            (&format!("{}.wasm", "x".repeat(65)), Err(Ignored::BadName)),
        ];
        for (file, expected) in table {
            assert_eq!(plugin_name(OsStr::new(file)), expected, "{file}");
        }
    }
}
