//! POST of a ClusterSnapshot: `wasmctl snapshot save`. The answer is an archive of every durable object at one revision, Secrets sealed
//! as they are stored, with the files that make the cluster itself, keys among them.
//!
//! Whoever may create one may therefore do everything, for good.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use coracle_api::status::{self, Status};
use coracle_store::archive::{ArchiveWriter, Header};
use coracle_store::{Record, Snapshot};
use http::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::Call;
use crate::EPHEMERAL;
use crate::authentication::UNAUTHENTICATED;
use crate::cluster_files::ClusterFiles;
use crate::objects::read_failed;
use crate::respond;

/// Bytes that are sent at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that wait for the client.
const CHUNKS_MAX: usize = 4;
/// How long the client may take for a chunk: as long as it does, the objects that were replaced meanwhile stay in memory.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn run(call: &Call) -> Result<Response, Status> {
    if call.user.is_in(UNAUTHENTICATED) {
        return Err(status::forbidden_path("a snapshot holds the cluster's keys, which no anonymous user gets"));
    }
    let snapshot = call.app.objects.store().read().await.map_err(read_failed)?;
    let files = Arc::clone(&call.app.cluster_files);
    // After the snapshot was taken: a key is in its file before anything is sealed with it, and stays there until the next start.
    let opened =
        files.open().map_err(|error| status::internal(format!("the cluster's files cannot be read: {error}")))?;
    let taken = call.app.objects.clock().now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (chunks, mut receiver) = mpsc::channel(CHUNKS_MAX);
    let pipe = Pipe { chunks, runtime: Handle::current() };
    tokio::task::spawn_blocking(move || {
        if let Err(error) = write(&pipe, taken, &snapshot, opened, &files) {
            tracing::warn!(%error, "a snapshot was not sent to its end");
            // The client, if it is still there, must not take what it has for all.
            let _ = pipe.send(Err(error));
        }
    });
    let body = Body::from_stream(futures::stream::poll_fn(move |context| receiver.poll_recv(context)));
    Ok(respond::respond(StatusCode::CREATED, "application/octet-stream", body))
}

fn write(
    pipe: &Pipe,
    taken: String,
    snapshot: &Snapshot,
    opened: Vec<(&str, File)>,
    files: &ClusterFiles,
) -> io::Result<()> {
    let header = Header {
        cluster: files.cluster.clone(),
        revision: snapshot.revision(),
        taken,
        records: durable(snapshot).count() as u64,
    };
    let mut archive = ArchiveWriter::new(BufWriter::with_capacity(CHUNK_BYTES, pipe), &header)?;
    durable(snapshot).try_for_each(|record| archive.record(record))?;
    opened.into_iter().try_for_each(|(path, file)| archive.file(path, file))?;
    files.each_in_folders(|path, file| archive.file(path, file))?;
    archive.finish()
}

fn durable(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Record>> {
    snapshot.range("", None).filter(|record| !EPHEMERAL.contains(&record.key))
}

/// Where a thread writes what a client reads.
struct Pipe {
    chunks: mpsc::Sender<io::Result<Bytes>>,
    runtime: Handle,
}

impl Pipe {
    fn send(&self, chunk: io::Result<Bytes>) -> io::Result<()> {
        match self.runtime.block_on(tokio::time::timeout(CHUNK_TIMEOUT, self.chunks.send(chunk))) {
            Ok(sent) => sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client has gone")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")),
        }
    }
}

impl Write for &Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Ok(Bytes::copy_from_slice(bytes)))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
