//! Answers of a real API server, of Kubernetes 1.20, lie in `api/tests/golden`: ours are the same, but for what changed until 1.36 and
//! for the differences that are listed here, each with its reason. The Tables among them are compared in `api/tests/kinds/tables.rs`.

use std::collections::BTreeMap;

use coracle_api::kinds;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::harness::{Server, config_map, deployment};

/// What a real server has, and why there is nothing of the kind here.
const DIFFERENCES: &[(&str, &str)] = &[
    ("table-networkpolicies.json", "nothing filters the traffic of pods"),
    ("api/v1 bindings", "a pod is bound through its own `binding`"),
    ("api/v1 componentstatuses", "deprecated; health is at /livez and /readyz"),
    ("api/v1 nodes/proxy", "forwards a host's figures, but is no resource that clients list"),
    ("api/v1 pods/proxy", "the ingress leads to pods"),
    ("api/v1 services/proxy", "the ingress leads to services"),
    ("apis apiregistration.k8s.io", "no servers of one's own behind this one"),
    ("apis events.k8s.io", "events are read and written as core/v1"),
    ("apis extensions", "gone since Kubernetes 1.22"),
    ("apis flowcontrol.apiserver.k8s.io", "requests have no levels of priority"),
    (
        "errors oldwatch",
        "the real server's history began earlier; here the watch ends with 410, as `watching.rs` checks",
    ),
    ("errors unauth", "no error: the list of a server that let everybody read"),
];

/// What there is here alone, or in Kubernetes comes with the metrics server, which the real server had not.
const OURS: &[&str] = &["coracle.dev", "metrics.k8s.io"];

/// Groups whose only version of 1.20 has been replaced since.
const GROWN_UP: &[&str] = &["autoscaling", "discovery.k8s.io", "policy"];

