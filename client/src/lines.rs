//! Splits a stream of chunks into lines, bounded.

use bytes::{Bytes, BytesMut};

/// Longest line accepted: well above the largest object.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Chunks in, whole lines out.
#[derive(Default)]
pub(crate) struct Lines {
    buffer: BytesMut,
    searched: usize,
}

/// A line longer than any object can be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineTooLong;

impl Lines {
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), LineTooLong> {
        if self.buffer.len() + chunk.len() > LINE_BYTES_MAX + chunk.len().min(1 << 20) {
            return Err(LineTooLong);
        }
        self.buffer.extend_from_slice(chunk);
        Ok(())
    }

    /// The next whole line without its end, skipping empty ones.
    pub(crate) fn next_line(&mut self) -> Option<Bytes> {
        loop {
            let Some(found) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return None;
            };
            let line = self.buffer.split_to(self.searched + found + 1).freeze();
            self.searched = 0;
            let line = line.slice(..line.len() - 1);
            if !line.is_empty() {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_cross_chunks_and_empty_ones_are_skipped() {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in ["a", "b\n\nc", "", "d\ne"] {
            lines.push(chunk.as_bytes()).unwrap();
            while let Some(line) = lines.next_line() {
                found.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        assert_eq!(found, ["ab", "cd"]);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut lines = Lines::default();
        let chunk = vec![b'x'; 1 << 20];
        assert!((0..32).any(|_| lines.push(&chunk) == Err(LineTooLong)));
    }
}
