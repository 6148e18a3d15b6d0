//! Members of a cluster in one process, with faults between them.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Mutex;

use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::DropGuard;

use super::*;
use crate::blob_store::StoreLimits;
use crate::blob_store::tests::files_below;
use crate::cluster::{Change, ClusterError};
use crate::endpoints::Endpoints;
use crate::pull::{PullOptions, Puller};
use crate::push::{ComponentConfig, PushError, PushTarget, PushedComponent, push_component};
use crate::reference::{CLUSTER_REGISTRY, Reference};
use crate::server::Caller;
use crate::server::tests::{Registry, Tags, change, client};

/// What the members agree on, and where each answers the others.
#[derive(Default)]
struct Group {
    tags: Tags,
    peers: Mutex<Vec<Peer>>,
}

/// The group as one member sees it.
struct View {
    name: String,
    group: Arc<Group>,
    client: reqwest::Client,
}

impl Cluster for View {
    fn own_name(&self) -> String {
        self.name.clone()
    }

    fn others(&self) -> Vec<Peer> {
        let peers = self.group.peers.lock().unwrap();
        peers.iter().filter(|peer| peer.name != self.name).cloned().collect()
    }

    fn client(&self) -> &reqwest::Client {
        &self.client
    }

    fn tags(&self, repository: &str) -> BoxFuture<'_, Result<BTreeMap<String, Digest>, ClusterError>> {
        let tags = self.group.tags.lock().unwrap().get(repository).cloned().unwrap_or_default();
        Box::pin(async { Ok(tags) })
    }

    fn change_tags(
        &self,
        repository: &str,
        changes: Vec<(String, Option<Digest>)>,
    ) -> BoxFuture<'_, Result<(), ClusterError>> {
        change(&self.group.tags, repository, changes);
        Box::pin(async { Ok(()) })
    }

    fn note(&self, _: &Change<'_>) {}
}

/// A member: its registry for users, and its door for other members, which closes when it is dropped.
struct Member {
    registry: Registry,
    _door: DropGuard,
}

impl Group {
    fn join(self: &Arc<Group>, name: &str, limits: StoreLimits) -> Member {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        self.add(name, &format!("http://{}", listener.local_addr().unwrap()));
        let view = View { name: name.to_owned(), group: self.clone(), client: client() };
        let registry = Registry::start_in(limits, Arc::new(view));
        let door = CancellationToken::new();
        tokio::spawn(door.clone().run_until_cancelled_owned(answer_members(listener, registry.inner.clone())));
        Member { registry, _door: door.drop_guard() }
    }

    fn add(&self, name: &str, base: &str) {
        self.peers.lock().unwrap().push(Peer { name: name.to_owned(), base: base.to_owned(), is_voter: true });
    }
}

async fn answer_members(listener: TcpListener, registry: Arc<crate::server::Registry>) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    // Connections end with the door.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let stream = listener.accept().await.unwrap().0;
        let registry = registry.clone();
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let request = request.map(|body| body.map_err(std::io::Error::other).boxed_unsync());
            let registry = registry.clone();
            async move { Ok::<_, std::convert::Infallible>(registry.answer(request, Caller::Member).await) }
        });
        connections.spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// Answers everything with this, then closes.
async fn say_always(answer: Vec<u8>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            drop(stream.read(&mut [0; 4096]).await);
            drop(stream.write_all(&answer).await);
        }
    });
    base
}

fn ok(length: usize, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").as_bytes(), body].concat()
}

impl Member {
    async fn push(&self, tag: &str, component: &'static [u8]) -> Result<PushedComponent, PushError> {
        let target = PushTarget {
            registry: Endpoints::at(&self.registry.base),
            credentials: Some(self.registry.credentials.clone()),
            repository: "shop/cart".into(),
            tag: Some(tag.into()),
        };
        push_component(&target, component.into(), &ComponentConfig::default()).await
    }

    fn ask(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.registry.client.request(method, format!("{}/v2/shop/cart/{path}", self.registry.base));
        request.basic_auth("admin", Some("secret"))
    }

    async fn status(&self, method: Method, path: &str) -> u16 {
        self.ask(method, path).send().await.unwrap().status().as_u16()
    }

    /// How many files it has, uploads among them.
    fn files(&self) -> usize {
        files_below(self.registry.dir.path().to_owned())
    }
}

#[tokio::test]
async fn what_was_acknowledged_outlives_the_member_it_was_pushed_to() {
    let group = Arc::new(Group::default());
    let [one, two, three] = ["one", "two", "three"].map(|name| group.join(name, StoreLimits::default()));
    let pushed = two.push("1", b"component").await.unwrap();
    let gone = two.registry.base.clone();
    drop(two);
    let servers = vec![gone, one.registry.base.clone(), three.registry.base.clone()];
    let dir = tempfile::tempdir().unwrap();
    for servers in [servers.clone(), vec![servers[2].clone()]] {
        let cluster = Some(Endpoints { servers, ..Endpoints::default() });
        let puller = Puller::new(PullOptions { cluster, ..PullOptions::default() });
        let tagged = Reference::parse(&format!("{CLUSTER_REGISTRY}/shop/cart:1")).unwrap();
        assert_eq!(puller.resolve(&tagged).await.unwrap(), pushed.digest);
        let pulled = puller.pull_component(&tagged.at(pushed.digest), dir.path()).await.unwrap();
        assert_eq!(std::fs::read(&pulled.path).unwrap(), b"component");
        std::fs::remove_file(&pulled.path).unwrap();
    }
    // With one of three away there still is a second one.
    one.push("2", b"another").await.unwrap();
    assert_eq!(three.status(Method::GET, &format!("blobs/{}", Digest::of(b"another"))).await, 200);
}

