//! What answers on a pod's ports.

use std::sync::Arc;

use coracle_net::{Body, Handler, Handlers as _, RequestBody, RequestContext, text_response};
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};

use crate::agent::PodHandlers;

/// The ports of one pod.
#[derive(Clone)]
pub(crate) struct Ports {
    /// `NAMESPACE/NAME`, for messages.
    pub(crate) pod: String,
    /// The pod's uid.
    pub(crate) uid: Arc<str>,
    /// Where running handlers are found.
    pub(crate) handlers: Arc<PodHandlers>,
}

impl Ports {
    /// What answers on a port; else why nothing does.
    pub(crate) fn handler(&self, port: u16) -> Result<Arc<dyn Handler>, String> {
        if self.handlers.find(&self.uid, port).is_some() {
            return Ok(Arc::new(PortHandler { ports: self.clone(), port }));
        }
        let pod = &self.pod;
        let mut known = self.handlers.ports(&self.uid);
        known.sort_unstable();
        let known: Vec<String> = known.iter().map(u16::to_string).collect();
        Err(match known.as_slice() {
            [] => format!(
                "connection refused: nothing in pod {pod} listens on port {port}: no HTTP handler runs there, \
                 and commands have no sockets in this version"
            ),
            known => {
                format!("connection refused: nothing in pod {pod} listens on port {port}, only on {}", known.join(", "))
            }
        })
    }
}

/// A port, whichever incarnation of its container answers.
struct PortHandler {
    ports: Ports,
    port: u16,
}

impl Handler for PortHandler {
    fn handle(&self, request: Request<RequestBody>, context: RequestContext) -> BoxFuture<'static, Response<Body>> {
        match self.ports.handlers.find(&self.ports.uid, self.port) {
            Some(handler) => handler.handle(request, context),
            None => {
                let text = format!("pod {} does not answer on port {} now", self.ports.pod, self.port);
                Box::pin(std::future::ready(text_response(StatusCode::SERVICE_UNAVAILABLE, text)))
            }
        }
    }
}
