//! Arguments, environment variables and configuration of a container, resolved as Kubernetes does; pure, the objects they come from are handed in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::template::{ContainerTemplate, EnvEntry, PodField, Resource, ResourceField, Source, SourceKind};
use crate::runtime::PodIdentity;

/// The values of a ConfigMap or Secret; `None` when there is no such object.
pub type Values = Option<BTreeMap<String, String>>;

/// What is known of the pod's surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The pod.
    pub pod: &'a PodIdentity,
    /// Its node's name.
    pub node_name: &'a str,
    /// Its node's address.
    pub host_ip: &'a str,
    /// What its node has for pods.
    pub allocatable: Allocatable,
}

/// What a node has for pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocatable {
    /// Thousandths of a core.
    pub cpu_millis: i64,
    /// Memory.
    pub memory_bytes: i64,
    /// Space on disk.
    pub disk_bytes: i64,
}

/// Why a container's environment cannot be had; the text is Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// The object does not exist.
    #[error("{kind} {name:?} not found")]
    NotFound {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The object has no such key.
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey {
        /// The key.
        key: String,
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// What a container is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Variables, in order.
    pub env: Vec<(String, String)>,
    /// Arguments.
    pub args: Vec<String>,
    /// Configuration; `None` where none is declared.
    pub config: Option<BTreeMap<String, String>>,
}

/// Which objects a container's variables and configuration come from.
pub fn sources(container: &ContainerTemplate) -> BTreeSet<(SourceKind, String)> {
    let of_env = container.env.iter().filter_map(|entry| match entry {
        EnvEntry::Key { source, .. } | EnvEntry::All { source, .. } => Some(source),
        EnvEntry::Value { .. } | EnvEntry::Field { .. } => None,
    });
    of_env.chain(&container.config).map(|source| (source.kind, source.name.clone())).collect()
}

/// The variables in order, the arguments and the configuration; a later variable or key replaces an earlier one of the same name.
pub fn resolve(
    container: &ContainerTemplate,
    around: Surroundings<'_>,
    objects: &BTreeMap<(SourceKind, String), Values>,
) -> Result<Resolved, EnvironmentError> {
    let mut env = Variables::default();
    for entry in &container.env {
        match entry {
            EnvEntry::Value { name, value } => {
                let value = expand(value, |name| env.get(name));
                env.set(name.clone(), value);
            }
            EnvEntry::Field { name, field } => env.set(name.clone(), field_value(field, around)),
            EnvEntry::Key { name, source, key } => {
                if let Some(value) = lookup(source, key, around, objects)? {
                    env.set(name.clone(), value);
                }
            }
            EnvEntry::All { source, prefix } => {
                for (key, value) in object(source, objects)?.into_iter().flatten() {
                    env.set(format!("{prefix}{key}"), value.clone());
                }
            }
        }
    }
    let args = container.args.iter().map(|arg| expand(arg, |name| env.get(name))).collect();
    Ok(Resolved { env: env.list, args, config: config(container, objects)? })
}

fn config(
    container: &ContainerTemplate,
    objects: &BTreeMap<(SourceKind, String), Values>,
) -> Result<Option<BTreeMap<String, String>>, EnvironmentError> {
    if container.config.is_empty() {
        return Ok(None);
    }
    let mut entries = BTreeMap::new();
    for source in &container.config {
        entries.extend(object(source, objects)?.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
    }
    Ok(Some(entries))
}

#[derive(Default)]
struct Variables {
    list: Vec<(String, String)>,
    index: HashMap<String, usize>,
}

impl Variables {
    fn get(&self, name: &str) -> Option<&str> {
        self.index.get(name).map(|index| self.list[*index].1.as_str())
    }

    fn set(&mut self, name: String, value: String) {
        match self.index.get(&name) {
            Some(index) => self.list[*index].1 = value,
            None => {
                self.index.insert(name.clone(), self.list.len());
                self.list.push((name, value));
            }
        }
    }
}

/// A field of the pod as text.
pub(crate) fn field_value(field: &PodField, around: Surroundings<'_>) -> String {
    match field {
        PodField::Name => around.pod.name.clone(),
        PodField::Namespace => around.pod.namespace.clone(),
        PodField::Uid => around.pod.uid.clone(),
        PodField::PodIp => around.pod.ip.clone(),
        PodField::HostIp => around.host_ip.to_owned(),
        PodField::NodeName => around.node_name.to_owned(),
        PodField::ServiceAccountName(text) | PodField::Text(text) => text.clone(),
        PodField::Resource(field) => resource_value(field, around.allocatable).to_string(),
    }
}

fn resource_value(field: &ResourceField, allocatable: Allocatable) -> i64 {
    let whole = || match field.resource {
        Resource::Cpu => allocatable.cpu_millis,
        Resource::Memory => allocatable.memory_bytes,
        Resource::EphemeralStorage => allocatable.disk_bytes,
    };
    let (amount, divisor) = (field.amount.unwrap_or_else(whole), field.divisor.max(1));
    amount / divisor + i64::from(amount % divisor > 0)
}

fn object<'a>(
    source: &Source,
    objects: &'a BTreeMap<(SourceKind, String), Values>,
) -> Result<Option<&'a BTreeMap<String, String>>, EnvironmentError> {
    match objects.get(&(source.kind, source.name.clone())) {
        Some(Some(values)) => Ok(Some(values)),
        _ if source.is_optional => Ok(None),
        _ => {
            let kind = match source.kind {
                SourceKind::ConfigMap => "configmap",
                SourceKind::Secret => "secret",
            };
            Err(EnvironmentError::NotFound { kind, name: source.name.clone() })
        }
    }
}

