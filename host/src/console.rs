//! The standard streams of a running command, for those who attach to it: all see its output from then on, all may write to its input.
//!
//! Nobody's output is lost: the command waits for those who read slowly, and who reads nothing for too long is let go.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::runtime::Stream;

/// How long a reader may take nothing of what waits for it.
pub const STALL_MAX: Duration = Duration::from_secs(60);
/// Pieces of output that wait for a reader; each is of 64 KiB at most.
const CHUNKS_WAITING_MAX: usize = 16;
/// Input that waits for the command.
const INPUT_BYTES_MAX: usize = 64 << 10;

/// A piece of output.
pub type Chunk = (Stream, Bytes);

/// Where a command's input comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stdin {
    /// There is none.
    #[default]
    Closed,
    /// From whoever attaches first; it ends with them.
    Once,
    /// From all who attach; it never ends.
    Kept,
}

/// The standard streams of one command.
pub struct Console {
    stdin: Stdin,
    readers: Mutex<Readers>,
    input: Mutex<Input>,
    input_changed: Notify,
}

#[derive(Default)]
struct Readers {
    senders: Vec<mpsc::Sender<Chunk>>,
    is_over: bool,
}

struct Input {
    bytes: BytesMut,
    is_closed: bool,
}

/// The command takes no input any more.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed;

impl Console {
    /// Of a command that is about to start.
    pub fn new(stdin: Stdin) -> Console {
        let input = Input { bytes: BytesMut::new(), is_closed: stdin == Stdin::Closed };
        Console { stdin, readers: Mutex::default(), input: Mutex::new(input), input_changed: Notify::new() }
    }

    /// What is printed from now on; it ends when the command does, or when nothing is taken for [`STALL_MAX`].
    pub fn read(&self) -> mpsc::Receiver<Chunk> {
        let (sender, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
        let mut readers = self.readers.lock();
        if !readers.is_over {
            readers.senders.push(sender);
        }
        receiver
    }

    /// The command has ended: so does its output.
    pub fn finish(&self) {
        let mut readers = self.readers.lock();
        readers.is_over = true;
        readers.senders.clear();
        self.close_input();
    }

    /// Whether the command has ended.
    pub fn is_over(&self) -> bool {
        self.readers.lock().is_over
    }

    /// Passes output on. Who has no room for it is let go: [`Console::writable`] was not waited for.
    pub(crate) fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut readers = self.readers.lock();
        if !readers.senders.is_empty() {
            let bytes = Bytes::copy_from_slice(bytes);
            readers.senders.retain(|reader| reader.try_send((stream, bytes.clone())).is_ok());
        }
    }

    /// Whether all readers have room.
    pub(crate) fn has_room(&self) -> bool {
        self.readers.lock().senders.iter().all(|reader| reader.capacity() > 0)
    }

    /// Waits until all readers have room, or are let go.
    pub(crate) async fn writable(&self) {
        let full: Vec<mpsc::Sender<Chunk>> =
            self.readers.lock().senders.iter().filter(|reader| reader.capacity() == 0).cloned().collect();
        for reader in full {
            if !matches!(tokio::time::timeout(STALL_MAX, reader.reserve()).await, Ok(Ok(_))) {
                self.readers.lock().senders.retain(|other| !other.same_channel(&reader));
            }
        }
    }

    /// Where its input comes from.
    pub(crate) fn stdin(&self) -> Stdin {
        self.stdin
    }

    /// Whether anything can be typed at all.
    pub fn takes_input(&self) -> bool {
        self.stdin != Stdin::Closed
    }

