//! Bodies as streams, in both directions: `POST /upper` answers each piece of the request's body as it comes, before the next is there;
//! `GET /ticks?count=3&every_ms=1000` writes a line at a time. Neither holds more than a piece.

use std::time::Duration;

use coracle_sdk::http::{Body, Bytes, Query, Request, Router, get, header, post};
use coracle_sdk::{http_handler, time};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;

#[http_handler]
fn app() -> Router {
    Router::new().route("/upper", post(upper)).route("/ticks", get(ticks))
}

async fn upper(request: Request) -> Body {
    let pieces = request.into_body().into_data_stream();
    Body::from_stream(pieces.map(|piece| piece.map(|bytes| Bytes::from(bytes.to_ascii_uppercase()))))
}

#[derive(Deserialize)]
struct Ticks {
    count: u32,
    every_ms: u64,
}

async fn ticks(Query(ticks): Query<Ticks>) -> ([(header::HeaderName, &'static str); 1], Body) {
    let lines = stream::iter(1..=ticks.count).then(move |number| async move {
        time::sleep(Duration::from_millis(ticks.every_ms)).await;
        Ok::<_, std::convert::Infallible>(format!("tick {number}\n"))
    });
    ([(header::CONTENT_TYPE, "text/plain")], Body::from_stream(lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_sdk::test::Client;

    #[test]
    fn pieces_are_answered_in_upper_case() {
        assert_eq!(Client::new(app()).post("/upper", "hello").text(), "HELLO");
    }

    #[test]
    fn ticks_are_counted() {
        assert_eq!(Client::new(app()).get("/ticks?count=2&every_ms=0").text(), "tick 1\ntick 2\n");
        assert_eq!(Client::new(app()).get("/ticks?count=2").status(), 400);
    }
}
