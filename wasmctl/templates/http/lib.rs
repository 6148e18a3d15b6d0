//! Answers HTTP requests: `GET /` greets whom `$GREETING_NAME` names.

use wstd::http::{Body, Error, Request, Response};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let name = std::env::var("GREETING_NAME").unwrap_or_else(|_| "world".to_owned());
    let (status, text) = answer(request.uri().path(), &name);
    Ok(Response::builder().status(status).header("content-type", "text/plain").body(text.into())?)
}

/// The status and the body.
fn answer(path: &str, name: &str) -> (u16, String) {
    match path {
        "/" => (200, format!("Hello, {name}!\n")),
        path => (404, format!("nothing is at {path}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets_by_name() {
        assert_eq!(answer("/", "Ada"), (200, "Hello, Ada!\n".to_owned()));
        assert_eq!(answer("/other", "Ada").0, 404);
    }
}
