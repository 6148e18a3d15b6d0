use bytes::Bytes;
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// All frames, or the error, of bytes that came in pieces of this size.
fn decode(bytes: &[u8], piece: usize) -> Result<Vec<Frame>, FrameError> {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        decoder.push(piece);
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

#[track_caller]
fn check(bytes: &[u8], expected: Expect) {
    let text = match decode(bytes, 1) {
        Ok(frames) => frames.iter().map(|frame| format!("{frame:?}\n")).collect(),
        Err(error) => format!("{error}\n"),
    };
    expected.assert_eq(&text);
}

#[test]
fn frames_are_read() {
    check(
        &[0, 0, 0, 3, 1, 0, 0, 2, b'h', b'i', 0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 7],
        expect![[r#"
            Data { stream: 3, bytes: b"hi", is_last: true }
            Ping { id: 7 }
        "#]],
    );
    check(
        &[0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 5, 0, 0, 0, 0],
        expect![[r#"
            GoAway { last_stream: 5, status: 0 }
        "#]],
    );
    // Settings, a window and what nobody knows are passed over.
    check(
        &[
            0x80, 3, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0, 0x80, 3, 0, 9, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 1, 0, 0x80, 3, 1, 9, 0,
            0, 0, 0, 0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 5,
        ],
        expect![[r#"
            Reset { stream: 1, status: 5 }
        "#]],
    );
    // Part of a frame is none yet.
    check(&[0, 0, 0, 3, 1, 0, 0, 2, b'h'], expect![""]);
}

#[test]
fn headers_without_the_dictionary_are_read() {
    // A SYN_REPLY of a zlib stream with one stored block: no headers at all.
    check(
        &[0x80, 3, 0, 2, 0, 0, 0, 15, 0, 0, 0, 1, 0x78, 1, 0, 4, 0, 0xfb, 0xff, 0, 0, 0, 0],
        expect![[r#"
            SynReply { stream: 1, headers: [], is_last: false }
        "#]],
    );
}

#[test]
fn what_is_no_frame_is_refused() {
    check(
        b"GET / HTTP/1.1\r\n",
        expect![[r#"
        a SPDY frame of 2115668 bytes came, where 1048576 are the most
    "#]],
    );
    check(
        &[0x80, 2, 0, 1, 0, 0, 0, 0],
        expect![[r#"
        a SPDY frame of version 2 came, where only version 3 is spoken
    "#]],
    );
    check(
        &[0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff],
        expect![[r#"
        a SPDY frame of 16777215 bytes came, where 16384 are the most
    "#]],
    );
    check(
        &[0, 0, 0, 0, 0, 0, 0, 0],
        expect![[r#"
        a SPDY frame came for stream 0
    "#]],
    );
    check(
        &[0x80, 3, 0, 6, 0, 0, 0, 0],
        expect![[r#"
        a SPDY frame of type 6 came with 0 bytes, which is not its length
    "#]],
    );
    check(
        &[0x80, 3, 0, 6, 0, 0, 0, 5, 0, 0, 0, 1, 0],
        expect![[r#"
        a SPDY frame of type 6 came with 5 bytes, which is not its length
    "#]],
    );
    check(
        &[0x80, 3, 0, 2, 0, 0, 0, 8, 0, 0, 0, 1, 1, 2, 3, 4],
        expect![[r#"
        the headers of a SPDY frame can't be read: they are not compressed with zlib
    "#]],
    );
    check(
        &[0x80, 3, 0, 2, 0, 0, 0, 4, 0, 0, 0, 1],
        expect![[r#"
        the headers of a SPDY frame can't be read: they end early
    "#]],
    );
}

#[test]
fn headers_that_blow_up_are_refused() {
    let long = "x".repeat(CONTROL_BYTES_MAX);
    let bytes =
        Encoder::default().encode(&Frame::SynStream { stream: 1, headers: headers(&[("a", &long)]), is_last: false });
    assert!(bytes.len() < 1000, "{}", bytes.len());
    check(
        &bytes,
        expect![[r#"
        the headers of a SPDY frame can't be read: they are too long
    "#]],
    );
    let many: Headers = (0..=HEADERS_MAX).map(|index| (index.to_string(), String::new())).collect();
    let bytes = Encoder::default().encode(&Frame::SynStream { stream: 1, headers: many, is_last: false });
    check(
        &bytes,
        expect![[r#"
        the headers of a SPDY frame can't be read: they are too many
    "#]],
    );
}

#[test]
fn a_header_is_found_by_its_name() {
    let headers = headers(&[("streamtype", "data"), ("port", "8080")]);
    assert_eq!((header(&headers, "port"), header(&headers, "requestid")), (Some("8080"), None));
}

fn any_headers() -> impl Strategy<Value = Headers> {
    proptest::collection::vec(("[a-z-]{1,12}", "\\PC{0,20}"), 0..5)
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let stream = || 1_u32..=ID_MASK;
    prop_oneof![
        (stream(), any_headers(), any::<bool>()).prop_map(|(stream, headers, is_last)| Frame::SynStream {
            stream,
            headers,
            is_last
        }),
        (stream(), any_headers(), any::<bool>()).prop_map(|(stream, headers, is_last)| Frame::SynReply {
            stream,
            headers,
            is_last
        }),
        (stream(), any_headers(), any::<bool>()).prop_map(|(stream, headers, is_last)| Frame::Headers {
            stream,
            headers,
            is_last
        }),
        (stream(), proptest::collection::vec(any::<u8>(), 0..100), any::<bool>())
            .prop_map(|(stream, bytes, is_last)| Frame::Data { stream, bytes: Bytes::from(bytes), is_last }),
        (stream(), any::<u32>()).prop_map(|(stream, status)| Frame::Reset { stream, status }),
        any::<u32>().prop_map(|id| Frame::Ping { id }),
        (0..=ID_MASK, any::<u32>()).prop_map(|(last_stream, status)| Frame::GoAway { last_stream, status }),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_however_it_is_cut(
        frames in proptest::collection::vec(any_frame(), 0..12),
        piece in 1_usize..200,
    ) {
        let mut encoder = Encoder::default();
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| encoder.encode(frame)).collect();
        prop_assert_eq!(decode(&bytes, piece).unwrap(), frames);
    }
}
