//! An ingress here, pods on other hosts: real sockets and certificates, in one process.

use std::net::SocketAddr;

use arc_swap::ArcSwap;
use bytes::Bytes;
use coracle_net::views::{IngressView, NodeView, ServiceView, SliceView};
use coracle_net::{
    Handler, Ingress, IngressOptions, Metrics, Peer, PeerPod, RequestBody, RequestContext, RequestId, RouteBook,
    RoutingTable, Running, SendError, Transport, text_response,
};
use expect_test::{Expect, expect};
use futures::future::BoxFuture;
use futures::{SinkExt as _, StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsConnector;

use super::*;
use crate::disk_quota::DiskQuota;
use crate::runtime::SystemClock;

const UID: &str = "uid-web";
const PORT: u16 = 8080;

/// A CA of its own.
struct Ca(Issuer<'static, KeyPair>, String);

impl Ca {
    fn new() -> Ca {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Ca(Issuer::new(params, key), pem)
    }

    fn identity(&self, user: &str, group: &str) -> ServerIdentity {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, user);
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        let certificate = RotatingIdentity::new(certificate.as_bytes(), key.serialize_pem().as_bytes(), 0.8).unwrap();
        ServerIdentity { certificate, ca_pem: self.1.clone().into_bytes() }
    }

    fn node(&self, name: &str) -> ServerIdentity {
        self.identity(&format!("system:node:{name}"), NODES)
    }
}

/// A pod: `/echo` sends back what it gets as it gets it, `/hang` never answers, nor does `/hang-at-NODE` on that node, `/panic-at-NODE`
/// panics there, `/half-at-NODE` begins an answer there and does not end it, anything else says where it is.
struct Pod {
    node: &'static str,
    /// Told of a request that hangs, or to `/slow`, and when half an answer has gone out.
    asked: Notify,
    /// Told when a request that hangs was dropped.
    dropped: Notify,
}

struct Web(Arc<Pod>);

impl Handler for Web {
    fn handle(
        &self,
        request: Request<RequestBody>,
        context: RequestContext,
    ) -> BoxFuture<'static, http::Response<coracle_net::Body>> {
        struct OnDrop(Arc<Pod>);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.dropped.notify_one();
            }
        }
        let pod = self.0.clone();
        let path = request.uri().path();
        let hangs = path == "/hang" || path.strip_prefix("/hang-at-") == Some(pod.node);
        let panics = path.strip_prefix("/panic-at-") == Some(pod.node);
        let halts = path.strip_prefix("/half-at-") == Some(pod.node);
        if hangs || path == "/slow" {
            pod.asked.notify_one();
        }
        Box::pin(async move {
            let (head, body) = request.into_parts();
            match head.uri.path() {
                "/echo" => http::Response::new(body.map_err(Into::into).boxed_unsync()),
                _ if panics => panic!("a test's pod panics"),
                _ if halts => {
                    let half = stream::once(std::future::ready(Ok(Frame::data(Bytes::from_static(b"half")))));
                    let rest = stream::once(async move {
                        pod.asked.notify_one();
                        std::future::pending().await
                    });
                    let body = StreamBody::new(half.chain(rest)).boxed_unsync();
                    http::Response::builder().header(header::CONTENT_LENGTH, 8).body(body).unwrap()
                }
                _ if hangs => {
                    let _dropped = OnDrop(pod);
                    std::future::pending().await
                }
                _ => {
                    let length = body.collect().await.unwrap().to_bytes().len();
                    let host = head.headers.get(header::HOST).map_or("-", |host| host.to_str().unwrap());
                    let RequestContext { request_id, client_addr, scheme } = context;
                    let ip = client_addr.ip();
                    let text =
                        format!("{} got {length} bytes for {scheme} {host} {} {request_id} {ip}", pod.node, head.uri);
                    text_response(StatusCode::OK, text)
                }
            }
        })
    }
}

struct Host {
    node: &'static str,
    addr: SocketAddr,
    pod: Arc<Pod>,
    handlers: Arc<PodHandlers>,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
    _logs: tempfile::TempDir,
    images: tempfile::TempDir,
}

