//! Makes the namespaces, priority classes, roles and bindings every cluster has, and mends roles that lost something.
//!
//! Deliberately absent: taking away what somebody added to a role, and touching one that says `autoupdate: "false"`.

use std::sync::LazyLock;

use coracle_api::kind::Kind;
use coracle_api::kinds::{self, priority_class};
use coracle_api::{object, yaml};
use serde_json::{Value, json};

use super::{Outcome, delete, update};
use crate::authorizer::PolicyRule;
use crate::driver::view::Object;
use crate::driver::world::{NODE_LEASES, World};
use crate::objects::ObjectWrite;

/// The namespaces every cluster has.
pub const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", NODE_LEASES];

const GROUP: &str = "rbac.authorization.k8s.io";
/// Marks what is made here, by label.
const BOOTSTRAPPING: (&str, &str) = ("kubernetes.io/bootstrapping", "rbac-defaults");
/// Says, in an annotation, whether what is missing comes back.
const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

static ACCESS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let entries = yaml::parse_all(include_str!("bootstrap/access.yaml")).expect("invariant: parsed by a test");
    entries.iter().flat_map(|document| object::list_at(document, &["access"])).map(manifest).collect()
});

/// Makes what is missing, and mends what lost something.
pub fn reconcile(world: &World) -> Outcome {
    let mut outcome = Outcome::default();
    for name in NAMESPACES.into_iter().filter(|name| world.find(&kinds::NAMESPACE, "", name).is_none()) {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        outcome.write(ObjectWrite::Create { kind: &kinds::NAMESPACE, object });
    }
    for (name, value, description) in priority_class::SYSTEM {
        if world.find(&kinds::PRIORITY_CLASS, "", name).is_none() {
            let object = json!({
                "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
                "value": value, "description": description,
            });
            outcome.write(ObjectWrite::Create { kind: &kinds::PRIORITY_CLASS, object });
        }
    }
    for wanted in &*ACCESS {
        let kind = kind_of(wanted);
        match world.find(kind, "", object::name(wanted)) {
            None => outcome.write(ObjectWrite::Create { kind, object: wanted.clone() }),
            Some(found) => mend(found, wanted, &mut outcome),
        }
    }
    outcome
}

/// Whether an object is one of those made here.
pub fn is_bootstrapped(object: &Object) -> bool {
    let label = object.meta.labels.get(BOOTSTRAPPING.0);
    object.kind.group == GROUP && label.is_some_and(|value| **value == *BOOTSTRAPPING.1)
}

fn kind_of(manifest: &Value) -> &'static Kind {
    if object::kind(manifest) == "ClusterRole" { &kinds::CLUSTER_ROLE } else { &kinds::CLUSTER_ROLE_BINDING }
}

/// The whole object that an entry of `access.yaml` stands for.
fn manifest(entry: &Value) -> Value {
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": entry["kind"],
        "metadata": {"name": entry["name"], "annotations": {AUTO_UPDATE: "true"}},
    });
    object::set_label(&mut object, BOOTSTRAPPING.0, BOOTSTRAPPING.1);
    let aggregation = |target: &str| format!("rbac.authorization.k8s.io/aggregate-to-{target}");
    if let Some(target) = object::str_at(entry, &["aggregatesTo"]) {
        object::set_label(&mut object, &aggregation(target), "true");
    }
    if entry["kind"] == "ClusterRoleBinding" {
        let groups = object::list_at(entry, &["groups"]).iter();
        let subjects = groups.map(|name| json!({"apiGroup": GROUP, "kind": "Group", "name": name}));
        object["subjects"] = subjects.collect();
        object["roleRef"] = json!({"apiGroup": GROUP, "kind": "ClusterRole", "name": entry["name"]});
    } else if let Some(target) = object::str_at(entry, &["aggregates"]) {
        let selector = json!({"matchLabels": {aggregation(target): "true"}});
        object["aggregationRule"] = json!({"clusterRoleSelectors": [selector]});
        // The rules are the aggregation controller's matter.
        object["rules"] = Value::Null;
    } else {
        object["rules"] = entry["rules"].clone();
    }
    object
}

/// Adds back what is missing. A binding of another role is made anew: what it binds never changes.
fn mend(found: &Object, wanted: &Value, outcome: &mut Outcome) {
    let mut object = found.decode();
    if found.meta.deleting.is_some() || object::annotation(&object, AUTO_UPDATE) == Some("false") {
        return;
    }
    if wanted.get("roleRef").is_some_and(|reference| object.get("roleRef") != Some(reference)) {
        return outcome.write(delete(found));
    }
    let before = object.clone();
    for (key, value) in object::labels(wanted).filter(|(key, _)| object::label(&before, key).is_none()) {
        object::set_label(&mut object, key, value);
    }
    for (key, value) in object::annotations(wanted).filter(|(key, _)| object::annotation(&before, key).is_none()) {
        object::set_annotation(&mut object, key, value);
    }
    if let Some(aggregation) = wanted.get("aggregationRule") {
        let selectors = object::list_at(aggregation, &["clusterRoleSelectors"]);
        let missing = missing(&before, &["aggregationRule", "clusterRoleSelectors"], selectors);
        extend(object::child_mut(&mut object, "aggregationRule"), "clusterRoleSelectors", missing);
    } else if object::kind(wanted) == "ClusterRole" {
        let rules = |object| PolicyRule::list(object::list_at(object, &["rules"]));
        let missing = PolicyRule::uncovered(&rules(&before), &rules(wanted));
        let missing = missing.iter().map(PolicyRule::to_value).collect();
        extend(object.as_object_mut().expect("invariant: an object"), "rules", missing);
    } else {
        let missing = missing(&before, &["subjects"], object::list_at(wanted, &["subjects"]));
        extend(object.as_object_mut().expect("invariant: an object"), "subjects", missing);
    }
    if object != before {
        outcome.write(update(found, object));
    }
}

/// The items of `wanted` that the list at a path lacks.
fn missing(object: &Value, path: &[&str], wanted: &[Value]) -> Vec<Value> {
    let found = object::list_at(object, path);
    wanted.iter().filter(|item| !found.contains(item)).cloned().collect()
}

fn extend(object: &mut serde_json::Map<String, Value>, field: &str, items: Vec<Value>) {
    if items.is_empty() {
        return;
    }
    match object.get_mut(field) {
        Some(Value::Array(list)) => list.extend(items),
        _ => drop(object.insert(field.to_owned(), Value::Array(items))),
    }
}

#[cfg(test)]
mod tests;
