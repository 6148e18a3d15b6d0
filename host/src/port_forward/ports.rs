//! What answers on a pod's ports.

use std::sync::Arc;
use std::time::Duration;

use coracle_net::{Body, Handler, Handlers as _, RequestBody, RequestContext, text_response};
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::agent::PodHandlers;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
    pub(crate) async fn open(&self, port: u16) -> Result<Opened, String> {
        if self.handlers.find(&self.uid, port).is_some() {
            return Ok(Opened::Handler(Arc::new(PortHandler { ports: self.clone(), port })));
        }
        if let Some(address) = self.handlers.listener(&self.uid) {
            let refused = |error| format!("failed to connect to {address}:{port} in pod {}: {error}", self.pod);
            let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect((address, port)));
            let connected = connecting.await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
            return connected.map(Opened::Socket).map_err(refused);
        }
        let pod = &self.pod;
        let mut known = self.handlers.ports(&self.uid);
        known.sort_unstable();
        let known: Vec<String> = known.iter().map(u16::to_string).collect();
        Err(match known.as_slice() {
            [] => format!("connection refused: nothing in pod {pod} listens on port {port}: nothing runs there now"),
            known => {
                format!("connection refused: nothing in pod {pod} listens on port {port}, only on {}", known.join(", "))
            }
        })
    }
}

/// A way to a port.
pub(crate) enum Opened {
    /// A handler, which takes connections in process.
    Handler(Arc<dyn Handler>),
    /// A connection to a program that listens itself.
    Socket(TcpStream),
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
