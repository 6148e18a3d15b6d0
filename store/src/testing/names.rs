//! A disk's names for files as the disk has them and as the system shows them, and what a power cut makes of them.
//!
//! Deliberately absent: losing folders.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::Random;
use super::content::Content;

pub(super) type Files = BTreeMap<PathBuf, Arc<Mutex<Content>>>;

#[derive(Debug, Default)]
pub(super) struct Names {
    /// What no power cut can take.
    durable: Files,
    /// What is found.
    current: Files,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Create(PathBuf, Arc<Mutex<Content>>),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl Names {
    /// Names that are all durable.
    pub(super) fn durable(files: Files) -> Names {
        Names { durable: files.clone(), current: files, unsynced: Vec::new() }
    }

    pub(super) fn files(&self) -> &Files {
        &self.current
    }

    pub(super) fn create(&mut self, path: &Path) -> Arc<Mutex<Content>> {
        let content = Arc::<Mutex<Content>>::default();
        self.change(Change::Create(path.to_owned(), content.clone()));
        content
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.find(path)?;
        self.change(Change::Remove(path.to_owned()));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.find(from)?;
        self.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    /// Makes the names in a folder durable.
    pub(super) fn sync(&mut self, folder: &Path) {
        for change in self.unsynced.extract_if(.., |change| change.path().parent() == Some(folder)) {
            change.apply(&mut self.durable);
        }
    }

    /// What a power cut leaves: of the changes that were not synced, some are there and some are not, whatever their order was.
    pub(super) fn after_power_cut(&self, random: &mut Random) -> Files {
        let mut files = self.durable.clone();
        self.unsynced.iter().filter(|_| random.once_in(2)).for_each(|change| change.apply(&mut files));
        files
    }

    fn find(&self, path: &Path) -> io::Result<()> {
        self.current.contains_key(path).then_some(()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }
}

impl Change {
    /// Where it is seen; a file stays in its folder.
    fn path(&self) -> &Path {
        match self {
            Change::Create(path, _) | Change::Remove(path) | Change::Rename(_, path) => path,
        }
    }

    fn apply(&self, files: &mut Files) {
        match self {
            Change::Create(path, content) => drop(files.insert(path.clone(), content.clone())),
            Change::Remove(path) => drop(files.remove(path)),
            Change::Rename(from, to) => {
                if let Some(content) = files.remove(from) {
                    files.insert(to.clone(), content);
                }
            }
        }
    }
}
