//! What only the leader may do, passed on to it: every write, as admission and quotas are decided in one place, and reads of what lives
//! in its memory.
//!
//! A member vouches for whom it speaks for, with the headers that Kubernetes' front proxies use.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use coracle_api::kinds::LEASE;
use coracle_api::status::{self, NOT_LEADER, Status};
use coracle_store::Member;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use tokio::time::{Instant, sleep};

use crate::EPHEMERAL;
use crate::authentication::User;
use crate::handlers::{Call, chain};
use crate::objects::read_failed;
use crate::request::{Address, Target};

const REMOTE_USER: HeaderName = HeaderName::from_static("x-remote-user");
const REMOTE_UID: HeaderName = HeaderName::from_static("x-remote-uid");
const REMOTE_GROUP: HeaderName = HeaderName::from_static("x-remote-group");
/// Headers that concern a connection, not what is asked.
const OF_CONNECTIONS: [HeaderName; 5] =
    [header::CONNECTION, header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE];
/// How long to look for a leader that answers.
const TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Whom a member speaks for. Headers of others are never looked at.
pub(crate) fn client(headers: &mut HeaderMap) -> Option<User> {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let name = headers.remove(REMOTE_USER).as_ref().and_then(text)?;
    let uid = headers.remove(REMOTE_UID).as_ref().and_then(text).unwrap_or_default();
    let groups = headers.get_all(REMOTE_GROUP).iter().filter_map(text).collect();
    headers.remove(REMOTE_GROUP);
    Some(User { name, uid, groups, ..User::default() })
}

/// Must the leader answer this, where there is one?
pub(crate) fn concerns_leader(call: &Call, target: &Target, is_write: bool) -> bool {
    match target {
        // Who is behind is known to the leader only; who belongs to the group is known to all.
        Target::Members(None) => call.app.objects.store().status().leader.is_some(),
        Target::Members(Some(_)) => true,
        Target::Objects(address) if address.is_stream() => false,
        Target::Objects(address) => is_write || is_ephemeral(address),
        _ => is_write,
    }
}

fn is_ephemeral(address: &Address) -> bool {
    let prefix = match &address.name {
        Some(name) => address.kind.key(address.namespace(), name),
        None => address.kind.prefix(address.namespace()),
    };
    *address.kind == LEASE && EPHEMERAL.meets(&prefix)
}

/// Where a request is to be answered.
pub(crate) enum Answer {
    /// Here: this member leads.
    Here(Bytes),
    /// By the leader, so.
    There(Response),
}

/// Passes a request on to the leader, unless that is this member by now.
pub(crate) async fn forward(call: &Call, target: &Target, uri: &Uri, body: Body) -> Result<Answer, Status> {
    let body = call.read(body).await?;
    let store = call.app.objects.store();
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let Some(leader) = store.leader().await.map_err(read_failed)? else { return Ok(Answer::Here(body)) };
        match send(call, &leader, uri, body.clone()).await {
            Ok(answer) if !answer.headers().contains_key(NOT_LEADER) => return Ok(Answer::There(relay(call, answer))),
            // Nothing was sent, or nothing was done.
            Ok(_) => {}
            // Who belongs to the group is known here too, and wanted most where nobody leads.
            Err(error) if error.is_connect() && *target == Target::Members(None) => return Ok(Answer::Here(body)),
            Err(error) if error.is_connect() => tracing::debug!(error = chain(&error), %leader, "the leader is away"),
            Err(error) => {
                let message =
                    format!("{leader} was lost as it answered, and whether it did what was asked is not known");
                tracing::warn!(error = chain(&error), %leader, "the leader was lost");
                return Err(status::timeout(message));
            }
        }
        if Instant::now() + RETRY_INTERVAL > deadline {
            return Err(status::no_leader(format!(
                "{leader}, which led last, does not answer, and no other leads so far: try again"
            )));
        }
        sleep(RETRY_INTERVAL).await;
    }
}

async fn send(call: &Call, leader: &Member, uri: &Uri, body: Bytes) -> reqwest::Result<reqwest::Response> {
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut headers = call.headers.clone();
    for name in OF_CONNECTIONS {
        headers.remove(name);
    }
    for name in [REMOTE_USER, REMOTE_UID, REMOTE_GROUP] {
        headers.remove(name);
    }
    for (name, value) in [(REMOTE_USER, &call.connected.name), (REMOTE_UID, &call.connected.uid)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    for group in call.connected.groups.iter().filter_map(|group| HeaderValue::from_str(group).ok()) {
        headers.append(REMOTE_GROUP, group);
    }
    let url = format!("https://{}{path}", leader.address);
    call.app.members.request(call.method.clone(), url).headers(headers).body(body).send().await
}

fn relay(call: &Call, answer: reqwest::Response) -> Response {
    let (code, headers) = (answer.status(), answer.headers().clone());
    let bytes = answer.bytes_stream();
    // Only a watch has no end of its own. Of anything else half would look like the whole.
    let mut response = Response::new(match call.query.flag("watch") {
        true => Body::from_stream(bytes.take_until(call.app.shutdown.clone().cancelled_owned())),
        false => Body::from_stream(bytes),
    });
    *response.status_mut() = code;
    *response.headers_mut() = headers;
    for name in OF_CONNECTIONS {
        response.headers_mut().remove(name);
    }
    response
}

/// The answer to a member that took this one for the leader.
pub(crate) fn refuse() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(NOT_LEADER, HeaderValue::from_static("true"));
    response
}
