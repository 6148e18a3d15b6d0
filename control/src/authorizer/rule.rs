//! One rule of a role: what it allows, and whether others cover it.
//!
//! Deliberately absent: rules that take something away. There are none in Kubernetes.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Attributes, Subject};

const ALL: &str = "*";

/// A rule of a Role or ClusterRole: verbs on resources, or on paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyRule {
    /// The verbs; `*` is any.
    #[serde(deserialize_with = "null_is_empty")]
    pub verbs: Vec<String>,
    /// The API groups; `*` is any.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// The resources: `pods`, `pods/log`, `*/scale`, `*`.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// The names of the only objects meant; none means all.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// The paths; a `*` at the end stands for any rest.
    #[serde(rename = "nonResourceURLs", deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

fn null_is_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl PolicyRule {
    /// The rules that allow everything.
    pub fn everything() -> [PolicyRule; 2] {
        let all = || vec![ALL.to_owned()];
        [
            PolicyRule { verbs: all(), api_groups: all(), resources: all(), ..PolicyRule::default() },
            PolicyRule { verbs: all(), non_resource_urls: all(), ..PolicyRule::default() },
        ]
    }

    /// The rules of a role; what can't be read allows nothing.
    pub fn list(rules: &[Value]) -> Vec<PolicyRule> {
        rules.iter().filter_map(|rule| PolicyRule::deserialize(rule).ok()).collect()
    }

    /// The rule as JSON.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("invariant: a rule is plain data")
    }

    /// Whether the rule allows what somebody wants to do.
    pub fn allows(&self, attributes: &Attributes<'_>) -> bool {
        if !has(&self.verbs, attributes.verb) {
            return false;
        }
        match attributes.subject {
            Subject::Path(path) => self.non_resource_urls.iter().any(|pattern| covers_path(pattern, path)),
            Subject::Resource { group, resource, subresource, name, fields, .. } => {
                // A list or watch of one name is about that name.
                let name = name.or_else(|| fields.and_then(|fields| fields.equals("metadata.name")));
                has(&self.api_groups, group)
                    && self.resources.iter().any(|pattern| covers_resource(pattern, resource, subresource))
                    && (self.resource_names.is_empty()
                        || name.is_some_and(|name| self.resource_names.iter().any(|own| own == name)))
            }
        }
    }

    /// What `wanted` allows beyond `held`, in rules of one verb, group and resource, or path, each.
    pub fn uncovered(held: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
        let parts = wanted.iter().flat_map(PolicyRule::parts);
        parts.filter(|part| !held.iter().any(|rule| rule.covers(part))).collect()
    }

    /// The rules as Kubernetes prints them, those that differ in their verbs only as one, sorted.
    pub fn describe(rules: Vec<PolicyRule>) -> BTreeSet<String> {
        let mut merged: Vec<PolicyRule> = Vec::new();
        for rule in rules {
            let same = |other: &&mut PolicyRule| {
                rule.non_resource_urls.is_empty()
                    && (&rule.api_groups, &rule.resources, &rule.resource_names)
                        == (&other.api_groups, &other.resources, &other.resource_names)
            };
            match merged.iter_mut().find(same) {
                Some(other) => other.verbs.extend(rule.verbs),
                None => merged.push(rule),
            }
        }
        merged.iter().map(PolicyRule::text).collect()
    }

    /// `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}`.
    fn text(&self) -> String {
        let fields = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let fields = fields.into_iter().filter(|(_, values)| !values.is_empty());
        let fields: Vec<String> = fields.map(|(name, values)| format!("{name}:{}", print_list(values))).collect();
        format!("{{{}}}", fields.join(", "))
    }

    /// The rule in pieces of one verb, group, resource and name, or verb and path, each.
    fn parts(&self) -> Vec<PolicyRule> {
        let one = |text: &String| vec![text.clone()];
        let mut parts = Vec::new();
        for verb in &self.verbs {
            for url in &self.non_resource_urls {
                let part = PolicyRule { verbs: one(verb), non_resource_urls: one(url), ..PolicyRule::default() };
                parts.push(part);
            }
            for group in &self.api_groups {
                for resource in &self.resources {
                    let part = PolicyRule {
                        verbs: one(verb),
                        api_groups: one(group),
                        resources: one(resource),
                        ..PolicyRule::default()
                    };
                    if self.resource_names.is_empty() {
                        parts.push(part.clone());
                    }
                    let named = self.resource_names.iter();
                    parts.extend(named.map(|name| PolicyRule { resource_names: one(name), ..part.clone() }));
                }
            }
        }
        parts
    }

    /// Whether this rule alone allows all that a part does.
    fn covers(&self, part: &PolicyRule) -> bool {
        let covers_resources = part.resources.iter().all(|wanted| {
            let (resource, subresource) = match wanted.split_once('/') {
                Some((resource, subresource)) => (resource, Some(subresource)),
                None => (wanted.as_str(), None),
            };
            self.resources.iter().any(|pattern| covers_resource(pattern, resource, subresource))
        });
        let covers_names = self.resource_names.is_empty()
            || (!part.resource_names.is_empty()
                && part.resource_names.iter().all(|name| self.resource_names.contains(name)));
        let covers_paths = part
            .non_resource_urls
            .iter()
            .all(|wanted| self.non_resource_urls.iter().any(|pattern| covers_path(pattern, wanted)));
        part.verbs.iter().all(|verb| has(&self.verbs, verb))
            && part.api_groups.iter().all(|group| has(&self.api_groups, group))
            && covers_resources
            && covers_names
            && covers_paths
    }
}

/// `["a" "b"]`, as Go prints a list of strings.
pub(super) fn print_list(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

fn has(values: &[String], wanted: &str) -> bool {
    values.iter().any(|value| value == ALL || value == wanted)
}

fn covers_resource(pattern: &str, resource: &str, subresource: Option<&str>) -> bool {
    if pattern == ALL {
        return true;
    }
    match (pattern.split_once('/'), subresource) {
        (None, None) => pattern == resource,
        (Some((of, part)), Some(subresource)) => (of == ALL || of == resource) && part == subresource,
        _ => false,
    }
}

fn covers_path(pattern: &str, path: &str) -> bool {
    pattern == path || pattern.strip_suffix('*').is_some_and(|start| path.starts_with(start))
}

#[cfg(test)]
mod tests;
