//! Unpacks one layer's archive upon a folder that shows the layers below it: files, links, and the marks of what is deleted.
//!
//! Every path is resolved by the kernel with the folder as its root, so that neither `..` nor a link leads out of it. What an archive may
//! make of a disk is bounded. Deliberately absent: devices; a container's `/dev` is its runtime's.

mod archive;
mod frames;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat,
    linkat, lsetxattr, mkdirat, mknodat, openat, openat2, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use self::archive::{Archive, Entry, Kind};
use super::image::{Layer, Packing};

/// The most bytes of an archive, all told.
const BYTES_MAX: u64 = 16 << 30;
/// The most entries of an archive.
const ENTRIES_MAX: u64 = 2_000_000;

/// The mark before the name of what this layer deletes, and that of a folder of which it keeps nothing from below: OCI's layer specification.
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
/// Other marks, of storage drivers that are no more.
const WHITEOUT_META: &str = ".wh..wh.";

/// Why a layer was not unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// The layer is not as it should be: it will not be another time either.
    #[error("{0}")]
    Layer(String),
    /// This host could not write it.
    #[error("{what}: {cause}")]
    Host {
        /// What was tried.
        what: String,
        /// What the system says.
        cause: io::Error,
    },
}

/// Unpacks the layer into this folder, and checks that it is what the image's configuration says.
pub(crate) fn unpack(layer: &Layer, into: &Path) -> Result<(), UnpackError> {
    let host = |what: String| move |cause| UnpackError::Host { what, cause };
    let file = File::open(&layer.path).map_err(host(layer.path.display().to_string()))?;
    let packed: Box<dyn Read> = match layer.packing {
        Packing::None => Box::new(file),
        Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Packing::Zstd => Box::new(frames::Frames::new(io::BufReader::new(file))),
    };
    let root = openat(CWD, into, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let root = root.map_err(|error| host(into.display().to_string())(error.into()))?;
    let mut tree = Tree { root, unpacked: HashSet::new(), folders: Vec::new() };
    let mut archive = Archive::new(Hashing { reader: packed, hasher: Sha256::new(), bytes_left: BYTES_MAX });
    let mut entries = 0;
    while let Some(mut entry) = archive.next_entry().map_err(unreadable)? {
        entries += 1;
        if entries > ENTRIES_MAX {
            return Err(UnpackError::Layer(format!("a layer has more than {ENTRIES_MAX} entries")));
        }
        tree.take(&mut entry)?;
    }
    tree.finish()?;
    let found = archive.into_inner().digest().map_err(unreadable)?;
    if found != layer.diff_id {
        let wanted = &layer.diff_id;
        return Err(UnpackError::Layer(format!("a layer unpacks to {found}, and its configuration says {wanted}")));
    }
    Ok(())
}

fn unreadable(error: io::Error) -> UnpackError {
    UnpackError::Layer(format!("a layer cannot be unpacked: {error}"))
}

/// Computes the digest of what is read, and ends when that gets too much.
struct Hashing {
    reader: Box<dyn Read>,
    hasher: Sha256,
    bytes_left: u64,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        let left = self.bytes_left.checked_sub(count as u64);
        self.bytes_left = left.ok_or_else(|| io::Error::other(format!("it has more than {BYTES_MAX} bytes")))?;
        Ok(count)
    }
}

impl Hashing {
    /// Of all there is, read to its end.
    fn digest(mut self) -> io::Result<String> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(format!("sha256:{}", hex::encode(self.hasher.finalize())))
    }
}

/// What is being unpacked.
struct Tree {
    root: OwnedFd,
    /// What this layer brought, with the folders above: not what an opaque folder hides.
    unpacked: HashSet<PathBuf>,
    /// Folders get their times when nothing more is put into them.
    folders: Vec<(PathBuf, i64)>,
}

