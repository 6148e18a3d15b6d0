//! What the registries of the members share: who the members are, and what tags mean, which an object says for each repository.
//!
//! A repository's tags are a ConfigMap of the namespace kube-system: its keys may be what tags may be, and a change of one is a patch.
//! Deliberately absent: content, which members copy from each other.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use coracle_api::join::hash;
use coracle_api::status::Status;
use coracle_registry::{
    BlobStore, Caller, Change, Cluster, ClusterError, Credentials, Digest, Peer, Reference, Registry, ServerOptions,
    is_change,
};
use futures::future::BoxFuture;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::{Annotations, Entry};
use crate::authentication::{self, User};
use crate::authorizer::{Attributes, MASTERS, Subject};
use crate::handlers::App;
use crate::peers::MEMBERS;
use crate::request::path_verb;
use crate::respond;
use crate::server;

/// Who changes tags, as audit logs name it.
const USER: &str = "coracle:registry";
const CONFIG_MAPS: &str = "/api/v1/namespaces/kube-system/configmaps";
/// Says which repository's tags a ConfigMap holds.
const REPOSITORY: &str = "coracle.dev/repository";

/// The registry of a member.
pub struct Artifacts {
    /// Where it is reached without a certificate: by tools of others, and on this machine.
    pub listener: TcpListener,
    /// What this member has.
    pub store: Arc<BlobStore>,
    /// Who may push.
    pub credentials: Credentials,
    /// Is told of components that are pushed to this member, as long as it takes them.
    pub pushed: Option<mpsc::Sender<Reference>>,
}

impl Artifacts {
    /// Serves the registry; it is to be asked for what hosts and members ask of the API server as well.
    pub(crate) fn serve(
        self,
        app: Arc<App>,
        client: reqwest::Client,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
    ) -> Arc<Registry> {
        let own_name = app.objects.store().member().name.clone();
        let pusher = User::authenticated(format!("{USER}:{}", self.credentials.user), []);
        let group = Arc::new(Group { own_name, pusher, app, client });
        let registry = Arc::new(Registry::new(self.store, &self.credentials, group, self.pushed, shutdown.clone()));
        let options = ServerOptions { listener: self.listener, registry: Arc::clone(&registry), shutdown };
        tasks.spawn(async {
            if let Err(error) = coracle_registry::serve(options).await {
                tracing::error!(%error, "the registry ended");
            }
        });
        registry
    }
}

/// Does the registry answer this?
pub(crate) fn is_asked(path: &str) -> bool {
    path == "/v2" || path.starts_with("/v2/")
}

/// Answers a request of somebody who may make it: a member, a host, or a user to whom a role allows the path.
pub(crate) async fn answer(
    app: &App,
    registry: Arc<Registry>,
    connected: User,
    request: Request<Incoming>,
) -> Response {
    let caller = match &connected {
        member if member.is_in(MEMBERS) => Ok(Caller::Member),
        host if host.node().is_some() => authentication::host::check(&app.objects, host).await.map(|()| Caller::Host),
        _ => return answer_user(app, registry, connected, request).await,
    };
    match caller {
        Ok(caller) => registry.answer(whole(request), caller).await.map(Body::new),
        Err(refused) => denied(&refused),
    }
}

/// Answers somebody who is neither; what this changes is in the audit log.
async fn answer_user(app: &App, registry: Arc<Registry>, connected: User, request: Request<Incoming>) -> Response {
    let (user, impersonator) = match server::identify(app, connected, request.headers()) {
        Ok(identified) => identified,
        Err((_, refused)) => return denied(&refused),
    };
    let received = app.objects.clock().now();
    let (head, body) = request.into_parts();
    let attributes =
        Attributes { user: &user, verb: &path_verb(&head.method), subject: Subject::Path(head.uri.path()) };
    let response = match app.authorize(&attributes, None) {
        Ok(()) => {
            let request = whole(Request::from_parts(head.clone(), body));
            registry.answer(request, Caller::User).await.map(Body::new)
        }
        Err(refused) => denied(&refused),
    };
    if is_change(&head, response.status()) {
        let peer = head.extensions.get::<SocketAddr>().map(SocketAddr::ip);
        let impersonated = impersonator.is_some().then_some(&user);
        let user = impersonator.as_ref().unwrap_or(&user);
        note(app, &head, (user, impersonated), peer, response.status(), received);
    }
    response
}

fn whole(request: Request<Incoming>) -> Request<coracle_registry::Body> {
    request.map(|body| body.map_err(io::Error::other).boxed_unsync())
}

fn denied(refused: &Status) -> Response {
    let errors = json!({ "errors": [{ "code": "DENIED", "message": refused.message }] });
    respond::value(StatusCode::from_u16(refused.code).unwrap_or(StatusCode::FORBIDDEN), &errors)
}

