use std::net::Ipv4Addr;

use bytes::Bytes;
use expect_test::{Expect, expect};
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};

use super::*;
use crate::handler::{Body, Handler, Handlers, RequestBody, RequestContext, text_response};
use crate::routes::tests::{ingress, path, service, slice};
use crate::routes::{Peers, build_routes};
use crate::views::{IngressView, ServiceView, SliceView};

/// Answers with what it was asked; `/hold` waits until told, `/drop` tells when it is dropped.
#[derive(Default)]
struct Echo {
    held: Notify,
    release: Notify,
    dropped: std::sync::Mutex<Option<oneshot::Sender<()>>>,
}

struct Pods(Arc<Echo>);

impl Handler for Pods {
    fn handle(&self, request: Request<RequestBody>, context: RequestContext) -> BoxFuture<'static, Response<Body>> {
        let echo = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            match head.uri.path() {
                "/hold" => {
                    echo.held.notify_one();
                    echo.release.notified().await;
                }
                "/drop" => {
                    let _dropped = echo.dropped.lock().unwrap().take();
                    echo.held.notify_one();
                    std::future::pending::<()>().await;
                }
                _ => {}
            }
            let header = |name: &str| head.headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
            match body.collect().await {
                Ok(body) => {
                    let (id, sent) = (header("x-request-id"), header("x-forwarded-for"));
                    assert_eq!(id, context.request_id.as_str());
                    let thread = std::thread::current().name().unwrap_or_default().to_owned();
                    let mut response = text_response(
                        StatusCode::OK,
                        format_args!(
                            "{} {} {} for {sent} {:?}",
                            head.method,
                            head.uri.path(),
                            header("host"),
                            body.to_bytes()
                        ),
                    );
                    response.headers_mut().insert("x-thread", thread.parse().unwrap());
                    response
                }
                Err(error) => text_response(StatusCode::PAYLOAD_TOO_LARGE, error),
            }
        })
    }
}

impl Handlers for Pods {
    fn find(&self, pod_uid: &str, _: u16) -> Option<Arc<dyn Handler>> {
        (pod_uid == "here").then(|| Arc::new(Pods(self.0.clone())) as Arc<dyn Handler>)
    }

    fn find_at(&self, _: Ipv4Addr, _: u16) -> Option<Arc<dyn Handler>> {
        None
    }

