//! What a container sees of its pod's volumes: folders as they are, and files in folders made for them, since a component can only be given
//! folders.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::atomic;
use super::folder::Folder;
use super::payload::{File, Payload, PayloadPart};
use crate::runtime::Mount;

/// A mount, and what it leads to.
pub(super) struct Wanted {
    /// Where the container sees it.
    pub(super) path: String,
    /// The container may not change it.
    pub(super) is_read_only: bool,
    /// What is there.
    pub(super) content: Content,
}

/// What a mount leads to.
pub(super) enum Content {
    /// A folder.
    Folder(Folder),
    /// Files as they are now, in a folder of the container's own.
    Copy(Payload),
    /// One file.
    File(FileContent),
}

/// Where a single file comes from.
pub(super) enum FileContent {
    /// It is written as it is now.
    Copy(File),
    /// It is another name of a file that others see too.
    Link(Folder),
}

/// Why a mount cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountError {
    /// It cannot be had in this way.
    #[error("volumeMounts: {path:?}: {why}")]
    Refused {
        /// Where it was to be.
        path: String,
        /// Why, and the way out.
        why: &'static str,
    },
    /// The part that is asked for isn't there, or leads elsewhere.
    #[error("failed to prepare subPath for volumeMount {volume:?}: {cause}")]
    SubPath {
        /// The volume's name.
        volume: String,
        /// Why not.
        cause: String,
    },
    /// The host could not do its part.
    #[error("the folder of mounted files cannot be made: {0}")]
    Io(#[from] io::Error),
}

/// The folders that the container is given. `own` is a folder for its files, made anew.
pub(super) fn prepare(wanted: Vec<Wanted>, own: &Path) -> Result<Vec<Mount>, MountError> {
    let plan = plan(wanted)?;
    match fs::remove_dir_all(own) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let place = |index: usize| own.join(index.to_string());
    let mut mounts = Vec::new();
    for (index, Planned { path, is_read_only, source }) in plan.into_iter().enumerate() {
        let folder = match source {
            Source::Folder(folder) => folder,
            Source::Copy(files) => {
                atomic::make_folder(&place(index))?;
                atomic::write_files(&place(index), &files)?;
                Folder::new(place(index))
            }
            Source::Files(files) => {
                gather(&place(index), files)?;
                Folder::new(place(index))
            }
        };
        mounts.push(Mount { path, folder, is_read_only });
    }
    Ok(mounts)
}

fn gather(folder: &Path, files: BTreeMap<String, FileContent>) -> io::Result<()> {
    atomic::make_folder(folder)?;
    for (name, content) in files {
        let path: PathBuf = folder.join(name);
        match content {
            FileContent::Copy(file) => atomic::write_file(&path, &file)?,
            FileContent::Link(file) => file.link_to(&path)?,
        }
    }
    Ok(())
}

/// One folder to give.
struct Planned {
    path: String,
    is_read_only: bool,
    source: Source,
}

enum Source {
    Folder(Folder),
    Copy(Payload),
    /// Files by name.
    Files(BTreeMap<String, FileContent>),
}

/// Files of one folder come together; they may not be in the way of a folder that is mounted.
fn plan(wanted: Vec<Wanted>) -> Result<Vec<Planned>, MountError> {
    let (mut folders, mut files) = (Vec::new(), BTreeMap::<String, Vec<(String, String, bool, FileContent)>>::new());
    for Wanted { path, is_read_only, content } in wanted {
        let source = match content {
            Content::Folder(folder) => Source::Folder(folder),
            Content::Copy(files) => Source::Copy(files),
            Content::File(file) => {
                let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
                let parent = if parent.is_empty() { "/" } else { parent };
                let (parent, name) = (parent.to_owned(), name.to_owned());
                files.entry(parent).or_default().push((path, name, is_read_only, file));
                continue;
            }
        };
        folders.push(Planned { path, is_read_only, source });
    }
    let mut gathered = Vec::new();
    for (parent, files) in files {
        let refused = |path: &str, why| MountError::Refused { path: path.to_owned(), why };
        let first = &files[0].0;
        if folders.iter().any(|folder| contains(&folder.path, &parent)) {
            let why = "a component can only be given folders, and this file's lies in another that is mounted; mount it elsewhere";
            return Err(refused(first, why));
        }
        let is_read_only = files[0].2;
        if let Some((path, ..)) = files.iter().find(|(_, _, other, _)| *other != is_read_only) {
            let why = "a component can only be given folders, and this file is to be read-only in one with files that are not, or the other way round; mount it elsewhere";
            return Err(refused(path, why));
        }
        let files = files.into_iter().map(|(_, name, _, content)| (name, content)).collect();
        gathered.push(Planned { path: parent, is_read_only, source: Source::Files(files) });
    }
    folders.append(&mut gathered);
    Ok(folders)
}

