//! A handler that says how it is: `GET /ready` is 200 where `$READY` is `yes` and 503 otherwise, `GET /live` is 500 where `$SICK` is `yes`
//! and 200 otherwise. Everything else says hello.

use wasip2::cli::environment::get_environment;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Probes;

impl Guest for Probes {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let is_set = |name: &str| get_environment().iter().any(|(key, value)| key == name && value == "yes");
        let (status, text) = match request.path_with_query().as_deref() {
            Some("/ready") if !is_set("READY") => (503, "not yet\n"),
            Some("/live") if is_set("SICK") => (500, "sick\n"),
            Some("/ready" | "/live") => (200, "ok\n"),
            _ => (200, "Hello!\n"),
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

wasip2::http::proxy::export!(Probes);
