//! One line for each request, written in batches off the request path.
//!
//! Deliberately absent: waiting. Lines beyond the bound of a batch are counted, not kept.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use parking_lot::Mutex;

use crate::runtime::{LogSink, Stream};

const FLUSH_EVERY: Duration = Duration::from_millis(50);
const BATCH_BYTES_MAX: usize = 512 << 10;
const PATH_BYTES_MAX: usize = 1024;

/// The lines of one container.
pub(crate) struct AccessLog {
    sink: Arc<dyn LogSink>,
    pending: Mutex<Pending>,
    flusher: Sender<Arc<AccessLog>>,
}

#[derive(Default)]
struct Pending {
    lines: String,
    left_out: u64,
    queued: bool,
}

impl AccessLog {
    pub(crate) fn new(sink: Arc<dyn LogSink>, flusher: Sender<Arc<AccessLog>>) -> Arc<AccessLog> {
        Arc::new(AccessLog { sink, pending: Mutex::default(), flusher })
    }

    /// Notes one request: `GET /cart 200 0.4 ms`.
    pub(crate) fn note(self: &Arc<Self>, method: &http::Method, path: &str, status: u16, took: Duration) {
        let mut pending = self.pending.lock();
        if pending.lines.len() > BATCH_BYTES_MAX {
            pending.left_out += 1;
        } else {
            let path = path.get(..PATH_BYTES_MAX).unwrap_or(path);
            let tenths = took.as_micros().div_ceil(100);
            let _ = writeln!(pending.lines, "{method} {path} {status} {}.{} ms", tenths / 10, tenths % 10);
        }
        if !std::mem::replace(&mut pending.queued, true) {
            let _ = self.flusher.send(self.clone());
        }
    }

    /// Writes what is pending.
    pub(crate) fn flush(&self) {
        let Pending { lines, left_out, .. } = std::mem::take(&mut *self.pending.lock());
        if !lines.is_empty() {
            self.sink.write_lines(Stream::Stdout, lines.as_bytes());
        }
        if left_out > 0 {
            self.sink.write(Stream::Stdout, format!("{left_out} more requests in this moment").as_bytes());
        }
    }
}

/// Starts the thread that writes the lines of all containers. It ends when the last sender is gone.
pub(crate) fn start_flusher() -> std::io::Result<Sender<Arc<AccessLog>>> {
    let (sender, receiver) = channel();
    std::thread::Builder::new().name("access-log".to_owned()).spawn(move || flush_all(&receiver))?;
    Ok(sender)
}

fn flush_all(receiver: &Receiver<Arc<AccessLog>>) {
    while let Ok(first) = receiver.recv() {
        std::thread::sleep(FLUSH_EVERY);
        first.flush();
        receiver.try_iter().for_each(|log| log.flush());
    }
}
