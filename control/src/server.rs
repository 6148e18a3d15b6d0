//! The API server: TLS, HTTP/1.1 and HTTP/2, a request id and a log line for each request, a graceful end.
//!
//! Deliberately absent: plain HTTP.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use coracle_api::status::{self, Status};
use coracle_net::identity::until_expired;
use coracle_registry::Registry;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::Objects;
use crate::artifacts::{self, Artifacts};
use crate::audit::{Audit, Entry};
use crate::authentication::{self, User};
use crate::cluster_files::ClusterFiles;
use crate::forward;
use crate::handlers::{App, Call, Clients, key_rotation};
use crate::identities::Identities;
use crate::joining::Joining;
use crate::peers::{self, MEMBERS};
use crate::removal;
use crate::request::{self, Target};
use crate::respond;
use crate::tokens::Tokens;

mod lent_body;

/// How long a handshake, and the head of a request, may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an answer may take to begin.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a member decides a write anew that it could not propose as it lost the lead.
const ATTEMPTS_MAX: u32 = 3;
/// How long answers may take to begin once the server shuts down, and how long connections last from when all have: together less than
/// the whole process gets.
const ANSWERED_TIMEOUT: Duration = Duration::from_secs(3);
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait when the system has no more sockets.
const ACCEPT_DELAY: Duration = Duration::from_millis(100);
/// Writes that hosts make all the time, and that no audit asks for.
const QUIET: &[&str] = &["batches", "events", "leases.coordination.k8s.io"];
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What the server needs.
pub struct ServerConfig {
    /// Where it listens.
    pub listener: TcpListener,
    /// What it shows to clients, hosts and other members. Who keeps them renewed is not the server's business.
    pub identities: Identities,
    /// The object service, which knows who decides what users may do.
    pub objects: Objects,
    /// Issues and reads the tokens of service accounts.
    pub tokens: Arc<Tokens>,
    /// Where writes are noted; nowhere if absent.
    pub audit_log: Option<PathBuf>,
    /// What a snapshot of the cluster takes along beside the objects.
    pub cluster_files: ClusterFiles,
    /// What machines are told and given that join.
    pub joining: Joining,
    /// This member's registry.
    pub artifacts: Artifacts,
    /// Ends the server.
    pub shutdown: CancellationToken,
}

/// Serves until `shutdown`, then lets requests end.
pub async fn serve(config: ServerConfig) -> io::Result<()> {
    let ServerConfig { listener, identities, objects, tokens, audit_log, cluster_files, joining, artifacts, shutdown } =
        config;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut tls = identities.server_tls().map_err(io::Error::other)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let (host_tls, member_tls) =
        (identities.host_tls().map_err(io::Error::other)?, identities.member_tls().map_err(io::Error::other)?);
    let hosts = reqwest::Client::builder().tls_backend_preconfigured(host_tls).connect_timeout(Duration::from_secs(5));
    let hosts = hosts.build().map_err(io::Error::other)?;
    // Content has connections of its own, so that nothing waits behind it.
    let for_content = peers::client(member_tls.clone()).map_err(io::Error::other)?;
    let clients = Clients { hosts, members: peers::client(member_tls).map_err(io::Error::other)? };
    let (audit, writer) = match &audit_log {
        None => (None, None),
        Some(path) => {
            let failed = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            let (audit, writer) = Audit::open(path).map_err(failed)?;
            (Some(audit), Some(writer))
        }
    };
    let stop = shutdown.clone();
    let app = App::new(objects, tokens, clients, audit, cluster_files, joining, identities, stop);
    let app = Arc::new(app);
    let connections = TaskTracker::new();
    let registry = artifacts.serve(Arc::clone(&app), for_content, &connections, shutdown.clone());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(Arc::clone(&app), Arc::clone(&registry), acceptor.clone(), stream));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_DELAY).await;
            }
        }
    }
    // Whoever comes now is to ask another server, and not to wait for an answer until this one has ended.
    drop(listener);
    // Who waits for a write, waits for consensus, which this member takes part in until then.
    app.unanswered.close();
    let _ = tokio::time::timeout(ANSWERED_TIMEOUT, app.unanswered.wait()).await;
    app.answered.cancel();
    connections.close();
    // Each ends by itself within the time-out.
    connections.wait().await;
    drop((app, registry));
    if let Some(writer) = writer {
        // What was noted is written before the server has ended.
        let _ = tokio::task::spawn_blocking(|| writer.join()).await;
    }
    Ok(())
}

