mod checks;

use std::path::Path;

use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use coracle_client::Config;
use coracle_net::Handlers as _;
use coracle_registry::{Reference, Room};
use expect_test::expect;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::disk_quota::DiskQuota;
use crate::images::{ImageError, Pulled};
use crate::runtime::SystemClock;
use crate::wasm::{Options, WasmRuntime};

const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// A registry that has one component.
struct OneComponent(Vec<u8>);

#[async_trait]
impl Source for OneComponent {
    async fn resolve(&self, reference: &Reference) -> Result<String, ImageError> {
        match reference.tag() {
            Some("gone") => Err(ImageError {
                reason: "ErrImagePull".to_owned(),
                message: "no such tag".to_owned(),
                is_transient: true,
                is_disk_full: false,
            }),
            _ => Ok(DIGEST.to_owned()),
        }
    }

    async fn pull(&self, _: &Reference, folder: &Path, _: &dyn Room) -> Result<Pulled, ImageError> {
        let path = folder.join("one.wasm");
        std::fs::write(&path, &self.0).unwrap();
        let layer_digest = format!("sha256:{}", hex::encode(Sha256::digest(&self.0)));
        Ok(Pulled {
            digest: DIGEST.to_owned(),
            layer_digest,
            size: self.0.len() as u64,
            path,
            files: Vec::new(),
            manifests: Vec::new(),
        })
    }
}

/// A host without its server and node, an API that takes batches only, and a hand on the watch.
struct Harness {
    events: mpsc::UnboundedSender<InformerEvent>,
    items: mpsc::UnboundedReceiver<Value>,
    handlers: Arc<PodHandlers>,
    shutdown: CancellationToken,
    agent: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

async fn take_batch(State(items): State<mpsc::UnboundedSender<Value>>, Json(batch): Json<Value>) -> Json<Value> {
    let batch = batch["items"].as_array().unwrap().clone();
    let answers: Vec<Value> = batch.iter().map(|_| json!({"code": 200, "object": {}})).collect();
    batch.into_iter().for_each(|item| drop(items.send(item)));
    Json(json!({"items": answers}))
}

impl Harness {
    async fn new(guest: &str) -> Harness {
        let dir = tempfile::tempdir().unwrap();
        let (items, received) = mpsc::unbounded_channel();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/apis/coracle.dev/v1/batches", axum::routing::post(take_batch));
        tokio::spawn(axum::serve(listener, router.with_state(items)).into_future());
        let config = Config {
            server,
            other_servers: Vec::new(),
            ca_pem: Vec::new(),
            identity_pem: None,
            token: None,
            namespace: "default".to_owned(),
            context: "test".to_owned(),
            cluster: serde_json::Map::new(),
        };
        let path = format!("{}/../{guest}", env!("CARGO_MANIFEST_DIR"));
        let component = wat::parse_bytes(&std::fs::read(path).unwrap()).unwrap().into_owned();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let client = Client::new(config).unwrap();
        let (messages, inbox) = mpsc::unbounded_channel();
        let volumes = volumes::Options {
            dir: dir.path().join("volumes"),
            client: client.clone(),
            clock: clock.clone(),
            node_name: "h1".to_owned(),
            host_ip: "127.0.0.1".to_owned(),
            allocatable: Allocatable::default(),
            host_paths: Vec::new(),
            messages: messages.clone(),
        };
        let shared = Arc::new(Shared {
            client,
            runtime: Arc::new(WasmRuntime::open(Options::in_process()).unwrap()),
            images: Images::open(
                dir.path().join("images"),
                Arc::new(OneComponent(component)),
                DiskQuota::unlimited(clock.clone()),
            )
            .unwrap(),
            logs: LogStore::open(dir.path().join("pods"), clock.clone()).unwrap(),
            volumes: Volumes::open(volumes).unwrap(),
            node_name: "h1".to_owned(),
            host_ip: "127.0.0.1".to_owned(),
            allocatable: Allocatable::default(),
            clock,
        });
        let (handlers, shutdown) = (PodHandlers::new(), CancellationToken::new());
        let addresses = Addresses::new("127.64.0.0/16".parse().unwrap());
        let agent =
            Agent { pods: Pods::new(shared, addresses, handlers.clone(), messages), inbox, shutdown: shutdown.clone() };
        let (events, stream) = mpsc::unbounded_channel();
        let stream = futures::stream::unfold(stream, |mut stream| async move { Some((stream.recv().await?, stream)) });
        let agent = tokio::spawn(agent.run(Box::pin(stream)));
        Harness { events, items: received, handlers, shutdown, agent, _dir: dir }
    }

    fn send(&self, event: InformerEvent) {
        self.events.send(event).unwrap();
    }

