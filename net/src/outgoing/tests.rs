use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use expect_test::{Expect, expect};
use futures::future::BoxFuture;
use http::StatusCode;
use http_body_util::Full;
use hyper::body::Frame;
use tokio::sync::watch;

use super::*;
use crate::RouteBook;
use crate::handler::{BoxError, Handler, text_response};
use crate::routes::build_routes;
use crate::routes::tests::{peers, service, slice};
use crate::views::{NodeView, ServiceView, SliceView};

/// Answers with what it was asked and by whom.
struct Echo;

impl Handler for Echo {
    fn handle(&self, request: Request<RequestBody>, context: RequestContext) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let header = |name: &str| head.headers.get(name).map_or("-", |value| value.to_str().unwrap());
            let text = format!(
                "{} {} host {} for {} connection {} from {}",
                head.method,
                head.uri,
                header("host"),
                header("x-forwarded-for"),
                header("connection"),
                context.client_addr.ip(),
            );
            assert_eq!(header("x-request-id"), context.request_id.as_str());
            match body.collect().await {
                Ok(body) => text_response(StatusCode::OK, format!("{text}: {:?}", body.to_bytes())),
                Err(error) => text_response(StatusCode::BAD_REQUEST, error),
            }
        })
    }
}

struct Pods;

impl Handlers for Pods {
    fn find(&self, pod_uid: &str, port: u16) -> Option<Arc<dyn Handler>> {
        (pod_uid == "here" && port == 8080).then(|| Arc::new(Echo) as Arc<dyn Handler>)
    }

    fn find_at(&self, address: Ipv4Addr, port: u16) -> Option<Arc<dyn Handler>> {
        (address == Ipv4Addr::new(10, 0, 0, 1) && port == 8080).then(|| Arc::new(Echo) as Arc<dyn Handler>)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

fn outgoing(routes: RoutingTable) -> Arc<Outgoing> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let transport = Transport::new(tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth());
    Outgoing::new(Arc::new(ArcSwap::from_pointee(routes)), Arc::new(Pods), transport, 7)
}

fn routes(pods: &[&str]) -> RoutingTable {
    let services = [ServiceView::from_json(&service("web")).unwrap()];
    let slices = [SliceView::from_json(&slice("web", pods)).unwrap()];
    build_routes(&[], &services, &slices, &Pods, "here", &peers())
}

async fn check(outgoing: &Arc<Outgoing>, url: &str, expected: Expect) {
    let uri: Uri = url.parse().unwrap();
    let (host, port) = (uri.host().unwrap().to_owned(), uri.port_u16().unwrap_or(80));
    let text = match outgoing.find("default", &host, port) {
        Err(why) => format!("nothing: {why}"),
        Ok(None) => "elsewhere".to_owned(),
        Ok(Some(destination)) => {
            let body = Full::new(Bytes::from("hi")).map_err(|never| match never {}).boxed_unsync();
            let request = Request::post(uri).header("connection", "x-own").header("x-own", "1");
            let request = request.body(RequestBody::from_pod(body)).unwrap();
            match outgoing.send(&destination, request, IpAddr::from([10, 0, 0, 9])).await {
                Ok(answer) => {
                    let status = answer.status();
                    let body = answer.into_body().collect().await.unwrap().to_bytes();
                    format!("{status} {}", String::from_utf8_lossy(&body).trim_end())
                }
                Err(error) => format!("error: {error}"),
            }
        }
    };
    expected.assert_eq(&text);
}

#[tokio::test]
async fn a_pod_here_is_called_in_this_process() {
    let outgoing = outgoing(routes(&["here"]));
    check(
        &outgoing,
        "http://web/a?b=c",
        expect![[r#"200 OK POST /a?b=c host web for 10.0.0.9 connection - from 10.0.0.9: b"hi""#]],
    )
    .await;
    check(
        &outgoing,
        "http://web.default.svc.cluster.local:80/",
        expect![[
            r#"200 OK POST / host web.default.svc.cluster.local:80 for 10.0.0.9 connection - from 10.0.0.9: b"hi""#
        ]],
    )
    .await;
    check(
        &outgoing,
        "http://10.0.0.1:8080/",
        expect![[r#"200 OK POST / host 10.0.0.1:8080 for 10.0.0.9 connection - from 10.0.0.9: b"hi""#]],
    )
    .await;
    check(&outgoing, "http://web:81/", expect!["nothing: there is no port 81 in Service web.default"]).await;
    check(&outgoing, "http://10.0.0.1:81/", expect!["elsewhere"]).await;
    check(&outgoing, "http://example.com/", expect!["elsewhere"]).await;
}

#[tokio::test]
async fn a_service_without_ready_pods_says_so() {
    check(&outgoing(routes(&[])), "http://web/", expect!["error: no ready pod behind service default/web"]).await;
}

#[tokio::test]
async fn a_request_counts_until_its_answer_was_read() {
    let routes = routes(&["here"]);
    let Called::Service(route) = routes.find_service("default", "web", 80) else { panic!("there is a Service") };
    let outgoing = outgoing(routes);
    let destination = outgoing.find("default", "web", 80).unwrap().unwrap();
    let request = Request::new(RequestBody::empty());
    let answer = outgoing.send(&destination, request, IpAddr::from([10, 0, 0, 9])).await.unwrap();
    assert_eq!(route.endpoints()[0].in_flight(), 1);
    drop(answer);
    assert_eq!(route.endpoints()[0].in_flight(), 0);
}

#[tokio::test]
async fn a_body_that_its_sender_breaks_off_is_no_whole_one() {
    let outgoing = outgoing(routes(&["here"]));
    let destination = outgoing.find("default", "web", 80).unwrap().unwrap();
    let broken = http_body_util::StreamBody::new(futures::stream::iter([
        Ok(Frame::data(Bytes::from("half"))),
        Err::<_, BoxError>("the instance ended".into()),
    ]));
    let request = Request::post("http://web/").body(RequestBody::from_pod(broken.boxed_unsync())).unwrap();
    let answer = outgoing.send(&destination, request, IpAddr::from([10, 0, 0, 9])).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn pods_of_other_nodes_are_known_by_their_ranges() {
    let mut book = RouteBook::new();
    let node = |name: &str, pods: &str| NodeView {
        name: name.into(),
        addr: "127.0.0.1:1".parse().unwrap(),
        pods: Some(pods.parse().unwrap()),
    };
    book.put_node(node("here", "10.0.0.0/24"));
    book.put_node(node("there", "10.0.1.0/24"));
    let table = book.build(&Pods, "here");
    let found: HashMap<_, _> = ["10.0.0.2", "10.0.1.2", "10.0.2.2"]
        .map(|address| (address, table.peer_of(address.parse().unwrap()).map(|peer| peer.node.to_string())))
        .into();
    assert_eq!(found["10.0.0.2"], None);
    assert_eq!(found["10.0.1.2"].as_deref(), Some("there"));
    assert_eq!(found["10.0.2.2"], None);
    let outgoing = outgoing(table);
    // Nothing listens there.
    let sent = check(&outgoing, "http://10.0.1.2:8080/", expect!["error: pod at 10.0.1.2 cannot be reached"]);
    tokio::time::timeout(Duration::from_secs(10), sent).await.unwrap();
}
