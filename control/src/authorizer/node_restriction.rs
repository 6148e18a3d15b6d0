//! What a host may say of its own Node, beyond the right to write it: nothing that draws pods to it which were meant for others.
//!
//! Source: Kubernetes' admission plug-in `NodeRestriction`. Its rules for pods are rights here: a host creates none.

use std::collections::BTreeSet;

use coracle_api::kind::Kind;
use coracle_api::kinds::NODE;
use coracle_api::object;
use coracle_api::status::{self, Status};
use serde_json::Value;

use crate::authentication::User;

/// The labels of Kubernetes' own domains that say what a machine is.
const OWN_LABELS: &[&str] = &[
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];
/// The domains, with those below them, whose labels a host may set.
const OWN_DOMAINS: &[&str] = &["kubelet.kubernetes.io", "node.kubernetes.io"];
/// The domains, with those below them, whose other labels it may not set.
const KEPT_DOMAINS: &[&str] = &["kubernetes.io", "k8s.io"];

/// Refuses labels that say what a host is for, and changes of taints and owners, where a host writes a Node. All else passes.
pub(crate) fn check(user: &User, kind: &Kind, new: &Value, old: Option<&Value>) -> Result<(), Status> {
    let Some(node) = user.node().filter(|_| *kind == NODE) else { return Ok(()) };
    let refused = |what: String| {
        Err(status::forbidden(kind, object::name(new), &format!("node {node:?} is not allowed to {what}")))
    };
    if let Some(old) = old {
        for (path, what) in [(["spec", "taints"], "taints"), (["metadata", "ownerReferences"], "ownerReferences")] {
            if object::list_at(new, &path) != object::list_at(old, &path) {
                return refused(format!("modify {what}"));
            }
        }
    }
    let labels = |object: &Value| object::get(object, &["metadata", "labels"]).cloned().unwrap_or_default();
    let (wanted, had) = (labels(new), old.map(labels).unwrap_or_default());
    let names = [&wanted, &had].into_iter().filter_map(Value::as_object).flat_map(|labels| labels.keys());
    let kept: BTreeSet<&str> =
        names.map(String::as_str).filter(|name| wanted.get(name) != had.get(name) && is_kept(name)).collect();
    if kept.is_empty() {
        return Ok(());
    }
    let kept = kept.into_iter().collect::<Vec<_>>().join(", ");
    refused(match old {
        Some(_) => format!("modify labels: {kept}"),
        None => format!("set the following labels: {kept}"),
    })
}

/// Whether a label is for those who run the cluster to set.
fn is_kept(label: &str) -> bool {
    let Some((domain, _)) = label.split_once('/') else { return false };
    let is_in = |domains: &[&str]| {
        domains
            .iter()
            .any(|own| domain.strip_suffix(own).is_some_and(|before| before.is_empty() || before.ends_with('.')))
    };
    is_in(KEPT_DOMAINS) && !is_in(OWN_DOMAINS) && !OWN_LABELS.contains(&label)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;
    use crate::authorizer::NODES;

    fn check_node(new: Value, old: Option<Value>, expected: Expect) {
        let user = User::authenticated("system:node:a", [NODES.to_owned()]);
        let checked = check(&user, &NODE, &new, old.as_ref());
        expected.assert_eq(&checked.map_or_else(|status| status.message, |()| "let in".to_owned()));
        let admin = User::authenticated("ann", []);
        assert_eq!(check(&admin, &NODE, &new, old.as_ref()), Ok(()));
    }

    fn node(labels: Value) -> Value {
        json!({ "metadata": { "name": "a", "labels": labels } })
    }

    #[test]
    fn labels() {
        let own = json!({ "kubernetes.io/hostname": "a", "node.kubernetes.io/x": "y", "b.kubelet.kubernetes.io/x": "", "example.com/gpu": "1", "plain": "" });
        check_node(node(own.clone()), None, expect!["let in"]);
        let kept = json!({ "node-role.kubernetes.io/control-plane": "", "a.node-restriction.kubernetes.io/x": "", "k8s.io/y": "", "mykubernetes.io/z": "" });
        check_node(
            node(kept.clone()),
            None,
            expect![[
                r#"nodes "a" is forbidden: node "a" is not allowed to set the following labels: a.node-restriction.kubernetes.io/x, k8s.io/y, node-role.kubernetes.io/control-plane"#
            ]],
        );
        check_node(node(kept.clone()), Some(node(kept.clone())), expect!["let in"]);
        check_node(node(own.clone()), Some(node(json!({}))), expect!["let in"]);
        check_node(
            node(own),
            Some(node(kept)),
            expect![[
                r#"nodes "a" is forbidden: node "a" is not allowed to modify labels: a.node-restriction.kubernetes.io/x, k8s.io/y, node-role.kubernetes.io/control-plane"#
            ]],
        );
    }

    #[test]
    fn taints_and_owners() {
        let tainted =
            json!({ "metadata": { "name": "a" }, "spec": { "taints": [{ "key": "a", "effect": "NoSchedule" }] } });
        check_node(tainted.clone(), None, expect!["let in"]);
        check_node(tainted.clone(), Some(tainted.clone()), expect!["let in"]);
        check_node(
            node(json!({})),
            Some(tainted),
            expect![[r#"nodes "a" is forbidden: node "a" is not allowed to modify taints"#]],
        );
        let owned = json!({ "metadata": { "name": "a", "ownerReferences": [{ "name": "b" }] } });
        check_node(
            owned,
            Some(node(json!({}))),
            expect![[r#"nodes "a" is forbidden: node "a" is not allowed to modify ownerReferences"#]],
        );
    }
}
