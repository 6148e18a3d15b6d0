//! The front end: asks `$BACKEND_URL` for what it says, and passes that on with its own words.

use wasip2::cli::environment::get_environment;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingRequest, OutgoingResponse, ResponseOutparam, Scheme,
};
use wasip2::io::streams::StreamError;

struct Front;

impl Guest for Front {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let url = get_environment().into_iter().find(|(key, _)| key == "BACKEND_URL");
        let url = url.map_or_else(|| "http://back/".to_owned(), |(_, url)| url);
        let ids = request.headers().get("x-request-id");
        let (status, text) = match fetch(&url, ids) {
            Ok(text) => (200, format!("The back end says: {text}\n")),
            Err(error) => (502, format!("{url} does not answer: {error}\n")),
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

/// The body of the answer to `GET url`, without its last line feed. The request's id goes along, so that logs of both show the same.
fn fetch(url: &str, ids: Vec<Vec<u8>>) -> Result<String, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it is no URL")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let headers: Vec<_> = ids.into_iter().map(|id| ("x-request-id".to_owned(), id)).collect();
    let request = OutgoingRequest::new(Fields::from_list(&headers).map_err(|error| error.to_string())?);
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).map_err(|()| "its scheme is wrong")?;
    request.set_authority(Some(authority)).map_err(|()| "its host is wrong")?;
    request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).map_err(|()| "its path is wrong")?;
    let answering = outgoing_handler::handle(request, None).map_err(|error| error.to_string())?;
    answering.subscribe().block();
    let answered = answering.get().expect("it is there").expect("taken once");
    let answer = answered.map_err(|error| error.to_string())?;
    let body = answer.consume().expect("taken once");
    let stream = body.stream().expect("taken once");
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(2048) {
            Ok(chunk) if bytes.len() + chunk.len() <= 3072 => bytes.extend(chunk),
            Ok(_) => return Err("it says too much".to_owned()),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

wasip2::http::proxy::export!(Front);
