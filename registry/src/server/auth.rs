//! Who may do what: everybody on this machine may read, and the one user may do everything.

use std::net::IpAddr;

use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};

use super::Body;
use super::error::{Refusal, full};
use crate::digest::Digest;
use crate::transport::Credentials;

const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"coracle\"");
/// What some clients send when they have no credentials: an empty user and an empty password.
const NOBODY: &str = "Basic Og==";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    Anonymous,
    Known,
}

/// Keeps the digest of the right header, so that comparing takes the same time for every wrong one.
pub(super) struct Guard {
    expected: Digest,
}

impl Guard {
    pub(super) fn new(credentials: &Credentials) -> Guard {
        Guard { expected: Digest::of(credentials.basic().as_bytes()) }
    }

    pub(super) fn check(&self, head: &Parts, peer: IpAddr) -> Result<User, Refusal> {
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        match head.headers.get(header::AUTHORIZATION).filter(|value| *value != NOBODY) {
            Some(value) if Digest::of(value.as_bytes()) == self.expected => Ok(User::Known),
            Some(_) => Err(refusal("these credentials are not the registry's")),
            None if is_read && peer.to_canonical().is_loopback() => Ok(User::Anonymous),
            None if is_read => Err(refusal("pulling from another machine needs credentials")),
            None => Err(refusal("pushing needs credentials")),
        }
    }

    /// The answer to "do you speak version 2?". Anonymous users are told how to say who they are, although it is a success:
    /// clients that ask here first would never send credentials otherwise.
    pub(super) fn base(&self, user: User) -> Response<Body> {
        let mut response = Response::new(full("{}"));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if user == User::Anonymous {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        response
    }
}

/// Hosts show a certificate, and only pull.
pub(super) fn host(head: &Parts) -> Result<User, Refusal> {
    match head.method {
        Method::GET | Method::HEAD => Ok(User::Known),
        _ => Err(Refusal::new(StatusCode::FORBIDDEN, "DENIED", "hosts pull, and don't push")),
    }
}

fn refusal(text: &str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", text).with(header::WWW_AUTHENTICATE, CHALLENGE)
}
