//! The one thread that writes log files: takes each log's buffer, appends it, rotates, and wakes the readers.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;

use super::{ContainerLog, FILE_BYTES_MAX, FILES_MAX, LogKey, line, path, rotated};
use crate::runtime::Stream;

/// Files held open; with more, all are closed and opened again on demand.
const OPEN_FILES_MAX: usize = 512;

/// What the thread is asked for.
pub(super) enum Task {
    /// Write what this log has buffered.
    Write(Arc<ContainerLog>),
    /// Answer when everything asked for before is done.
    Sync(oneshot::Sender<()>),
    /// Delete a pod's logs.
    Remove(String),
}

/// The files open for appending.
pub(super) struct Files {
    dir: PathBuf,
    open: HashMap<(LogKey, u32), Open>,
}

struct Open {
    file: File,
    size: u64,
}

pub(super) fn run(mut files: Files, tasks: mpsc::Receiver<Task>) {
    for task in tasks {
        match task {
            Task::Write(log) => {
                let (bytes, dropped) = log.take();
                if let Err(error) = files.write(&log, bytes, dropped) {
                    tracing::warn!(pod = %log.key.uid, container = %log.key.container, %error, "a log could not be written");
                }
                log.changed.notify_waiters();
            }
            Task::Sync(done) => {
                // Whoever asked may have gone away.
                let _ = done.send(());
            }
            Task::Remove(uid) => files.remove(&uid),
        }
    }
}

impl Files {
    pub(super) fn new(dir: PathBuf) -> Files {
        Files { dir, open: HashMap::new() }
    }

    fn write(&mut self, log: &ContainerLog, mut bytes: Vec<u8>, dropped: u64) -> io::Result<()> {
        if dropped > 0 {
            let note =
                format!("coracle: {dropped} lines were dropped here: they came faster than they could be written");
            line::append(&mut bytes, log.clock.now(), Stream::Stderr, note.as_bytes());
        }
        let key = (log.key.clone(), log.incarnation);
        let path = path(&self.dir, &log.key, log.incarnation);
        if !self.open.contains_key(&key) {
            if self.open.len() >= OPEN_FILES_MAX {
                self.open.clear();
            }
            self.open.insert(key.clone(), open(&path, log.incarnation)?);
        }
        let open = self.open.get_mut(&key).expect("the file was opened just now");
        if open.size > 0 && open.size + bytes.len() as u64 > FILE_BYTES_MAX {
            log.rotations.fetch_add(1, Ordering::AcqRel);
            let file = rotate(&path).and_then(|()| OpenOptions::new().create(true).append(true).open(&path));
            log.rotations.fetch_add(1, Ordering::AcqRel);
            *open = Open { file: file?, size: 0 };
        }
        open.file.write_all(&bytes)?;
        open.size += bytes.len() as u64;
        Ok(())
    }

    fn remove(&mut self, uid: &str) {
        self.open.retain(|(key, _), _| *key.uid != *uid);
        match std::fs::remove_dir_all(self.dir.join(uid)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(pod = uid, %error, "a pod's logs could not be deleted");
            }
            _ => {}
        }
    }
}

fn open(path: &Path, incarnation: u32) -> io::Result<Open> {
    let parent = path.parent().expect("a log's path has a folder");
    std::fs::create_dir_all(parent)?;
    // The present incarnation and the one before it are kept.
    if let Some(old) = incarnation.checked_sub(2) {
        for rotation in 0..FILES_MAX {
            match std::fs::remove_file(rotated(&parent.join(format!("{old}.log")), rotation)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let size = file.metadata()?.len();
    Ok(Open { file, size })
}

/// The newest file becomes the first before it, and so on; the last is gone.
fn rotate(path: &Path) -> io::Result<()> {
    for rotation in (0..FILES_MAX - 1).rev() {
        match std::fs::rename(rotated(path, rotation), rotated(path, rotation + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
