//! The back end: says what is in stock, and to whom.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Back;

impl Guest for Back {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let headers = request.headers().get("x-request-id");
        let id = headers.first().map(|id| String::from_utf8_lossy(id).into_owned()).unwrap_or_default();
        let text = format!("3 coracles in stock (request {id})\n");
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("taken once");
        ResponseOutparam::set(answer, Ok(response));
        let stream = body.write().expect("taken once");
        stream.blocking_write_and_flush(text.as_bytes()).expect("the body is under 4 KiB");
        drop(stream);
        OutgoingBody::finish(body, None).expect("no length was promised");
    }
}

wasip2::http::proxy::export!(Back);
