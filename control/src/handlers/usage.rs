//! `metrics.k8s.io`: what pods and nodes use of processor and memory, as their hosts say when they are asked.
//!
//! Deliberately absent: history, and watches; who wants either asks again. Hosts that don't answer in time are left out, as are pods that
//! have no containers running.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use axum::response::Response;
use coracle_api::kind::Kind;
use coracle_api::kinds::POD;
use coracle_api::object;
use coracle_api::status::{self, Status};
use futures::StreamExt as _;
use futures::stream;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::selection::Selection;
use super::{Call, host};
use crate::authorizer::{Attributes, Subject};
use crate::objects::decode_record;
use crate::request::Usage;
use crate::respond;

pub(crate) const GROUP: &str = "metrics.k8s.io";
pub(crate) const VERSION: &str = "v1beta1";
/// How long one host may take.
const HOST_TIMEOUT: Duration = Duration::from_secs(2);
/// Hosts asked at a time.
const HOSTS_AT_ONCE_MAX: usize = 64;

/// Answers a GET of one or of all.
pub(super) async fn usage(call: &Call, asked: &Usage) -> Result<Response, Status> {
    let (kind, name) = (asked.kind, asked.name.as_deref());
    let verb = if name.is_some() { "get" } else { "list" };
    let subject = Subject::Resource {
        group: GROUP,
        resource: kind.plural,
        subresource: None,
        namespace: asked.namespace.as_deref(),
        name,
        fields: None,
    };
    call.app.authorize(&Attributes { user: &call.user, verb, subject }, None)?;
    if call.method != Method::GET || call.query.is_watch() {
        return Err(status::method_not_allowed());
    }
    let accepted = respond::negotiate(&call.headers)?;
    let objects = selected(call, asked)?;
    let items = match *kind == POD {
        true => of_pods(call, &objects).await,
        false => of_nodes(call, &objects).await,
    };
    let body = match name {
        None => json!({
            "kind": format!("{}MetricsList", kind.kind), "apiVersion": format!("{GROUP}/{VERSION}"), "metadata": {}, "items": items,
        }),
        Some(name) => items.into_iter().next().ok_or_else(|| not_there(kind, name))?,
    };
    Ok(respond::encoded(StatusCode::OK, accepted.encoding, &body))
}

/// Kubernetes' words for what there are no figures of.
fn not_there(kind: &Kind, name: &str) -> Status {
    let mut status = status::not_found(kind, name);
    let resource = format!("{}metrics", kind.singular);
    status.message = format!("{resource}.{GROUP} {name:?} not found");
    status
}

/// The pods or nodes that are asked about.
fn selected(call: &Call, asked: &Usage) -> Result<Vec<Value>, Status> {
    let kind = asked.kind;
    let selection = Selection::new(kind, call.query.labels()?, call.query.fields(kind)?);
    let snapshot = call.app.objects.store().snapshot();
    let prefix = kind.prefix(asked.namespace.as_deref());
    if let Some(name) = &asked.name {
        let found = snapshot.get(&kind.key(asked.namespace.as_deref(), name));
        return found.map(|record| vec![decode_record(&record)]).ok_or_else(|| not_there(kind, name));
    }
    let selected = snapshot.range(&prefix, None).filter(|record| selection.matches(record));
    Ok(selected.map(|record| decode_record(record)).collect())
}

async fn of_pods(call: &Call, pods: &[Value]) -> Vec<Value> {
    let node = |pod| object::str_at(pod, &["spec", "nodeName"]).filter(|node| !node.is_empty());
    let nodes: BTreeSet<&str> = pods.iter().filter_map(node).collect();
    let answers = ask(call, nodes).await;
    let mut found = HashMap::new();
    for answer in answers.values() {
        for pod in object::list_at(answer, &["pods"]) {
            let text = |field| object::str_at(pod, &[field]).unwrap_or_default();
            found.insert((text("namespace"), text("name")), (answer, pod));
        }
    }
    let of_pod = |pod: &Value| {
        let (answer, used) = found.get(&(object::namespace(pod).unwrap_or_default(), object::name(pod)))?;
        let containers = object::list_at(used, &["containers"]).iter();
        let containers = containers.map(|container| json!({ "name": container["name"], "usage": amounts(container) }));
        let mut item = item("PodMetrics", pod, answer);
        item["containers"] = containers.collect();
        Some(item)
    };
    pods.iter().filter_map(of_pod).collect()
}

async fn of_nodes(call: &Call, nodes: &[Value]) -> Vec<Value> {
    let answers = ask(call, nodes.iter().map(object::name).collect()).await;
    let of_node = |node: &Value| {
        let answer = answers.get(object::name(node))?;
        let mut item = item("NodeMetrics", node, answer);
        item["usage"] = amounts(&answer["node"]);
        Some(item)
    };
    nodes.iter().filter_map(of_node).collect()
}

/// What the hosts say that have something to say.
async fn ask(call: &Call, nodes: BTreeSet<&str>) -> HashMap<String, Value> {
    let ask_one = async |node: &str| {
        let answer = tokio::time::timeout(HOST_TIMEOUT, async {
            let answer = host::get(call, node, "usage").await.ok()?;
            let is_good = answer.status().is_success();
            answer.json::<Value>().await.ok().filter(|_| is_good)
        });
        let answer = answer.await.ok().flatten().filter(|answer| answer["timestamp"].is_string());
        if answer.is_none() {
            tracing::debug!(node, "a host does not say what its pods use");
        }
        Some((node.to_owned(), answer?))
    };
    stream::iter(nodes).map(ask_one).buffer_unordered(HOSTS_AT_ONCE_MAX).filter_map(std::future::ready).collect().await
}

/// An answer's item without its figures.
fn item(kind: &str, about: &Value, answer: &Value) -> Value {
    let mut metadata = json!({ "name": object::name(about), "creationTimestamp": answer["timestamp"] });
    if let Some(namespace) = object::namespace(about) {
        metadata["namespace"] = namespace.into();
    }
    if let Some(labels) = object::get(about, &["metadata", "labels"]) {
        metadata["labels"] = labels.clone();
    }
    let window = format!("{}s", answer["windowMs"].as_f64().unwrap_or_default() / 1000.0);
    json!({
        "kind": kind, "apiVersion": format!("{GROUP}/{VERSION}"), "metadata": metadata,
        "timestamp": answer["timestamp"], "window": window,
    })
}

/// Quantities, as the metrics server writes them.
fn amounts(used: &Value) -> Value {
    let number = |field: &str| used[field].as_u64().unwrap_or_default();
    json!({ "cpu": format!("{}n", number("cpuNanoCores")), "memory": format!("{}Ki", number("memoryBytes") / 1024) })
}
