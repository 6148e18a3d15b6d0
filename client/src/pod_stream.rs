//! Streams into pods (`exec`, `attach`, `portforward`): a request that is upgraded to a WebSocket, whose messages are passed as they are.
//!
//! Deliberately absent: SPDY without a WebSocket, and knowledge of what the messages say.

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use http::{Method, StatusCode, header};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::client::{Client, status_error};
use crate::error::Error;

type Socket = WebSocketStream<reqwest::Upgraded>;

/// What is to be streamed.
#[derive(Clone, Debug)]
pub struct PodStreamOptions {
    /// `exec`, `attach` or `portforward`.
    pub subresource: &'static str,
    /// The protocol within the WebSocket.
    pub protocol: &'static str,
    /// The query, such as `command` and `stdin`.
    pub query: Vec<(&'static str, String)>,
}

/// Sends messages.
pub struct PodStreamWriter {
    socket: SplitSink<Socket, Message>,
    server: String,
}

/// Receives messages.
pub struct PodStreamReader {
    socket: SplitStream<Socket>,
    server: String,
}

impl PodStreamWriter {
    /// Sends a message, waiting until the server has room for it.
    pub async fn send(&mut self, message: Bytes) -> Result<(), Error> {
        let sent = self.socket.send(Message::Binary(message)).await;
        sent.map_err(|error| Error::Broken { server: self.server.clone(), reason: error.to_string() })
    }

    /// Says goodbye; a server that has gone before does not mind.
    pub async fn close(mut self) {
        let _ = self.socket.close().await;
    }
}

impl PodStreamReader {
    /// The next message; none when the server has closed the stream. Pings are answered on the way.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            match self.socket.next().await? {
                Ok(Message::Binary(bytes)) => return Some(Ok(bytes)),
                Ok(Message::Close(_)) => return None,
                Ok(_) => {}
                Err(error) => {
                    return Some(Err(Error::Broken { server: self.server.clone(), reason: error.to_string() }));
                }
            }
        }
    }
}

impl Client {
    /// Opens a stream into a pod, on a connection of its own.
    pub async fn pod_stream(
        &self,
        namespace: &str,
        pod: &str,
        options: &PodStreamOptions,
    ) -> Result<(PodStreamWriter, PodStreamReader), Error> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/{}", options.subresource);
        let key = generate_key();
        let http = self.upgradable()?;
        let request = |server: &str| {
            self.request_by(&http, server, Method::GET, &path, &options.query)
                .header(header::CONNECTION, "Upgrade")
                .header(header::UPGRADE, "websocket")
                .header(header::SEC_WEBSOCKET_VERSION, "13")
                .header(header::SEC_WEBSOCKET_KEY, &key)
                .header(header::SEC_WEBSOCKET_PROTOCOL, options.protocol)
        };
        let response = self.deliver(request).await?;
        let code = response.status();
        if code != StatusCode::SWITCHING_PROTOCOLS {
            let bytes = response.bytes().await.map_err(|error| self.transport(error))?;
            return Err(status_error(code.as_u16(), &bytes));
        }
        let answered = |name, expected: &str| {
            response.headers().get(name).is_some_and(|value| value.as_bytes() == expected.as_bytes())
        };
        if !answered(header::SEC_WEBSOCKET_ACCEPT, &derive_accept_key(key.as_bytes()))
            || !answered(header::SEC_WEBSOCKET_PROTOCOL, options.protocol)
        {
            let reason = format!("a WebSocket that speaks {} was asked for", options.protocol);
            return Err(Error::Answer { request: format!("GET {path}"), reason });
        }
        let upgraded = response.upgrade().await.map_err(|error| self.transport(error))?;
        let (writer, reader) = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await.split();
        let server = self.server().to_string();
        Ok((PodStreamWriter { socket: writer, server: server.clone() }, PodStreamReader { socket: reader, server }))
    }
}
