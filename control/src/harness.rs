//! A server to test against: a real store in a temporary folder, a clock that stands still, uids that count.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use coracle_registry::{BlobStore, Credentials, StoreLimits};
use coracle_store::{Disk, Member, Options, RealDisk, Store, WatchRequest};
use http::Request;
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::artifacts::Artifacts;
use crate::authentication::User;
use crate::authorizer::{MASTERS, NODES, Rbac};
use crate::cluster_files::ClusterFiles;
use crate::controllers::{Settings, bootstrap};
use crate::driver::{self, world::World};
use crate::handlers::{App, Clients};
use crate::joining::Joining;
use crate::objects::{ObjectWrite, Objects};
use crate::pki::{CERTIFICATE_LIFETIME, Pki};
use crate::sealing::Sealer;
use crate::server::handle;
use crate::tokens::Tokens;
use crate::{Clock, EPHEMERAL, Identities};

/// A clock that stands still until it is moved.
#[derive(Default)]
pub(crate) struct Still(Arc<AtomicU64>);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        start + self.uptime()
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

pub(crate) struct Server {
    pub(crate) app: Arc<App>,
    pub(crate) user: User,
    seconds: Arc<AtomicU64>,
    pub(crate) dir: Arc<TempDir>,
}

impl Server {
    /// A server with the namespace `default`.
    pub(crate) async fn start() -> Server {
        Server::with_history(1024).await
    }

    /// A server whose store keeps so many events.
    pub(crate) async fn with_history(history_events_max: usize) -> Server {
        let dir = TempDir::new().unwrap();
        let options = Options { history_events_max, ..Options::new(dir.path()) };
        Server::on_disk(Arc::new(RealDisk), options, dir).await
    }

    /// A server whose store is on this disk; `dir` is kept for it.
    pub(crate) async fn on_disk(disk: Arc<dyn Disk>, options: Options, dir: TempDir) -> Server {
        let member = Member { id: 1, name: "calm-otter-1".to_owned(), address: "10.0.0.1:6443".to_owned() };
        let store = Store::open(Options { ephemeral: EPHEMERAL, member, ..options }, disk).await.unwrap();
        let count = AtomicU64::new(1);
        let uids = move || format!("uid-{}", count.fetch_add(1, Ordering::Relaxed));
        let seconds = Arc::new(AtomicU64::new(0));
        let sealer = Sealer::open(&dir.path().join("pki"), &store.snapshot(), true).unwrap();
        let (clock, authorizer) = (Arc::new(Still(Arc::clone(&seconds))), Arc::new(Rbac::default()));
        let objects = Objects::with_uids(store, clock, sealer, authorizer, uids);
        for name in ["default", "kube-node-lease"] {
            let object = json!({ "metadata": { "name": name } });
            let write = ObjectWrite::Create { kind: &coracle_api::kinds::NAMESPACE, object };
            objects.write_all(vec![write]).await.unwrap().remove(0).unwrap();
        }
        let tokens = Arc::new(Tokens::open_or_create(&dir.path().join("pki")).unwrap());
        let cluster_files = cluster_files(dir.path());
        let clients = Clients { hosts: reqwest_client(), members: reqwest_client() };
        let (joining, shutdown) = (joining(dir.path()), CancellationToken::new());
        let identities = Identities::issue(joining.pki.clone(), "calm-otter-1", Vec::new(), 0.8).unwrap();
        let app = App::new(objects, tokens, clients, None, cluster_files, joining, identities, shutdown);
        let user = User::authenticated("admin", [MASTERS.to_owned()]);
        Server { app: Arc::new(app), user, seconds, dir: Arc::new(dir) }
    }

    /// A server with the controllers at work.
    pub(crate) async fn start_with_controllers() -> Server {
        let server = Server::start().await;
        server.drive();
        server
    }

    /// Sets the controllers to work.
    pub(crate) fn drive(&self) {
        let (objects, shutdown) = (self.app.objects.clone(), self.app.shutdown.clone());
        tokio::spawn(driver::run(objects, Settings::new("PEM"), shutdown));
    }

    /// Waits until a GET is answered so: `is_reached` sees the code and the body.
    pub(crate) async fn until(&self, path: &str, is_reached: impl Fn(u16, &Value) -> bool) -> Value {
        let store = self.app.objects.store();
        let request = WatchRequest { prefix: String::new(), tag: None, after: store.snapshot().revision() };
        let mut watch = store.watch(request).unwrap();
        loop {
            let (code, body) = self.json(&format!("GET {path}"), Value::Null).await;
            if is_reached(code, &body) {
                return body;
            }
            watch.next().await.unwrap();
        }
    }

