//! A handler that answers with the file at the request's path, from the volumes that its pod mounts.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Files;

impl Guest for Files {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let (status, text) = match std::fs::read(&path) {
            Ok(bytes) => (200, bytes),
            Err(error) => (404, format!("{path}: {error}\n").into_bytes()),
        };
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(status).expect("a status that there is");
        let body = response.body().expect("taken once");
        ResponseOutparam::set(answer, Ok(response));
        let stream = body.write().expect("taken once");
        for piece in text.chunks(4096) {
            stream.blocking_write_and_flush(piece).expect("the client reads");
        }
        drop(stream);
        OutgoingBody::finish(body, None).expect("no length was promised");
    }
}

wasip2::http::proxy::export!(Files);
