//! Clients that mean ill.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use coracle_tests::PATIENCE;
use expect_test::{Expect, expect};

use crate::Cage;

fn connect(cage: &Cage) -> TcpStream {
    let stream = TcpStream::connect(cage.cluster.address("ingress")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The first line of what is answered to a request that goes on without end, until the connection takes no more.
fn check_flood(head: &str, part: &[u8], expected: Expect) {
    let cage = Cage::with_handler("");
    let mut stream = connect(&cage);
    stream.write_all(head.as_bytes()).unwrap();
    let mut sent = 0;
    while sent < 256 << 20 && stream.write_all(part).is_ok() {
        sent += part.len();
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    expected.assert_eq(&format!("{line}\n"));
    cage.end_unharmed();
}

#[test]
fn sends_headers_without_end() {
    check_flood(
        "GET / HTTP/1.1\r\nHost: zoo.localhost\r\n",
        "X-Flood: 0123456789\r\n".repeat(1_000).as_bytes(),
        expect![[r#"
            HTTP/1.1 431 Request Header Fields Too Large
        "#]],
    );
}

#[test]
fn sends_a_header_without_end() {
    check_flood(
        "GET / HTTP/1.1\r\nHost: zoo.localhost\r\nX-Flood: ",
        &[b'x'; 64 << 10],
        expect![[r#"
        HTTP/1.1 431 Request Header Fields Too Large
    "#]],
    );
}

#[test]
fn sends_a_body_that_nobody_reads() {
    let head = format!("POST /spin HTTP/1.1\r\nHost: zoo.localhost\r\nContent-Length: {}\r\n\r\n", 1_u64 << 40);
    check_flood(
        &head,
        &[b'x'; 64 << 10],
        expect![[r#"
        HTTP/1.1 413 Payload Too Large
    "#]],
    );
}

#[test]
fn does_not_read_what_is_answered() {
    let cage = Cage::with_handler("");
    let streams: Vec<_> = (0..16)
        .map(|_| {
            let mut stream = connect(&cage);
            stream.write_all(b"GET /body HTTP/1.1\r\nHost: zoo.localhost\r\n\r\n").unwrap();
            let mut first = [0; 12];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            stream
        })
        .collect();
    // They are ended by their time limit, and the others' places are free again.
    assert_eq!(cage.provoke("/spin").0, 504);
    drop(streams);
    cage.end_unharmed();
}

#[test]
fn goes_away_in_the_middle() {
    let cage = Cage::with_handler("");
    for number in 0..200 {
        let mut stream = connect(&cage);
        let path = if number % 2 == 0 { "body" } else { "spin" };
        stream.write_all(format!("GET /{path} HTTP/1.1\r\nHost: zoo.localhost\r\n\r\n").as_bytes()).unwrap();
        if number % 2 == 0 {
            stream.read_exact(&mut [0; 64 << 10]).unwrap();
        }
    }
    cage.end_unharmed();
}
