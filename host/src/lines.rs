//! Cuts what a container prints into the lines of its log.
//!
//! Deliberately absent: waiting for the log. The sink is bounded, so a flood is the sink's to rotate away.

use std::sync::Arc;

use crate::runtime::{LogSink, Stream};

/// Longer lines are cut, as container runtimes do.
const LINE_BYTES_MAX: usize = 16 << 10;

/// One stream of a container. What is left without an end of line is written when it is dropped.
pub(crate) struct Lines {
    sink: Arc<dyn LogSink>,
    stream: Stream,
    rest: Vec<u8>,
}

impl Lines {
    /// Of one stream, into this log.
    pub(crate) fn new(sink: Arc<dyn LogSink>, stream: Stream) -> Lines {
        Lines { sink, stream, rest: Vec::new() }
    }

    /// Takes what was printed.
    pub(crate) fn append(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let (line, after) = (&bytes[..end], &bytes[end + 1..]);
            if self.rest.is_empty() && line.len() <= LINE_BYTES_MAX {
                self.sink.write(self.stream, without_carriage_return(line));
            } else {
                self.extend(line);
                self.flush();
            }
            bytes = after;
        }
        self.extend(bytes);
    }

    fn extend(&mut self, mut bytes: &[u8]) {
        while self.rest.len() + bytes.len() > LINE_BYTES_MAX {
            let (now, later) = bytes.split_at(LINE_BYTES_MAX - self.rest.len());
            self.rest.extend_from_slice(now);
            self.flush();
            bytes = later;
        }
        self.rest.extend_from_slice(bytes);
    }

    fn flush(&mut self) {
        self.sink.write(self.stream, without_carriage_return(&self.rest));
        self.rest.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.rest.is_empty() {
            self.flush();
        }
    }
}

fn without_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Collected(Mutex<Vec<String>>);

    impl LogSink for Collected {
        fn write(&self, _: Stream, line: &[u8]) {
            let text = String::from_utf8_lossy(line);
            let shown = if text.len() > 20 { format!("{} bytes", text.len()) } else { text.into_owned() };
            self.0.lock().push(shown);
        }
    }

    #[track_caller]
    fn check(writes: &[&[u8]], expected: Expect) {
        let sink = Arc::new(Collected::default());
        let mut lines = Lines::new(sink.clone(), Stream::Stdout);
        writes.iter().for_each(|bytes| lines.append(bytes));
        drop(lines);
        expected.assert_eq(&format!("{:?}", sink.0.lock()));
    }

    #[test]
    fn output_is_cut_into_lines() {
        check(&[b"one\ntwo\n"], expect![[r#"["one", "two"]"#]]);
        check(&[b"o", b"ne\r\n", b"\ntw", b"o"], expect![[r#"["one", "", "two"]"#]]);
        check(&[&[b'x'; 40_000]], expect![[r#"["16384 bytes", "16384 bytes", "7232 bytes"]"#]]);
        check(&[&[b'x'; 16_384], b"\n"], expect![[r#"["16384 bytes"]"#]]);
    }
}