#[tokio::test]
async fn a_push_without_a_second_copy_is_refused_and_says_why() {
    let group = Arc::new(Group::default());
    let one = group.join("one", StoreLimits::default());
    one.push("1", b"alone").await.unwrap();
    group.add("two", "http://127.0.0.1:1");
    let small = group.join("three", StoreLimits { blob_bytes_max: 4, ..StoreLimits::default() });
    let refused = one.push("2", b"component").await.unwrap_err().to_string();
    for reason in [
        "503",
        "this member has it, but no other took a copy",
        "two: Connection refused",
        "three: it answered 502",
        "one: a blob may have at most 4 bytes here",
        "push it again",
    ] {
        assert!(refused.contains(reason), "{reason}: {refused}");
    }
    assert_eq!(one.status(Method::HEAD, "manifests/2").await, 404, "the tag means nothing");
    drop(small);
    let _four = group.join("four", StoreLimits::default());
    one.push("2", b"component").await.unwrap();
    // Those that only learn are no reason to wait.
    group.peers.lock().unwrap().retain_mut(|peer| {
        peer.is_voter = false;
        true
    });
    one.push("3", b"other").await.unwrap();
}

#[tokio::test]
async fn what_has_another_digest_or_breaks_off_is_never_stored() {
    let group = Arc::new(Group::default());
    let one = group.join("one", StoreLimits::default());
    group.add("liar", &say_always(ok(5, b"wrong")).await);
    group.add("broken", &say_always(ok(100, b"half")).await);
    let empty = one.files();
    let digest = Digest::of(b"right");
    for path in [format!("blobs/{digest}"), format!("manifests/{digest}")] {
        assert_eq!(one.status(Method::GET, &path).await, 404, "{path}");
    }
    assert_eq!(one.files(), empty);
    let two = group.join("two", StoreLimits::default());
    let upload = two.ask(Method::POST, &format!("blobs/uploads/?digest={digest}")).body("right");
    assert_eq!(upload.send().await.unwrap().status(), 201);
    let found = one.ask(Method::GET, &format!("blobs/{digest}")).send().await.unwrap();
    assert_eq!(found.text().await.unwrap(), "right", "one who has it is asked as well");
}

#[tokio::test]
async fn who_joins_takes_over_what_there_is_indexes_too() {
    let group = Arc::new(Group::default());
    let one = group.join("one", StoreLimits::default());
    let pushed = one.push("1", b"component").await.unwrap();
    let descriptor = |digest: Digest| json!({ "mediaType": IMAGE_MANIFEST, "digest": digest, "size": 1 });
    let index: Value =
        json!({ "schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": [descriptor(pushed.digest)] });
    let put = one.ask(Method::PUT, "manifests/all").header("content-type", IMAGE_INDEX).body(index.to_string());
    assert_eq!(put.send().await.unwrap().status(), 201);
    let two = group.join("two", StoreLimits::default());
    let index_digest = Digest::of(index.to_string().as_bytes());
    // A member answers others from what it has itself.
    let base = group.peers.lock().unwrap()[1].base.clone();
    for digest in [pushed.digest, index_digest] {
        let url = format!("{base}/v2/shop/cart/manifests/{digest}");
        let is_there = async {
            while client().get(&url).send().await.unwrap().status() != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), is_there).await.unwrap();
    }
    drop(one);
    let found = two.ask(Method::GET, "manifests/all").send().await.unwrap();
    assert_eq!(found.headers()["content-type"], IMAGE_INDEX);
    assert_eq!(two.status(Method::GET, &format!("blobs/{}", Digest::of(b"component"))).await, 200);
}

#[tokio::test]
async fn what_is_deleted_is_gone_everywhere_or_still_there() {
    let group = Arc::new(Group::default());
    let [one, two] = ["one", "two"].map(|name| group.join(name, StoreLimits::default()));
    let path = format!("manifests/{}", two.push("1", b"component").await.unwrap().digest);
    two.push("2", b"component").await.unwrap();
    assert_eq!(one.status(Method::DELETE, "manifests/2").await, 202);
    assert_eq!(two.status(Method::GET, "manifests/2").await, 404);
    group.add("three", "http://127.0.0.1:1");
    let refused = one.ask(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(refused.status(), 503);
    let text = refused.text().await.unwrap();
    assert!(text.contains("it is not deleted on all members (three: Connection refused"), "{text}");
    assert_eq!(one.status(Method::GET, &path).await, 200);
    group.peers.lock().unwrap().pop();
    assert_eq!(one.status(Method::DELETE, &path).await, 202);
    for member in [&one, &two] {
        assert_eq!(member.status(Method::GET, &path).await, 404);
        assert_eq!(member.status(Method::GET, "manifests/1").await, 404);
    }
    assert_eq!(one.status(Method::DELETE, &path).await, 404);
    let blob = format!("blobs/{}", Digest::of(b"component"));
    assert_eq!((two.status(Method::DELETE, &blob).await, one.status(Method::GET, &blob).await), (202, 404));
}

#[tokio::test]
async fn a_broken_push_leaves_nothing() {
    let group = Arc::new(Group::default());
    let [one, two] = ["one", "two"].map(|name| group.join(name, StoreLimits::default()));
    let empty = (one.files(), two.files());
    let address = one.registry.base.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let digest = Digest::of(b"component");
    let head = format!(
        "POST /v2/shop/cart/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\
         Authorization: Basic YWRtaW46c2VjcmV0\r\n\r\ncomp"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("the request's body broke off"), "{answer}");
    assert_eq!((one.files(), two.files()), empty);
}
