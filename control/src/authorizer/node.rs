//! What a host may do: report on itself and its own pods, and read what those pods need.

use std::collections::HashMap;
use std::sync::Arc;

use coracle_api::kinds::{POD, pod};
use coracle_store::{Record, Snapshot};
use parking_lot::RwLock;
use serde_json::Value;

use super::{Attributes, Subject};

/// Resources a host reads, to start its pods and to route to others.
const READ: &[(&str, &str)] = &[
    ("", "namespaces"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("discovery.k8s.io", "endpointslices"),
    ("networking.k8s.io", "ingresses"),
];

/// Answers that are kept before all are forgotten.
const REFERENCES_MAX: usize = 100_000;

/// Which pod of a host needs an object, as it was found before: looked at first.
#[derive(Debug, Default)]
pub(super) struct References(RwLock<HashMap<String, Arc<str>>>);

pub(super) fn allows(node: &str, attributes: &Attributes<'_>, snapshot: &Snapshot, references: &References) -> bool {
    let Subject::Resource { group, resource, subresource, namespace, name, fields } = attributes.subject else {
        // Where the API servers are.
        return matches!(attributes.subject, Subject::Path("/coracle/members")) && attributes.verb == "get";
    };
    let verb = attributes.verb;
    let is_read = matches!(verb, "get" | "list" | "watch");
    let selects = |path: &str| fields.is_some_and(|fields| fields.equals(path) == Some(node));
    match (group, resource, subresource) {
        ("", "nodes", None | Some("status")) => match verb {
            "create" => name.is_none_or(|name| name == node),
            // All of them say where their hosts are reached.
            "get" | "list" | "watch" if subresource.is_none() => true,
            "get" | "update" | "patch" => name == Some(node),
            _ => false,
        },
        ("coordination.k8s.io", "leases", None) => {
            let is_own = name == Some(node) || (verb == "create" && name.is_none());
            namespace == Some("kube-node-lease") && is_own && matches!(verb, "get" | "create" | "update" | "patch")
        }
        ("", "pods", None) if matches!(verb, "list" | "watch") && name.is_none() => selects("spec.nodeName"),
        ("", "pods", None) if matches!(verb, "get" | "watch" | "delete") => is_on(node, namespace, name, snapshot),
        ("", "pods", Some("status")) if matches!(verb, "get" | "update" | "patch") => {
            is_on(node, namespace, name, snapshot)
        }
        // One by one, as Kubernetes lets its nodes: those that pods of the host refer to.
        ("", "configmaps" | "secrets", None) if is_read => {
            let named = || fields.and_then(|fields| fields.equals("metadata.name"));
            let name = if verb == "get" { name } else { name.or_else(named) };
            let kind = if resource == "secrets" { "Secret" } else { "ConfigMap" };
            references.has(node, kind, namespace, name, snapshot)
        }
        ("", "events", None) => matches!(verb, "create" | "update" | "patch"),
        // The handler gives hosts tokens for their own pods only.
        ("", "serviceaccounts", Some("token")) => verb == "create",
        ("coracle.dev", "batches", None) => verb == "create",
        (_, _, None) => is_read && READ.contains(&(group, resource)),
        _ => false,
    }
}

/// Whether a pod is assigned to the host.
fn is_on(node: &str, namespace: Option<&str>, name: Option<&str>, snapshot: &Snapshot) -> bool {
    let Some(name) = name else { return false };
    let tag = format!("spec.nodeName={node}");
    snapshot.get(&POD.key(namespace, name)).is_some_and(|record| has_tag(&record, &tag))
}

fn has_tag(record: &Record, tag: &str) -> bool {
    record.tags.iter().any(|found| found.as_str() == tag)
}

impl References {
    /// Whether a pod on the host refers to an object.
    fn has(&self, node: &str, kind: &str, namespace: Option<&str>, name: Option<&str>, snapshot: &Snapshot) -> bool {
        let (Some(namespace), Some(name)) = (namespace, name) else { return false };
        let tag = format!("spec.nodeName={node}");
        let refers = |record: &Record| has_tag(record, &tag) && refers(record, kind, name);
        let question = format!("{node}/{kind}/{namespace}/{name}");
        let known = self.0.read().get(&question).cloned();
        if known.and_then(|key| snapshot.get(&key)).is_some_and(|record| refers(&record)) {
            return true;
        }
        let prefix = POD.prefix(Some(namespace));
        let Some(found) = snapshot.range(&prefix, None).find(|record| refers(record)) else { return false };
        let mut answers = self.0.write();
        if answers.len() >= REFERENCES_MAX {
            answers.clear();
        }
        answers.insert(question, found.key.clone());
        true
    }
}

/// Whether a pod refers to an object. What doesn't hold the name at all isn't decoded.
fn refers(record: &Record, kind: &str, name: &str) -> bool {
    let quoted = format!("{name:?}");
    // One of several names, in the annotation.
    let is_listed = |json: &str| json.contains(pod::CONFIG_ANNOTATION) && json.contains(name);
    let is_named = str::from_utf8(&record.json).is_ok_and(|json| json.contains(&quoted) || is_listed(json));
    is_named && serde_json::from_slice::<Value>(&record.json).is_ok_and(|pod| pod::refers_to(&pod, kind, name))
}
