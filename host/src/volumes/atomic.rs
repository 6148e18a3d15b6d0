//! Writes the files of a volume so that a reader sees all of the old ones or all of the new ones, as Kubernetes' kubelet does.
//!
//! The files are in a folder with the time in its name; `..data` is a link to it, replaced by a rename; and each top-level name is a link
//! into `..data`. All links are relative, so they hold wherever the volume is mounted.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use jiff::Timestamp;

use super::payload::{File, Payload};

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";
const FOLDER_MODE: u32 = 0o700;

/// Makes the volume hold exactly these files; true when that changed anything.
pub(super) fn write(volume: &Path, files: &Payload, now: Timestamp) -> io::Result<bool> {
    make_folder(volume)?;
    let present = fs::read_link(volume.join(DATA)).ok();
    let is_changed = match &present {
        Some(folder) => !holds(&volume.join(folder), files),
        None => true,
    };
    if is_changed {
        let name = write_new(volume, files, now)?;
        let link = volume.join(DATA_NEW);
        remove_if_there(&link)?;
        symlink(&name, &link)?;
        fs::rename(&link, volume.join(DATA))?;
    }
    link_names(volume, files)?;
    remove_old(volume)?;
    Ok(is_changed)
}

/// Makes a folder that is the host's only, with those above it.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// Writes files below a folder.
pub(super) fn write_files(folder: &Path, files: &Payload) -> io::Result<()> {
    for (path, file) in files {
        let path = folder.join(path);
        path.parent().map_or(Ok(()), make_folder)?;
        write_file(&path, file)?;
    }
    Ok(())
}

/// Writes a new file.
pub(super) fn write_file(path: &Path, file: &File) -> io::Result<()> {
    // Nobody may read it before its permissions are known.
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    opened.write_all(&file.bytes)?;
    opened.set_permissions(Permissions::from_mode(file.mode))
}

fn write_new(volume: &Path, files: &Payload, now: Timestamp) -> io::Result<String> {
    let stem = now.strftime("..%Y_%m_%d_%H_%M_%S.%9f").to_string();
    let (mut name, mut attempts) = (stem.clone(), 0);
    while let Err(error) = DirBuilder::new().mode(FOLDER_MODE).create(volume.join(&name)) {
        if error.kind() != io::ErrorKind::AlreadyExists {
            return Err(error);
        }
        attempts += 1;
        name = format!("{stem}_{attempts}");
    }
    write_files(&volume.join(&name), files)?;
    Ok(name)
}

/// Whether a folder holds exactly these files.
fn holds(folder: &Path, files: &Payload) -> bool {
    let is_same = |(path, file): (&String, &File)| {
        let path = folder.join(path);
        let mode = fs::symlink_metadata(&path).map(|metadata| metadata.permissions().mode() & 0o777);
        mode.is_ok_and(|mode| mode == file.mode) && fs::read(&path).is_ok_and(|bytes| bytes == file.bytes)
    };
    files.iter().all(is_same) && count(folder).is_ok_and(|count| count == files.len())
}

fn count(folder: &Path) -> io::Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files += if entry.file_type()?.is_dir() { count(&entry.path())? } else { 1 };
    }
    Ok(files)
}

/// Each top-level name is a link into `..data`; names that are gone go.
fn link_names(volume: &Path, files: &Payload) -> io::Result<()> {
    let names: BTreeSet<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for name in &names {
        match symlink(Path::new(DATA).join(name), volume.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            linked => linked?,
        }
    }
    for entry in fs::read_dir(volume)? {
        let name = entry?.file_name();
        let is_ours = name.to_str().is_none_or(|name| !name.starts_with("..") && !names.contains(name));
        if is_ours {
            remove_if_there(&volume.join(name))?;
        }
    }
    Ok(())
}

/// What a former `..data` led to, or a write that broke off left behind.
fn remove_old(volume: &Path) -> io::Result<()> {
    let present = fs::read_link(volume.join(DATA))?;
    for entry in fs::read_dir(volume)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() && name.as_encoded_bytes().starts_with(b"..") && Path::new(&name) != present {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn files(list: &[(&str, &str)]) -> Payload {
        let file = |text: &str| File { bytes: text.as_bytes().to_vec(), mode: 0o640 };
        list.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    /// All that a volume holds: links with what they lead to, files with mode and content; the folder with the time is `T`.
    fn show(volume: &Path) -> String {
        let current = fs::read_link(volume.join(DATA)).unwrap();
        let mut lines = Vec::new();
        let mut folders = vec![volume.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let metadata = fs::symlink_metadata(&path).unwrap();
                let name = path.strip_prefix(volume).unwrap().display().to_string();
                if metadata.is_dir() {
                    folders.push(path);
                } else if metadata.is_symlink() {
                    lines.push(format!("{name} -> {}", fs::read_link(path).unwrap().display()));
                } else {
                    let mode = metadata.permissions().mode() & 0o777;
                    lines.push(format!("{name} {mode:o} {}", fs::read_to_string(path).unwrap()));
                }
            }
        }
        lines.sort();
        lines.join("\n").replace(&current.display().to_string(), "T")
    }

    fn check(volume: &Path, now: &str, list: &[(&str, &str)], is_changed: bool, expected: Expect) {
        let now = now.parse().unwrap();
        assert_eq!(write(volume, &files(list), now).unwrap(), is_changed);
        expected.assert_eq(&show(volume));
    }

    #[test]
    fn a_volume_is_swapped_whole() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("v");
        let first = [("a", "1"), ("b/c", "2"), ("b/d", "3")];
        check(
            &volume,
            "2026-11-22T05:44:44Z",
            &first,
            true,
            expect![[r#"
                T/a 640 1
                T/b/c 640 2
                T/b/d 640 3
                ..data -> T
                a -> ..data/a
                b -> ..data/b"#]],
        );
        let before = fs::read_link(volume.join(DATA)).unwrap();
        assert_eq!(before.to_str().unwrap(), "..2026_11_22_05_44_44.000000000");
        check(
            &volume,
            "2026-11-22T05:45:00Z",
            &first,
            false,
            expect![[r#"
                T/a 640 1
                T/b/c 640 2
                T/b/d 640 3
                ..data -> T
                a -> ..data/a
                b -> ..data/b"#]],
        );
        assert_eq!(fs::read_link(volume.join(DATA)).unwrap(), before);
        // The clock may stand still, and a name may go.
        check(
            &volume,
            "2026-11-22T05:44:44Z",
            &[("a", "2"), ("e", "")],
            true,
            expect![[r#"
                T/a 640 2
                T/e 640 
                ..data -> T
                a -> ..data/a
                e -> ..data/e"#]],
        );
        check(&volume, "2026-11-22T05:44:45Z", &[], true, expect!["..data -> T"]);
    }

    #[test]
    fn what_broke_off_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("v");
        write(&volume, &files(&[("a", "1")]), Timestamp::UNIX_EPOCH).unwrap();
        fs::remove_file(volume.join("a")).unwrap();
        fs::create_dir(volume.join("..1999")).unwrap();
        symlink("..1999", volume.join(DATA_NEW)).unwrap();
        let data = volume.join(DATA).join("a");
        fs::set_permissions(&data, Permissions::from_mode(0o600)).unwrap();
        check(
            &volume,
            "2026-11-22T05:44:45Z",
            &[("a", "1")],
            true,
            expect![[r#"
                T/a 640 1
                ..data -> T
                a -> ..data/a"#]],
        );
    }
}
