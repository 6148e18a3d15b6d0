//! What a ResourceQuota counts: shared by admission, which refuses, and by the controller, which reports.
//!
//! Deliberately absent: pods whose grace period is over and who are there still. They count until they are gone.

use std::collections::BTreeSet;

use coracle_api::kind::Kind;
use coracle_api::kinds::{self, PERSISTENT_VOLUME_CLAIM, POD, SERVICE};
use coracle_api::object;
use coracle_api::quantity::Quantity;
use serde_json::{Map, Value};

use crate::amounts::{self, Amounts};
use usage::Traits;

pub(crate) use usage::Usage;

mod usage;

/// Resources that every container of a pod must state once a quota limits them.
const STATED: &[&str] = &["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];

/// A ResourceQuota, read.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    pub(crate) name: String,
    /// The most there may be.
    pub(crate) hard: Amounts,
    scopes: Vec<Scope>,
}

/// A condition on the objects that a quota counts.
#[derive(Clone, Debug)]
struct Scope {
    name: String,
    operator: String,
    values: Vec<String>,
}

impl Quota {
    pub(crate) fn read(object: &Value) -> Quota {
        let text = |value: &Value, field| object::str_at(value, &[field]).unwrap_or_default().to_owned();
        let texts = |list: &[Value]| list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
        let plain = texts(object::list_at(object, &["spec", "scopes"])).into_iter();
        let plain = plain.map(|name| Scope { name, operator: "Exists".to_owned(), values: Vec::new() });
        let selected = object::list_at(object, &["spec", "scopeSelector", "matchExpressions"]).iter();
        let selected = selected.map(|expression| Scope {
            name: text(expression, "scopeName"),
            operator: text(expression, "operator"),
            values: texts(object::list_at(expression, &["values"])),
        });
        Quota {
            name: object::name(object).to_owned(),
            hard: amounts::read(object, &["spec", "hard"]),
            scopes: plain.chain(selected).collect(),
        }
    }

    /// The kinds whose objects it counts, apart from its scopes: built-in ones, and those of these that users define.
    pub(crate) fn kinds(&self, custom: impl IntoIterator<Item = &'static Kind>) -> Vec<&'static Kind> {
        let counts = |kind: &Kind| self.hard.keys().any(|resource| is_used_by(kind, resource));
        let mut counted: Vec<&Kind> = Vec::new();
        for kind in kinds::ALL.iter().copied().chain(custom).filter(|kind| kind.namespaced && counts(kind)) {
            // Versions of a kind share their objects.
            if counted.iter().all(|known| known.resource() != kind.resource()) {
                counted.push(kind);
            }
        }
        counted
    }

    /// What is used when there is nothing: zero of each.
    pub(crate) fn nothing(&self) -> Amounts {
        self.hard.keys().map(|resource| (resource.clone(), Quantity::ZERO)).collect()
    }

    /// What of an object's usage it counts.
    pub(crate) fn share(&self, usage: &Usage) -> Amounts {
        if !self.selects(usage) {
            return Amounts::new();
        }
        let counted = usage.amounts.iter().filter(|(resource, _)| self.hard.contains_key(*resource));
        counted.map(|(resource, quantity)| (resource.clone(), *quantity)).collect()
    }

    /// Which containers of a pod leave open what the quota limits: `limits.cpu for: a,b; memory for: b`.
    pub(crate) fn left_open(&self, pod: &Value, usage: &Usage) -> Option<String> {
        if !self.selects(usage) {
            return None;
        }
        let containers = ["containers", "initContainers"].map(|list| object::list_at(pod, &["spec", list]));
        let complaints = STATED.iter().filter(|resource| self.hard.contains_key(**resource)).filter_map(|resource| {
            let (list, name) = resource.split_once('.').unwrap_or(("requests", resource));
            let silent = containers.iter().copied().flatten();
            let silent = silent.filter(|container| object::get(container, &["resources", list, name]).is_none());
            let names: BTreeSet<&str> = silent.filter_map(|container| object::str_at(container, &["name"])).collect();
            let names: Vec<&str> = names.into_iter().collect();
            (!names.is_empty()).then(|| format!("{resource} for: {}", names.join(",")))
        });
        let complaints: Vec<String> = complaints.collect();
        (!complaints.is_empty()).then(|| complaints.join("; "))
    }

    fn selects(&self, usage: &Usage) -> bool {
        self.scopes.iter().all(|scope| scope.selects(&usage.traits))
    }
}

impl Scope {
    fn selects(&self, traits: &Traits) -> bool {
        match (self.name.as_str(), traits) {
            ("Terminating", Traits::Pod { is_terminating, .. }) => *is_terminating,
            ("NotTerminating", Traits::Pod { is_terminating, .. }) => !is_terminating,
            ("BestEffort", Traits::Pod { is_best_effort, .. }) => *is_best_effort,
            ("NotBestEffort", Traits::Pod { is_best_effort, .. }) => !is_best_effort,
            ("PriorityClass", Traits::Pod { priority_class: class, .. })
            | ("VolumeAttributesClass", Traits::Claim { attributes_class: class }) => self.selects_class(class),
            // Pods have no affinity here, so none has one to pods of other namespaces.
            _ => false,
        }
    }

    fn selects_class(&self, class: &str) -> bool {
        let is_listed = self.values.iter().any(|value| value == class);
        match self.operator.as_str() {
            "Exists" => !class.is_empty(),
            "DoesNotExist" => class.is_empty(),
            "In" => is_listed,
            "NotIn" => !is_listed,
            _ => false,
        }
    }
}

/// Whether what an object uses depends on more than that it is there.
pub(crate) fn reads_content(kind: &Kind) -> bool {
    [&POD, &SERVICE, &PERSISTENT_VOLUME_CLAIM].contains(&kind)
}

/// Amounts as a status lists them.
pub(crate) fn to_value(amounts: &Amounts) -> Value {
    let entries = amounts.iter().map(|(resource, quantity)| (resource.clone(), quantity.to_string().into()));
    Value::Object(entries.collect::<Map<String, Value>>())
}

fn is_used_by(kind: &Kind, resource: &str) -> bool {
    if resource.strip_prefix("count/").is_some_and(|counted| counted == kind.resource()) {
        return true;
    }
    match kind.kind {
        _ if !kind.group.is_empty() => false,
        "Pod" => usage::is_of_pods(resource),
        "PersistentVolumeClaim" => {
            matches!(resource, "persistentvolumeclaims" | "requests.storage") || resource.contains(usage::OF_CLASS)
        }
        "Service" => matches!(resource, "services" | "services.nodeports" | "services.loadbalancers"),
        _ => resource == kind.plural,
    }
}

#[cfg(test)]
mod tests;
