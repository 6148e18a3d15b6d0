//! Does what a probe or a hook says to a container, and tells what came of it in Kubernetes' words.
//!
//! Requests reach handlers in process, and commands at their pod's address. Deliberately absent: what a result means.

mod dial;
mod exec;
mod grpc;
mod http_get;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use coracle_net::{Body, RequestBody, RequestContext, RequestId};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;

use super::watch::Outcome;
use crate::agent::PodHandlers;
use crate::pod::action::Action;
use crate::runtime::{Container, Unanswered};

/// Who asks, as with the kubelet of the Kubernetes that the API follows.
const USER_AGENT: &str = "kube-probe/1.36";
/// Bytes of an answer that are looked at.
const ANSWER_BYTES_MAX: usize = 10 << 10;

/// Whom to ask.
pub(crate) struct Target {
    /// The pod.
    pub(crate) uid: Arc<str>,
    /// Its address.
    pub(crate) ip: String,
    /// The container itself.
    pub(crate) container: Arc<dyn Container>,
    /// Where the handlers of the pod's ports are found, this container's or another's.
    pub(crate) handlers: Arc<PodHandlers>,
}

/// Does it, and gives it up after `time_max`.
pub(crate) async fn act(action: &Action, target: &Target, time_max: Duration) -> Outcome {
    let done = async {
        match action {
            Action::HttpGet(get) => http_get::get(get, target).await.map(http_get::Answer::into_outcome),
            Action::TcpSocket { port } => Ok(match target.handlers.answering(&target.uid, *port) {
                Some(_) => Outcome::Success,
                None => match dial::connect(*port, target).await {
                    Ok(_) => Outcome::Success,
                    Err(unasked) => Outcome::Failure(unasked.text(target)),
                },
            }),
            Action::Grpc { port, service } => grpc::check(*port, service, target).await,
            Action::Exec { words } => Ok(exec::run(words, target).await),
            Action::Sleep(pause) => {
                tokio::time::sleep(pause.unsigned_abs()).await;
                Ok(Outcome::Success)
            }
        }
    };
    match tokio::time::timeout(time_max, done).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(unasked)) => Outcome::Failure(failure_text(action, target, &unasked.text(target))),
        Err(_) => Outcome::TimedOut(late_text(action, target, time_max)),
    }
}

/// Calls a hook. As with Kubernetes any answer to a request will do, whatever its status.
pub(crate) async fn call(hook: &Action, target: &Target, time_max: Duration) -> Result<(), String> {
    let outcome = match hook {
        Action::HttpGet(get) => match tokio::time::timeout(time_max, http_get::get(get, target)).await {
            Ok(Ok(_)) => Outcome::Success,
            Ok(Err(unasked)) => Outcome::Failure(failure_text(hook, target, &unasked.text(target))),
            Err(_) => Outcome::TimedOut(late_text(hook, target, time_max)),
        },
        _ => act(hook, target, time_max).await,
    };
    match outcome {
        Outcome::Success | Outcome::Warning(_) => Ok(()),
        Outcome::Failure(text) | Outcome::TimedOut(text) | Outcome::Unknown(text) => Err(text),
    }
}

/// Why no answer came.
enum Unasked {
    /// Nobody answers on the port.
    Refused(u16),
    /// The component gave no answer.
    Unanswered(Unanswered),
    /// The answer broke off.
    Broken(String),
}

impl Unasked {
    fn text(&self, target: &Target) -> String {
        match self {
            Unasked::Refused(port) => format!("dial tcp {}:{port}: connect: connection refused", target.ip),
            Unasked::Unanswered(why) => why.to_string(),
            Unasked::Broken(why) => why.clone(),
        }
    }
}

fn failure_text(action: &Action, target: &Target, why: &str) -> String {
    match action {
        Action::HttpGet(get) => format!("Get \"http://{}:{}{}\": {why}", target.ip, get.port, get.path),
        Action::Grpc { .. } => format!("error: health rpc probe failed: {why}"),
        _ => why.to_owned(),
    }
}

fn late_text(action: &Action, target: &Target, time_max: Duration) -> String {
    let limit = format!("{}s", time_max.as_secs_f64());
    match action {
        Action::HttpGet(_) => {
            failure_text(action, target, "context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
        }
        Action::TcpSocket { .. } | Action::Sleep(_) => format!("timed out after {limit}"),
        Action::Grpc { .. } => format!("timeout: health rpc did not complete within {limit}"),
        Action::Exec { words } => format!("command timed out: {:?} timed out after {limit}", words.join(" ")),
    }
}

/// Asks whoever answers on a port of the pod.
async fn ask(port: u16, request: Request<RequestBody>, target: &Target) -> Result<Response<Body>, Unasked> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let context = RequestContext {
        request_id: RequestId::generate(0, u8::MAX, COUNT.fetch_add(1, Relaxed)),
        client_addr: ([127, 0, 0, 1], 0).into(),
        scheme: http::uri::Scheme::HTTP,
    };
    let Some(container) = target.handlers.answering(&target.uid, port) else {
        return dial::ask(port, request, target).await;
    };
    let answer = container.ask(request, context).ok_or(Unasked::Refused(port))?;
    answer.await.map_err(Unasked::Unanswered)
}

/// The beginning of an answer, and its trailers where it is no longer than that.
async fn read(mut body: Body) -> Result<(Vec<u8>, HeaderMap), Unasked> {
    let (mut bytes, mut trailers) = (Vec::new(), HeaderMap::new());
    while bytes.len() < ANSWER_BYTES_MAX {
        let frame = match body.frame().await {
            None => break,
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Err(Unasked::Broken(error.to_string())),
        };
        match frame.into_data() {
            Ok(data) => bytes.extend_from_slice(&data[..data.len().min(ANSWER_BYTES_MAX - bytes.len())]),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Ok((bytes, trailers))
}

#[cfg(test)]
pub(crate) mod tests;
