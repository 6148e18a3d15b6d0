//! The smallest useful HTTP handler in Rust: `GET /` says hello with the name in `$GREETING_NAME`, `GET /echo…` repeats its path.

use wasip2::cli::environment::get_environment;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Hello;

impl Guest for Hello {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let text = if path.starts_with("/echo") {
            format!("{path}\n")
        } else {
            let name = get_environment().into_iter().find(|(key, _)| key == "GREETING_NAME");
            format!("Hello, {}!\n", name.map_or_else(|| "world".to_owned(), |(_, value)| value))
        };
        let headers = Fields::from_list(&[("content-type".to_owned(), b"text/plain".to_vec())]).expect("a well-formed header");
        let response = OutgoingResponse::new(headers);
        let body = response.body().expect("taken once");
        ResponseOutparam::set(answer, Ok(response));
        let stream = body.write().expect("taken once");
        stream.blocking_write_and_flush(text.as_bytes()).expect("the body is under 4 KiB");
        drop(stream);
        OutgoingBody::finish(body, None).expect("no length was promised");
    }
}

wasip2::http::proxy::export!(Hello);
