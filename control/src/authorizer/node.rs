//! What a host may do: report on itself and its own pods, and read what those pods need.

use coracle_api::kinds::POD;
use coracle_store::Snapshot;

use super::{Attributes, Subject};

/// Resources a host reads, to start its pods and to route to others.
const READ: &[(&str, &str)] = &[
    ("", "configmaps"),
    ("", "namespaces"),
    ("", "secrets"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("discovery.k8s.io", "endpointslices"),
    ("networking.k8s.io", "ingresses"),
];

pub(super) fn allows(node: &str, attributes: &Attributes<'_>, snapshot: &Snapshot) -> bool {
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
    snapshot.get(&POD.key(namespace, name)).is_some_and(|record| record.tags.iter().any(|found| found.as_str() == tag))
}