    /// What the host wrote next: a status in short, a deletion, or an event.
    async fn next(&mut self) -> String {
        let item = self.items.recv().await.unwrap();
        let object = &item["object"];
        let name = object["metadata"]["name"].as_str().unwrap();
        match item["verb"].as_str().unwrap() {
            "updateStatus" => {
                let status = &object["status"];
                let container = &status["containerStatuses"][0];
                let state = container["state"].as_object().unwrap();
                let (state, detail) = state.iter().next().unwrap();
                let reason = detail["reason"].as_str().unwrap_or_default();
                format!(
                    "{name} {} {} {state} {reason} restarts {}",
                    status["phase"], status["podIP"], container["restartCount"]
                )
            }
            "create" => format!("event {} {}", object["reason"].as_str().unwrap(), object["message"].as_str().unwrap()),
            verb => format!("{verb} {name} {}", item["options"]),
        }
    }

    async fn next_lines(&mut self, count: usize) -> String {
        let mut lines = Vec::new();
        for _ in 0..count {
            lines.push(self.next().await);
        }
        lines.join("\n")
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.agent.await.unwrap();
    }
}

fn pod(name: &str, policy: &str, image: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}")},
        "spec": {"restartPolicy": policy, "nodeName": "h1", "containers": [{"name": "c", "image": image}]}
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_becomes_ready_and_is_gone_after_its_deletion() {
    let mut host = Harness::new("examples/hello/hello.wat").await;
    let mut object = pod("web-1", "Always", &format!("registry.coracle.internal/hello@{DIGEST}"));
    host.send(InformerEvent::Restarted(vec![object.clone()]));
    // The trial of a slow machine may be reported as being created first.
    let mut lines = Vec::new();
    while lines.len() < 5 {
        let line = host.next().await;
        if !line.contains("ContainerCreating") {
            lines.push(line.split(" in ").next().unwrap().to_owned());
        }
    }
    lines.sort();
    expect![[r#"
        event Created Created container: c
        event Pulled Successfully pulled image "registry.coracle.internal/hello@sha256:1111111111111111111111111111111111111111111111111111111111111111"
        event Pulling Pulling image "registry.coracle.internal/hello@sha256:1111111111111111111111111111111111111111111111111111111111111111"
        event Started Started container c
        web-1 "Running" "127.64.0.1" running  restarts 0"#]]
    .assert_eq(&lines.join("\n"));
    assert!(host.handlers.find("uid-web-1", 8080).is_some());
    assert!(host.handlers.find("uid-web-1", 80).is_none());

    object["metadata"]["deletionTimestamp"] = "2026-11-21T03:40:11Z".into();
    object["metadata"]["deletionGracePeriodSeconds"] = 30.into();
    host.send(InformerEvent::Applied(object.clone()));
    let mut lines = [host.next().await, host.next().await];
    lines.sort();
    expect![[r#"
        delete web-1 {"apiVersion":"v1","gracePeriodSeconds":0,"kind":"DeleteOptions","preconditions":{"uid":"uid-web-1"}}
        event Killing Stopping container c"#]]
    .assert_eq(&lines.join("\n"));
    assert!(host.handlers.find("uid-web-1", 8080).is_none());
    host.send(InformerEvent::Deleted(object));
    // Its address is free again only in its turn: the next pod has the next one.
    host.send(InformerEvent::Applied(pod("web-2", "Always", &format!("registry.coracle.internal/hello@{DIGEST}"))));
    let line = host.next().await;
    assert!(line.contains("127.64.0.2"), "{line}");
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_backs_off() {
    let mut host = Harness::new("examples/hello/hello.wat").await;
    host.send(InformerEvent::Restarted(vec![pod("web-1", "Always", "registry.coracle.internal/hello:gone")]));
    expect![[r#"
        web-1 "Pending" "127.64.0.1" waiting ErrImagePull restarts 0
        event Failed Failed to pull image "registry.coracle.internal/hello:gone": no such tag
        web-1 "Pending" "127.64.0.1" waiting ImagePullBackOff restarts 0"#]]
    .assert_eq(&host.next_lines(3).await);
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_pods_of_one_image_become_ready() {
    let mut host = Harness::new("examples/hello/hello.wat").await;
    let image = format!("registry.coracle.internal/hello@{DIGEST}");
    let pods = (0..1000).map(|index| pod(&format!("web-{index}"), "Always", &image)).collect();
    host.send(InformerEvent::Restarted(pods));
    let mut ready = std::collections::HashSet::new();
    while ready.len() < 1000 {
        let line = host.next().await;
        assert!(!line.contains("Failed"), "{line}");
        if line.contains("running") {
            ready.insert(line.split(' ').next().unwrap().to_owned());
        }
    }
    assert!(host.handlers.find("uid-web-999", 8080).is_some());
    host.end().await;
}
