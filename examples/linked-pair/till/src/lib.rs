//! The till: `GET /ITEM` says what an item costs, as the price list that it is linked with has it.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

wit_bindgen::generate!({ path: "../wit", world: "till" });

struct Till;

impl Guest for Till {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let item = path.trim_start_matches('/');
        let (status, text) = match example::shop::prices::price(item) {
            Some(cents) => (200, format!("A {item} is {}.{:02}\n", cents / 100, cents % 100)),
            None => (404, format!("No {item:?} is sold here\n")),
        };
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(status).expect("a status of HTTP");
        let body = response.body().expect("taken once");
        ResponseOutparam::set(answer, Ok(response));
        let stream = body.write().expect("taken once");
        stream.blocking_write_and_flush(text.as_bytes()).expect("the body is under 4 KiB");
        drop(stream);
        OutgoingBody::finish(body, None).expect("no length was promised");
    }
}

wasip2::http::proxy::export!(Till);
