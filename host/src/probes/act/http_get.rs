//! A GET of a path of the pod, with redirects followed as long as they stay in the pod.

use coracle_net::RequestBody;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header};

use super::{Outcome, Target, USER_AGENT, Unasked, ask, read};
use crate::pod::action::HttpGet;

/// As many as Kubernetes' client follows.
const REDIRECTS_MAX: usize = 10;

/// What was answered in the end.
pub(super) struct Answer {
    status: StatusCode,
    /// It leads out of the pod, and was not followed.
    leads_elsewhere: bool,
}

impl Answer {
    pub(super) fn into_outcome(self) -> Outcome {
        match self.status.as_u16() {
            _ if self.leads_elsewhere => Outcome::Warning("Probe terminated redirects".to_owned()),
            200..400 => Outcome::Success,
            status => Outcome::Failure(format!("HTTP probe failed with statuscode: {status}")),
        }
    }
}

/// Where a request goes within the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    port: u16,
    path: PathAndQuery,
}

/// Where an answer sends whoever asked.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Nowhere,
    Place(Place),
    Elsewhere,
    /// To the pod, but over TLS.
    Tls,
}

pub(super) async fn get(get: &HttpGet, target: &Target) -> Result<Answer, Unasked> {
    let headers = headers(get);
    // What is no path was refused when the pod was taken on.
    let path = get.path.parse().unwrap_or(PathAndQuery::from_static("/"));
    let mut place = Place { port: get.port, path };
    for _ in 0..=REDIRECTS_MAX {
        let response = ask(place.port, request(&place, &headers, target), target).await?;
        let status = response.status();
        let next = next(&place, &target.ip, status, response.headers());
        // A component that fails in its first lines has failed.
        read(response.into_body()).await?;
        match next {
            Next::Nowhere => return Ok(Answer { status, leads_elsewhere: false }),
            Next::Elsewhere => return Ok(Answer { status, leads_elsewhere: true }),
            Next::Tls => return Err(Unasked::Broken("http: server gave HTTP response to HTTPS client".to_owned())),
            Next::Place(next) => place = next,
        }
    }
    Err(Unasked::Broken(format!("stopped after {REDIRECTS_MAX} redirects")))
}

fn request(place: &Place, headers: &HeaderMap, target: &Target) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::empty());
    *request.uri_mut() = Uri::from(place.path.clone());
    *request.headers_mut() = headers.clone();
    if !headers.contains_key(header::HOST)
        && let Ok(host) = HeaderValue::try_from(format!("{}:{}", target.ip, place.port))
    {
        request.headers_mut().insert(header::HOST, host);
    }
    request
}

/// Those that were declared, and who asks and for what unless those say so themselves.
fn headers(get: &HttpGet) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &get.headers {
        // What can't be sent was refused when the pod was taken on.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    for (name, value) in [(header::USER_AGENT, USER_AGENT), (header::ACCEPT, "*/*")] {
        match headers.get(&name).map(HeaderValue::is_empty) {
            None => drop(headers.insert(name, HeaderValue::from_static(value))),
            Some(true) => drop(headers.remove(name)),
            Some(false) => {}
        }
    }
    headers
}

fn next(place: &Place, ip: &str, status: StatusCode, headers: &HeaderMap) -> Next {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Next::Nowhere;
    }
    let Some(location) = headers.get(header::LOCATION).and_then(|location| location.to_str().ok()) else {
        return Next::Nowhere;
    };
    let (is_tls, rest) = match (location.strip_prefix("http://"), location.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => match location.strip_prefix("//") {
            Some(rest) => (false, rest),
            None => return within(place, location),
        },
    };
    let (authority, path) = rest.find(['/', '?']).map_or((rest, "/"), |end| rest.split_at(end));
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    match (host == ip, is_tls, port.parse()) {
        (false, _, _) => Next::Elsewhere,
        (true, true, _) => Next::Tls,
        (true, false, Ok(port)) => within(&Place { port, path: PathAndQuery::from_static("/") }, path),
        (true, false, Err(_)) => Next::Nowhere,
    }
}

/// A reference without host: a path from the root, a query, or a path from where we are.
fn within(place: &Place, reference: &str) -> Next {
    let own = place.path.path();
    let path = match reference {
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        query if query.starts_with('?') => format!("{own}{query}"),
        relative => format!("{}{relative}", &own[..=own.rfind('/').unwrap_or(0)]),
    };
    PathAndQuery::try_from(path).map_or(Next::Nowhere, |path| Next::Place(Place { port: place.port, path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, location: &str, expected: &str) {
        let place = Place { port: 8080, path: PathAndQuery::from_static("/a/b?c") };
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, location.parse().unwrap());
        let next = next(&place, "10.0.0.1", StatusCode::from_u16(status).unwrap(), &headers);
        let shown = match next {
            Next::Place(place) => format!("{}{}", place.port, place.path),
            other => format!("{other:?}"),
        };
        assert_eq!(shown, expected, "{location}");
    }

    #[test]
    fn redirects_are_followed_within_the_pod() {
        for (location, expected) in [
            ("/x?y", "8080/x?y"),
            ("x", "8080/a/x"),
            ("?x", "8080/a/b?x"),
            ("http://10.0.0.1/x", "80/x"),
            ("http://10.0.0.1:81", "81/"),
            ("//10.0.0.1:8080/x", "8080/x"),
            ("https://10.0.0.1/x", "Tls"),
            ("http://db.internal/x", "Elsewhere"),
            ("http://10.0.0.1:none/", "Nowhere"),
        ] {
            check(302, location, expected);
        }
        check(304, "/x", "Nowhere");
        check(200, "/x", "Nowhere");
    }

    #[test]
    fn headers_may_be_added_replaced_and_left_out() {
        let get = |headers: &[(&str, &str)]| HttpGet {
            port: 1,
            path: "/".to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        let show = |given: &[(&str, &str)]| format!("{:?}", headers(&get(given)));
        assert_eq!(show(&[]), r#"{"user-agent": "kube-probe/1.36", "accept": "*/*"}"#);
        assert_eq!(show(&[("User-Agent", "me"), ("Accept", "")]), r#"{"user-agent": "me"}"#);
    }
}