fn lookup(
    source: &Source,
    key: &str,
    around: Surroundings<'_>,
    objects: &BTreeMap<(SourceKind, String), Values>,
) -> Result<Option<String>, EnvironmentError> {
    let Some(values) = object(source, objects)? else { return Ok(None) };
    match values.get(key) {
        Some(value) => Ok(Some(value.clone())),
        None if source.is_optional => Ok(None),
        None => {
            let kind = match source.kind {
                SourceKind::ConfigMap => "ConfigMap",
                SourceKind::Secret => "Secret",
            };
            let (namespace, name) = (around.pod.namespace.clone(), source.name.clone());
            Err(EnvironmentError::NoKey { key: key.to_owned(), kind, namespace, name })
        }
    }
}

/// Replaces `$(VAR)` by its value; an unknown one stays as it is, and `$$` is a dollar sign.
fn expand<'a>(text: &str, get: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match get(name) {
                Some(value) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

/// Replaces each `$(VAR)` by its value; gives the name of one that there isn't.
pub(crate) fn expand_all(text: &str, env: &[(String, String)]) -> Result<String, String> {
    let missing = std::cell::RefCell::new(None);
    let expanded = expand(text, |name| {
        let value = env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        if value.is_none() {
            missing.borrow_mut().get_or_insert_with(|| name.to_owned());
        }
        value
    });
    missing.into_inner().map_or(Ok(expanded), Err)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::{Value, json};

    use super::*;

    fn check(container: Value, expected: Expect) {
        check_annotated(json!({}), container, expected);
    }

    fn check_annotated(annotations: Value, container: Value, expected: Expect) {
        let pod = json!({
            "metadata": {"name": "web-1", "namespace": "team", "uid": "u1", "labels": {"app": "web"}, "annotations": annotations},
            "spec": {"containers": [container]}
        });
        let spec = crate::pod::parse::spec(&pod);
        let template = &spec.template.containers[0];
        let identity = PodIdentity { ip: "127.64.0.1".to_owned(), ..spec.identity.clone() };
        let around = Surroundings {
            pod: &identity,
            node_name: "h1",
            host_ip: "127.0.0.1",
            allocatable: Allocatable { cpu_millis: 4000, memory_bytes: 1 << 30, disk_bytes: 0 },
        };
        let values =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let objects = BTreeMap::from([
            ((SourceKind::ConfigMap, "conf".to_owned()), Some(values(&[("a", "1"), ("b", "2")]))),
            ((SourceKind::ConfigMap, "more".to_owned()), Some(values(&[("b", "3"), ("c.d", "4")]))),
            ((SourceKind::Secret, "gone".to_owned()), None),
        ]);
        let text = match (&template.refusal, resolve(template, around, &objects)) {
            (Some(refusal), _) => format!("refused: {}: {}", refusal.reason, refusal.message),
            (None, Ok(Resolved { env, args, config: None })) => format!("{env:?} {args:?}"),
            (None, Ok(Resolved { config: Some(config), .. })) => format!("{config:?}"),
            (None, Err(error)) => format!("error: {error}"),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn values_and_arguments_are_expanded() {
        check(
            json!({"command": ["serve"], "args": ["--at=$(WHERE)", "$(NOPE)", "$$(WHERE)", "5$"],
                "env": [{"name": "WHERE", "value": "x"}, {"name": "SEE", "value": "$(WHERE)/$(LATER)"}, {"name": "LATER", "value": "y"}]}),
            expect![[
                r#"[("WHERE", "x"), ("SEE", "x/$(LATER)"), ("LATER", "y")] ["serve", "--at=x", "$(NOPE)", "$(WHERE)", "5$"]"#
            ]],
        );
    }

    #[test]
    fn fields_of_the_pod() {
        let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
        check(
            json!({"env": [field("N", "metadata.name"), field("NS", "metadata.namespace"), field("U", "metadata.uid"),
                field("IP", "status.podIP"), field("H", "spec.nodeName"), field("A", "metadata.labels['app']")]}),
            expect![[
                r#"[("N", "web-1"), ("NS", "team"), ("U", "u1"), ("IP", "127.64.0.1"), ("H", "h1"), ("A", "web")] []"#
            ]],
        );
        check(
            json!({"env": [field("X", "spec.secretThing")]}),
            expect![[
                r#"refused: CreateContainerConfigError: env "X": valueFrom: fieldRef.fieldPath "spec.secretThing" is not supported by this host"#
            ]],
        );
    }

    #[test]
    fn requests_and_limits() {
        let amount = |name: &str, resource: &str, divisor: &str| json!({"name": name, "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": divisor}}});
        check(
            json!({"name": "main", "resources": {"requests": {"cpu": "1500m"}, "limits": {"memory": "3Mi"}}, "env": [
                amount("CPU", "requests.cpu", "0"), amount("MILLIS", "requests.cpu", "1m"), amount("MEMORY", "limits.memory", "2Mi"),
                amount("NODE", "limits.cpu", "1"), amount("NONE", "requests.memory", "1"), amount("DISK", "limits.ephemeral-storage", "1")]}),
            expect![[
                r#"[("CPU", "2"), ("MILLIS", "1500"), ("MEMORY", "2"), ("NODE", "4"), ("NONE", "0"), ("DISK", "0")] []"#
            ]],
        );
        check(
            json!({"name": "main", "env": [{"name": "X", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "containerName": "other"}}}]}),
            expect![[
                r#"refused: CreateContainerConfigError: env "X": valueFrom: resourceFieldRef "limits.memory" is not supported by this host"#
            ]],
        );
    }

    #[test]
    fn configuration_is_what_the_annotation_names() {
        let named = |names: &str| json!({"coracle.dev/config": names});
        check_annotated(named("conf, more"), json!({}), expect![[r#"{"a": "1", "b": "3", "c.d": "4"}"#]]);
        check_annotated(named("more,conf"), json!({}), expect![[r#"{"a": "1", "b": "2", "c.d": "4"}"#]]);
        check_annotated(named("conf, gone"), json!({}), expect![[r#"error: configmap "gone" not found"#]]);
        check_annotated(named(""), json!({}), expect!["[] []"]);
        check_annotated(
            named("conf, conf"),
            json!({}),
            expect![[
                r#"refused: CreateContainerConfigError: metadata.annotations[coracle.dev/config]: Invalid value: "conf, conf": "conf" is named twice"#
            ]],
        );
    }

    #[test]
    fn objects_keys_and_what_is_missing() {
        let from_map = |key: &str| json!({"name": "K", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": key}}});
        check(
            json!({"envFrom": [{"prefix": "P_", "configMapRef": {"name": "conf"}}], "env": [from_map("a")]}),
            expect![[r#"[("P_a", "1"), ("P_b", "2"), ("K", "1")] []"#]],
        );
        check(json!({"env": [from_map("zz")]}), expect!["error: couldn't find key zz in ConfigMap team/conf"]);
        check(json!({"envFrom": [{"secretRef": {"name": "gone"}}]}), expect![[r#"error: secret "gone" not found"#]]);
        check(json!({"envFrom": [{"secretRef": {"name": "gone", "optional": true}}]}), expect!["[] []"]);
    }
}
