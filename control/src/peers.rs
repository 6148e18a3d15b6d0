//! Consensus between members over the API's own port: HTTP/2 with mutual TLS, one request a call, messages behind their lengths both ways.
//!
//! Deliberately absent: what the messages say, which is the store's business, and who belongs to the group.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut as _, Bytes, BytesMut};
use coracle_api::status;
use coracle_store::{Call, Member, Messages, Peers};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use http::{Method, Request, Uri};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};
use tokio_util::io::StreamReader;

use crate::handlers::{App, chain};
use crate::{removal, respond};

/// The group of certificates that members show each other.
pub const MEMBERS: &str = "coracle:members";

const PATH: &str = "/coracle/consensus/";
/// The longest message: a proposal and what surrounds it.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// How long another member may take to say who is one: as long as a read may.
const MEMBERSHIP_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// A connection that is silent for so long is asked whether it lives, and has so long to answer.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_millis(500);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_millis(1_000);

/// A client for other members, which shows this member's certificate.
pub(crate) fn client(tls: rustls::ClientConfig) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_prior_knowledge()
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .build()
}

/// Reaches the other members.
#[derive(Clone, Debug)]
pub struct HttpPeers {
    /// For what must not wait.
    prompt: reqwest::Client,
    /// For whole states, on a connection of their own.
    bulk: reqwest::Client,
}

impl HttpPeers {
    /// Shows the identity in `tls`, whose group is [`MEMBERS`].
    pub fn new(tls: &rustls::ClientConfig) -> io::Result<HttpPeers> {
        let client = || client(tls.clone()).map_err(io::Error::other);
        Ok(HttpPeers { prompt: client()?, bulk: client()? })
    }

    /// Asks another member whether there is a member of this number; `None` where it does not know or does not answer.
    pub(crate) async fn is_member(&self, asked: &Member, id: u64) -> Option<bool> {
        let url = format!("https://{}{}{id}", asked.address, removal::PATH);
        let answer = self.prompt.get(url).timeout(MEMBERSHIP_TIMEOUT).send().await.ok()?.error_for_status().ok()?;
        let body = answer.bytes().await.ok()?;
        serde_json::from_slice::<serde_json::Value>(&body).ok()?.get("isMember")?.as_bool()
    }
}

impl Peers for HttpPeers {
    fn call(
        &self,
        member: &Member,
        call: Call,
        messages: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'static, io::Result<Messages>> {
        let client = if call == Call::Install { &self.bulk } else { &self.prompt };
        let name = Call::ALL.iter().find(|(known, _)| *known == call).map_or("", |(_, name)| name);
        let url = format!("https://{}{PATH}{}/{name}", member.address, member.id);
        let body = reqwest::Body::wrap_stream(messages.map(|message| Ok::<_, io::Error>(frame(&message))));
        let answer = client.post(url).body(body).send();
        let member = member.clone();
        Box::pin(async move {
            let unreached = |error: reqwest::Error| io::Error::other(format!("{member}: {}", chain(&error)));
            let answer = answer.await.map_err(unreached)?;
            if !answer.status().is_success() {
                let (code, text) = (answer.status(), answer.text().await.unwrap_or_default());
                return Err(io::Error::other(format!("{member} answered {code}: {text}")));
            }
            Ok(frames(answer.bytes_stream().map_err(io::Error::other)).boxed())
        })
    }
}

/// The call that a path names, and the number of the member it is for.
pub(crate) fn call(method: &Method, uri: &Uri) -> Option<(u64, Call)> {
    let (member, name) = uri.path().strip_prefix(PATH)?.split_once('/')?;
    let (call, _) = Call::ALL.into_iter().find(|(_, known)| *known == name)?;
    (method == Method::POST).then_some((member.parse().ok()?, call))
}

/// Answers a member's call.
pub(crate) fn answer(app: &App, member: u64, call: Call, request: Request<Body>) -> Response {
    let store = app.objects.store();
    let own = store.member();
    if own.id != member {
        // Its folder is another member's, or new.
        let message = format!("member {member} is not here: this is member {} ({})", own.id, own.name);
        return respond::failure(&status::bad_request(message));
    }
    // Whoever still listened for more would keep the connection from ending.
    let stopped = || app.answered.clone().cancelled_owned();
    let messages = frames(request.into_body().into_data_stream().map_err(io::Error::other)).take_until(stopped());
    let answers = store.answer(call, messages.boxed()).map(|answer| answer.map(|answer| frame(&answer)));
    Response::new(Body::from_stream(answers.take_until(stopped())))
}

/// A message behind its length.
fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(4 + message.len());
    frame.put_u32(u32::try_from(message.len()).expect("invariant: a message is far below 4 GiB"));
    frame.extend_from_slice(message);
    frame.freeze()
}

fn frames(
    bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let codec = LengthDelimitedCodec::builder().max_frame_length(MESSAGE_BYTES_MAX).new_codec();
    FramedRead::new(StreamReader::new(Box::pin(bytes)), codec).map_ok(BytesMut::freeze)
}