async fn connection(app: Arc<App>, registry: Arc<Registry>, acceptor: TlsAcceptor, stream: TcpStream) {
    // Watches are small frames that must not wait for each other.
    let _ = stream.set_nodelay(true);
    let peer = stream.peer_addr().ok();
    let answered = app.answered.clone();
    // Who is suspended, or out of reach, would be waited for in vain.
    let cut_off = async {
        answered.cancelled().await;
        sleep(END_TIMEOUT).await;
    };
    tokio::pin!(cut_off);
    let accepted = tokio::select! {
        accepted = tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream)) => accepted.ok(),
        () = cut_off.as_mut() => None,
    };
    let stream = match accepted {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        None => return tracing::debug!("a TLS handshake took too long"),
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let certificate = certificates.and_then(<[_]>::first).map(|shown| Arc::new(shown.clone().into_owned()));
    let user = certificate.as_deref().map_or_else(User::anonymous, User::from_certificate);
    // Members are not asked whether theirs is over: they have the CA, and could make another.
    let expiring = certificate.clone().filter(|_| !user.is_in(MEMBERS));
    let now = app.objects.clock().now();
    let (objects, client) = (app.objects.clone(), user.clone());
    // Without the members no write is answered.
    let stop = if user.is_in(MEMBERS) { answered.clone() } else { app.shutdown.clone() };
    let is_used = Arc::new(AtomicBool::new(false));
    let used = Arc::clone(&is_used);
    let service = service_fn(move |mut request: Request<Incoming>| {
        used.store(true, Ordering::Relaxed);
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(Arc::clone(certificate));
        }
        let (app, registry, user) = (Arc::clone(&app), Arc::clone(&registry), user.clone());
        let unanswered = app.unanswered.token();
        async move {
            let _unanswered = unanswered;
            Ok::<_, std::convert::Infallible>(match artifacts::is_asked(request.uri().path()) {
                true => artifacts::answer(&app, registry, user, request).await,
                false => handle(app, user, request.map(Body::new)).await,
            })
        }
    });
    let builder = protocols();
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return log_end(result),
        () = unused(&is_used) => return tracing::debug!("a connection asked for nothing"),
        // No request begins with a certificate that is over; what has begun goes on.
        () = until_expired(expiring.as_deref(), now) => connection.as_mut().graceful_shutdown(),
        () = authentication::host::until_deleted(&objects, &client), if client.node().is_some() => return,
        () = stop.cancelled() => {}
    }
    tokio::select! {
        result = connection.as_mut() => return log_end(result),
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        result = connection => log_end(result),
        () = cut_off => tracing::info!(user = client.name, "a connection did not end in time; it is cut off"),
    }
}

/// What is spoken on a connection.
fn protocols() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .max_concurrent_streams(1024)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    builder
}

