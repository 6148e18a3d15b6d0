//! Which writes a policy, or a binding of one, is for.

use coracle_api::kind::Kind;
use coracle_api::kinds::{NAMESPACE, VALIDATING_ADMISSION_POLICY, VALIDATING_ADMISSION_POLICY_BINDING};
use coracle_api::object;
use coracle_api::selector::LabelSelector;
use coracle_store::Snapshot;
use serde_json::Value;

use super::Operation;
use crate::objects::decode_record;

/// Policies can't lock out those who would change them.
pub(super) fn is_exempt(kind: &Kind) -> bool {
    *kind == VALIDATING_ADMISSION_POLICY || *kind == VALIDATING_ADMISSION_POLICY_BINDING
}

/// A `MatchResources`, read.
#[derive(Debug)]
pub(super) struct MatchResources {
    rules: Vec<Rule>,
    excluded: Vec<Rule>,
    namespaces: LabelSelector,
    objects: LabelSelector,
    /// Whether rules mean only the versions they name, and not what is the same object in another version.
    is_exact: bool,
}

#[derive(Debug)]
struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    /// `pods`, `pods/status`, `pods/*`, `*/scale`, `*`, `*/*`
    resources: Vec<String>,
    /// Empty for any.
    names: Vec<String>,
    scope: String,
}

impl MatchResources {
    pub(super) fn read(resources: &Value) -> MatchResources {
        let rules = |field: &str| object::list_at(resources, &[field]).iter().map(Rule::read).collect();
        // What can't be read matches nothing; the kind's validation keeps it out.
        let selector = |field: &str| match resources.get(field).filter(|selector| selector.is_object()) {
            Some(selector) => LabelSelector::from_value(selector).unwrap_or_else(|_| LabelSelector::nothing()),
            None => LabelSelector::everything(),
        };
        MatchResources {
            rules: rules("resourceRules"),
            excluded: rules("excludeResourceRules"),
            namespaces: selector("namespaceSelector"),
            objects: selector("objectSelector"),
            is_exact: object::str_at(resources, &["matchPolicy"]) == Some("Exact"),
        }
    }

    /// The kind, in the version that is meant, of a write that it is for. `others` are the versions that the kind has besides. Without
    /// rules, as a binding may be, it is for whatever the policy is for.
    pub(super) fn matches(
        &self,
        operation: &Operation<'_>,
        others: &[&'static Kind],
        snapshot: &Snapshot,
    ) -> Option<&'static Kind> {
        let others = if self.is_exact { &[] } else { others };
        let meant = |rules: &[Rule]| {
            let mut kinds = [operation.kind].into_iter().chain(others.iter().copied());
            kinds.find(|kind| rules.iter().any(|rule| rule.matches(operation, kind)))
        };
        let kind = if self.rules.is_empty() { Some(operation.kind) } else { meant(&self.rules) };
        let is_selected = meant(&self.excluded).is_none()
            && self.selects_object(operation)
            && self.selects_namespace(operation, snapshot);
        kind.filter(|_| is_selected)
    }

    fn selects_object(&self, operation: &Operation<'_>) -> bool {
        let objects = [operation.object, operation.old];
        self.objects.is_everything()
            || objects.into_iter().any(|object| object.is_object() && self.objects.matches(object))
    }

    /// A Namespace is looked at itself; what is in no namespace matches any selector.
    fn selects_namespace(&self, operation: &Operation<'_>, snapshot: &Snapshot) -> bool {
        if self.namespaces.is_everything() {
            return true;
        }
        if *operation.kind == NAMESPACE && operation.subresource.is_empty() {
            let object = if operation.object.is_object() { operation.object } else { operation.old };
            return self.namespaces.matches(object);
        }
        let Some(namespace) = operation.namespace else { return *operation.kind != NAMESPACE };
        let record = snapshot.get(&NAMESPACE.key(None, namespace));
        record.is_some_and(|record| self.namespaces.matches(&decode_record(&record)))
    }
}

impl Rule {
    fn read(rule: &Value) -> Rule {
        let texts = |field: &str| {
            let texts = object::list_at(rule, &[field]).iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        Rule {
            operations: texts("operations"),
            groups: texts("apiGroups"),
            versions: texts("apiVersions"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            scope: object::str_at(rule, &["scope"]).unwrap_or("*").to_owned(),
        }
    }

    /// Whether it is for a write to a kind in this version.
    fn matches(&self, operation: &Operation<'_>, kind: &Kind) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|found| found == "*" || found == wanted);
        // A Namespace is in itself, but no namespaced object.
        let is_in_scope = match self.scope.as_str() {
            "Cluster" => !kind.namespaced,
            "Namespaced" => kind.namespaced,
            _ => true,
        };
        is_in_scope
            && has(&self.operations, operation.verb)
            && has(&self.groups, kind.group)
            && has(&self.versions, kind.version)
            && (self.names.is_empty() || self.names.iter().any(|name| name == operation.name))
            && self.resources.iter().any(|found| is_resource(found, kind.plural, operation.subresource))
    }
}

/// Whether `pods/*` is what a rule says of a resource and its part.
fn is_resource(rule: &str, resource: &str, subresource: &str) -> bool {
    let (wanted, part) = rule.split_once('/').unwrap_or((rule, ""));
    let is_part = part == "*" || part == subresource;
    (wanted == "*" || wanted == resource) && is_part
}
