//! Paths of this host: only below what its owner allows, and only what the pod says is there.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::folder::Folder;
use super::template::HostPathKind;

const FILE_MODE: u32 = 0o644;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostPath {
    /// A folder.
    Folder(Folder),
    /// A file of whatever type.
    File,
}

/// Why a path cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostPathError {
    /// The host's owner allows other paths, or none.
    #[error(
        "hostPath {path:?} is not allowed on this host: its owner allows {allowed}; use another kind of volume, or let the owner start the host with `--allow-host-path {path}`"
    )]
    NotAllowed {
        /// The path.
        path: String,
        /// `no path`, or which.
        allowed: String,
    },
    /// Something else is there; the text is Kubernetes'.
    #[error("hostPath type check failed: {path} is not a {wanted}")]
    WrongType {
        /// The path.
        path: String,
        /// `directory`, …
        wanted: &'static str,
    },
    /// It cannot be looked at or made.
    #[error("hostPath {path:?}: {cause}")]
    Io {
        /// The path.
        path: String,
        /// What the system says.
        cause: io::Error,
    },
}

/// Finds what is at a path, and makes it where the pod asks for that. Links are followed, if they lead to what is allowed.
pub(super) fn find(path: &str, kind: HostPathKind, allowed: &[PathBuf]) -> Result<HostPath, HostPathError> {
    let failed = |cause| HostPathError::Io { path: path.to_owned(), cause };
    let real = real_path(Path::new(path)).map_err(failed)?;
    let prefixes = allowed.iter().filter_map(|prefix| fs::canonicalize(prefix).ok());
    let Some(prefix) = prefixes.into_iter().find(|prefix| real.starts_with(prefix)) else {
        let list: Vec<String> = allowed.iter().map(|prefix| prefix.display().to_string()).collect();
        let allowed = if list.is_empty() { "no path".to_owned() } else { format!("only {}", list.join(", ")) };
        return Err(HostPathError::NotAllowed { path: path.to_owned(), allowed });
    };
    let below = real.strip_prefix(&prefix).unwrap_or(Path::new(""));
    let folder = Folder::new(prefix.clone()).below(&below.to_string_lossy());
    if !real.exists() {
        match kind {
            HostPathKind::DirectoryOrCreate => folder.make().map_err(failed)?,
            HostPathKind::FileOrCreate => make_file(&real).map_err(failed)?,
            _ => {}
        }
    }
    let found = fs::symlink_metadata(&real).map(|metadata| metadata.file_type());
    let is = |test: fn(&fs::FileType) -> bool| found.as_ref().is_ok_and(test);
    let (is_right, wanted) = match kind {
        HostPathKind::Any => (true, ""),
        HostPathKind::Directory | HostPathKind::DirectoryOrCreate => (is(fs::FileType::is_dir), "directory"),
        HostPathKind::File | HostPathKind::FileOrCreate => (is(fs::FileType::is_file), "file"),
        HostPathKind::Socket => (is(|file| file.is_socket()), "socket file"),
        HostPathKind::CharDevice => (is(|file| file.is_char_device()), "character device"),
        HostPathKind::BlockDevice => (is(|file| file.is_block_device()), "block device"),
    };
    if !is_right {
        return Err(HostPathError::WrongType { path: path.to_owned(), wanted });
    }
    match found {
        Ok(file) if file.is_dir() => Ok(HostPath::Folder(folder)),
        Ok(_) => Ok(HostPath::File),
        Err(cause) => Err(failed(cause)),
    }
}

