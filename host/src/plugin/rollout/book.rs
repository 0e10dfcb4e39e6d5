//! The lineages of all plugins on disk, one small JSON file for each.
//!
//! A file is replaced as a whole, so that it always says one thing or the other. One that cannot be
//! read, or is of another format, is set aside: the plugin then begins anew with what its file holds.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    super::{aot_cache::make_private, directory_file},
    lineage::Lineage,
    store::write_durably,
};

const FOLDER: &str = "lineages";
const EXTENSION: &str = "json";

/// The meaning of the fields. Another number is another meaning.
const FORMAT: u32 = 1;

/// Behind the name of a file that was set aside. The next one of the same plugin takes its place.
const ASIDE: &str = "unreadable";

pub(crate) struct Book {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Page {
    format: u32,
    #[serde(flatten)]
    lineage: Lineage,
}

impl Book {
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let dir = data_dir.join(FOLDER);
        make_private(&dir)?;
        Ok(Self { dir })
    }

    /// Every lineage that can be read, by the plugin's name.
    pub fn read(&self) -> io::Result<Vec<(Arc<str>, Lineage)>> {
        let mut lineages = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let Some(plugin) = plugin_of(&path) else { continue };
            match read_page(&path) {
                Ok(lineage) => lineages.push((plugin, lineage)),
                Err(fault) => set_aside(&path, &plugin, &fault)?,
            }
        }
        lineages.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(lineages)
    }

    /// Returns when it is on the disk.
    pub fn write(&self, plugin: &str, lineage: &Lineage) -> io::Result<()> {
        let page = Page { format: FORMAT, lineage: lineage.clone() };
        write_durably(&self.path(plugin), &serde_json::to_vec_pretty(&page)?)
    }

    pub fn remove(&self, plugin: &str) -> io::Result<()> {
        match fs::remove_file(self.path(plugin)) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn path(&self, plugin: &str) -> PathBuf {
        self.dir.join(format!("{plugin}.{EXTENSION}"))
    }
}

fn plugin_of(path: &Path) -> Option<Arc<str>> {
    let stem = path.file_stem()?.to_str()?;
    let fits = path.extension()? == EXTENSION && directory_file::is_plugin_name(stem);
    fits.then(|| stem.into())
}

fn read_page(path: &Path) -> io::Result<Lineage> {
    let page: Page = serde_json::from_slice(&fs::read(path)?)?;
    if page.format != FORMAT {
        return Err(io::Error::other(format!("it is of format {}, and this program knows {FORMAT}", page.format)));
    }
    Ok(page.lineage)
}

fn set_aside(path: &Path, plugin: &str, fault: &io::Error) -> io::Result<()> {
    let to = path.with_extension(ASIDE);
    fs::rename(path, &to)?;
    tracing::error!(
        %plugin,
        path = %path.display(),
        set_aside_as = %to.display(),
        %fault,
        "what was remembered of the versions of a plugin cannot be used: what is in its file serves, and nothing can be rolled back to",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> (tempfile::TempDir, Book) {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::open(folder.path()).unwrap();
        (folder, book)
    }

    fn lineage() -> Lineage {
        let mut lineage = Lineage::default();
        (lineage.disabled, lineage.file) = (true, Some("aa".into()));
        let version = |digest: &str| crate::plugin::rollout::lineage::Version {
            digest: digest.into(),
            version: "1.0.0".into(),
            deployed_at: 1.5,
            deployed_by: "ops".into(),
            why: "because".into(),
        };
        lineage.deployed(version("aa"), 0);
        lineage.deployed(version("bb"), 10);
        lineage
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (_folder, book) = book();
        book.write("a", &Lineage::default()).unwrap();
        book.write("a", &lineage()).unwrap();
        book.write("b", &Lineage::default()).unwrap();
        assert_eq!(book.read().unwrap(), [("a".into(), lineage()), ("b".into(), Lineage::default())]);
        book.remove("a").unwrap();
        book.remove("a").unwrap();
        assert_eq!(book.read().unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_believed_is_set_aside_and_the_others_are_read() {
        let (_folder, book) = book();
        book.write("good", &lineage()).unwrap();
        let text = fs::read_to_string(book.path("good")).unwrap();
        let other = text.replace("\"format\": 1", "\"format\": 2");
        assert_ne!(other, text);
        for damaged in ["", "{}", &text[..text.len() / 2], &other] {
            fs::write(book.path("bad"), damaged).unwrap();
            assert_eq!(book.read().unwrap(), [("good".into(), lineage())], "{damaged}");
            assert!(!book.path("bad").exists());
            assert_eq!(fs::read_to_string(book.path("bad").with_extension(ASIDE)).unwrap(), damaged);
        }
    }
}