    /// Writes to the command's input, waiting for room.
    pub async fn type_in(&self, mut bytes: &[u8]) -> Result<(), Closed> {
        while !bytes.is_empty() {
            let changed = self.input_changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let taken = {
                let mut input = self.input.lock();
                if input.is_closed {
                    return Err(Closed);
                }
                let taken = bytes.len().min(INPUT_BYTES_MAX - input.bytes.len());
                input.bytes.extend_from_slice(&bytes[..taken]);
                taken
            };
            match taken {
                0 => changed.await,
                _ => self.input_changed.notify_waiters(),
            }
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Somebody who wrote to the input leaves, or says that no more will come.
    pub fn leave_input(&self) {
        if self.stdin == Stdin::Once {
            self.close_input();
        }
    }

    fn close_input(&self) {
        self.input.lock().is_closed = true;
        self.input_changed.notify_waiters();
    }

    /// Input that is there; empty if there is none yet.
    pub(crate) fn take_input(&self, bytes_max: usize) -> Result<Bytes, Closed> {
        let mut input = self.input.lock();
        if input.bytes.is_empty() && input.is_closed {
            return Err(Closed);
        }
        let length = bytes_max.min(input.bytes.len());
        let taken = input.bytes.split_to(length).freeze();
        drop(input);
        self.input_changed.notify_waiters();
        Ok(taken)
    }

    /// Waits until input is there, or will never be.
    pub(crate) async fn readable(&self) {
        loop {
            let changed = self.input_changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let input = self.input.lock();
                if !input.bytes.is_empty() || input.is_closed {
                    return;
                }
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn all_readers_see_all_output_in_order() {
        let console = Console::new(Stdin::Closed);
        let (mut first, mut second) = (console.read(), console.read());
        console.write(Stream::Stdout, b"a");
        console.write(Stream::Stderr, b"b");
        let mut third = console.read();
        console.finish();
        for reader in [&mut first, &mut second] {
            assert_eq!(reader.recv().await, Some((Stream::Stdout, "a".into())));
            assert_eq!(reader.recv().await, Some((Stream::Stderr, "b".into())));
            assert_eq!(reader.recv().await, None);
        }
        assert_eq!(third.recv().await, None);
        assert_eq!(console.read().recv().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_command_waits_for_a_slow_reader_but_not_for_ever() {
        let console = Console::new(Stdin::Closed);
        let (mut slow, stuck) = (console.read(), console.read());
        for _ in 0..CHUNKS_WAITING_MAX {
            assert!(console.has_room());
            console.write(Stream::Stdout, b"x");
        }
        assert!(!console.has_room());
        assert!(console.writable().now_or_never().is_none());
        for _ in 0..CHUNKS_WAITING_MAX {
            slow.recv().await.unwrap();
        }
        console.writable().await;
        assert!(console.has_room());
        console.write(Stream::Stdout, b"y");
        assert_eq!(slow.recv().await, Some((Stream::Stdout, "y".into())));
        assert_eq!(stuck.len(), CHUNKS_WAITING_MAX);
        assert!(!console.is_over());
    }

    #[tokio::test]
    async fn input_is_bounded_and_ends_with_its_writer_if_it_is_to() {
        let console = Console::new(Stdin::Once);
        assert_eq!(console.take_input(9), Ok(Bytes::new()));
        assert!(console.readable().now_or_never().is_none());
        let long = vec![b'x'; INPUT_BYTES_MAX + 1];
        let mut writing = Box::pin(console.type_in(&long));
        assert!((&mut writing).now_or_never().is_none());
        assert_eq!(console.take_input(usize::MAX).unwrap().len(), INPUT_BYTES_MAX);
        assert_eq!((&mut writing).now_or_never(), Some(Ok(())));
        console.leave_input();
        console.readable().await;
        assert_eq!(console.take_input(9).unwrap().len(), 1);
        assert_eq!((console.take_input(9), console.type_in(b"more").await), (Err(Closed), Err(Closed)));

        let kept = Console::new(Stdin::Kept);
        kept.leave_input();
        assert_eq!(kept.type_in(b"more").await, Ok(()));
        assert_eq!(Console::new(Stdin::Closed).type_in(b"any").await, Err(Closed));
    }
}
