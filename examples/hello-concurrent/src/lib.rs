//! A handler of WASI 0.3, whose instances answer several requests at once: `GET /` says how many this instance has begun with,
//! `GET /wait?MS` does so after so many milliseconds.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_bindgen, wit_future, wit_stream};

static BEGUN: AtomicU32 = AtomicU32::new(0);

struct Hello;

impl wasip3::exports::http::handler::Guest for Hello {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let number = BEGUN.fetch_add(1, Relaxed) + 1;
        let path = request.get_path_with_query().unwrap_or_default();
        if let Some(milliseconds) = path.strip_prefix("/wait?").and_then(|text| text.parse::<u64>().ok()) {
            wait_for(milliseconds * 1_000_000).await;
        }
        let headers = Fields::from_list(&[("content-type".to_owned(), b"text/plain".to_vec())]).expect("a well-formed header");
        let (mut body, contents) = wit_stream::new();
        let (no_trailers, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(headers, Some(contents), trailers);
        drop(no_trailers);
        wit_bindgen::spawn_local(async move {
            // What is left was not wanted: the client has gone.
            body.write_all(format!("request {number} of this instance\n").into_bytes()).await;
        });
        Ok(response)
    }
}

wasip3::http::service::export!(Hello);
