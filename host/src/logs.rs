//! Container logs: lines from guests into bounded buffers, from there by one thread into rotated files, and back out to readers.
//!
//! A container that writes nothing costs no file and no buffer. Deliberately absent: shipping logs elsewhere, and any parsing of what guests write.

mod line;
pub mod read;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::runtime::{Clock, LogSink, Stream};

/// One file's size before the next begins.
pub const FILE_BYTES_MAX: u64 = 10 << 20;
/// Files kept of one incarnation of a container: the present one and those before it.
pub const FILES_MAX: u32 = 3;
/// What a container may have written that is not in its file yet; more is dropped, and the log says so.
const BUFFER_BYTES_MAX: usize = 1 << 20;

/// All logs of a host.
pub struct LogStore {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    live: RwLock<HashMap<LogKey, Arc<ContainerLog>>>,
    queue: mpsc::Sender<writer::Task>,
}

/// A container of a pod, by the pod's uid and its own name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogKey {
    /// The pod's uid.
    pub uid: Arc<str>,
    /// The container's name.
    pub container: Arc<str>,
}

/// The log of one incarnation of a container.
pub struct ContainerLog {
    key: LogKey,
    incarnation: u32,
    clock: Arc<dyn Clock>,
    queue: mpsc::Sender<writer::Task>,
    buffer: Mutex<Buffer>,
    /// Wakes readers that follow: something was written, or the container ended.
    changed: Notify,
    is_finished: AtomicBool,
    /// Twice the number of rotations; odd while one is under way.
    rotations: AtomicU64,
}

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    dropped: u64,
    is_queued: bool,
}

impl LogStore {
    /// Logs under `dir`, written by a thread that ends when the store and all its logs are dropped.
    pub fn open(dir: PathBuf, clock: Arc<dyn Clock>) -> std::io::Result<Arc<LogStore>> {
        std::fs::create_dir_all(&dir)?;
        let (queue, tasks) = mpsc::channel();
        let files = writer::Files::new(dir.clone());
        std::thread::Builder::new().name("logs".to_owned()).spawn(move || writer::run(files, tasks))?;
        Ok(Arc::new(LogStore { dir, clock, live: RwLock::default(), queue }))
    }

    /// Where one incarnation's newest file is.
    fn path(&self, key: &LogKey, incarnation: u32) -> PathBuf {
        path(&self.dir, key, incarnation)
    }

    /// The log of a container's new incarnation.
    pub fn start(&self, key: LogKey, incarnation: u32) -> Arc<ContainerLog> {
        let log = Arc::new(ContainerLog {
            key: key.clone(),
            incarnation,
            clock: self.clock.clone(),
            queue: self.queue.clone(),
            buffer: Mutex::default(),
            changed: Notify::new(),
            is_finished: AtomicBool::new(false),
            rotations: AtomicU64::new(0),
        });
        if let Some(before) = self.live.write().insert(key, log.clone()) {
            before.finish();
        }
        log
    }

    /// The running incarnation's log.
    fn live(&self, key: &LogKey) -> Option<Arc<ContainerLog>> {
        self.live.read().get(key).cloned()
    }

    /// The container ended: whoever follows comes to an end too.
    pub fn finish(&self, key: &LogKey) {
        if let Some(log) = self.live.write().remove(key) {
            log.finish();
        }
    }

    /// The pod is gone, and its logs with it.
    pub fn forget(&self, uid: &str) {
        let mut live = self.live.write();
        live.retain(|key, log| {
            let is_kept = *key.uid != *uid;
            if !is_kept {
                log.finish();
            }
            is_kept
        });
        // The writer thread may be gone only when the process ends.
        let _ = self.queue.send(writer::Task::Remove(uid.to_owned()));
    }

    /// The pods of which there are logs.
    pub fn known_uids(&self) -> std::io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.dir)?;
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }
}

impl ContainerLog {
    /// The container ended; nothing more will be written.
    pub fn finish(&self) {
        self.is_finished.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Everything written so far is in the file once this returns.
    async fn flushed(&self) {
        let (done, wait) = tokio::sync::oneshot::channel();
        if self.queue.send(writer::Task::Sync(done)).is_ok() {
            // The writer thread answers, or is gone together with the process.
            let _ = wait.await;
        }
    }

    /// What is to be written, and whether lines were dropped before it.
    fn take(&self) -> (Vec<u8>, u64) {
        let mut buffer = self.buffer.lock();
        buffer.is_queued = false;
        let dropped = std::mem::take(&mut buffer.dropped);
        (std::mem::take(&mut buffer.bytes), dropped)
    }
}

/// A [`ContainerLog`] as the runtime sees it.
pub struct Sink(pub Arc<ContainerLog>);

impl LogSink for Sink {
    fn write(&self, stream: Stream, text: &[u8]) {
        let log = &self.0;
        let mut buffer = log.buffer.lock();
        if buffer.bytes.len() + text.len() > BUFFER_BYTES_MAX {
            buffer.dropped += 1;
        } else {
            for text in text.split(|byte| *byte == b'\n') {
                line::append(&mut buffer.bytes, log.clock.now(), stream, text);
            }
        }
        if !buffer.is_queued {
            buffer.is_queued = true;
            drop(buffer);
            // The writer thread may be gone only when the process ends.
            let _ = log.queue.send(writer::Task::Write(log.clone()));
        }
    }
}

fn path(dir: &Path, key: &LogKey, incarnation: u32) -> PathBuf {
    dir.join(&*key.uid).join(&*key.container).join(format!("{incarnation}.log"))
}

/// The file before the newest by so many rotations.
fn rotated(path: &Path, rotation: u32) -> PathBuf {
    match rotation {
        0 => path.to_owned(),
        _ => path.with_extension(format!("log.{rotation}")),
    }
}

#[cfg(test)]
mod tests;
