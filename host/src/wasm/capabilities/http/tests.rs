use std::net::{Ipv4Addr, SocketAddr};

use arc_swap::ArcSwap;
use bytes::Bytes;
use coracle_net::views::{ServiceView, SliceView};
use coracle_net::{Body, Handler, Handlers, Peers, RequestContext, Transport, build_routes, text_response};
use expect_test::{Expect, expect};
use futures::future::BoxFuture;
use http::StatusCode;
use http_body_util::{Empty, Full};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::super::reach::tests::Told;
use super::super::reach::{DENIAL_LENGTH_MAX, DENIALS_TOLD_MAX};
use super::*;
use crate::runtime::{ContainerSpec, PodIdentity};

/// The only pod: answers `/hold` never, and everything else with what it was asked.
struct Pod;

impl Handler for Pod {
    fn handle(&self, request: Request<RequestBody>, _: RequestContext) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            if request.uri().path() == "/hold" {
                std::future::pending::<()>().await;
            }
            let text = format!("{} {} for {:?}", request.method(), request.uri(), request.headers()["x-forwarded-for"]);
            text_response(StatusCode::OK, text)
        })
    }
}

impl Handlers for Pod {
    fn find(&self, _: &str, _: u16) -> Option<Arc<dyn Handler>> {
        Some(Arc::new(Pod))
    }

    fn find_at(&self, _: Ipv4Addr, _: u16) -> Option<Arc<dyn Handler>> {
        None
    }

    fn changes(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

/// A cluster whose Service `web` has the only pod.
fn cluster() -> Arc<Outgoing> {
    let service =
        json!({ "metadata": { "name": "web", "namespace": "default" }, "spec": { "ports": [{ "port": 80 }] } });
    let slice = json!({
        "metadata": { "name": "web-1", "namespace": "default", "labels": { "kubernetes.io/service-name": "web" } },
        "ports": [{ "name": "", "port": 8080 }],
        "endpoints": [{ "addresses": ["10.0.0.1"], "nodeName": "here", "targetRef": { "name": "web-1", "uid": "u" } }],
    });
    let (services, slices) = ([ServiceView::from_json(&service).unwrap()], [SliceView::from_json(&slice).unwrap()]);
    let routes = build_routes(&[], &services, &slices, &Pod, "here", &Peers::new());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let transport = Transport::new(tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth());
    Outgoing::new(Arc::new(ArcSwap::from_pointee(routes)), Arc::new(Pod), transport, 7)
}

fn reach(egress: &str) -> (Reach, Arc<Told>) {
    let told = Arc::<Told>::default();
    let pod = PodIdentity { namespace: "default".into(), ip: "10.0.0.9".into(), ..PodIdentity::default() };
    let mut spec = ContainerSpec::new(pod, "main", "none".into(), "none");
    spec.egress = egress.parse().unwrap();
    (Reach::new(&spec, false, Some(cluster()), told.clone()), told)
}

fn empty() -> WasiBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

async fn ask(own: &Reach, url: &str, options: RequestOptions) -> Result<Response<WasiBody>, HttpError> {
    let request = Request::get(url).body(empty()).unwrap();
    own.send(own.begin(request, options)?).await
}

async fn check(own: &Reach, url: &str, expected: Expect) {
    expected.assert_eq(&match ask(own, url, RequestOptions::default()).await {
        Err(error) => format!("{error:?}"),
        Ok(answer) => {
            let status = answer.status();
            match answer.into_body().collect().await {
                Ok(body) => format!("{status} {}", String::from_utf8_lossy(&body.to_bytes()).trim_end()),
                Err(error) => format!("{status} then {error:?}"),
            }
        }
    });
}

/// Somebody outside: answers each connection's first request with this, and then leaves it open.
async fn outside(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 1024];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                std::future::pending::<()>().await;
            });
        }
    });
    address
}

