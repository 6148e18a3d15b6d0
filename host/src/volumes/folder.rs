//! A folder of this host that is reached without following any link that others may have put in the way.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, linkat, mkdirat, open, openat, statat};
use rustix::io::Errno;

const FOLDER_MODE: u32 = 0o700;

/// A folder below a root that only this host's owner can replace. Every step below the root must be a folder itself, whenever it is
/// opened: what containers or others change meanwhile leads nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    root: PathBuf,
    below: Vec<String>,
}

impl Folder {
    /// A folder that only this host writes to, or its owner.
    pub fn new(root: PathBuf) -> Folder {
        Folder { root, below: Vec::new() }
    }

    /// A folder in it; a path whose steps don't lead back.
    #[must_use]
    pub fn below(&self, path: &str) -> Folder {
        let mut folder = self.clone();
        folder.below.extend(path.split('/').filter(|step| !matches!(*step, "" | ".")).map(str::to_owned));
        folder
    }

    /// Opens it for reading.
    pub fn open(&self) -> io::Result<File> {
        self.walk(false, OFlags::RDONLY).map(File::from)
    }

    /// Makes what is missing of it.
    pub(crate) fn make(&self) -> io::Result<()> {
        self.walk(true, OFlags::PATH).map(drop)
    }

    /// What it is in truth; `None` when there is nothing.
    pub(crate) fn look(&self) -> io::Result<Option<FileType>> {
        let Some((parent, name)) = self.split() else { return Ok(Some(FileType::Directory)) };
        let parent = match parent.walk(false, OFlags::PATH) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            parent => parent?,
        };
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a file, which it is in truth, another name on the same disk.
    pub(crate) fn link_to(&self, new: &Path) -> io::Result<()> {
        let Some((parent, name)) = self.split() else { return Err(Errno::ISDIR.into()) };
        let parent = parent.walk(false, OFlags::PATH)?;
        Ok(linkat(&parent, name, CWD, new, AtFlags::empty())?)
    }

    /// The folder it lies in, and its name there; `None` for the root.
    fn split(&self) -> Option<(Folder, &str)> {
        let (name, steps) = self.below.split_last()?;
        Some((Folder { root: self.root.clone(), below: steps.to_vec() }, name))
    }

    fn walk(&self, makes: bool, last: OFlags) -> io::Result<OwnedFd> {
        let flags = |is_last: bool| OFlags::DIRECTORY | OFlags::CLOEXEC | if is_last { last } else { OFlags::PATH };
        let mut folder = open(&self.root, flags(self.below.is_empty()), Mode::empty())?;
        for (index, step) in self.below.iter().enumerate() {
            if step == ".." {
                return Err(Errno::XDEV.into());
            }
            let flags = flags(index + 1 == self.below.len()) | OFlags::NOFOLLOW;
            folder = match openat(&folder, step, flags, Mode::empty()) {
                Err(Errno::NOENT) if makes => {
                    match mkdirat(&folder, step, Mode::from_raw_mode(FOLDER_MODE)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    openat(&folder, step, flags, Mode::empty())?
                }
                opened => opened?,
            };
        }
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        std::fs::write(root.join("a/file"), "x").unwrap();
        symlink("../outside", root.join("out")).unwrap();
        symlink("a", root.join("in")).unwrap();
        let folder = Folder::new(root);
        for (path, opens, found) in [
            ("", true, Some(FileType::Directory)),
            ("a/./b", true, Some(FileType::Directory)),
            ("a/file", false, Some(FileType::RegularFile)),
            ("out", false, Some(FileType::Symlink)),
            ("in/b", false, None),
            ("../outside", false, None),
            ("none/x", false, None),
        ] {
            let found_here = folder.below(path).look().ok().flatten();
            assert_eq!((folder.below(path).open().is_ok(), found_here), (opens, found), "{path}");
        }
        folder.below("new/deep").make().unwrap();
        assert!(folder.below("new/deep").open().is_ok());
        assert!(folder.below("out/new").make().is_err());
        assert!(!dir.path().join("outside/new").exists());
        let linked = dir.path().join("linked");
        folder.below("a/file").link_to(&linked).unwrap();
        assert_eq!(std::fs::read(linked).unwrap(), b"x");
    }
}
