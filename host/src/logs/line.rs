//! The CRI line format: `2026-11-21T03:40:11.123456789Z stdout F text`.

use std::io::Write as _;

use jiff::Timestamp;

use crate::runtime::Stream;

/// Longer lines are written in parts, tagged `P` but for the last.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Appends one line of a guest.
pub(super) fn append(out: &mut Vec<u8>, at: Timestamp, stream: Stream, text: &[u8]) {
    let stream = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    let mut rest = text;
    loop {
        let (part, after) = rest.split_at(rest.len().min(TEXT_BYTES_MAX));
        let tag = if after.is_empty() { 'F' } else { 'P' };
        write!(out, "{at:.9} {stream} {tag} ").expect("writing to a vector succeeds");
        out.extend_from_slice(part);
        out.push(b'\n');
        if after.is_empty() {
            return;
        }
        rest = after;
    }
}

/// A line taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) time: &'a [u8],
    /// More of the guest's line follows in the next one.
    pub(super) is_partial: bool,
    pub(super) text: &'a [u8],
}

/// Takes a line (without its end) apart; `None` for what was torn by a crash.
pub(super) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let (time, _stream, tag, text) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_partial = match tag {
        b"F" => false,
        b"P" => true,
        _ => return None,
    };
    Some(Line { time, is_partial, text })
}

impl Line<'_> {
    pub(super) fn timestamp(&self) -> Option<Timestamp> {
        std::str::from_utf8(self.time).ok()?.parse().ok()
    }
}
