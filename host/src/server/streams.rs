//! Requests that become streams: checked while they can still be refused, then upgraded to a WebSocket.

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;

use super::{Refusal, Sources, find_pod, refuse};
use crate::port_forward::{self, Ports};

/// The longest message of a client; kubectl's are of 32 KiB.
const MESSAGE_BYTES_MAX: usize = 2 << 20;

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
