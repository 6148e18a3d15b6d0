//! What a caller sees of requests that go well and that don't.

use std::collections::BTreeMap;

use axum::routing::{get as on_get, post as on_post};
use axum::{Json, Router};
use expect_test::{Expect, expect};
use http::HeaderMap;

use super::*;

fn stock() -> Router {
    Router::new()
        .route("/seven", on_get(async || Json(7)))
        .route("/text", on_get(async || "seven"))
        .route("/double", on_post(async |Json(number): Json<u32>| Json(number * 2)))
        .route("/accept", on_get(async |headers: HeaderMap| headers["accept"].to_str().unwrap().to_owned()))
}

/// Sends to a Service `stock`, and reads the answer as a number.
#[track_caller]
fn check(request: RequestBuilder, expected: Expect) {
    let services = BTreeMap::from([("stock".to_owned(), stock())]);
    let answer =
        with_services(services, || pollster::block_on(async { request.send().await?.ok()?.json::<u32>().await }));
    expected.assert_eq(&answer.map_or_else(|error| format!("error: {error}"), |number| number.to_string()));
}

#[test]
fn answers() {
    check(get("http://stock/seven"), expect!["7"]);
    check(post("http://stock/double").json(&21), expect!["42"]);
    check(get("http://stock/accept").header("accept", "12"), expect!["12"]);
}

#[test]
fn failures_name_the_request_and_the_reason() {
    check(get("http://stock/eight"), expect!["error: GET http://stock/eight: answered 404 Not Found"]);
    check(
        get("http://stock/text"),
        expect!["error: GET http://stock/text: the answer's body: expected value at line 1 column 1"],
    );
    check(
        get("http://shop/"),
        expect![[
            r#"error: GET http://shop/: outside a component there is no network; give the test a router for it: `test::Client::with_service("shop", …)`"#
        ]],
    );
    check(get("/seven"), expect!["error: GET /seven: expected a scheme and a host, as in http://stock/items/7"]);
    check(get("http://st ock/"), expect!["error: GET http://st ock/: invalid uri character"]);
    check(
        get("http://stock/seven").header("no name", "x"),
        expect!["error: GET http://stock/seven: a header has a name that HTTP does not allow"],
    );
    check(
        delete("http://stock/seven").header("x", "line\nbreak"),
        expect!["error: DELETE http://stock/seven: a header has a value that HTTP does not allow"],
    );
}

#[test]
fn services_end_with_the_test() {
    with_services(BTreeMap::from([("stock".to_owned(), stock())]), || {});
    assert!(pollster::block_on(get("http://stock/seven").send()).is_err());
}