impl Host {
    fn start(node: &'static str, identity: &ServerIdentity) -> Host {
        let (logs, images) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (handlers, shutdown) = (PodHandlers::new(), CancellationToken::new());
        let pod = Arc::new(Pod { node, asked: Notify::new(), dropped: Notify::new() });
        let web: Arc<dyn Handler> = Arc::new(Web(pod.clone()));
        handlers.insert_handler(&UID.into(), 0, &[PORT], &web);
        let sources = Sources {
            messages: mpsc::unbounded_channel().0,
            logs: LogStore::open(logs.path().to_owned(), clock.clone()).unwrap(),
            images_dir: images.path().to_owned(),
            quota: DiskQuota::unlimited(clock.clone()),
            clock,
            handlers: handlers.clone(),
            ingress: Arc::new(Metrics::new(1)),
            certificate: identity.certificate.clone(),
            shutdown: shutdown.clone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = serve(listener, identity, sources, shutdown.clone()).unwrap();
        Host { node, addr, pod, handlers, shutdown, server, _logs: logs, images }
    }
}

/// A host without pods, whose ingress leads to the pods of hosts at these addresses.
fn ingress(ca: &Ca, hosts: &[(&str, SocketAddr)]) -> Running {
    let name = |name: &str| json!({ "name": name, "namespace": "default" });
    let mut metadata = name("web-1");
    metadata["labels"] = json!({ "kubernetes.io/service-name": "web" });
    let endpoints: Vec<_> = hosts
        .iter()
        .map(|(node, _)| {
            json!({ "addresses": ["127.64.0.1"], "nodeName": node, "targetRef": { "name": node, "uid": UID } })
        })
        .collect();
    let slice = json!({ "metadata": metadata, "ports": [{ "name": "", "port": PORT }], "endpoints": endpoints });
    let service = json!({ "metadata": name("web"), "spec": { "ports": [{ "port": 80 }] } });
    let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
    let mut book = RouteBook::new();
    book.put_ingress(
        IngressView::from_json(&json!({ "metadata": name("i"), "spec": { "defaultBackend": backend } })).unwrap(),
    );
    book.put_service(ServiceView::from_json(&service).unwrap());
    book.put_slice(SliceView::from_json(&slice).unwrap());
    for (node, addr) in hosts {
        book.put_node(NodeView { name: (*node).into(), addr: *addr, pods: None });
    }
    let routes: RoutingTable = book.build(PodHandlers::new().as_ref(), "here");
    let options = IngressOptions {
        addr: "127.0.0.1:0".parse().unwrap(),
        workers: 1,
        routes: Arc::new(ArcSwap::from_pointee(routes)),
        transport: Transport::new(ca.node("here").client_tls().unwrap()),
        metrics: Arc::new(Metrics::new(1)),
        seed: 7,
        limits: Limits::default(),
    };
    Ingress::start(options).unwrap()
}

type Chunk = Result<Frame<Bytes>, Infallible>;
type Chunks = futures::channel::mpsc::Receiver<Chunk>;

async fn client<B>(ingress: &Running) -> http2::SendRequest<B>
where
    B: hyper::body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let socket = TcpStream::connect(ingress.local_addr()).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A request to the ingress, and what its body is made with.
fn request(path: &str) -> (futures::channel::mpsc::Sender<Chunk>, Request<StreamBody<Chunks>>) {
    let (chunks, body) = futures::channel::mpsc::channel(1);
    let request = Request::post(format!("http://shop.example{path}")).header("x-request-id", "r1");
    (chunks, request.body(StreamBody::new(body)).unwrap())
}

async fn ask(ingress: &Running, path: &str) -> String {
    let (mut chunks, request) = request(path);
    let answer = client(ingress).await.send_request(request);
    // A refusal may come before the body was taken.
    let _ = chunks.send(Ok(Frame::data(Bytes::from_static(b"hello")))).await;
    drop(chunks);
    said(answer.await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_trailers_stream_both_ways() {
    let ca = Ca::new();
    let host = Host::start("far", &ca.node("far"));
    let ingress = ingress(&ca, &[("far", host.addr)]);
    expect!["200 far got 5 bytes for http - http://shop.example/x?y r1 127.0.0.1"]
        .assert_eq(&ask(&ingress, "/x?y").await);
    let (mut chunks, request) = request("/echo");
    let mut client = client(&ingress).await;
    let mut answer = client.send_request(request).await.unwrap();
    // Each piece is back before the next one goes out.
    for piece in ["one", "two"] {
        chunks.send(Ok(Frame::data(piece.into()))).await.unwrap();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    chunks.send(Ok(Frame::trailers(trailers.clone()))).await.unwrap();
    drop(chunks);
    let end = answer.frame().await.unwrap().unwrap();
    assert_eq!(end.into_trailers().unwrap(), trailers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_takes_its_request_back() {
    let ca = Ca::new();
    let host = Host::start("far", &ca.node("far"));
    let ingress = ingress(&ca, &[("far", host.addr)]);
    let (chunks, request) = request("/hang");
    let mut client = client(&ingress).await;
    let answer = tokio::spawn(client.send_request(request));
    host.pod.asked.notified().await;
    answer.abort();
    host.pod.dropped.notified().await;
    drop(chunks);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_goes_to_another_host() {
    let ca = Ca::new();
    let host = Host::start("far", &ca.node("far"));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let both = ingress(&ca, &[("gone", nobody), ("far", host.addr)]);
    for _ in 0..20 {
        let answer = ask(&both, "/").await;
        assert!(answer.starts_with("200 far got 5 bytes"), "{answer}");
    }
    let alone = ingress(&ca, &[("gone", nobody)]);
    for _ in 0..2 {
        expect!["503 pod default/gone cannot be reached: its host, gone, does not answer"]
            .assert_eq(&ask(&alone, "/").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_ends_answers_what_it_has_begun() {
    let ca = Ca::new();
    let host = Host::start("far", &ca.node("far"));
    let ingress = ingress(&ca, &[("far", host.addr)]);
    let (mut chunks, request) = request("/slow");
    let answer = tokio::spawn(client(&ingress).await.send_request(request));
    host.pod.asked.notified().await;
    host.shutdown.cancel();
    chunks.send(Ok(Frame::data("late".into()))).await.unwrap();
    drop(chunks);
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    host.server.await.unwrap();
    expect!["503 pod default/far cannot be reached: its host, far, does not answer"]
        .assert_eq(&ask(&ingress, "/").await);
}

/// Passes bytes on in both directions while `is_open`; holds them back otherwise, as a network does that is cut.
async fn wire(to: SocketAddr, is_open: watch::Receiver<bool>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let is_open = is_open.clone();
            tokio::spawn(async move {
                let far = TcpStream::connect(to).await.unwrap();
                let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                tokio::join!(pump(from_near, to_far, is_open.clone()), pump(from_far, to_near, is_open));
            });
        }
    });
    addr
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut is_open: watch::Receiver<bool>,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if is_open.wait_for(|is_open| *is_open).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Two hosts with a pod each, the first behind a wire that may be cut, and an ingress to both.
async fn cut_and_near(ca: &Ca) -> (Host, Host, watch::Sender<bool>, Running) {
    let (cut, near) = (Host::start("cut", &ca.node("cut")), Host::start("near", &ca.node("near")));
    let (open, is_open) = watch::channel(true);
    let cut_addr = wire(cut.addr, is_open).await;
    let ingress = ingress(ca, &[("cut", cut_addr), ("near", near.addr)]);
    (cut, near, open, ingress)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_falls_silent_is_left_out_until_it_is_back() {
    let ca = Ca::new();
    let (cut, _near, open, ingress) = cut_and_near(&ca).await;
    let is_by = |answer: &str, node: &str| answer.starts_with(&format!("200 {node}"));
    while !is_by(&ask(&ingress, "/").await, "cut") {}
    // One request is under way on that connection when the network is cut.
    let (_chunks, request) = request("/hang");
    let mut client = client(&ingress).await;
    let mut lost = tokio::spawn(client.send_request(request));
    while tokio::time::timeout(Duration::from_millis(100), cut.pod.asked.notified()).await.is_err() {
        let (_chunks, request) = self::request("/hang");
        lost = tokio::spawn(client.send_request(request));
    }
    open.send_replace(false);
    assert_eq!(lost.await.unwrap().unwrap().status(), 502);
    // Whatever was sent into the dead connection is answered by now, and nothing is sent there any more.
    while !is_by(&ask(&ingress, "/").await, "near") {}
    for _ in 0..20 {
        let answer = ask(&ingress, "/").await;
        assert!(is_by(&answer, "near"), "{answer}");
    }
    open.send_replace(true);
    while !is_by(&ask(&ingress, "/").await, "cut") {}
}

/// What becomes of a request that was on its way to a host when the connection broke, while there is another.
async fn lost(ca: &Ca, method: &Method, body: &'static str) -> String {
    let (cut, _near, open, ingress) = cut_and_near(ca).await;
    let mut client = client(&ingress).await;
    let answer = loop {
        let request = Request::builder().method(method).uri("http://shop.example/hang-at-cut");
        let request = request.header("x-request-id", "r1").body(Full::new(Bytes::from_static(body.as_bytes())));
        let mut answer = Box::pin(client.send_request(request.unwrap()));
        tokio::select! {
            () = cut.pod.asked.notified() => break answer,
            // The other host was chosen.
            _ = &mut answer => {}
        }
    };
    open.send_replace(false);
    drop(open);
    said(answer.await.unwrap()).await
}

async fn said(answer: http::Response<Incoming>) -> String {
    let status = answer.status().as_u16();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    format!("{status} {}", String::from_utf8_lossy(&text).trim())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_safe_and_has_no_body_is_sent_again_when_a_host_is_lost() {
    let ca = Ca::new();
    let mut lines = Vec::new();
    for (method, body) in [
        (Method::GET, ""),
        (Method::HEAD, ""),
        (Method::OPTIONS, ""),
        (Method::GET, "body"),
        (Method::POST, ""),
        (Method::PUT, "body"),
        (Method::DELETE, ""),
    ] {
        lines.push(format!("{method} {body:?}: {}", lost(&ca, &method, body).await));
    }
    expect![[r#"
        GET "": 200 near got 0 bytes for http - http://shop.example/hang-at-cut r1 127.0.0.1
        HEAD "": 200 
        OPTIONS "": 200 near got 0 bytes for http - http://shop.example/hang-at-cut r1 127.0.0.1
        GET "body": 502 host cut was lost before pod default/cut answered
        POST "": 502 host cut was lost before pod default/cut answered
        PUT "body": 502 host cut was lost before pod default/cut answered
        DELETE "": 502 host cut was lost before pod default/cut answered"#]]
    .assert_eq(&lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_in_part_is_sent_again_when_a_host_is_lost() {
    let ca = Ca::new();
    let (cut, near, open, ingress) = cut_and_near(&ca).await;
    let mut client = client(&ingress).await;
    let get = |path: &str| Request::get(format!("http://shop.example{path}")).body(Full::new(Bytes::new())).unwrap();
    let half = loop {
        let mut answer = Box::pin(client.send_request(get("/half-at-cut")));
        tokio::select! {
            () = cut.pod.asked.notified() => break answer,
            // The other host was chosen.
            _ = &mut answer => {}
        }
    };
    let half = tokio::spawn(half);
    // Both are as busy then, and both are chosen.
    let _hanging = tokio::spawn(client.send_request(get("/hang-at-near")));
    near.pod.asked.notified().await;
    // What comes later by the same connection comes behind the half.
    while !said(client.send_request(get("/")).await.unwrap()).await.starts_with("200 cut") {}
    open.send_replace(false);
    drop(open);
    let answer = said(half.await.unwrap().unwrap()).await;
    assert!(answer.starts_with("200 near got 0 bytes"), "{answer}");
}

/// What a host does instead of taking a request, as HTTP/2 frames of the request's stream.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// RST_STREAM with REFUSED_STREAM.
    Stream,
    /// GOAWAY, which says that no stream was begun with.
    Connection,
    /// RST_STREAM with CANCEL, which may come after some work.
    Cancelled,
}

/// A host that refuses all requests: asks nobody, reads frames, answers each head with a frame. Told of each.
async fn refusing(identity: &ServerIdentity, refusal: Refusal) -> (SocketAddr, Arc<Notify>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const HEADERS: u8 = 1;
    let acceptor = TlsAcceptor::from(Arc::new(tls(identity).unwrap()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, asked) = (listener.local_addr().unwrap(), Arc::new(Notify::new()));
    let told = asked.clone();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(socket).await.unwrap();
            let told = told.clone();
            tokio::spawn(async move {
                stream.read_exact(&mut [0; PREFACE.len()]).await?;
                stream.write_all(&EMPTY_SETTINGS).await?;
                loop {
                    let mut head = [0; 9];
                    stream.read_exact(&mut head).await?;
                    let [_, high, low, kind, _, id @ ..] = head;
                    stream.read_exact(&mut vec![0; usize::from(high) << 8 | usize::from(low)]).await?;
                    if kind != HEADERS {
                        continue;
                    }
                    let mut frame = match refusal {
                        Refusal::Stream | Refusal::Cancelled => vec![0, 0, 4, 3, 0],
                        Refusal::Connection => vec![0, 0, 8, 7, 0, 0, 0, 0, 0],
                    };
                    match refusal {
                        Refusal::Stream => frame.extend(id.into_iter().chain([0, 0, 0, 7])),
                        Refusal::Cancelled => frame.extend(id.into_iter().chain([0, 0, 0, 8])),
                        Refusal::Connection => frame.extend([0; 8]),
                    }
                    stream.write_all(&frame).await?;
                    told.notify_one();
                }
                #[expect(unreachable_code, reason = "it names the error")]
                std::io::Result::Ok(())
            });
        }
    });
    (addr, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_did_not_begin_with_goes_to_another_host_whatever_it_is() {
    let ca = Ca::new();
    let near = Host::start("near", &ca.node("near"));
    let mut lines = Vec::new();
    for refusal in [Refusal::Stream, Refusal::Connection, Refusal::Cancelled] {
        let (addr, asked) = refusing(&ca.node("far"), refusal).await;
        let alone = ingress(&ca, &[("far", addr)]);
        lines.push(format!("{refusal:?}, alone: {}", ask(&alone, "/").await));
        asked.notified().await;
        for (method, body) in [(Method::GET, ""), (Method::POST, ""), (Method::POST, "body"), (Method::DELETE, "")] {
            let both = ingress(&ca, &[("far", addr), ("near", near.addr)]);
            let mut client = client(&both).await;
            let answer = loop {
                let request =
                    Request::builder().method(&method).uri("http://shop.example/").header("x-request-id", "r1");
                let body = Full::new(Bytes::from_static(body.as_bytes()));
                let answer = said(client.send_request(request.body(body).unwrap()).await.unwrap()).await;
                // The other host may have been chosen first.
                if tokio::time::timeout(Duration::ZERO, asked.notified()).await.is_ok() {
                    break answer;
                }
            };
            lines.push(format!("{refusal:?}, {method} {body:?}: {answer}"));
        }
    }
    expect![[r#"
        Stream, alone: 503 host far takes no requests for pod default/far
        Stream, GET "": 200 near got 0 bytes for http - http://shop.example/ r1 127.0.0.1
        Stream, POST "": 200 near got 0 bytes for http - http://shop.example/ r1 127.0.0.1
        Stream, POST "body": 200 near got 4 bytes for http - http://shop.example/ r1 127.0.0.1
        Stream, DELETE "": 200 near got 0 bytes for http - http://shop.example/ r1 127.0.0.1
        Connection, alone: 503 host far takes no requests for pod default/far
        Connection, GET "": 200 near got 0 bytes for http - http://shop.example/ r1 127.0.0.1
        Connection, POST "": 200 near got 0 bytes for http - http://shop.example/ r1 127.0.0.1
        Connection, POST "body": 200 near got 4 bytes for http - http://shop.example/ r1 127.0.0.1
        Connection, DELETE "": 200 near got 0 bytes for http - http://shop.example/ r1 127.0.0.1
        Cancelled, alone: 502 host far gave the request up before pod default/far answered
        Cancelled, GET "": 502 host far gave the request up before pod default/far answered
        Cancelled, POST "": 502 host far gave the request up before pod default/far answered
        Cancelled, POST "body": 502 host far gave the request up before pod default/far answered
        Cancelled, DELETE "": 502 host far gave the request up before pod default/far answered"#]]
    .assert_eq(&lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_a_pod_that_is_gone_goes_to_another() {
    let ca = Ca::new();
    let near = Host::start("near", &ca.node("near"));
    // More than are tried of those that don't answer.
    let gone = ["a", "b", "c", "d", "e"].map(|node| Host::start(node, &ca.node(node)));
    assert!(gone.iter().all(|host| host.handlers.remove(UID, 0)));
    let mut hosts = gone.each_ref().map(|host| (host.node, host.addr)).to_vec();
    let alone = ingress(&ca, &hosts);
    expect!["503 pod uid-web does not answer on port 8080 of its host any more"].assert_eq(&ask(&alone, "/").await);
    hosts.push((near.node, near.addr));
    let all = ingress(&ca, &hosts);
    for _ in 0..20 {
        let answer = ask(&all, "/").await;
        assert!(answer.starts_with("200 near got 5 bytes"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_gave_up_is_not_sent_again() {
    let ca = Ca::new();
    let (broken, near) = (Host::start("broken", &ca.node("broken")), Host::start("near", &ca.node("near")));
    let ingress = ingress(&ca, &[(broken.node, broken.addr), (near.node, near.addr)]);
    let mut client = client(&ingress).await;
    let refusal = loop {
        let request = Request::get("http://shop.example/panic-at-broken").body(Full::new(Bytes::new())).unwrap();
        let answer = said(client.send_request(request).await.unwrap()).await;
        if !answer.starts_with("200 near") {
            break answer;
        }
    };
    expect!["502 host broken gave the request up before pod default/broken answered"].assert_eq(&refusal);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pulled_is_given_by_digest() {
    let ca = Ca::new();
    let host = Host::start("far", &ca.node("far"));
    let [component, manifest, partial] = ["1", "2", "3"].map(|digit| digit.repeat(64));
    for name in
        [format!("{component}.wasm"), format!("{manifest}.json"), format!(".{partial}.partial"), "index.json".into()]
    {
        std::fs::write(host.images.path().join(&name), format!("this is {name}")).unwrap();
    }
    let mut lines = Vec::new();
    for path in [
        format!("shop/hello/blobs/sha256:{component}"),
        format!("shop/hello/manifests/sha256:{manifest}"),
        format!("shop/hello/blobs/sha256:{partial}"),
        "shop/hello/manifests/latest".to_owned(),
        "shop/hello/blobs/index.json".to_owned(),
        "../index.json".to_owned(),
    ] {
        let request = Request::get(format!("https://h/v2/{path}")).body(String::new()).unwrap();
        lines.push(get(host.addr, ca.node("here").client_tls().unwrap(), request).await);
    }
    expect![[r#"
        200 this is 1111111111111111111111111111111111111111111111111111111111111111.wasm
        200 this is 2222222222222222222222222222222222222222222222222222222222222222.json
        404 this host has not pulled shop/hello/blobs/sha256:3333333333333333333333333333333333333333333333333333333333333333
        404 this host has not pulled shop/hello/manifests/latest
        404 this host has not pulled shop/hello/blobs/index.json
        404 this host has not pulled ../index.json"#]].assert_eq(&lines.join("\n"));
}

/// What the host's server says to a client with this TLS.
async fn get(addr: SocketAddr, mut tls: rustls::ClientConfig, request: Request<String>) -> String {
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let socket = TcpStream::connect(addr).await.unwrap();
    let name = rustls_pki_types::ServerName::from(addr.ip());
    let answer = async {
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, socket).await.ok()?;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.into_body().collect().await.ok()?.to_bytes();
        Some(format!("{status} {}", String::from_utf8_lossy(&text).trim()))
    };
    answer.await.unwrap_or_else(|| "no answer".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_answer_hosts_and_the_host_itself_answers_masters() {
    let (ca, foreign) = (Ca::new(), Ca::new());
    let host = Host::start("far", &ca.node("far"));
    let digest = format!("sha256:{}", "5".repeat(64));
    std::fs::write(host.images.path().join(format!("{}.wasm", "5".repeat(64))), "a component").unwrap();
    let foreign = ServerIdentity { ca_pem: ca.1.clone().into_bytes(), ..foreign.node("here") };
    let anonymous = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(ca.node("x").roots().unwrap())
        .with_no_client_auth();
    let mut lines = Vec::new();
    for (who, tls) in [
        ("nobody", anonymous),
        ("node of another CA", foreign.client_tls().unwrap()),
        ("user", ca.identity("ann", "people").client_tls().unwrap()),
        ("node", ca.node("here").client_tls().unwrap()),
        ("master", ca.identity("admin", MASTERS).client_tls().unwrap()),
    ] {
        let to_pod = |pod: &str| {
            let request = Request::get("https://h/").header("coracle-pod", pod).header("x-request-id", "r");
            request.header("coracle-client", "10.0.0.1:5").body(String::new()).unwrap()
        };
        for request in [
            Request::get("https://h/healthz").body(String::new()).unwrap(),
            Request::get(format!("https://h/v2/shop/hello/blobs/{digest}")).body(String::new()).unwrap(),
            to_pod("uid-web:8080"),
            to_pod("uid-web:81"),
            to_pod("uid-web"),
        ] {
            lines.push(format!("{who}: {}", get(host.addr, tls.clone(), request).await));
        }
    }
    expect![[r#"
        nobody: no answer
        nobody: no answer
        nobody: no answer
        nobody: no answer
        nobody: no answer
        node of another CA: no answer
        node of another CA: no answer
        node of another CA: no answer
        node of another CA: no answer
        node of another CA: no answer
        user: no answer
        user: no answer
        user: no answer
        user: no answer
        user: no answer
        node: 403 only the API server and administrators may ask for more than pods' answers and images
        node: 200 a component
        node: 200 far got 0 bytes for https - https://h/ r 10.0.0.1
        node: 503 pod uid-web does not answer on port 81 of its host any more
        node: 400 this is not how hosts ask each other for pods
        master: 200 ok
        master: 200 a component
        master: 200 far got 0 bytes for https - https://h/ r 10.0.0.1
        master: 503 pod uid-web does not answer on port 81 of its host any more
        master: 400 this is not how hosts ask each other for pods"#]]
    .assert_eq(&lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_host_of_that_name_and_cluster_is_sent_to() {
    let (ca, foreign) = (Ca::new(), Ca::new());
    let transport = Transport::new(ca.node("here").client_tls().unwrap());
    let check = async |identity: ServerIdentity, expected: Expect| {
        let host = Host::start("far", &identity);
        let pod = PeerPod::new(Peer::new("far".into(), host.addr), UID, PORT).unwrap();
        let context = RequestContext {
            request_id: RequestId::accept(&HeaderValue::from_static("r")).unwrap(),
            client_addr: "10.0.0.1:5".parse().unwrap(),
            scheme: http::uri::Scheme::HTTP,
        };
        let request = Request::get("/").header("x-request-id", "r").body(RequestBody::empty()).unwrap();
        expected.assert_eq(&match transport.send(&pod, 0, request, &context).await {
            Ok(response) => response.status().to_string(),
            Err(SendError::Unsent(cause)) => {
                let cause = cause.unwrap();
                let source = std::error::Error::source(&cause).map(|source| format!(": {source}"));
                format!("{cause}{}", source.unwrap_or_default().split('(').next().unwrap_or_default())
            }
            Err(other) => panic!("{other}"),
        });
    };
    check(ca.node("far"), expect!["200 OK"]).await;
    check(ca.node("other"), expect!["its certificate is not that of node far"]).await;
    check(ca.identity("far", NODES), expect!["its certificate is not that of node far"]).await;
    check(
        ServerIdentity { ca_pem: ca.1.clone().into_bytes(), ..foreign.node("far") },
        expect!["no connection: invalid peer certificate: BadSignature"],
    )
    .await;
}