/// The path without links, as far as it exists.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    let mut missing = Vec::new();
    let mut existing = path;
    loop {
        match fs::canonicalize(existing) {
            Ok(real) => return Ok(missing.iter().rev().fold(real, |path, step| path.join(step))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let (Some(parent), Some(name)) = (existing.parent(), existing.file_name()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        missing.push(name);
        existing = parent;
    }
}

fn make_file(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use expect_test::expect;

    use super::*;

    #[test]
    fn only_what_is_allowed_and_of_the_right_type() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("yes/inner")).unwrap();
        fs::create_dir(at("no")).unwrap();
        fs::write(at("yes/file"), "").unwrap();
        let _socket = UnixListener::bind(at("yes/socket")).unwrap();
        symlink(at("no"), at("yes/out")).unwrap();
        symlink(at("yes/inner"), at("no/in")).unwrap();
        symlink(at("no/none"), at("yes/dangling")).unwrap();
        let allowed = [at("yes"), at("never-made")];
        let lines: Vec<String> = [
            ("yes", HostPathKind::Any),
            ("yes/inner", HostPathKind::Directory),
            ("no/in", HostPathKind::Directory),
            ("yes/out", HostPathKind::Directory),
            ("yes-not", HostPathKind::Any),
            ("no", HostPathKind::Any),
            ("yes/file", HostPathKind::Directory),
            ("yes/file", HostPathKind::File),
            ("yes/socket", HostPathKind::Socket),
            ("yes/socket", HostPathKind::CharDevice),
            ("yes/new", HostPathKind::Directory),
            ("yes/new", HostPathKind::Any),
            ("yes/new/deep", HostPathKind::DirectoryOrCreate),
            ("yes/out/new", HostPathKind::DirectoryOrCreate),
            ("yes/dangling", HostPathKind::DirectoryOrCreate),
            ("yes/made", HostPathKind::FileOrCreate),
        ]
        .into_iter()
        .map(|(path, kind)| {
            let found = find(at(path).to_str().unwrap(), kind, &allowed);
            let found = match found {
                Ok(HostPath::Folder(folder)) => format!("a folder, opens: {}", folder.open().is_ok()),
                Ok(HostPath::File) => "a file".to_owned(),
                Err(error) => error.to_string(),
            };
            format!("{path} {kind:?}: {found}").replace(dir.path().to_str().unwrap(), "")
        })
        .collect();
        expect![[r#"
            yes Any: a folder, opens: true
            yes/inner Directory: a folder, opens: true
            no/in Directory: a folder, opens: true
            yes/out Directory: hostPath "/yes/out" is not allowed on this host: its owner allows only /yes, /never-made; use another kind of volume, or let the owner start the host with `--allow-host-path /yes/out`
            yes-not Any: hostPath "/yes-not" is not allowed on this host: its owner allows only /yes, /never-made; use another kind of volume, or let the owner start the host with `--allow-host-path /yes-not`
            no Any: hostPath "/no" is not allowed on this host: its owner allows only /yes, /never-made; use another kind of volume, or let the owner start the host with `--allow-host-path /no`
            yes/file Directory: hostPath type check failed: /yes/file is not a directory
            yes/file File: a file
            yes/socket Socket: a file
            yes/socket CharDevice: hostPath type check failed: /yes/socket is not a character device
            yes/new Directory: hostPath type check failed: /yes/new is not a directory
            yes/new Any: hostPath "/yes/new": No such file or directory (os error 2)
            yes/new/deep DirectoryOrCreate: a folder, opens: true
            yes/out/new DirectoryOrCreate: hostPath "/yes/out/new" is not allowed on this host: its owner allows only /yes, /never-made; use another kind of volume, or let the owner start the host with `--allow-host-path /yes/out/new`
            yes/dangling DirectoryOrCreate: hostPath "/yes/dangling": Not a directory (os error 20)
            yes/made FileOrCreate: a file"#]].assert_eq(&lines.join("\n"));
        let none = find("/etc", HostPathKind::Directory, &[]).unwrap_err().to_string();
        expect![[r#"hostPath "/etc" is not allowed on this host: its owner allows no path; use another kind of volume, or let the owner start the host with `--allow-host-path /etc`"#]].assert_eq(&none);
    }
}
