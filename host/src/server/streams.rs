//! Requests that become streams: checked while they can still be refused, then upgraded to a WebSocket.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, Query, State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use coracle_api::channels;

use super::{Refusal, Sources, find_pod, refuse};
use crate::console::{Console, Stdin};
use crate::port_forward::{self, Ports};
use crate::runtime::{Container, ExecError};
use crate::session::{Session, Wanted};

/// The longest message of a client; kubectl's are of 32 KiB.
const MESSAGE_BYTES_MAX: usize = 2 << 20;

/// Namespace, pod, container.
type Place = (String, String, String);
type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// Connections to a pod's ports.
pub(super) async fn forward_ports(
    State(sources): State<Sources>,
    Path((namespace, name)): Path<(String, String)>,
    upgrade: Upgrade,
) -> Result<Response, Refusal> {
    let pod = find_pod(&sources, &namespace, &name).await?;
    let upgrade = accept(upgrade, &[port_forward::PROTOCOL])?;
    let ports = Ports { pod: format!("{namespace}/{name}"), uid: pod.uid, handlers: sources.handlers.clone() };
    Ok(upgrade.on_upgrade(move |socket| async move {
        tokio::select! {
            () = port_forward::run(socket, ports, pod.gone) => {}
            () = sources.shutdown.cancelled() => {}
        }
    }))
}

/// The standard streams of a running command.
pub(super) async fn attach(
    State(sources): State<Sources>,
    Path(place): Path<Place>,
    Query(query): Query<Vec<(String, String)>>,
    upgrade: Upgrade,
) -> Result<Response, Refusal> {
    let wanted = wanted(&query)?;
    let container = running(&sources, &place).await?;
    let (namespace, pod, name) = &place;
    let Some(console) = container.console() else {
        let message = format!(
            "container {name} of pod {pod} answers HTTP requests and has no standard streams: follow its output with \
             `kubectl logs -f {pod} -n {namespace}`, talk to it through `kubectl port-forward {pod} -n {namespace} PORT`"
        );
        return Err(refuse(StatusCode::BAD_REQUEST, message));
    };
    if wanted.stdin && !console.takes_input() {
        let message = format!(
            "container {name} of pod {pod} takes no input: set `stdin: true` in its spec, or attach without -i"
        );
        return Err(refuse(StatusCode::BAD_REQUEST, message));
    }
    let upgrade = accept(upgrade, &[channels::V5, channels::V4])?;
    Ok(upgrade.on_upgrade(move |socket| async move {
        let output = console.read();
        Session { wanted, console, output, container, is_own: false }.run(socket).await;
    }))
}

/// A program beside a running command.
pub(super) async fn exec(
    State(sources): State<Sources>,
    Path(place): Path<Place>,
    Query(query): Query<Vec<(String, String)>>,
    upgrade: Upgrade,
) -> Result<Response, Refusal> {
    let wanted = wanted(&query)?;
    let words: Vec<String> = query.iter().filter(|(key, _)| key == "command").map(|(_, value)| value.clone()).collect();
    if words.is_empty() {
        return Err(refuse(StatusCode::BAD_REQUEST, "the words of a command are missing".to_owned()));
    }
    let container = running(&sources, &place).await?;
    let console = Arc::new(Console::new(if wanted.stdin { Stdin::Once } else { Stdin::Closed }));
    let start = container.exec(words, console.clone()).map_err(|error| refuse_exec(&place, &error))?;
    let upgrade = accept(upgrade, &[channels::V5, channels::V4])?;
    Ok(upgrade.on_upgrade(move |socket| async move {
        let output = console.read();
        let program = start();
        let session = Session { wanted, console, output, container: program.clone(), is_own: true };
        let mut exited = container.exited();
        let ends_with_container = async {
            // An error means that the container is gone for good.
            let _ = exited.wait_for(Option::is_some).await;
            program.stop(Duration::ZERO);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = session.run(socket) => {}
            () = ends_with_container => {}
        }
    }))
}

fn refuse_exec((namespace, pod, name): &Place, error: &ExecError) -> Refusal {
    match error {
        ExecError::TooMany { .. } => refuse(StatusCode::TOO_MANY_REQUESTS, error.to_string()),
        ExecError::NotACommand => {
            let message = format!(
                "nothing can be run in container {name} of pod {pod}: {error}; see what it prints with \
                 `kubectl logs {pod} -n {namespace}`, talk to it through `kubectl port-forward {pod} -n {namespace} PORT`"
            );
            refuse(StatusCode::BAD_REQUEST, message)
        }
    }
}

/// The container, if it runs.
async fn running(sources: &Sources, (namespace, name, container): &Place) -> Result<Arc<dyn Container>, Refusal> {
    let pod = find_pod(sources, namespace, name).await?;
    let Some(found) = pod.containers.into_iter().find(|found| found.name == *container) else {
        let message = format!("container {container} is not valid for pod {name}");
        return Err(refuse(StatusCode::BAD_REQUEST, message));
    };
    found.running.ok_or_else(|| {
        let why = found.started.err().map(|reason| format!(": {reason}")).unwrap_or_default();
        refuse(StatusCode::BAD_REQUEST, format!("container {container} of pod {name} is not running{why}"))
    })
}

fn wanted(query: &[(String, String)]) -> Result<Wanted, Refusal> {
    let flag = |name| query.iter().any(|(key, value)| key == name && matches!(value.as_str(), "true" | "1"));
    let wanted = Wanted { stdin: flag("stdin"), stdout: flag("stdout"), stderr: flag("stderr"), tty: flag("tty") };
    if wanted.stdin || wanted.stdout || wanted.stderr {
        Ok(wanted)
    } else {
        Err(refuse(StatusCode::BAD_REQUEST, "you must specify at least 1 of stdin, stdout, stderr".to_owned()))
    }
}

/// The upgrade, if it is one to a WebSocket that speaks one of these protocols.
fn accept(upgrade: Upgrade, protocols: &[&'static str]) -> Result<WebSocketUpgrade, Refusal> {
    let spoken = protocols.join(" or ");
    let upgrade = upgrade.map_err(|rejection| {
        let message = format!(
            "this needs a WebSocket that speaks {spoken}, as kubectl 1.31 and newer open one ({})",
            rejection.body_text()
        );
        refuse(StatusCode::BAD_REQUEST, message)
    })?;
    let upgrade = upgrade.protocols(protocols.iter().copied());
    if upgrade.selected_protocol().is_none() {
        let asked = upgrade.requested_protocols().filter_map(|protocol| protocol.to_str().ok());
        let asked = asked.collect::<Vec<_>>().join(", ");
        let message = format!("none of the WebSocket protocols [{asked}] is spoken here, only {spoken}");
        return Err(refuse(StatusCode::BAD_REQUEST, message));
    }
    Ok(upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX))
}
