//! The files beside the store that a snapshot of a cluster takes along, and that a new member gets.
//!
//! Deliberately absent: which files those are; whoever lays out the data directory says so.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Which files make a cluster itself, and where they are.
#[derive(Clone, Debug)]
pub struct ClusterFiles {
    /// The cluster's name.
    pub cluster: String,
    /// The data directory; the paths are relative to it.
    pub dir: PathBuf,
    /// Files without which a restored cluster would be another one.
    pub files: &'static [&'static str],
    /// Folders of which every file is taken that is there: each is put in place whole and never changes in a way that matters.
    pub folders: &'static [&'static str],
}

impl ClusterFiles {
    /// The files by name, opened.
    pub(crate) fn open(&self) -> io::Result<Vec<(&'static str, File)>> {
        let open = |path: &&'static str| {
            let full = self.dir.join(path);
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", full.display()));
            Ok((*path, File::open(&full).map_err(named)?))
        };
        self.files.iter().map(open).collect()
    }

    /// What the files hold, by name: all of them are text.
    pub(crate) fn read(&self) -> io::Result<BTreeMap<String, String>> {
        let read = |(name, mut file): (&str, File)| {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            Ok((name.to_owned(), text))
        };
        self.open()?.into_iter().map(read).collect()
    }

    /// Gives each file of the folders to `take`, with its path. One that is removed meanwhile is left out.
    pub(crate) fn each_in_folders(&self, mut take: impl FnMut(&str, File) -> io::Result<()>) -> io::Result<()> {
        // Folders are read before those named after them, so that what is linked is found after the link.
        self.folders.iter().try_for_each(|folder| each(&self.dir, Path::new(folder), &mut take))
    }
}

fn each(dir: &Path, path: &Path, take: &mut impl FnMut(&str, File) -> io::Result<()>) -> io::Result<()> {
    let Some(entries) = unless_gone(fs::read_dir(dir.join(path)))? else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let path = path.join(entry.file_name());
        let Some(kind) = unless_gone(entry.file_type())? else { continue };
        if kind.is_dir() {
            each(dir, &path, take)?;
        } else if kind.is_file()
            && let Some(name) = path.to_str()
            && let Some(file) = unless_gone(File::open(entry.path()))?
        {
            take(name, file)?;
        }
    }
    Ok(())
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
