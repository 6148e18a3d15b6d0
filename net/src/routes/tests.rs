use std::collections::HashMap;

use expect_test::{Expect, expect};
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::handler::{Body, Handlers, RequestBody, RequestContext, text_response};
use crate::transport::Peer;
use crate::views::{IngressView, ServiceView, SliceView};

struct Named;

impl Handler for Named {
    fn handle(&self, _: Request<RequestBody>, _: RequestContext) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async { text_response(StatusCode::OK, "") })
    }
}

/// Handlers of the pods with these uids, on port 8080.
#[derive(Default)]
pub(crate) struct Here(HashMap<String, Arc<dyn Handler>>);

impl Here {
    pub(crate) fn new(uids: &[&str]) -> Here {
        Here(uids.iter().map(|uid| ((*uid).to_owned(), Arc::new(Named) as Arc<dyn Handler>)).collect())
    }
}

impl Handlers for Here {
    fn find(&self, pod_uid: &str, port: u16) -> Option<Arc<dyn Handler>> {
        self.0.get(pod_uid).filter(|_| port == 8080).cloned()
    }

    fn find_at(&self, _: Ipv4Addr, _: u16) -> Option<Arc<dyn Handler>> {
        None
    }

    fn changes(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

pub(crate) fn path(path: &str, kind: &str, service: &str) -> Value {
    json!({ "path": path, "pathType": kind, "backend": { "service": { "name": service, "port": { "number": 80 } } } })
}

pub(crate) fn ingress(name: &str, rules: &[(&str, &[Value])]) -> Value {
    let rules: Vec<_> = rules.iter().map(|(host, paths)| json!({ "host": host, "http": { "paths": paths } })).collect();
    json!({ "metadata": { "name": name, "namespace": "default" }, "spec": { "rules": rules } })
}

/// A Service with port 80, whose slice sends it to 8080.
pub(crate) fn service(name: &str) -> Value {
    let ports = json!([{ "port": 80, "targetPort": 8080 }]);
    json!({ "metadata": { "name": name, "namespace": "default" }, "spec": { "ports": ports } })
}

pub(crate) fn slice(service: &str, pods: &[&str]) -> Value {
    let endpoints: Vec<_> =
        pods.iter().enumerate().map(|(index, pod)| endpoint(pod, index, "here", json!({}))).collect();
    slice_of(service, &format!("{service}-1"), &endpoints)
}

fn slice_of(service: &str, name: &str, endpoints: &[Value]) -> Value {
    let metadata = json!({
        "name": name, "namespace": "default", "labels": { "kubernetes.io/service-name": service }
    });
    json!({ "metadata": metadata, "ports": [{ "name": "", "port": 8080 }], "endpoints": endpoints })
}

fn endpoint(pod: &str, index: usize, node: &str, conditions: Value) -> Value {
    json!({
        "addresses": [format!("10.0.0.{}", index + 1)], "nodeName": node, "conditions": conditions,
        "targetRef": { "kind": "Pod", "name": pod, "uid": pod }
    })
}

/// The host of the node `there`.
pub(crate) fn peers() -> Peers {
    Peers::from([("there".into(), Peer::new("there".into(), "10.1.0.1:7000".parse().unwrap()))])
}

fn table(ingresses: &[Value], services: &[Value], slices: &[Value], here: &[&str]) -> RoutingTable {
    let ingresses: Vec<_> = ingresses.iter().filter_map(IngressView::from_json).collect();
    let services: Vec<_> = services.iter().filter_map(ServiceView::from_json).collect();
    let slices: Vec<_> = slices.iter().filter_map(SliceView::from_json).collect();
    build_routes(&ingresses, &services, &slices, &Here::new(here), "here", &peers())
}

/// The Service behind `host/path`, or its reason for having nothing.
fn ask(table: &RoutingTable, url: &str) -> String {
    let (host, path) = url.split_at(url.find('/').unwrap_or(url.len()));
    table.find(host, path).map_or_else(|| "404".to_owned(), |route| route.backend.service.name.to_string())
}

fn check(table: &RoutingTable, urls: &[&str], expected: Expect) {
    let lines: Vec<_> = urls.iter().map(|url| format!("{url} -> {}", ask(table, url))).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn the_most_specific_host_decides() {
    let rules = ingress(
        "i",
        &[
            ("a.example", &[path("/only", "Prefix", "exact")]),
            ("*.Example", &[path("/", "Prefix", "wildcard")]),
            ("", &[path("/", "Prefix", "any")]),
        ],
    );
    check(
        &table(&[rules], &[], &[], &[]),
        &[
            "a.example/only",
            "A.EXAMPLE/only",
            "a.example./only",
            "a.example/",
            "b.example/",
            "x.b.example/",
            "example/",
            ".example/",
            "other/",
            "/",
        ],
        expect![[r#"
            a.example/only -> exact
            A.EXAMPLE/only -> exact
            a.example./only -> exact
            a.example/ -> 404
            b.example/ -> wildcard
            x.b.example/ -> any
            example/ -> any
            .example/ -> any
            other/ -> any
            / -> any"#]],
    );
}

/// The table of examples in Kubernetes' documentation of path types.
#[test]
fn paths_match_as_kubernetes_says() {
    let cases = [
        ("Prefix", "/", &["/", "/any/path"][..]),
        ("Exact", "/foo", &["/foo", "/bar", "/foo/"]),
        ("Exact", "/foo/", &["/foo", "/foo/"]),
        ("Prefix", "/foo", &["/foo", "/foo/", "/foobar"]),
        ("Prefix", "/foo/", &["/foo", "/foo/"]),
        ("Prefix", "/aaa/bb", &["/aaa/bbb"]),
        ("Prefix", "/aaa/bbb", &["/aaa/bbb", "/aaa/bbb/", "/aaa/bbb/ccc", "/aaa/bbbxyz"]),
        ("Prefix", "/aaa/bbb/", &["/aaa/bbb"]),
        ("ImplementationSpecific", "/spec", &["/spec/x", "/specific"]),
    ];
    let mut lines = String::new();
    for (kind, rule, asked) in cases {
        let table = table(&[ingress("i", &[("", &[path(rule, kind, "yes")])])], &[], &[], &[]);
        let answers: Vec<_> = asked.iter().map(|path| format!("{path} {}", ask(&table, path))).collect();
        lines += &format!("{kind} {rule}: {}\n", answers.join(", "));
    }
    expect![[r#"
        Prefix /: / yes, /any/path yes
        Exact /foo: /foo yes, /bar 404, /foo/ 404
        Exact /foo/: /foo 404, /foo/ yes
        Prefix /foo: /foo yes, /foo/ yes, /foobar 404
        Prefix /foo/: /foo yes, /foo/ yes
        Prefix /aaa/bb: /aaa/bbb 404
        Prefix /aaa/bbb: /aaa/bbb yes, /aaa/bbb/ yes, /aaa/bbb/ccc yes, /aaa/bbbxyz 404
        Prefix /aaa/bbb/: /aaa/bbb yes
        ImplementationSpecific /spec: /spec/x yes, /specific 404
    "#]]
    .assert_eq(&lines);
}

#[test]
fn the_longest_path_wins_and_exact_before_prefix() {
    let paths = [
        path("/", "Prefix", "root"),
        path("/a", "Prefix", "a"),
        path("/a", "Exact", "exact"),
        path("/a/b", "Prefix", "ab"),
    ];
    check(
        &table(&[ingress("i", &[("h", &paths)])], &[], &[], &[]),
        &["h/", "h/a", "h/a/", "h/a/c", "h/a/b", "h/a/b/c", "h/ab"],
        expect![[r#"
            h/ -> root
            h/a -> exact
            h/a/ -> a
            h/a/c -> a
            h/a/b -> ab
            h/a/b/c -> ab
            h/ab -> root"#]],
    );
}

#[test]
fn of_two_claims_the_older_ingress_wins() {
    let claim = |name: &str, created: &str| {
        let mut ingress = ingress(name, &[("h", &[path("/", "Prefix", name)])]);
        ingress["metadata"]["creationTimestamp"] = created.into();
        ingress
    };
    let table = table(&[claim("a-new", "2026-02-01T00:00:00Z"), claim("z-old", "2026-01-01T00:00:00Z")], &[], &[], &[]);
    check(&table, &["h/"], expect!["h/ -> z-old"]);
}

#[test]
fn only_our_class_and_none_are_served() {
    let of_class = |name: &str, class: Option<&str>, annotation: Option<&str>| {
        let mut ingress = ingress(name, &[(name, &[path("/", "Prefix", "yes")])]);
        if let Some(class) = class {
            ingress["spec"]["ingressClassName"] = class.into();
        }
        if let Some(annotation) = annotation {
            ingress["metadata"]["annotations"] = json!({ "kubernetes.io/ingress.class": annotation });
        }
        ingress
    };
    let ingresses = [
        of_class("none", None, None),
        of_class("ours", Some("coracle"), None),
        of_class("other", Some("nginx"), None),
        of_class("old-ours", None, Some("coracle")),
        of_class("old-other", None, Some("nginx")),
    ];
    check(
        &table(&ingresses, &[], &[], &[]),
        &["none/", "ours/", "other/", "old-ours/", "old-other/"],
        expect![[r#"
            none/ -> yes
            ours/ -> yes
            other/ -> 404
            old-ours/ -> yes
            old-other/ -> 404"#]],
    );
}

#[test]
fn a_default_backend_takes_what_its_hosts_and_nobody_else_routes() {
    let mut with_default = ingress("b", &[("h", &[path("/a", "Prefix", "a")])]);
    with_default["spec"]["defaultBackend"] = json!({ "service": { "name": "default-b", "port": { "number": 80 } } });
    with_default["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z".into();
    let mut older =
        json!({ "metadata": { "name": "o", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z" } });
    older["spec"] = json!({ "defaultBackend": { "service": { "name": "default-o", "port": { "number": 80 } } } });
    let hostless = ingress("c", &[("bare", &[])]);
    check(
        &table(&[with_default, older, hostless], &[], &[], &[]),
        &["h/a", "h/b", "bare/", "unknown/"],
        expect![[r#"
            h/a -> a
            h/b -> default-b
            bare/ -> default-o
            unknown/ -> default-o"#]],
    );
}

fn describe(table: &RoutingTable) -> String {
    let route = table.find("h", "/").unwrap();
    let target = |endpoint: &Arc<Endpoint>| match &endpoint.target {
        Target::Local(_) => format!("{} here", endpoint.pod),
        Target::Peer(pod) => format!("{} as {:?} by {}", endpoint.pod, pod.name, pod.peer.addr),
        Target::Remote(addr) => format!("{} at {addr}", endpoint.pod),
    };
    match route.endpoints() {
        [] => route.reason(),
        endpoints => endpoints.iter().map(target).collect::<Vec<_>>().join(", "),
    }
}

#[test]
fn endpoints_are_ready_pods_here_or_elsewhere() {
    let rules = [ingress("i", &[("h", &[path("/", "Prefix", "web")])])];
    let check = |services: &[Value], slices: &[Value], here: &[&str], expected: Expect| {
        expected.assert_eq(&describe(&table(&rules, services, slices, here)));
    };
    let web = [service("web")];
    check(&[], &[], &[], expect!["no Service default/web"]);
    let mut other_port = service("web");
    other_port["spec"]["ports"][0]["port"] = 81.into();
    check(&[other_port], &[slice("web", &["a"])], &["a"], expect!["no port 80 in Service default/web"]);
    check(&web, &[], &[], expect!["no ready pod behind service default/web"]);
    check(&web, &[slice("web", &["a", "b"])], &["a"], expect!["default/a here, default/b at 10.0.0.2:8080"]);
    let (ready, not) = (json!({ "ready": true }), json!({ "ready": false }));
    let draining = json!({ "ready": false, "serving": true, "terminating": true });
    let mixed = [
        endpoint("ready", 0, "there", ready),
        endpoint("not", 1, "here", not.clone()),
        endpoint("draining", 2, "here", draining.clone()),
    ];
    check(
        &web,
        &[slice_of("web", "s", &mixed)],
        &["ready", "not"],
        expect![[r#"default/ready as "ready:8080" by 10.1.0.1:7000"#]],
    );
    let leaving = [endpoint("not", 1, "here", not), endpoint("draining", 2, "here", draining)];
    check(&web, &[slice_of("web", "s", &leaving)], &["draining"], expect!["default/draining here"]);
    let twice = [slice_of("web", "s", &mixed), slice_of("web", "t", &mixed)];
    check(&web, &twice, &[], expect![[r#"default/ready as "ready:8080" by 10.1.0.1:7000"#]]);
    let unknown = [endpoint("a", 0, "nowhere", json!({})), endpoint("outside", 1, "", json!({}))];
    check(&web, &[slice_of("web", "s", &unknown)], &[], expect!["default/outside at 10.0.0.2:8080"]);
    // Addresses are a node's own: two nodes may have the same.
    let same = [endpoint("near", 0, "here", json!({})), endpoint("far", 0, "there", json!({}))];
    check(
        &web,
        &[slice_of("web", "s", &same)],
        &["near"],
        expect![[r#"default/near here, default/far as "far:8080" by 10.1.0.1:7000"#]],
    );
}

#[test]
fn named_ports_lead_where_the_slice_says() {
    let mut rules = ingress("i", &[("h", &[path("/", "Prefix", "web")])]);
    rules["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] = json!({ "name": "admin" });
    let mut web = service("web");
    web["spec"]["ports"] =
        json!([{ "name": "http", "port": 80 }, { "name": "admin", "port": 81, "targetPort": "adm" }]);
    let mut pods = slice("web", &["a"]);
    pods["ports"] = json!([{ "name": "http", "port": 8080 }, { "name": "admin", "port": 9000 }]);
    let table = table(&[rules], &[web], &[pods], &["a"]);
    expect!["default/a at 10.0.0.1:9000"].assert_eq(&describe(&table));
}

#[test]
fn of_two_picked_at_random_the_less_busy_is_chosen() {
    let pods = ["a", "b", "c"];
    let table = table(
        &[ingress("i", &[("h", &[path("/", "Prefix", "web")])])],
        &[service("web")],
        &[slice("web", &pods)],
        &pods,
    );
    let route = table.find("h", "/").unwrap();
    route.endpoints()[1].begin();
    let mut chosen = [0; 3];
    for random in 0..3000u64 {
        let random = random.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let endpoint = route.choose(random).unwrap();
        chosen[route.endpoints().iter().position(|other| Arc::ptr_eq(other, endpoint)).unwrap()] += 1;
    }
    assert_eq!(chosen[1], 0, "the busy one lost every comparison");
    assert!(chosen[0] > 1000 && chosen[2] > 1000, "{chosen:?}");
}

#[test]
fn what_cannot_be_reached_is_chosen_only_where_nothing_can() {
    let peers = Peers::from(
        ["a", "b", "c"].map(|node| (node.into(), Peer::new(node.into(), "10.1.0.1:7000".parse().unwrap()))),
    );
    let pods = ["a", "b", "c"].map(|name| endpoint(name, 0, name, json!({})));
    let table = build_routes(
        &[IngressView::from_json(&ingress("i", &[("h", &[path("/", "Prefix", "web")])])).unwrap()],
        &[ServiceView::from_json(&service("web")).unwrap()],
        &[SliceView::from_json(&slice_of("web", "s", &pods)).unwrap()],
        &Here::default(),
        "here",
        &peers,
    );
    let route = table.find("h", "/").unwrap();
    let check = |down: &[&str], expected: Expect| {
        peers.iter().for_each(|(node, peer)| peer.set_down(down.contains(&&**node)));
        let chosen: std::collections::BTreeSet<_> = (0..1000u64)
            .map(|random| &*route.choose(random.wrapping_mul(0x9e37_79b9_7f4a_7c15)).unwrap().pod)
            .collect();
        expected.assert_eq(&Vec::from_iter(chosen).join(" "));
    };
    check(&[], expect!["default/a default/b default/c"]);
    check(&["b"], expect!["default/a default/c"]);
    check(&["a", "b"], expect!["default/c"]);
    check(&["a", "b", "c"], expect!["default/a default/b default/c"]);
}

/// What pods of the namespace `default` call by these names.
fn check_called(table: &RoutingTable, names: &[(&str, u16)], expected: Expect) {
    let lines: Vec<_> = names
        .iter()
        .map(|(host, port)| match table.find_service("default", host, *port) {
            Called::Service(route) => format!("{host}:{port} -> {}, {}", route.backend.service, route.endpoints.len()),
            Called::Nothing(why) => format!("{host}:{port} -> {why}"),
            Called::Elsewhere => format!("{host}:{port} -> elsewhere"),
        })
        .collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn pods_call_services_by_their_names_and_addresses() {
    let mut other = service("web");
    other["metadata"]["namespace"] = json!("shop");
    other["spec"]["clusterIP"] = json!("10.96.0.7");
    let table = table(&[], &[service("web"), other], &[slice("web", &["a", "b"])], &["a"]);
    check_called(
        &table,
        &[
            ("web", 80),
            ("WEB", 80),
            ("web.", 80),
            ("web", 81),
            ("web.default", 80),
            ("web.shop", 80),
            ("web.shop.svc", 80),
            ("web.shop.svc.cluster.local", 80),
            ("10.96.0.7", 80),
            ("10.96.0.8", 80),
            ("[::1]", 80),
            ("localhost", 80),
            ("example.com", 443),
            ("api.example.com", 443),
            ("nothing.shop.svc", 80),
            ("a.b.svc.cluster.local", 80),
            ("", 80),
        ],
        expect![[r#"
            web:80 -> default/web, 2
            WEB:80 -> default/web, 2
            web.:80 -> default/web, 2
            web:81 -> there is no port 81 in Service web.default
            web.default:80 -> default/web, 2
            web.shop:80 -> shop/web, 0
            web.shop.svc:80 -> shop/web, 0
            web.shop.svc.cluster.local:80 -> shop/web, 0
            10.96.0.7:80 -> shop/web, 0
            10.96.0.8:80 -> elsewhere
            [::1]:80 -> elsewhere
            localhost:80 -> elsewhere
            example.com:443 -> elsewhere
            api.example.com:443 -> elsewhere
            nothing.shop.svc:80 -> there is no Service nothing.shop
            a.b.svc.cluster.local:80 -> there is no Service a.b
            :80 -> elsewhere"#]],
    );
}

#[test]
fn another_is_looked_for_on_hosts_that_were_not_asked_first() {
    let on = |name: &str, index, node: &str| endpoint(name, index, node, json!({}));
    let pods = [on("a", 0, "there"), on("b", 1, "there"), on("c", 2, "here")];
    let rules = [ingress("i", &[("h", &[path("/", "Prefix", "web")])])];
    let table = table(&rules, &[service("web")], &[slice_of("web", "s", &pods)], &["c"]);
    let route = table.find("h", "/").unwrap();
    for random in 0..10 {
        let mut tried: Vec<_> = route.endpoints()[..1].to_vec();
        let mut order = Vec::new();
        while let Some(next) = route.choose_other(random, &tried) {
            order.push(next.pod.to_string());
            tried.push(next.clone());
        }
        assert_eq!(order, ["default/c", "default/b"]);
    }
}
