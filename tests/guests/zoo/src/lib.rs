//! A handler that misbehaves as the path of the request says. Every other path is answered with `tame`.

use std::hint::black_box;
use std::mem::forget;

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingRequest, OutgoingResponse, ResponseOutparam, Scheme,
};
use wasip2::random::random::get_random_bytes;

const MEGABYTE: usize = 1 << 20;

struct Zoo;

impl Guest for Zoo {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let (what, argument) = path.split_once('?').unwrap_or((&path, ""));
        match what {
            "/spin" => loop {
                black_box(());
            },
            "/trap" => core::arch::wasm32::unreachable(),
            "/recursion" => drop(black_box(recurse(1))),
            "/memory" => take_memory(),
            "/handles" => loop {
                forget(Fields::new());
            },
            "/random" => drop(black_box(get_random_bytes(1 << 31))),
            "/long-field" => {
                let _ = Fields::new().append("a", &vec![b'x'; 17 * MEGABYTE]);
            }
            "/many-fields" => {
                let _ = Fields::from_list(&vec![("a".to_owned(), b"x".to_vec()); MEGABYTE / 16]);
            }
            "/headers" => return respond(answer, many_headers(), b"tame\n"),
            "/body" => return endless_body(answer),
            "/output" => loop {
                println!("{}", "x".repeat(1_000));
            },
            "/calls" => return respond(answer, Fields::new(), call_often(argument).as_bytes()),
            "/call" => return respond(answer, Fields::new(), call(argument).as_bytes()),
            _ => {}
        }
        respond(answer, Fields::new(), b"tame\n");
    }
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if depth == 0 { 0 } else { black_box(recurse(black_box(depth + 1))) + 1 }
}

/// Takes memory until there is no more, and is not sorry.
fn take_memory() {
    let mut taken = Vec::new();
    loop {
        taken.push(black_box(vec![1_u8; MEGABYTE / 16]));
    }
}

/// As many as the host lets it have.
fn many_headers() -> Fields {
    let fields = Fields::new();
    let mut number = 0;
    while fields.append(&format!("x-{number}"), &[b'x'; 1_000]).is_ok() {
        number += 1;
    }
    fields
}

fn respond(answer: ResponseOutparam, headers: Fields, text: &[u8]) {
    let response = OutgoingResponse::new(headers);
    let body = response.body().expect("taken once");
    ResponseOutparam::set(answer, Ok(response));
    let stream = body.write().expect("taken once");
    for part in text.chunks(4_096) {
        if stream.blocking_write_and_flush(part).is_err() {
            return;
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Writes on for as long as anybody reads.
fn endless_body(answer: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("taken once");
    ResponseOutparam::set(answer, Ok(response));
    let stream = body.write().expect("taken once");
    while stream.blocking_write_and_flush(&[b'x'; 4_096]).is_ok() {}
}

fn request_to(authority: &str) -> OutgoingRequest {
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    request.set_authority(Some(authority)).expect("an authority");
    request.set_path_with_query(Some("/")).expect("a path");
    request
}

/// Calls and waits for no answer, again and again; tells how often that was possible.
fn call_often(authority: &str) -> String {
    let mut answers = Vec::new();
    for number in 0..5_000 {
        match outgoing_handler::handle(request_to(authority), None) {
            Ok(answer) => answers.push(answer),
            Err(error) => return format!("{number} calls, then {error:?}\n"),
        }
    }
    let mut failed = 0;
    for answer in &answers {
        answer.subscribe().block();
        failed += usize::from(!matches!(answer.get(), Some(Ok(Ok(_)))));
    }
    format!("{} calls, {failed} failed\n", answers.len())
}

fn call(authority: &str) -> String {
    let answer = match outgoing_handler::handle(request_to(authority), None) {
        Ok(answer) => answer,
        Err(error) => return format!("{error:?}\n"),
    };
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(Ok(response))) => format!("{}\n", response.status()),
        other => format!("{other:?}\n"),
    }
}

wasip2::http::proxy::export!(Zoo);