/// Notes a change of what the registry holds in the audit log, where there is one: by whom, and whom they acted for.
fn note(
    app: &App,
    head: &Parts,
    (user, impersonated): (&User, Option<&User>),
    peer: Option<IpAddr>,
    code: StatusCode,
    received: Timestamp,
) {
    let Some(audit) = &app.audit else { return };
    audit.note(&Entry {
        id: &server::request_id(&head.headers),
        uri: head.uri.path_and_query().map_or_else(|| head.uri.path(), PathAndQuery::as_str),
        verb: &path_verb(&head.method),
        user,
        impersonated,
        source: peer.map(|peer| peer.to_canonical().to_string()),
        agent: head.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()),
        object: None,
        annotations: &Annotations::default(),
        code: code.as_u16(),
        received,
        answered: app.objects.clock().now(),
    });
}

struct Group {
    own_name: String,
    /// Who shows the registry's own credentials, as audit logs name them.
    pusher: User,
    app: Arc<App>,
    /// Shows this member's certificate.
    client: reqwest::Client,
}

impl Cluster for Group {
    fn own_name(&self) -> String {
        self.own_name.clone()
    }

    fn others(&self) -> Vec<Peer> {
        let members = self.app.objects.store().members();
        let others = members.into_iter().filter(|member| member.member.name != self.own_name);
        let peer = |member: coracle_store::MemberStatus| Peer {
            base: format!("https://{}", member.member.address),
            name: member.member.name,
            is_voter: member.is_voter,
        };
        others.map(peer).collect()
    }

    fn client(&self) -> &reqwest::Client {
        &self.client
    }

    fn tags(&self, repository: &str) -> BoxFuture<'_, Result<BTreeMap<String, Digest>, ClusterError>> {
        let path = format!("{CONFIG_MAPS}/{}", name(repository));
        Box::pin(async move {
            let (mut code, mut object) = self.ask(Method::GET, &path, &Value::Null).await;
            if code.is_server_error() {
                // Without a quorum tags mean what they meant when there last was one.
                (code, object) = self.ask(Method::GET, &format!("{path}?resourceVersion=0"), &Value::Null).await;
            }
            match code {
                StatusCode::OK => Ok(read(&object)),
                StatusCode::NOT_FOUND => Ok(BTreeMap::new()),
                _ => Err(failed("tags cannot be looked up", &object)),
            }
        })
    }

    fn change_tags(
        &self,
        repository: &str,
        changes: Vec<(String, Option<Digest>)>,
    ) -> BoxFuture<'_, Result<(), ClusterError>> {
        let name = name(repository);
        let data: serde_json::Map<String, Value> =
            changes.into_iter().map(|(tag, digest)| (tag, json!(digest.map(|digest| digest.to_string())))).collect();
        let patch = json!({ "data": data });
        let object = json!({ "metadata": { "name": name, "annotations": { REPOSITORY: repository } }, "data": data });
        Box::pin(async move {
            let path = format!("{CONFIG_MAPS}/{name}");
            let (mut code, mut answer) = self.ask(Method::PATCH, &path, &patch).await;
            if code == StatusCode::NOT_FOUND {
                (code, answer) = self.ask(Method::POST, CONFIG_MAPS, &object).await;
            }
            if code == StatusCode::CONFLICT {
                // Somebody else made it meanwhile.
                (code, answer) = self.ask(Method::PATCH, &path, &patch).await;
            }
            if code.is_success() { Ok(()) } else { Err(failed("the tag cannot be set", &answer)) }
        })
    }

    fn note(&self, change: &Change<'_>) {
        let now = self.app.objects.clock().now();
        let received = now.checked_sub(change.took).unwrap_or(now);
        note(&self.app, change.head, (&self.pusher, None), Some(change.peer), change.code, received);
    }
}

impl Group {
    /// Asks this member's API server, which passes writes on to the leader.
    async fn ask(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let form = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, form).body(body);
        let request = request.expect("invariant: a repository's name is hashed before it is part of a path");
        let user = User::authenticated(USER, [MASTERS.to_owned()]);
        let response = Box::pin(server::handle(Arc::clone(&self.app), user, request)).await;
        let code = response.status();
        let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        (code, serde_json::from_slice(&body).unwrap_or_default())
    }
}

/// The name of the ConfigMap of a repository, whose own name may have slashes and 255 characters.
fn name(repository: &str) -> String {
    format!("registry-tags-{}", &hash(repository.as_bytes())[..32])
}

fn read(object: &Value) -> BTreeMap<String, Digest> {
    let data = object["data"].as_object().into_iter().flatten();
    // What somebody else wrote there that is no digest, is no tag.
    data.filter_map(|(tag, digest)| Some((tag.clone(), digest.as_str()?.parse().ok()?))).collect()
}

fn failed(what: &str, answer: &Value) -> ClusterError {
    ClusterError(format!("{what}: {}", answer["message"].as_str().unwrap_or("the API server does not say why")))
}