/// Whether a path is a folder or lies below it.
fn contains(folder: &str, path: &str) -> bool {
    folder == "/" || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a part of a written volume is.
pub(super) fn written(part: Option<PayloadPart>, volume: &str) -> Result<Content, MountError> {
    match part {
        Some(PayloadPart::File(file)) => Ok(Content::File(FileContent::Copy(file))),
        Some(PayloadPart::Folder(files)) => Ok(Content::Copy(files)),
        None => Err(sub_path(volume, "the volume has no such file")),
    }
}

/// What a part of a folder is; made, as a folder, if it is missing.
pub(super) fn below(folder: &Folder, path: &str, volume: &str) -> Result<Content, MountError> {
    let part = folder.below(path);
    let failed = |error: io::Error| sub_path(volume, &error.to_string());
    match part.look().map_err(failed)? {
        Some(FileType::Directory) => Ok(Content::Folder(part)),
        Some(FileType::RegularFile) => Ok(Content::File(FileContent::Link(part))),
        Some(_) => Err(sub_path(volume, "it is neither a folder nor a file")),
        None => {
            part.make().map_err(failed)?;
            Ok(Content::Folder(part))
        }
    }
}

pub(super) fn sub_path(volume: &str, cause: &str) -> MountError {
    MountError::SubPath { volume: volume.to_owned(), cause: cause.to_owned() }
}

/// A single file of the host's own: there is no folder to give but the one that it lies in.
pub(super) fn host_file(path: &str) -> MountError {
    let why =
        "a component can only be given folders, and this path of the host is a file; mount the folder that it lies in";
    MountError::Refused { path: path.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// Mounts as `PATH=CONTENT`, read-only with an `r` before: `folder`, `file` or `copy`.
    fn check(list: &[&str], expected: Expect) {
        let dir = tempfile::tempdir().unwrap();
        let file = |text: &str| File { bytes: text.as_bytes().to_vec(), mode: 0o600 };
        let shared = dir.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::write(shared.join("linked"), "linked").unwrap();
        let wanted = list.iter().map(|text| {
            let (path, content) = text.split_once('=').unwrap();
            let content = match content {
                "folder" => Content::Folder(Folder::new(shared.clone())),
                "copy" => Content::Copy([("x/y".to_owned(), file("copied"))].into()),
                "link" => Content::File(FileContent::Link(Folder::new(shared.clone()).below("linked"))),
                _ => Content::File(FileContent::Copy(file("written"))),
            };
            let is_read_only = path.starts_with('r');
            Wanted { path: path.trim_start_matches('r').to_owned(), is_read_only, content }
        });
        let own = dir.path().join("own");
        fs::create_dir_all(own.join("0/old")).unwrap();
        let text = match prepare(wanted.collect(), &own) {
            Err(error) => error.to_string(),
            Ok(mounts) => mounts.iter().map(|mount| show(mount, dir.path())).collect::<Vec<_>>().join("\n"),
        };
        expected.assert_eq(&text);
    }

    fn show(mount: &Mount, dir: &Path) -> String {
        let folder = mount.folder.open().unwrap();
        let path = fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder))).unwrap();
        let mut names: Vec<String> =
            fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let mode = if mount.is_read_only { "ro" } else { "rw" };
        format!("{} {mode} {} {names:?}", mount.path, path.strip_prefix(dir).unwrap().display())
    }

    #[test]
    fn folders_and_files() {
        check(
            &["/a=folder", "r/b=copy"],
            expect![[r#"
            /a rw shared ["linked"]
            /b ro own/1 ["x"]"#]],
        );
        check(
            &["r/etc/app/x=file", "/data=folder", "r/etc/app/y=link", "/top=file"],
            expect![[r#"
                /data rw shared ["linked"]
                / rw own/1 ["top"]
                /etc/app ro own/2 ["x", "y"]"#]],
        );
        check(
            &["/etc=folder", "/etc/app/x=file"],
            expect![[
                r#"volumeMounts: "/etc/app/x": a component can only be given folders, and this file's lies in another that is mounted; mount it elsewhere"#
            ]],
        );
        check(
            &["/etc/app=folder", "/etc/app/x=file"],
            expect![[
                r#"volumeMounts: "/etc/app/x": a component can only be given folders, and this file's lies in another that is mounted; mount it elsewhere"#
            ]],
        );
        check(
            &["/etc/app/sub=folder", "r/etc/app/x=file"],
            expect![[r#"
            /etc/app/sub rw shared ["linked"]
            /etc/app ro own/1 ["x"]"#]],
        );
        check(
            &["r/a/x=file", "/a/y=file"],
            expect![[
                r#"volumeMounts: "/a/y": a component can only be given folders, and this file is to be read-only in one with files that are not, or the other way round; mount it elsewhere"#
            ]],
        );
    }
}