impl Tree {
    fn take(&mut self, entry: &mut Entry<'_, Hashing>) -> Result<(), UnpackError> {
        let path = below(&entry.path)?;
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            // The root itself: it is there, and gets its owner and mode.
            return self.attributes(Path::new("."), entry);
        };
        let parent = path.parent().unwrap_or(Path::new("")).to_owned();
        let failed = |cause: io::Error| UnpackError::Host { what: format!("unpacking {}", path.display()), cause };
        if name == OPAQUE {
            return self.clear(&parent).map_err(failed);
        }
        if name.starts_with(WHITEOUT_META) {
            return Ok(());
        }
        if let Some(deleted) = name.strip_prefix(WHITEOUT) {
            if matches!(deleted, "" | "." | "..") {
                return Err(UnpackError::Layer(format!("a layer deletes {:?}, which is no name", entry.path)));
            }
            let deleted = parent.join(deleted);
            return if self.unpacked.contains(&deleted) { Ok(()) } else { self.remove(&deleted).map_err(failed) };
        }
        if let Kind::Device = entry.kind {
            // Those in /dev would be hidden by the container's own anyway.
            return match path.starts_with("dev") {
                true => Ok(()),
                false => Err(UnpackError::Layer(format!(
                    "a layer has a device at /{}, and devices are not unpacked",
                    path.display()
                ))),
            };
        }
        self.make(&path, &parent, entry).map_err(failed)?;
        self.note(&path);
        match entry.kind {
            Kind::Link(_) => Ok(()),
            _ => self.attributes(&path, entry),
        }
    }

    fn note(&mut self, path: &Path) {
        let new = path.ancestors().take_while(|path| !path.as_os_str().is_empty());
        for path in new {
            if !self.unpacked.insert(path.to_owned()) {
                break;
            }
        }
    }

    /// Makes it, in place of what was there; a folder stays.
    fn make(&mut self, path: &Path, parent: &Path, entry: &mut Entry<'_, Hashing>) -> io::Result<()> {
        let folder = self.folder(parent)?;
        let name = path.file_name().unwrap_or_default();
        let present = match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(FileType::from_raw_mode(stat.st_mode)),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error.into()),
        };
        match (present, &entry.kind) {
            (Some(FileType::Directory), Kind::Folder) => return Ok(()),
            (Some(_), _) => self.remove(path)?,
            (None, _) => {}
        }
        let mode = Mode::from_raw_mode(0o600);
        match &entry.kind {
            Kind::Folder => mkdirat(&folder, name, Mode::from_raw_mode(0o700))?,
            Kind::Symlink(target) => symlinkat(target.as_path(), &folder, name)?,
            Kind::Fifo => mknodat(&folder, name, FileType::Fifo, mode, 0)?,
            Kind::Link(target) => {
                let target = below(target).map_err(|error| io::Error::other(error.to_string()))?;
                let from = self.folder(target.parent().unwrap_or(Path::new("")))?;
                let linked = target.file_name().ok_or_else(|| io::Error::other("it is a link to nothing"))?;
                linkat(&from, linked, &folder, name, AtFlags::empty())?;
            }
            Kind::File => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut file = File::from(openat(&folder, name, flags, mode)?);
                let copied = io::copy(entry, &mut file)?;
                file.flush()?;
                if copied != entry.size {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the layer ends within it"));
                }
            }
            Kind::Device => {}
        }
        Ok(())
    }

    /// Owner first: changing it takes set-user-id away.
    fn attributes(&mut self, path: &Path, entry: &Entry<'_, Hashing>) -> Result<(), UnpackError> {
        let failed = |cause: io::Error| UnpackError::Host { what: format!("unpacking {}", path.display()), cause };
        let parent = path.parent().unwrap_or(Path::new(""));
        let folder = self.folder(parent).map_err(failed)?;
        let name = path.file_name().unwrap_or(std::ffi::OsStr::new("."));
        let set = || -> rustix::io::Result<()> {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            chownat(&folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
            if matches!(entry.kind, Kind::Symlink(_)) {
                return Ok(());
            }
            // It is no link: it has just been made, or looked at.
            chmodat(&folder, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
            self.set_extended(&folder, name, entry)?;
            match entry.kind {
                Kind::Folder => Ok(()),
                _ => set_time(&folder, name, entry.modified_s),
            }
        };
        set().map_err(|error| failed(error.into()))?;
        if let Kind::Folder = entry.kind {
            self.folders.push((path.to_owned(), entry.modified_s));
        }
        Ok(())
    }

    /// Capabilities of programs, and what is the user's own; labels of other machines' security modules mean nothing here.
    fn set_extended(
        &self,
        folder: &OwnedFd,
        name: &std::ffi::OsStr,
        entry: &Entry<'_, Hashing>,
    ) -> rustix::io::Result<()> {
        let kept = |name: &str| name == "security.capability" || name.starts_with("user.");
        for (attribute, value) in entry.extended.iter().filter(|(attribute, _)| kept(attribute)) {
            let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
            lsetxattr(path, attribute.as_str(), value, XattrFlags::empty())?;
        }
        Ok(())
    }

    /// Opens a folder below the root, made as far as it is missing.
    fn folder(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.open(path) {
            Err(Errno::NOENT) => {}
            opened => return Ok(opened?),
        }
        let name = path.file_name().ok_or(Errno::NOENT)?;
        let parent = self.folder(path.parent().unwrap_or(Path::new("")))?;
        mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
        Ok(self.open(path)?)
    }

    fn open(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
    }

    /// Removes it with all that is in it; nothing is fine too.
    fn remove(&self, path: &Path) -> io::Result<()> {
        let folder = match self.open(path.parent().unwrap_or(Path::new(""))) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            folder => folder?,
        };
        remove_in(folder.as_fd(), path.file_name().unwrap_or_default())
    }

    /// Removes from a folder what this layer did not bring.
    fn clear(&self, path: &Path) -> io::Result<()> {
        let folder = match self.open(path) {
            Err(Errno::NOENT) => return Ok(()),
            folder => folder?,
        };
        for child in std::fs::read_dir(proc_path(folder.as_fd()))? {
            let name = child?.file_name();
            let child = path.join(&name);
            if !self.unpacked.contains(&child) {
                remove_in(folder.as_fd(), &name)?;
            } else if FileType::from_raw_mode(statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode).is_dir() {
                self.clear(&child)?;
            }
        }
        Ok(())
    }

    /// Nothing more comes: folders get their times.
    fn finish(&self) -> Result<(), UnpackError> {
        for (path, modified_s) in self.folders.iter().rev() {
            // It may have been replaced since.
            let Ok(folder) = self.open(path) else { continue };
            let set = set_time(&folder, std::ffi::OsStr::new("."), *modified_s);
            set.map_err(|error| UnpackError::Host { what: path.display().to_string(), cause: error.into() })?;
        }
        Ok(())
    }
}

fn remove_in(folder: BorrowedFd<'_>, name: &std::ffi::OsStr) -> io::Result<()> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        // Follows no links.
        Err(Errno::ISDIR) => std::fs::remove_dir_all(proc_path(folder).join(name)),
        Err(error) => Err(error.into()),
    }
}

fn proc_path(folder: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", folder.as_raw_fd()).into()
}

fn set_time(folder: &OwnedFd, name: &std::ffi::OsStr, seconds: i64) -> rustix::io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}

/// A path of an archive, below its root: without what is absolute about it, and never back.
fn below(path: &Path) -> Result<PathBuf, UnpackError> {
    use std::path::Component;
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            Component::ParentDir => {
                return Err(UnpackError::Layer(format!("a layer has the path {path:?}, which leads out of the image")));
            }
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests;
