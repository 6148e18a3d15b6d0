//! Who changed what: a line of JSON (`audit.k8s.io/v1` Event, level Metadata) for each write, in a file that is rotated by size.
//!
//! Written by a thread of its own, off the request path. Deliberately absent: the bodies of requests and answers, so that no
//! secret ends up here; and reads.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use coracle_api::object;
use jiff::Timestamp;
use serde::Serialize;

use crate::authentication::User;

pub(crate) use annotations::Annotations;

mod annotations;

/// How many events may wait to be written; what comes on top is counted as lost, and said so.
const QUEUE_MAX: usize = 16 * 1024;
/// How long a file gets.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long a line gets, most often.
const LINE_BYTES: usize = 768;
/// How long events gather before they are written.
const GATHER_TIME: Duration = Duration::from_millis(10);
/// How many full files are kept.
const FILES_MAX: u32 = 4;

/// A write that was answered.
pub(crate) struct Entry<'a> {
    pub(crate) id: &'a str,
    pub(crate) uri: &'a str,
    pub(crate) verb: &'a str,
    pub(crate) user: &'a User,
    pub(crate) impersonated: Option<&'a User>,
    pub(crate) source: Option<String>,
    pub(crate) agent: Option<&'a str>,
    /// What the write was about, where that is known.
    pub(crate) object: Option<ObjectReference<'a>>,
    /// What admission noted.
    pub(crate) annotations: &'a Annotations,
    pub(crate) code: u16,
    pub(crate) received: Timestamp,
    pub(crate) answered: Timestamp,
}

/// What a write was about.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectReference<'a> {
    pub(crate) resource: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) api_group: &'a str,
    pub(crate) api_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subresource: Option<&'a str>,
}

/// A line of the log.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    kind: &'static str,
    api_version: &'static str,
    level: &'static str,
    #[serde(rename = "auditID")]
    audit_id: &'a str,
    stage: &'static str,
    #[serde(rename = "requestURI")]
    request_uri: &'a str,
    verb: &'a str,
    user: &'a User,
    #[serde(skip_serializing_if = "Option::is_none")]
    impersonated_user: Option<&'a User>,
    #[serde(rename = "sourceIPs", skip_serializing_if = "Option::is_none")]
    source_ips: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_ref: Option<&'a ObjectReference<'a>>,
    response_status: ResponseStatus,
    request_received_timestamp: String,
    stage_timestamp: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct ResponseStatus {
    metadata: Empty,
    status: &'static str,
    code: u16,
}

#[derive(Serialize)]
struct Empty {}

impl Entry<'_> {
    /// The event, on one line.
    fn line(&self) -> Vec<u8> {
        let event = Event {
            kind: "Event",
            api_version: "audit.k8s.io/v1",
            level: "Metadata",
            audit_id: self.id,
            stage: "ResponseComplete",
            request_uri: self.uri,
            verb: self.verb,
            user: self.user,
            impersonated_user: self.impersonated,
            source_ips: self.source.as_deref().map(|source| [source]),
            user_agent: self.agent,
            object_ref: self.object.as_ref(),
            response_status: ResponseStatus {
                metadata: Empty {},
                status: if self.code < 400 { "Success" } else { "Failure" },
                code: self.code,
            },
            request_received_timestamp: object::micro_timestamp(self.received),
            stage_timestamp: object::micro_timestamp(self.answered),
            annotations: self.annotations.to_map(),
        };
        let mut line = Vec::with_capacity(LINE_BYTES);
        serde_json::to_writer(&mut line, &event).expect("invariant: an event always serialises into memory");
        line.push(b'\n');
        line
    }
}

/// The audit log, for those who have something to tell.
pub(crate) struct Audit {
    lines: SyncSender<Vec<u8>>,
    lost: AtomicU64,
}

/// The thread that writes; it ends with the last [`Audit`].
pub(crate) type Writer = JoinHandle<()>;

impl Audit {
    /// Opens the log, to append to it.
    pub(crate) fn open(path: &Path) -> io::Result<(Audit, Writer)> {
        Audit::with_limit(path, BYTES_MAX)
    }

    fn with_limit(path: &Path, bytes_max: u64) -> io::Result<(Audit, Writer)> {
        let mut log = Log { path: path.to_owned(), file: append(path)?, bytes: 0, bytes_max };
        log.bytes = log.file.metadata()?.len();
        let (lines, waiting) = sync_channel(QUEUE_MAX);
        let writer = std::thread::Builder::new().name("audit".to_owned()).spawn(move || log.write_all(&waiting))?;
        Ok((Audit { lines, lost: AtomicU64::new(0) }, writer))
    }

    /// Notes a write; never waits.
    pub(crate) fn note(&self, entry: &Entry<'_>) {
        match self.lines.try_send(entry.line()) {
            Ok(()) => {
                let lost = self.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::error!(lost, "the audit log could not keep up: events are missing from it");
                }
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl Log {
    fn write_all(mut self, lines: &Receiver<Vec<u8>>) {
        let mut is_failing = false;
        while let Ok(mut batch) = lines.recv() {
            // Else whoever notes something would wake this thread each time.
            std::thread::sleep(GATHER_TIME);
            lines.try_iter().take(QUEUE_MAX).for_each(|line| batch.extend(line));
            match self.write(&batch) {
                Ok(()) => is_failing = false,
                Err(error) => {
                    if !is_failing {
                        tracing::error!(path = %self.path.display(), %error, "the audit log can't be written");
                    }
                    is_failing = true;
                }
            }
        }
    }

    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + batch.len() as u64 > self.bytes_max {
            self.rotate()?;
        }
        self.file.write_all(batch)?;
        self.bytes += batch.len() as u64;
        Ok(())
    }

    /// `audit.log` becomes `audit.log.1`, that becomes `audit.log.2`, and the oldest goes.
    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u32| {
            let mut path = self.path.clone().into_os_string();
            path.push(format!(".{number}"));
            PathBuf::from(path)
        };
        for number in (1..FILES_MAX).rev() {
            if numbered(number).exists() {
                fs::rename(numbered(number), numbered(number + 1))?;
            }
        }
        fs::rename(&self.path, numbered(1))?;
        self.file = append(&self.path)?;
        self.bytes = 0;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests;
