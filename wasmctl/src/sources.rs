//! When a project's files change, seen by looking at them: works on every file system, and costs nothing that a person notices.
//!
//! Deliberately absent: what is hidden (`.git`), what is built (`target`), and files outside the folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::failure::{Failure, Result};

/// How often it is looked. A change counts once nothing has changed for as long.
const EVERY: Duration = Duration::from_millis(300);
/// The most files of a project.
const FILES_MAX: usize = 20_000;

/// What a folder's files looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sources(BTreeMap<PathBuf, (SystemTime, u64)>);

impl Sources {
    /// As they are now.
    pub(crate) fn of(folder: &Path) -> Result<Sources> {
        let mut found = BTreeMap::new();
        gather(folder, Path::new(""), &mut found)?;
        Ok(Sources(found))
    }

    /// Takes over how a file looks now, so that it counts as unchanged: what a build itself wrote.
    pub(crate) fn accept(&mut self, path: &Path, now: &Sources) {
        match now.0.get(path) {
            Some(state) => self.0.insert(path.to_owned(), *state),
            None => self.0.remove(path),
        };
    }

    /// The first file, within its folder, that is another than before, is new, or is gone.
    pub(crate) fn difference(&self, now: &Sources) -> Option<PathBuf> {
        let changed = now.0.iter().find(|(path, state)| self.0.get(*path) != Some(*state));
        changed.or_else(|| self.0.iter().find(|(path, _)| !now.0.contains_key(*path))).map(|(path, _)| path.clone())
    }
}

/// Waits until the files in a folder are others than before, and at rest; says which one.
pub(crate) async fn changed(folder: &Path, before: &Sources) -> Result<PathBuf> {
    let mut last = before.clone();
    loop {
        let now = Sources::of(folder)?;
        match before.difference(&now) {
            Some(path) if last == now => return Ok(path),
            _ => last = now,
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn gather(root: &Path, within: &Path, found: &mut BTreeMap<PathBuf, (SystemTime, u64)>) -> Result<()> {
    let folder = root.join(within);
    let failed = |error| Failure::file(&folder, &error);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        // It went between two looks.
        Err(error) if error.kind() == ErrorKind::NotFound && within != Path::new("") => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") || name == "target" {
            continue;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        let path = within.join(&name);
        if metadata.is_dir() {
            gather(root, &path, found)?;
        } else if metadata.is_file() {
            found.insert(path, (metadata.modified().map_err(failed)?, metadata.len()));
        }
        if found.len() > FILES_MAX {
            return Err(Failure::new(format!("{}: more than {FILES_MAX} files to watch", root.display()))
                .hint("name the folder of the component's own package"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_named_and_what_is_built_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let now = || Sources::of(dir.path()).unwrap();
        write("Cargo.toml", "");
        write("src/lib.rs", "one");
        let before = now();
        assert_eq!(before.difference(&now()), None);
        write("target/release/shop.wasm", "");
        write(".git/index", "");
        assert_eq!(before.difference(&now()), None);
        write("src/lib.rs", "another");
        assert_eq!(before.difference(&now()), Some("src/lib.rs".into()));
        let before = now();
        write("src/cart.rs", "");
        assert_eq!(before.difference(&now()), Some("src/cart.rs".into()));
        let mut before = now();
        write("Cargo.lock", "");
        before.accept(Path::new("Cargo.lock"), &now());
        assert_eq!(before.difference(&now()), None);
        fs::remove_file(dir.path().join("Cargo.toml")).unwrap();
        assert_eq!(before.difference(&now()), Some("Cargo.toml".into()));
    }

    #[tokio::test]
    async fn a_change_that_was_there_before_the_first_look_counts() {
        let dir = tempfile::tempdir().unwrap();
        let before = Sources::of(dir.path()).unwrap();
        fs::write(dir.path().join("lib.rs"), "").unwrap();
        assert_eq!(changed(dir.path(), &before).await.unwrap(), PathBuf::from("lib.rs"));
    }
}