    fn changes(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

struct Fixture {
    running: Running,
    echo: Arc<Echo>,
    metrics: Arc<Metrics>,
    routes: Arc<ArcSwap<RoutingTable>>,
}

/// The way to hosts there are none of.
fn transport() -> Arc<Transport> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Transport::new(tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

/// `here` is served by the echo, `empty` has no pod, `gone` has one where nobody listens.
fn start(workers: usize, limits: Limits) -> Fixture {
    let echo = Arc::new(Echo::default());
    let root = |service: &str| [path("/", "Prefix", service)];
    let rules = ingress("i", &[("here", &root("here")), ("empty", &root("empty")), ("gone", &root("gone"))]);
    let mut gone = slice("gone", &["gone"]);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    gone["endpoints"][0]["addresses"] = json!(["127.0.0.1"]);
    gone["ports"][0]["port"] = nobody.port().into();
    let table = build_routes(
        &[IngressView::from_json(&rules).unwrap()],
        &["here", "empty", "gone"].map(|name| ServiceView::from_json(&service(name)).unwrap()),
        &[slice("here", &["here"]), gone].map(|slice| SliceView::from_json(&slice).unwrap()),
        &Pods(echo.clone()),
        "here",
        &Peers::default(),
    );
    let routes = Arc::new(ArcSwap::from_pointee(table));
    let metrics = Arc::new(Metrics::new(workers));
    let addr = "127.0.0.1:0".parse().unwrap();
    let options = IngressOptions {
        addr,
        workers,
        routes: routes.clone(),
        metrics: metrics.clone(),
        transport: transport(),
        seed: 0xc0ffee,
        limits,
    };
    Fixture { running: Ingress::start(options).unwrap(), echo, metrics, routes }
}

impl Fixture {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.running.local_addr()).await.unwrap()
    }

    /// Sends bytes on a connection of their own and reads until its end.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset after the answer is as good an end as any.
    drop(stream.read_to_end(&mut bytes).await);
    let text = String::from_utf8(bytes).unwrap().replace('\r', "");
    text.lines()
        .filter(|line| !line.starts_with("date:") && !line.starts_with("x-thread:"))
        .collect::<Vec<_>>()
        .join("\n")
}

async fn check(fixture: &Fixture, request: &str, expected: Expect) {
    expected.assert_eq(&fixture.exchange(&request.replace('\n', "\r\n")).await);
}

#[tokio::test]
async fn requests_are_answered_or_refused_with_the_reason() {
    let fixture = start(1, Limits::default());
    check(
        &fixture,
        "POST /x?y HTTP/1.1\nHost: HERE:80\nConnection: close\nContent-Length: 2\nX-Request-Id: abc-1\nX-Forwarded-For: 6.6.6.6\n\nhi",
        expect![[r#"
            HTTP/1.1 200 OK
            content-type: text/plain; charset=utf-8
            x-request-id: abc-1
            connection: close
            content-length: 36

            POST /x HERE:80 for 127.0.0.1 b"hi""#]],
    )
    .await;
    check(
        &fixture,
        "GET / HTTP/1.1\nHost: here\nConnection: close\nX-Request-Id: bad id\n\n",
        expect![[r#"
        HTTP/1.1 200 OK
        content-type: text/plain; charset=utf-8
        x-request-id: 00c0ffee000000000000000001
        connection: close
        content-length: 29

        GET / here for 127.0.0.1 b"""#]],
    )
    .await;
    check(
        &fixture,
        "GET /p?q HTTP/1.1\nHost: nowhere\nConnection: close\n\n",
        expect![[r#"
        HTTP/1.1 404 Not Found
        content-type: text/plain; charset=utf-8
        x-request-id: 00c0ffee000000000000000002
        connection: close
        content-length: 29

        no Ingress routes nowhere /p"#]],
    )
    .await;
    check(
        &fixture,
        "GET / HTTP/1.1\nHost: empty\nConnection: close\n\n",
        expect![[r#"
        HTTP/1.1 503 Service Unavailable
        content-type: text/plain; charset=utf-8
        retry-after: 1
        x-request-id: 00c0ffee000000000000000003
        connection: close
        content-length: 42

        no ready pod behind service default/empty"#]],
    )
    .await;
}

#[tokio::test]
async fn the_ingress_says_itself_what_is_behind_a_host() {
    let fixture = start(1, Limits::default());
    check(
        &fixture,
        "OPTIONS * HTTP/1.1\nHost: here\nConnection: close\n\n",
        expect![[r#"
        HTTP/1.1 200 OK
        content-type: text/plain; charset=utf-8
        x-request-id: 00c0ffee000000000000000000
        connection: close
        content-length: 20

        requests find a pod"#]],
    )
    .await;
    check(
        &fixture,
        "OPTIONS * HTTP/1.1\nHost: nowhere\nConnection: close\n\n",
        expect![[r#"
        HTTP/1.1 404 Not Found
        content-type: text/plain; charset=utf-8
        x-request-id: 00c0ffee000000000000000001
        connection: close
        content-length: 28

        no Ingress routes nowhere *"#]],
    )
    .await;
    check(
        &fixture,
        "OPTIONS * HTTP/1.1\nHost: empty\nConnection: close\n\n",
        expect![[r#"
        HTTP/1.1 503 Service Unavailable
        content-type: text/plain; charset=utf-8
        retry-after: 1
        x-request-id: 00c0ffee000000000000000002
        connection: close
        content-length: 42

        no ready pod behind service default/empty"#]],
    )
    .await;
    // No request of anybody's failed.
    while fixture.metrics.requests() < 3 {
        tokio::task::yield_now().await;
    }
    let mut counted = String::new();
    fixture.metrics.render(&mut counted);
    assert!(counted.contains("coracle_ingress_requests_total{code=\"2xx\"} 3\n"), "{counted}");
}

#[tokio::test]
async fn what_is_no_request_for_a_host_is_refused() {
    let fixture = start(1, Limits::default());
    check(
        &fixture,
        "CONNECT here:80 HTTP/1.1\nHost: here\nConnection: close\n\n",
        expect![[r#"
        HTTP/1.1 405 Method Not Allowed
        content-type: text/plain; charset=utf-8
        x-request-id: 00c0ffee000000000000000000
        connection: close
        content-length: 27

        CONNECT is not served here"#]],
    )
    .await;
    check(
        &fixture,
        "GET / HTTP/1.1\nHost: here\nHost: there\nConnection: close\n\n",
        expect![[r#"
        HTTP/1.1 400 Bad Request
        content-type: text/plain; charset=utf-8
        x-request-id: 00c0ffee000000000000000001
        connection: close
        content-length: 43

        a request needs one Host header, of a name"#]],
    )
    .await;
    check(
        &fixture,
        "GET / HTTP/1.1\nConnection: close\n\n",
        expect![[r#"
        HTTP/1.1 400 Bad Request
        content-type: text/plain; charset=utf-8
        x-request-id: 00c0ffee000000000000000002
        connection: close
        content-length: 43

        a request needs one Host header, of a name"#]],
    )
    .await;
    check(
        &fixture,
        "nonsense\n\n",
        expect![[r#"
        HTTP/1.1 400 Bad Request
        connection: close
        content-length: 0
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_pod_that_cannot_be_reached_is_a_503() {
    let fixture = start(1, Limits::default());
    let answer = fixture.exchange("GET / HTTP/1.1\r\nHost: gone\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
    assert!(answer.contains("pod default/gone cannot be reached at 127.0.0.1:"), "{answer}");
}

#[tokio::test]
async fn a_remote_pod_gets_the_request_and_its_answer_comes_back() {
    let remote = start(1, Limits::default());
    let fixture = start(1, Limits::default());
    let mut pods = slice("here", &["far"]);
    pods["endpoints"][0]["addresses"] = json!(["127.0.0.1"]);
    pods["endpoints"][0]["nodeName"] = "".into();
    pods["ports"][0]["port"] = remote.running.local_addr().port().into();
    let table = build_routes(
        &[IngressView::from_json(&ingress("i", &[("here", &[path("/", "Prefix", "here")])])).unwrap()],
        &[ServiceView::from_json(&service("here")).unwrap()],
        &[SliceView::from_json(&pods).unwrap()],
        &Pods(fixture.echo.clone()),
        "here",
        &Peers::default(),
    );
    fixture.routes.store(Arc::new(table));
    check(
        &fixture,
        "PUT /a HTTP/1.1\nHost: here\nConnection: close, x-secret\nX-Secret: 1\nTransfer-Encoding: chunked\nX-Request-Id: r1\n\n3\nabc\n0\n\n",
        expect![[r#"
            HTTP/1.1 200 OK
            content-type: text/plain; charset=utf-8
            x-request-id: r1
            content-length: 33
            connection: close

            PUT /a here for 127.0.0.1 b"abc""#]],
    )
    .await;
    assert_eq!((fixture.metrics.requests(), remote.metrics.requests()), (1, 1));
}

#[tokio::test]
async fn generated_request_ids_differ() {
    let fixture = start(2, Limits::default());
    let mut ids = std::collections::HashSet::new();
    for _ in 0..20 {
        let answer = fixture.exchange("GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await;
        let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap().to_owned();
        assert!(id.starts_with("00c0ffee") && ids.insert(id.clone()), "{id}");
    }
}

#[tokio::test]
async fn both_workers_share_the_port() {
    let fixture = start(2, Limits::default());
    let mut threads = std::collections::BTreeSet::new();
    // The kernel spreads connections by a hash of their ports; 200 of them meet both workers for certain enough (2^-199).
    for _ in 0..200 {
        let mut stream = fixture.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        threads.extend(text.lines().find_map(|line| line.strip_prefix("x-thread: ")).map(str::to_owned));
        if threads.len() == 2 {
            break;
        }
    }
    assert_eq!(Vec::from_iter(threads), ["ingress-0", "ingress-1"]);
}

#[tokio::test]
async fn bodies_over_the_cap_are_refused() {
    let fixture = start(1, Limits { body_bytes_max: 4, ..Limits::default() });
    let announced = "POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let chunked = "POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for request in [announced, chunked] {
        let answer = fixture.exchange(request).await;
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("request body is over 4 bytes"), "{answer}");
    }
}

#[tokio::test]
async fn heads_over_the_cap_are_refused() {
    let fixture = start(1, Limits { header_bytes_max: 8192, ..Limits::default() });
    let request = format!("GET / HTTP/1.1\r\nHost: here\r\nX-Long: {}\r\n\r\n", "x".repeat(10_000));
    let answer = fixture.exchange(&request).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let limits = Limits { header_timeout: Duration::from_millis(50), ..Limits::default() };
    let fixture = start(1, limits);
    for beginning in ["", "PRI * HT", "GET / HTTP/1.1\r\nHost: he"] {
        let answer = fixture.exchange(beginning).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[tokio::test]
async fn http2_without_tls_is_understood() {
    let fixture = start(1, Limits::default());
    let io = hyper_util::rt::TokioIo::new(fixture.connect().await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let body = http_body_util::Full::new(Bytes::from_static(b"two"));
    let request = Request::post("http://here/h2").body(body).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, "POST /h2 - for 127.0.0.1 b\"two\"\n");
    let request = Request::head("http://here/h2").body(http_body_util::Full::default()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty(), "what the pod writes is left out");
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_end() {
    let fixture = start(1, Limits::default());
    let mut stream = fixture.connect().await;
    stream.write_all(b"GET /hold HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
    fixture.echo.held.notified().await;
    assert_eq!(fixture.metrics.in_flight(), 1);
    let echo = fixture.echo.clone();
    let shutdown = tokio::spawn(fixture.running.shutdown(Duration::from_secs(60)));
    echo.release.notify_one();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    shutdown.await.unwrap();
    assert_eq!((fixture.metrics.in_flight(), fixture.metrics.requests()), (0, 1));
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_at_shutdown() {
    let fixture = start(1, Limits::default());
    let mut stream = fixture.connect().await;
    stream.write_all(b"GET /hold HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
    fixture.echo.held.notified().await;
    fixture.running.shutdown(Duration::from_millis(10)).await;
    assert_eq!(read_all(&mut stream).await, "");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let fixture = start(1, Limits::default());
    let (sender, dropped) = oneshot::channel();
    *fixture.echo.dropped.lock().unwrap() = Some(sender);
    let mut stream = fixture.connect().await;
    stream.write_all(b"GET /drop HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
    fixture.echo.held.notified().await;
    drop(stream);
    assert!(dropped.await.is_err());
}

#[tokio::test]
async fn the_port_of_another_ingress_is_not_shared() {
    let fixture = start(2, Limits::default());
    let options = IngressOptions {
        addr: fixture.running.local_addr(),
        workers: 1,
        routes: Arc::default(),
        transport: transport(),
        metrics: Arc::new(Metrics::new(1)),
        seed: 0,
        limits: Limits::default(),
    };
    let error = Ingress::start(options).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}