fn golden(file: &str) -> String {
    let path = format!("{}/../api/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn is_left_out(what: &str) -> bool {
    DIFFERENCES.iter().any(|(left_out, _)| *left_out == what)
}

#[test]
fn every_answer_is_compared() {
    let dir = format!("{}/../api/tests/golden", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let plural = name.strip_prefix("table-").and_then(|name| name.strip_suffix(".json"));
        let is_compared = match plural {
            Some(plural) => kinds::ALL.iter().any(|kind| kind.plural == plural),
            None => ["api-v1.json", "api.json", "apis-apps-v1.json", "apis.json", "errors.txt", "protobuf"]
                .contains(&&*name),
        };
        assert!(is_compared != is_left_out(&name), "{name}");
    }
}

/// By name: what a list of resources says of each, but for what 1.20 did not tell and hashes of where a server stores what.
fn resources(list: &Value) -> BTreeMap<String, Value> {
    let resources = list["resources"].as_array().unwrap().iter().cloned();
    let named = resources.map(|mut resource| {
        let fields = resource.as_object_mut().unwrap();
        fields.retain(|field, _| !matches!(field.as_str(), "storageVersionHash" | "singularName"));
        (resource["name"].as_str().unwrap().to_owned(), resource)
    });
    named.collect()
}

#[tokio::test]
async fn resources_are_a_real_servers() {
    let server = Server::start().await;
    for (path, file) in [("api/v1", "api-v1.json"), ("apis/apps/v1", "apis-apps-v1.json")] {
        let (_, ours) = server.json(&format!("GET /{path}"), Value::Null).await;
        let golden = parse(&golden(file));
        assert_eq!((&ours["kind"], &ours["groupVersion"]), (&golden["kind"], &golden["groupVersion"]));
        let (mut ours, theirs) = (resources(&ours), resources(&golden));
        for (name, mut golden) in theirs {
            match name.as_str() {
                "pods/eviction" => golden["version"] = "v1".into(),
                "services" => golden["verbs"].as_array_mut().unwrap().insert(2, "deletecollection".into()),
                _ => {}
            }
            let Some(ours) = ours.remove(&name) else {
                assert!(is_left_out(&format!("{path} {name}")), "{path}: {name} is missing");
                continue;
            };
            assert_eq!(ours, golden, "{path}: {name}");
        }
        // Tokens were asked for in 1.20 already, but not listed with all servers' settings.
        ours.retain(|name, _| name != "serviceaccounts/token");
        assert!(ours.is_empty(), "{path} has more: {ours:?}");
    }
}

#[tokio::test]
async fn groups_are_a_real_servers() {
    let server = Server::start().await;
    let (_, versions) = server.json("GET /api", Value::Null).await;
    let mut golden_versions = parse(&golden("api.json"));
    // A real server says at which address clients of a network find it; ours listens on one.
    golden_versions["serverAddressByClientCIDRs"] = json!([]);
    assert_eq!(versions, golden_versions);

    let (_, ours) = server.json("GET /apis", Value::Null).await;
    let golden = parse(&golden("apis.json"));
    let by_name = |list: &Value| -> BTreeMap<String, Value> {
        let groups = list["groups"].as_array().unwrap().iter().cloned();
        groups.map(|group| (group["name"].as_str().unwrap().to_owned(), group)).collect()
    };
    let mut groups = by_name(&ours);
    for (name, mut golden) in by_name(&golden) {
        let Some(ours) = groups.remove(&name) else {
            assert!(is_left_out(&format!("apis {name}")), "{name} is missing");
            continue;
        };
        if GROWN_UP.contains(&name.as_str()) {
            assert_eq!(ours["versions"].as_array().unwrap().len(), 1, "{name}");
            continue;
        }
        golden["versions"].as_array_mut().unwrap().retain(|version| version["version"] == "v1");
        assert_eq!(ours, golden);
    }
    groups.retain(|name, _| !OURS.contains(&name.as_str()));
    assert!(groups.is_empty(), "{groups:?}");
}

/// The aggregated form says what the old form says, group by group, of every resource and every part of one.
#[tokio::test]
async fn both_forms_of_discovery_agree() {
    let server = Server::start().await;
    for root in ["/api", "/apis"] {
        let accept = ("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
        let response = server.send(&format!("GET {root}"), &[accept], "").await;
        let form = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(form, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let aggregated: Value = serde_json::from_slice(&body).unwrap();
        for group in aggregated["items"].as_array().unwrap() {
            let name = group["metadata"]["name"].as_str().unwrap_or_default();
            for version in group["versions"].as_array().unwrap() {
                let path = [root, name, version["version"].as_str().unwrap()].join("/").replace("//", "/");
                let (_, old) = server.json(&format!("GET {path}"), Value::Null).await;
                assert_eq!(flattened(version, name), resources(&old), "{path}");
            }
        }
    }
}

/// The resources of an aggregated version, as the old form spells them.
fn flattened(version: &Value, group: &str) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for resource in version["resources"].as_array().unwrap() {
        let name = resource["resource"].as_str().unwrap();
        let namespaced = resource["scope"] == "Namespaced";
        let none = Vec::new();
        let parts = resource["subresources"].as_array().unwrap_or(&none);
        for part in std::iter::once(resource).chain(parts) {
            let name = part["subresource"].as_str().map_or(name.to_owned(), |part| format!("{name}/{part}"));
            let kind = &part["responseKind"];
            let mut old = json!({"name": name, "namespaced": namespaced, "kind": kind["kind"], "verbs": part["verbs"]});
            if (&kind["group"], &kind["version"]) != (&json!(group), &version["version"]) {
                old["group"] = kind["group"].clone();
                old["version"] = kind["version"].clone();
            }
            for field in ["shortNames", "categories"].into_iter().filter(|field| !part[*field].is_null()) {
                old[field] = part[field].clone();
            }
            all.insert(name, old);
        }
    }
    all
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// The requests whose answers are in `errors.txt`: the answer's name, the request, its content type, its body.
fn requests() -> Vec<(&'static str, String, &'static str, String)> {
    let apply = "application/apply-patch+yaml";
    let merge = "application/merge-patch+json";
    let json_type = "application/json";
    let mut stale = config_map("c1", "c");
    stale["metadata"]["resourceVersion"] = "1".into();
    let wrong = json!({"spec": {"replicas": -1, "selector": {"matchLabels": {"a": "b"}}}});
    let replicas =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d1"}, "spec": {"replicas": 3}});
    let precondition = json!({"preconditions": {"uid": "abc"}});
    let none = String::new;
    vec![
        ("notfound", format!("GET {DEPLOYMENTS}/zz"), "", none()),
        ("alreadyexists", format!("POST {MAPS}"), json_type, config_map("c1", "b").to_string()),
        ("conflict", format!("PUT {MAPS}/c1"), json_type, stale.to_string()),
        ("invalid", format!("PATCH {DEPLOYMENTS}/d1"), merge, wrong.to_string()),
        (
            "missing_ns",
            "POST /api/v1/namespaces/nope/configmaps".to_owned(),
            json_type,
            config_map("c", "b").to_string(),
        ),
        ("badjson", format!("POST {MAPS}"), json_type, "{".to_owned()),
        ("unsupportedmedia", format!("POST {MAPS}"), "text/plain", "x".to_owned()),
        ("unsupportedpatch", format!("PATCH {MAPS}/c1"), json_type, "{}".to_owned()),
        ("notacceptable", format!("GET {MAPS}/c1"), "accept:text/html", none()),
        ("badfieldselector", format!("GET {MAPS}?fieldSelector=data.x%3D1"), "", none()),
        ("badlabel", format!("GET {MAPS}?labelSelector=a+in"), "", none()),
        ("ssaconflict", format!("PATCH {DEPLOYMENTS}/d1?fieldManager=other"), apply, replicas.to_string()),
        ("nomgr", format!("PATCH {DEPLOYMENTS}/d1"), apply, replicas.to_string()),
        ("toolarge", format!("GET {MAPS}?resourceVersion=99999999"), "", none()),
        ("methodnotallowed", format!("POST {MAPS}/c1"), json_type, config_map("c1", "b").to_string()),
        ("badcontinue", format!("GET {MAPS}?continue=zz"), "", none()),
        ("deleted_uid_precond", format!("DELETE {MAPS}/c1"), json_type, precondition.to_string()),
    ]
}

/// The answers of `errors.txt` by name, with their codes.
fn answers() -> BTreeMap<String, (u16, Value)> {
    let text = golden("errors.txt");
    let mut answers = BTreeMap::new();
    let (mut name, mut body) = ("", String::new());
    for line in text.lines() {
        match line.strip_prefix("HTTP ") {
            Some(code) => {
                answers.insert(name.to_owned(), (code.parse().unwrap(), parse(&body)));
                (name, body) = ("", String::new());
            }
            None if name.is_empty() => name = line,
            None => body.push_str(line),
        }
    }
    answers
}

/// Takes out of a message what differs between any two servers.
fn normalised(mut status: Value) -> Value {
    let message = status["message"].as_str().unwrap_or_default();
    let mut words: Vec<String> = message.split(' ').map(str::to_owned).collect();
    for index in 1..words.len() {
        if matches!(words[index - 1].as_str(), "current:" | "record") {
            words[index] = "…".to_owned();
        }
    }
    let message = words.join(" ");
    // The words are those of each language's own decoder.
    let message = message.split_once("continue key is not valid:").map_or(message.as_str(), |(before, _)| before);
    status["message"] = message.into();
    status
}

#[tokio::test]
async fn errors_are_a_real_servers() {
    let server = Server::start().await;
    server.json(&format!("POST {MAPS}"), config_map("c1", "b")).await;
    let applied = ("content-type", "application/apply-patch+yaml");
    let line = format!("PATCH {DEPLOYMENTS}/d1?fieldManager=kubectl");
    let mut object = deployment("d1", 2);
    object["metadata"]["name"] = "d1".into();
    assert_eq!(server.text(&line, &[applied], object.to_string()).await.0, 201);
    let mut answers = answers();
    for (name, line, content_type, body) in requests() {
        let (code, golden) = answers.remove(name).unwrap_or_else(|| panic!("no answer to {name}"));
        let header = content_type.split_once(':').unwrap_or(("content-type", content_type));
        // A revision that never comes is waited for.
        if name == "toolarge" {
            tokio::time::pause();
        }
        let (our_code, ours) = server.text(&line, &[header], body).await;
        if name == "toolarge" {
            tokio::time::resume();
        }
        assert_eq!((our_code, normalised(parse(&ours))), (code, normalised(golden)), "{name}");
    }
    answers.retain(|name, _| !is_left_out(&format!("errors {name}")));
    assert!(answers.is_empty(), "not asked for: {:?}", answers.keys());
}