#[tokio::test]
async fn services_are_called_without_a_declaration() {
    let (own, told) = reach("");
    check(&own, "http://web/a?b", expect![[r#"200 OK GET /a?b for "10.0.0.9""#]]).await;
    check(&own, "http://web.default.svc.cluster.local/", expect![[r#"200 OK GET / for "10.0.0.9""#]]).await;
    assert_eq!(own.calls_sent(), 2);
    check(&own, "https://web:80/", expect!["TlsProtocolError"]).await;
    check(&own, "http://web:81/", expect![[r#"DnsError { rcode: Some("NXDOMAIN"), info_code: None }"#]]).await;
    check(&own, "http://gone.default.svc/", expect![[r#"DnsError { rcode: Some("NXDOMAIN"), info_code: None }"#]])
        .await;
    expect![[r#"
        a request to https://web was denied: pods answer plain HTTP, which hosts encrypt between them; ask for http://web
        a request to web:81 was denied: there is no port 81 in Service web.default
        a request to gone.default.svc:80 was denied: there is no Service gone.default"#]].assert_eq(&told.0.lock().join("\n"));
}

#[tokio::test]
async fn what_is_outside_is_reached_as_declared() {
    let address = outside("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
    let (own, told) = reach("127.0.0.1, localhost");
    check(&own, &format!("http://{address}/"), expect!["200 OK hello"]).await;
    check(&own, &format!("http://localhost:{}/", address.port()), expect!["200 OK hello"]).await;
    check(&own, "http://example.com/", expect!["HttpRequestDenied"]).await;
    check(&own, "http://169.254.169.254/latest", expect!["HttpRequestDenied"]).await;
    check(&own, "http://example.com/again", expect!["HttpRequestDenied"]).await;
    expect![[r#"
        a connection to example.com:80 was denied: it is no Service, and the pod does not declare it; declare "example.com" in the pod's annotation coracle.dev/egress
        a connection to 169.254.169.254:80 was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "169.254.169.254" in the pod's annotation coracle.dev/egress"#]].assert_eq(&told.0.lock().join("\n"));
}

#[tokio::test]
async fn a_name_does_not_lead_to_the_machine() {
    let address = outside("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let (own, told) = reach("localhost");
    check(&own, &format!("http://localhost:{}/", address.port()), expect!["DestinationIpProhibited"]).await;
    assert!(told.0.lock()[0].contains("declare"), "{:?}", told.0.lock());
}

#[tokio::test]
async fn failures_are_named() {
    let (own, _) = reach("127.0.0.1, *.invalid");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    check(&own, &format!("http://{closed}/"), expect!["ConnectionRefused"]).await;
    check(&own, "http://nobody.invalid/", expect![[r#"DnsError { rcode: Some("NXDOMAIN"), info_code: None }"#]]).await;
    let half = outside("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe").await;
    let options =
        RequestOptions { between_bytes_timeout: Some(Duration::from_millis(50)), ..RequestOptions::default() };
    let answer = ask(&own, &format!("http://{half}/"), options).await.unwrap();
    assert!(matches!(answer.into_body().collect().await, Err(HttpError::ConnectionReadTimeout)));
    let silent = outside("").await;
    let options = RequestOptions { first_byte_timeout: Some(Duration::from_millis(50)), ..RequestOptions::default() };
    assert!(matches!(ask(&own, &format!("http://{silent}/"), options).await, Err(HttpError::ConnectionReadTimeout)));
    let plain = outside("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    check(&own, &format!("https://{plain}/"), expect!["TlsProtocolError"]).await;
}

#[tokio::test]
async fn only_so_many_are_under_way_at_once() {
    let (own, told) = reach("");
    let begin = || own.begin(Request::get("http://web/hold").body(empty()).unwrap(), RequestOptions::default());
    let held: Vec<Call> = (0..CALLS_MAX).map(|_| begin().unwrap()).collect();
    assert!(matches!(begin(), Err(HttpError::ConnectionLimitReached)));
    drop(held);
    assert!(begin().is_ok());
    expect!["a request was denied: the container has 256 under way"].assert_eq(&told.0.lock().join("\n"));
}

#[tokio::test]
async fn an_answer_counts_until_it_was_read() {
    let (own, _) = reach("");
    let answer = ask(&own, "http://web/", RequestOptions::default()).await.unwrap();
    assert_eq!(own.calls().permits.available_permits(), CALLS_MAX - 1);
    drop(answer);
    assert_eq!(own.calls().permits.available_permits(), CALLS_MAX);
}

#[tokio::test]
async fn what_is_told_is_bounded() {
    let (own, told) = reach("");
    for number in 0..100 {
        let _ = ask(&own, &format!("http://{}{number}.example/", "x".repeat(2_000)), RequestOptions::default()).await;
    }
    let lines = told.0.lock().clone();
    assert_eq!(lines.len(), 1, "the rest is the same, cut off");
    assert!(lines[0].len() <= DENIAL_LENGTH_MAX);
    let (own, told) = reach("");
    for number in 0..100 {
        let _ = ask(&own, &format!("http://h{number}.example/"), RequestOptions::default()).await;
    }
    assert_eq!(told.0.lock().len(), DENIALS_TOLD_MAX);
}

#[tokio::test]
async fn a_body_reaches_a_pod() {
    let (own, _) = reach("");
    let body = Full::new(Bytes::from("hi")).map_err(|never| match never {}).boxed_unsync();
    let request = Request::post("http://web/").body(body).unwrap();
    let answer = own.send(own.begin(request, RequestOptions::default()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}
