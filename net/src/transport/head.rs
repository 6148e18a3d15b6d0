//! What is written into the head of a request to another host, and taken out there.
//!
//! The pod and the client are named in headers of their own; everything else is the client's request as it is, so that the pod
//! sees what it would see from its own host's ingress.

use std::net::SocketAddr;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version, header};

use crate::handler::{RequestContext, RequestId};

/// `UID:PORT` or `ADDRESS:PORT` of the pod asked for.
pub(super) const POD: HeaderName = HeaderName::from_static("coracle-pod");
/// The address of the client, with its port.
const CLIENT: HeaderName = HeaderName::from_static("coracle-client");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers that concern one connection only.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
];

pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Names pod and client in a request, and makes it one of HTTP/2. Doing it twice does no harm.
pub(super) fn address<B>(
    request: &mut Request<B>,
    pod: &HeaderValue,
    context: &RequestContext,
) -> Result<(), http::Error> {
    let takes_trailers = request.headers().get(header::TE).is_some_and(|value| value == "trailers");
    remove_hop_by_hop(request.headers_mut());
    let host = request.headers().get(header::HOST).map(HeaderValue::as_bytes).filter(|host| !host.is_empty());
    let authority = match (request.uri().authority(), host) {
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => Authority::try_from(host)?,
        // HTTP/1.0 knows no Host.
        (None, None) => Authority::from_static("localhost"),
    };
    let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() =
        Uri::builder().scheme(context.scheme.clone()).authority(authority).path_and_query(path).build()?;
    *request.version_mut() = Version::HTTP_2;
    let client = HeaderValue::try_from(context.client_addr.to_string())?;
    let headers = request.headers_mut();
    headers.insert(POD, pod.clone());
    headers.insert(CLIENT, client);
    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    Ok(())
}

/// Takes the pod's uid or address, its port, and what is known of the request, out of it; `None` if another host has not addressed it.
pub(super) fn read<B>(request: &mut Request<B>) -> Option<(String, u16, RequestContext)> {
    let headers = request.headers();
    let (uid, port) = headers.get(POD)?.to_str().ok()?.rsplit_once(':')?;
    let (uid, port) = (uid.to_owned(), port.parse().ok()?);
    let client_addr: SocketAddr = headers.get(CLIENT)?.to_str().ok()?.parse().ok()?;
    let request_id = RequestId::accept(headers.get(REQUEST_ID)?)?;
    let scheme = request.uri().scheme().cloned().unwrap_or(Scheme::HTTP);
    request.headers_mut().remove(POD);
    request.headers_mut().remove(CLIENT);
    if request.headers().contains_key(header::HOST) {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(path);
    }
    Some((uid, port, RequestContext { request_id, client_addr, scheme }))
}

#[cfg(test)]
mod tests;
