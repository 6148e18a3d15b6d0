//! Reading a container's log: the last lines, since a time, up to a size, and following what comes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::Stream;
use jiff::Timestamp;

use super::{ContainerLog, FILES_MAX, LogKey, LogStore, line, rotated};

const CHUNK_BYTES: usize = 64 << 10;

/// Which part of a log is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Go on with what is written from now on, until the container ends.
    pub follow: bool,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// The last so many lines only.
    pub tail_lines: Option<u64>,
    /// Lines from this time on only.
    pub since: Option<Timestamp>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
}

/// A log as it is read.
pub type LogStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

impl LogStore {
    /// Reads the log of one incarnation of a container.
    pub async fn read(&self, key: &LogKey, incarnation: u32, options: ReadOptions) -> io::Result<LogStream> {
        let live = self.live(key).filter(|log| log.incarnation == incarnation);
        if let Some(log) = &live {
            log.flushed().await;
        }
        let path = self.path(key, incarnation);
        let tail = options.tail_lines;
        let (rotations, reader) = {
            let (path, live) = (path.clone(), live.clone());
            tokio::task::spawn_blocking(move || between_rotations(live.as_deref(), |_| Reader::open(&path, tail)))
                .await
                .map_err(io::Error::other)??
        };
        let live = live.filter(|_| options.follow);
        let left = options.limit_bytes.unwrap_or(u64::MAX);
        let state = Follow { path, reader, live, rotations, options, left, rest: Vec::new(), is_line_open: false };
        Ok(Box::pin(futures::stream::try_unfold(state, |mut state| async move {
            Ok(state.next().await?.map(|bytes| (bytes, state)))
        })))
    }
}

/// Opens files while they are not being renamed; says after how many rotations.
fn between_rotations<T>(live: Option<&ContainerLog>, open: impl Fn(u64) -> io::Result<T>) -> io::Result<(u64, T)> {
    let Some(log) = live else { return Ok((0, open(0)?)) };
    loop {
        let before = log.rotations.load(Ordering::Acquire);
        if before % 2 == 0 {
            let opened = open(before / 2)?;
            if log.rotations.load(Ordering::Acquire) == before {
                return Ok((before / 2, opened));
            }
        }
        // Renaming takes microseconds.
        std::thread::yield_now();
    }
}

/// Files read one after the other, oldest first.
struct Reader {
    files: VecDeque<File>,
}

impl Reader {
    fn open(path: &Path, tail: Option<u64>) -> io::Result<Reader> {
        let mut files = VecDeque::new();
        let mut wanted = tail;
        for rotation in 0..FILES_MAX {
            let mut file = match File::open(rotated(path, rotation)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            };
            if let Some(lines) = wanted {
                wanted = Some(lines - seek_to_last_lines(&mut file, lines)?);
            }
            files.push_front(file);
            if wanted == Some(0) {
                break;
            }
        }
        Ok(Reader { files })
    }

    /// The next bytes; empty at the end of all files. The last file stays open: it may grow.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Some(file) = self.files.front_mut() {
            let length = file.read(&mut chunk)?;
            if length > 0 {
                chunk.truncate(length);
                return Ok(chunk);
            }
            if self.files.len() == 1 {
                break;
            }
            self.files.pop_front();
        }
        Ok(Vec::new())
    }
}

/// Moves to where the last `lines` lines begin; returns how many there are from there on.
fn seek_to_last_lines(file: &mut File, lines: u64) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(0);
    }
    let mut position = end;
    let mut found = 0;
    let mut chunk = vec![0; CHUNK_BYTES];
    while position > 0 {
        let length = position.min(CHUNK_BYTES as u64);
        position -= length;
        file.seek(SeekFrom::Start(position))?;
        let part = &mut chunk[..usize::try_from(length).expect("a chunk is small")];
        file.read_exact(part)?;
        for (offset, byte) in part.iter().enumerate().rev() {
            let at = position + offset as u64;
            if *byte == b'\n' && at + 1 != end {
                found += 1;
                if found == lines {
                    file.seek(SeekFrom::Start(at + 1))?;
                    return Ok(lines);
                }
            }
        }
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(if end > 0 { found + 1 } else { 0 })
}

