//! Blocks of headers: lengths and texts, in one zlib stream for all blocks of a direction, with the dictionary of the draft.

use std::sync::LazyLock;

use bytes::{Buf, BufMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::{CONTROL_BYTES_MAX, FrameError, HEADERS_MAX, Headers};

/// The words of the dictionary, each of which stands there behind its length.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language \
    accept-ranges age allow authorization cache-control connection content-base content-encoding content-language \
    content-length content-location content-md5 content-range content-type date etag expect expires from host if-match \
    if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma \
    proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
    user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie \
    keep-alive origin";
/// What follows them, as it is.
const TAIL: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 \
    Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 \
    Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept \
    Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,\
    application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=\
    utf-8charset=iso-8859-1,utf-,*,enq=0.";

static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut dictionary = Vec::new();
    for word in WORDS.split(' ') {
        put_text(&mut dictionary, &word.replace('_', " "));
    }
    dictionary.extend_from_slice(TAIL.as_bytes());
    dictionary
});

/// Reads blocks.
pub(super) struct Inflater(Decompress);

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater(Decompress::new(true))
    }
}

impl Inflater {
    /// The headers of the next block.
    pub(super) fn headers(&mut self, block: &[u8]) -> Result<Headers, FrameError> {
        parse(&self.inflate(block)?)
    }

    fn inflate(&mut self, mut input: &[u8]) -> Result<Vec<u8>, FrameError> {
        // One more than may be there, so that more can be told from enough.
        let mut output = Vec::with_capacity(CONTROL_BYTES_MAX + 1);
        loop {
            let before = self.0.total_in();
            let result = self.0.decompress_vec(input, &mut output, FlushDecompress::Sync);
            let taken = usize::try_from(self.0.total_in() - before).unwrap_or(usize::MAX);
            input = &input[taken.min(input.len())..];
            if output.len() > CONTROL_BYTES_MAX {
                return Err(FrameError::Headers("they are too long"));
            }
            match result {
                Err(error) if error.needs_dictionary().is_some() => {
                    let set = self.0.set_dictionary(&DICTIONARY);
                    set.map_err(|_| FrameError::Headers("they need a dictionary that is not SPDY/3's"))?;
                }
                Err(_) => return Err(FrameError::Headers("they are not compressed with zlib")),
                Ok(_) if input.is_empty() => return Ok(output),
                Ok(_) if taken == 0 => return Err(FrameError::Headers("their compression ends early")),
                Ok(_) => {}
            }
        }
    }
}

fn parse(mut block: &[u8]) -> Result<Headers, FrameError> {
    let short = |_| FrameError::Headers("they end early");
    let count = block.try_get_u32().map_err(short)? as usize;
    if count > HEADERS_MAX {
        return Err(FrameError::Headers("they are too many"));
    }
    let mut text = || {
        let length = block.try_get_u32().map_err(short)? as usize;
        let (text, rest) = block.split_at_checked(length).ok_or(FrameError::Headers("they end early"))?;
        block = rest;
        str::from_utf8(text).map(str::to_owned).map_err(|_| FrameError::Headers("they are not UTF-8"))
    };
    let headers = (0..count).map(|_| Ok((text()?, text()?))).collect::<Result<Headers, FrameError>>()?;
    if block.is_empty() { Ok(headers) } else { Err(FrameError::Headers("something follows them")) }
}

/// Writes blocks.
pub(super) struct Deflater(Compress);

impl Default for Deflater {
    fn default() -> Deflater {
        let mut compress = Compress::new(Compression::fast(), true);
        compress.set_dictionary(&DICTIONARY).expect("invariant: a fresh compressor takes a dictionary");
        Deflater(compress)
    }
}

impl Deflater {
    /// The next block.
    pub(super) fn block(&mut self, headers: &Headers) -> Vec<u8> {
        let mut block = Vec::new();
        block.put_u32(u32::try_from(headers.len()).expect("invariant: headers are few"));
        for (name, value) in headers {
            put_text(&mut block, name);
            put_text(&mut block, value);
        }
        let (mut input, mut output) = (block.as_slice(), Vec::with_capacity(block.len() + 64));
        loop {
            let before = self.0.total_in();
            let result = self.0.compress_vec(input, &mut output, FlushCompress::Sync);
            result.expect("invariant: compressing into memory succeeds");
            input = &input[usize::try_from(self.0.total_in() - before).unwrap_or(input.len())..];
            // With room left, everything is flushed.
            if input.is_empty() && output.len() < output.capacity() {
                return output;
            }
            output.reserve(64);
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_u32(u32::try_from(text.len()).expect("invariant: a header is short"));
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksum that every SPDY/3 stream of headers states: 0xe3c6a7c2.
    #[test]
    fn the_dictionary_is_that_of_the_draft() {
        let (mut low, mut high) = (1_u32, 0_u32);
        for byte in DICTIONARY.iter() {
            low = (low + u32::from(*byte)) % 65_521;
            high = (high + low) % 65_521;
        }
        assert_eq!(DICTIONARY.len(), 1423);
        assert_eq!(format!("{:08x}", (high << 16) | low), "e3c6a7c2");
    }
}
