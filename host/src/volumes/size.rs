//! Finds pods that keep more in an `emptyDir` than its `sizeLimit`, as kubelet does: by looking, every ten seconds.
//!
//! Deliberately absent: writes that fail at the limit, which would need quotas of the file system. What counts is the room on disk.

use std::collections::HashSet;
use std::fs::{DirEntry, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Volumes;
use super::template::{SizeLimit, VolumeSource};
use crate::agent::Message;

const INTERVAL: Duration = Duration::from_secs(10);
const BLOCK_BYTES: u64 = 512;

/// A volume that may not become larger.
struct Limited {
    name: String,
    folder: PathBuf,
    limit: SizeLimit,
}

/// Looks for as long as there are volumes.
pub(super) async fn watch(volumes: Weak<Volumes>) {
    let mut looks = tokio::time::interval(INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(volumes) = volumes.upgrade() else { return };
        for (uid, limited) in volumes.limited() {
            let found = tokio::task::spawn_blocking(move || limited.iter().find_map(overfull)).await;
            if let Ok(Some(message)) = found {
                // The agent is gone only when the host ends.
                let _ = volumes.options.messages.send(Message::VolumeOverfull { uid, message });
            }
        }
    }
}

impl Volumes {
    /// The pods that have such volumes.
    fn limited(&self) -> Vec<(Arc<str>, Vec<Limited>)> {
        let pods = self.pods.lock();
        let limited = pods.iter().map(|(uid, pod)| {
            let template = pod.wanted.lock().1.clone();
            let limited = template.volumes.iter().filter_map(|volume| match &volume.source {
                VolumeSource::EmptyDir { limit: Some(limit) } => Some(Limited {
                    name: volume.name.clone(),
                    folder: self.folder(uid).join(&volume.name),
                    limit: limit.clone(),
                }),
                _ => None,
            });
            (uid.clone(), limited.collect())
        });
        limited.filter(|(_, limited): &(_, Vec<_>)| !limited.is_empty()).collect()
    }
}

/// What is to be said of a volume that is too large; Kubernetes' words.
fn overfull(volume: &Limited) -> Option<String> {
    let Limited { name, folder, limit } = volume;
    match is_larger(folder, limit.bytes_max) {
        Ok(false) => None,
        Ok(true) => Some(format!("Usage of EmptyDir volume {name:?} exceeds the limit {:?}.", limit.text)),
        // Nobody hides what he keeps.
        Err(error) => Some(format!("Usage of EmptyDir volume {name:?} cannot be measured: {error}")),
    }
}

/// Whether the files below a folder take more than so much room.
fn is_larger(folder: &Path, bytes_max: u64) -> std::io::Result<bool> {
    let (mut folders, mut seen, mut bytes) = (vec![folder.to_owned()], HashSet::new(), 0);
    while let Some(folder) = folders.pop() {
        for entry in unless_gone(std::fs::read_dir(folder))?.into_iter().flatten() {
            let Some(entry) = unless_gone(entry)? else { continue };
            let Some(metadata) = unless_gone(DirEntry::metadata(&entry))? else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            if is_new(&metadata, &mut seen) {
                bytes += metadata.blocks() * BLOCK_BYTES;
            }
            if bytes > bytes_max {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a file was not counted yet under another name.
fn is_new(metadata: &Metadata, seen: &mut HashSet<u64>) -> bool {
    metadata.is_dir() || metadata.nlink() == 1 || seen.insert(metadata.ino())
}

/// Files come and go meanwhile, and take the place of folders.
fn unless_gone<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{Mode, OFlags, mkdirat, open, openat};

    use super::*;

    fn said(folder: &Path, bytes_max: u64) -> Option<String> {
        let limit = SizeLimit { bytes_max, text: "64Ki".to_owned() };
        overfull(&Limited { name: "cache".to_owned(), folder: folder.to_owned(), limit })
    }

    #[test]
    fn what_files_take_is_counted_once_and_links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join("file"), [1; 48 << 10]).unwrap();
        std::fs::hard_link(below.join("file"), dir.path().join("again")).unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("link")).unwrap();
        assert_eq!(said(dir.path(), 64 << 10), None);
        std::fs::write(dir.path().join("more"), [1; 20 << 10]).unwrap();
        let too_large = said(dir.path(), 64 << 10);
        assert_eq!(too_large.as_deref(), Some("Usage of EmptyDir volume \"cache\" exceeds the limit \"64Ki\"."));
        assert_eq!(said(&dir.path().join("gone"), 1), None);
    }

    #[test]
    fn what_is_too_deep_to_be_looked_at_counts_as_too_large() {
        let dir = tempfile::tempdir().unwrap();
        let name = "d".repeat(200);
        let mut folder = open(dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..25 {
            mkdirat(&folder, &name, Mode::RWXU).unwrap();
            folder = openat(&folder, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        let deep = said(dir.path(), 1 << 20).unwrap();
        assert!(
            deep.starts_with("Usage of EmptyDir volume \"cache\" cannot be measured: File name too long"),
            "{deep}"
        );
    }
}