struct Follow {
    path: PathBuf,
    reader: Reader,
    /// The log, while it is to be followed.
    live: Option<Arc<ContainerLog>>,
    /// The rotations up to the file that is read.
    rotations: u64,
    options: ReadOptions,
    /// Bytes that may still be given out.
    left: u64,
    /// The beginning of a line whose end was not read yet.
    rest: Vec<u8>,
    /// The guest's line goes on in the next one.
    is_line_open: bool,
}

impl Follow {
    /// The next piece of output; `None` at the end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let Some(log) = self.live.clone() else { return self.output().await };
            // Registered before reading, so that nothing written meanwhile is missed.
            let mut changed = std::pin::pin!(log.changed.notified());
            changed.as_mut().enable();
            let is_finished = log.is_finished.load(Ordering::Acquire);
            if is_finished {
                log.flushed().await;
            }
            if let Some(output) = self.output().await? {
                return Ok(Some(output));
            }
            if is_finished || self.left == 0 {
                return Ok(None);
            }
            changed.await;
        }
    }

    /// What can be had without waiting for more to be written.
    async fn output(&mut self) -> io::Result<Option<Bytes>> {
        while self.left > 0 {
            let read = self.read_chunk().await?;
            if read.is_empty() {
                if !self.next_file()? {
                    break;
                }
                continue;
            }
            let output = self.convert(&read);
            if !output.is_empty() {
                return Ok(Some(output));
            }
        }
        Ok(None)
    }

    async fn read_chunk(&mut self) -> io::Result<Vec<u8>> {
        let mut reader = std::mem::replace(&mut self.reader, Reader { files: VecDeque::new() });
        let (reader, result) = tokio::task::spawn_blocking(move || {
            let result = reader.read();
            (reader, result)
        })
        .await
        .map_err(io::Error::other)?;
        self.reader = reader;
        result
    }

    /// Opens what was begun since the file that was read to its end; that one may have got more lines in between, and comes first.
    fn next_file(&mut self) -> io::Result<bool> {
        let Some(log) = &self.live else { return Ok(false) };
        let known = self.rotations;
        let is_open = !self.reader.files.is_empty();
        let (rotations, files) = between_rotations(Some(log), |rotations| {
            let behind = u32::try_from(rotations - known).unwrap_or(u32::MAX).min(FILES_MAX);
            // With nothing open yet the newest file is wanted; else all after the one just read.
            let wanted = if is_open { behind } else { behind.max(1) };
            let mut files = VecDeque::new();
            for rotation in (0..wanted).rev() {
                match File::open(rotated(&self.path, rotation)) {
                    Ok(file) => files.push_back(file),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(files)
        })?;
        self.rotations = rotations;
        let is_more = !files.is_empty();
        self.reader.files.extend(files);
        Ok(is_more)
    }

    /// Stored lines into what the reader sees.
    fn convert(&mut self, read: &[u8]) -> Bytes {
        self.rest.extend_from_slice(read);
        let bytes = std::mem::take(&mut self.rest);
        let mut output = Vec::with_capacity(bytes.len());
        let mut from = 0;
        while let Some(length) = bytes[from..].iter().position(|byte| *byte == b'\n') {
            self.convert_line(&bytes[from..from + length], &mut output);
            from += length + 1;
        }
        self.rest = bytes[from..].to_vec();
        let length = output.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        output.truncate(length);
        self.left -= length as u64;
        Bytes::from(output)
    }

    fn convert_line(&mut self, bytes: &[u8], output: &mut Vec<u8>) {
        let Some(line) = line::parse(bytes) else { return };
        if let Some(since) = self.options.since {
            if line.timestamp().is_none_or(|at| at < since) {
                return;
            }
            // Lines are in order: once one is late enough, all are.
            self.options.since = None;
        }
        if self.options.timestamps && !self.is_line_open {
            output.extend_from_slice(line.time);
            output.push(b' ');
        }
        output.extend_from_slice(line.text);
        self.is_line_open = line.is_partial;
        if !line.is_partial {
            output.push(b'\n');
        }
    }
}