/// Ends when nothing is asked for so long after a connection was made; else never.
async fn unused(is_used: &AtomicBool) {
    sleep(HEAD_TIMEOUT).await;
    if is_used.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

fn log_end(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// Answers one request on a connection of a user, who may show a token or speak for somebody else.
pub(crate) async fn handle(app: Arc<App>, connected: User, request: Request<Body>) -> Response {
    let is_member = connected.is_in(MEMBERS);
    if is_member && let Some((member, call)) = peers::call(request.method(), request.uri()) {
        return peers::answer(&app, member, call, request);
    }
    if is_member && let Some(member) = removal::asked(request.method(), request.uri()) {
        return removal::answer(&app, member).await;
    }
    if is_member && key_rotation::is_given(request.method(), request.uri()) {
        return key_rotation::take(&app, request.into_body()).await;
    }
    let (mut head, body) = request.into_parts();
    let connected = match is_member {
        true => forward::client(&mut head.headers).unwrap_or(connected),
        false => connected,
    };
    let id = request_id(&head.headers);
    let span = tracing::info_span!("api", request_id = %id);
    let identified = match identify(&app, connected.clone(), &head.headers) {
        Ok(identified) => match authentication::host::check(&app.objects, &identified.0).await {
            Ok(()) => Ok(identified),
            Err(status) => Err((identified.0, status)),
        },
        Err(refused) => Err(refused),
    };
    let (user, impersonator, refused) = match identified {
        Ok((user, impersonator)) => (user, impersonator, None),
        Err((user, status)) => (user, None, Some(status)),
    };
    let is_head = head.method == Method::HEAD;
    let (body, lender) = lent_body::lend(body);
    let call = Call {
        app,
        user,
        connected,
        certificate: head.extensions.remove().filter(|_| !is_member),
        impersonator,
        method: head.method,
        path: head.uri.path().to_owned(),
        query: request::query(&head.uri),
        headers: head.headers,
        peer: head.extensions.get().copied(),
        upgrade: head.extensions.remove(),
        created: OnceLock::new(),
        annotations: Arc::default(),
        body: parking_lot::Mutex::default(),
    };
    let context = Context { id: &id, uri: &head.uri, is_member, refused };
    let mut response = Box::pin(answer(&call, context, body)).instrument(span).await;
    if let Some(lender) = lender {
        lender.drain().await;
    }
    if is_head {
        *response.body_mut() = Body::empty();
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(AUDIT_ID, id.clone());
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Who asks, and who really does where that is somebody else; or who it was, as far as is known, whom the request is refused.
pub(crate) fn identify(
    app: &App,
    connected: User,
    headers: &HeaderMap,
) -> Result<(User, Option<User>), (User, Status)> {
    let (snapshot, now) = (app.objects.store().snapshot(), app.objects.clock().now());
    let known = connected.clone();
    let user = authentication::request::authenticate(connected, headers, &app.tokens, &snapshot, now);
    let user = user.map_err(|status| (known, status))?;
    match authentication::request::impersonate(&user, headers, app.objects.authorizer(), &snapshot) {
        Ok(Some(impersonated)) => Ok((impersonated, Some(user))),
        Ok(None) => Ok((user, None)),
        Err(status) => Err((user, status)),
    }
}

/// What is known of a request besides what it asks.
struct Context<'a> {
    id: &'a str,
    uri: &'a Uri,
    /// Whether it was passed on by another member.
    is_member: bool,
    /// Why nothing of it is done, where it is not known for whom it would be.
    refused: Option<Status>,
}

async fn answer(call: &Call, context: Context<'_>, mut body: Body) -> Response {
    let (started, received) = (Instant::now(), call.app.objects.clock().now());
    let (target, labels) = call.target();
    // A stream does more than reading, also where it begins with a GET.
    let is_stream = matches!(&target, Target::Objects(address) if address.is_stream());
    let is_write = is_stream
        || matches!(target, Target::Objects(_) | Target::Virtual { .. } | Target::Members(Some(_)) | Target::Join)
            && !matches!(labels.verb, "get" | "list" | "watch" | "other");
    let is_repeatable = is_write && !is_stream && !context.is_member && matches!(target, Target::Objects(_));
    let mut attempts = 0;
    let response = loop {
        if let Some(refused) = &context.refused {
            break respond::failure(refused);
        }
        if !call.app.objects.store().is_leader() && forward::concerns_leader(call, &target, is_write) {
            if context.is_member {
                return forward::refuse();
            }
            match Box::pin(forward::forward(call, &target, context.uri, body)).await {
                Ok(forward::Answer::There(response)) => return response,
                Ok(forward::Answer::Here(bytes)) => body = Body::from(bytes),
                Err(status) => return respond::failure(&status),
            }
        }
        let response = answer_here(call, &target, body).await;
        attempts += 1;
        // This member lost the lead meanwhile, and did nothing.
        let is_undone = response.headers().contains_key(status::NOT_LEADER) && attempts < ATTEMPTS_MAX;
        match call.body.lock().take() {
            Some(bytes) if is_repeatable && is_undone => body = Body::from(bytes),
            _ => break response,
        }
        sleep(forward::RETRY_INTERVAL).await;
    };
    let is_quiet = QUIET.contains(&&*labels.resource);
    let (code, took) = (response.status().as_u16(), started.elapsed());
    call.app.metrics.observe(labels.verb, &labels.resource, code, took);
    let user = call.impersonator.as_ref().unwrap_or(&call.user);
    // What a host reports all the time is no news; the same from somebody else is.
    if (is_write || target == Target::Certificate) && !(is_quiet && user.node().is_some()) {
        note(call, &context, &target, labels.verb, code, received);
    }
    let (user, method, path) = (user.name.as_str(), call.method.as_str(), call.path.as_str());
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if code >= 500 {
        tracing::warn!(user, method, path, code, micros, "request failed");
    } else if is_write && !is_quiet {
        tracing::info!(user, verb = labels.verb, method, path, code, micros, "write");
    } else {
        tracing::debug!(user, verb = labels.verb, method, path, code, micros, "request");
    }
    response
}

async fn answer_here(call: &Call, target: &Target, body: Body) -> Response {
    let answered = tokio::time::timeout(ANSWER_TIMEOUT, call.answer(target, body)).await;
    answered.unwrap_or_else(|_| {
        let message = format_args!("request did not complete within {} s", ANSWER_TIMEOUT.as_secs());
        respond::failure(&status::timeout(message))
    })
}

/// Notes a write in the audit log, where there is one.
fn note(call: &Call, context: &Context<'_>, target: &Target, verb: &str, code: u16, received: Timestamp) {
    let Some(audit) = &call.app.audit else { return };
    audit.note(&Entry {
        id: context.id,
        uri: context.uri.path_and_query().map_or_else(|| call.path.as_str(), PathAndQuery::as_str),
        verb,
        user: call.impersonator.as_ref().unwrap_or(&call.user),
        impersonated: call.impersonator.as_ref().map(|_| &call.user),
        source: call.peer.map(|peer| peer.ip().to_string()),
        agent: call.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()),
        object: call.object_reference(target),
        annotations: &call.annotations,
        code,
        received,
        answered: call.app.objects.clock().now(),
    });
}

/// The client's request id if it's fit to be logged, else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    let stated = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_fit = |id: &&str| {
        !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    stated.filter(is_fit).map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
