//! Middleware: lets requests through that show the token in the variable `TOKEN`, and answers all others itself.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

// The bindings are those of `wasip2`; what they lack is the handler behind this one.
wit_bindgen::generate!({
    inline: "
        package wasi:http@0.2.12;
        interface types {
            resource incoming-request;
            resource response-outparam;
        }
        interface incoming-handler {
            use types.{incoming-request, response-outparam};
            handle: func(request: incoming-request, response-out: response-outparam);
        }
        world behind {
            import incoming-handler;
        }
    ",
    with: { "wasi:http/types@0.2.12": wasip2::http::types },
});

struct Guard;

impl Guest for Guard {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let shown = request.headers().get("authorization");
        let wanted = std::env::var("TOKEN").map(|token| format!("Bearer {token}").into_bytes());
        if wanted.is_ok_and(|wanted| shown == [wanted]) {
            return wasi::http::incoming_handler::handle(request, answer);
        }
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(401).expect("a status of HTTP");
        let body = response.body().expect("taken once");
        ResponseOutparam::set(answer, Ok(response));
        OutgoingBody::finish(body, None).expect("no length was promised");
    }
}

wasip2::http::proxy::export!(Guard);