    /// Defines a kind, and waits until it is served.
    pub(crate) async fn define(&self, definition: Value) {
        const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
        let (code, answer) = self.json(&format!("POST {DEFINITIONS}"), definition).await;
        assert_eq!(code, 201, "{answer}");
        self.until(&format!("{DEFINITIONS}/{name}"), |_, definition| coracle_api::custom::is_established(definition))
            .await;
    }

    /// Makes the roles and bindings that every cluster has.
    pub(crate) async fn furnish(&self) {
        let outcome = bootstrap::reconcile(&World::default());
        let writes = outcome.writes.into_iter().map(|write| write.write).collect();
        self.app.objects.write_all(writes).await.unwrap();
    }

    /// The same server, asked by someone else.
    pub(crate) fn as_user(&self, user: User) -> Server {
        let (seconds, dir) = (Arc::clone(&self.seconds), Arc::clone(&self.dir));
        Server { app: Arc::clone(&self.app), user, seconds, dir }
    }

    /// Moves the clock on by a second.
    pub(crate) fn tick(&self) {
        self.wait(1);
    }

    /// Moves the clock on.
    pub(crate) fn wait(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn as_node(&self, node: &str) -> Server {
        self.as_user(User::authenticated(format!("system:node:{node}"), [NODES.to_owned()]))
    }

    /// Sends `METHOD PATH`, with headers and a body.
    pub(crate) async fn send(&self, line: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        handle(Arc::clone(&self.app), self.user.clone(), request.body(body.into()).unwrap()).await
    }

    /// The code and the body as text.
    pub(crate) async fn text(&self, line: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> (u16, String) {
        let response = self.send(line, headers, body).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// The code and the body, where JSON is sent and received.
    pub(crate) async fn json(&self, line: &str, body: Value) -> (u16, Value) {
        let headers: &[(&str, &str)] = match line.split(' ').next().unwrap() {
            "PATCH" => &[("content-type", "application/merge-patch+json")],
            _ => &[("content-type", "application/json")],
        };
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let (code, text) = self.text(line, headers, body).await;
        (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Code and body, one after the other, for tables of expectations.
    pub(crate) async fn shown(&self, line: &str, body: Value) -> String {
        let (code, body) = self.json(line, body).await;
        format!("{code} {body}")
    }

    /// Code and message of a failure; code alone of a success.
    pub(crate) async fn outcome(&self, line: &str, body: Value) -> String {
        let (code, body) = self.json(line, body).await;
        match body.get("message") {
            Some(message) if code >= 400 => format!("{code} {}", message.as_str().unwrap()),
            _ => code.to_string(),
        }
    }
}

/// What a snapshot of a cluster in this folder takes along.
pub(crate) fn cluster_files(dir: &Path) -> ClusterFiles {
    let files = &["pki/service-account.key", "pki/secret-keys.json"];
    ClusterFiles { cluster: "calm-otter".to_owned(), dir: dir.to_owned(), files, folders: &["registry"] }
}

/// What machines get that join a server whose CA is in this folder.
pub(crate) fn joining(dir: &Path) -> Joining {
    Joining { pki: Arc::new(pki(dir, Still::default())) }
}

/// The CA in this folder.
pub(crate) fn pki(dir: &Path, clock: impl Clock) -> Pki {
    Pki::open_or_create(&dir.join("pki"), Arc::new(clock), CERTIFICATE_LIFETIME).unwrap()
}

/// A member's registry whose files are in this folder, on a port of its own.
pub(crate) fn artifacts(dir: &Path) -> Artifacts {
    let store = Arc::new(BlobStore::open(&dir.join("registry"), StoreLimits::default()).unwrap());
    let credentials = Credentials { user: "admin".to_owned(), password: "registry-password".to_owned() };
    Artifacts { listener: TcpListener::bind("127.0.0.1:0").unwrap(), store, credentials, pushed: None }
}

fn reqwest_client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(config).build().unwrap()
}

/// A pod of one container.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": { "containers": [{ "name": "main", "image": "example.org/a@sha256:00" }] },
    })
}

/// A deployment of one container.
pub(crate) fn deployment(name: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "example.org/a:1" }] },
            },
        },
    })
}

/// A config map.
pub(crate) fn config_map(name: &str, data: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "a": data } })
}
