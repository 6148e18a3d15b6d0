//! What a pod says that only matters if its image turns out to be a Linux image; what can't be honoured then is refused by name.
//!
//! Deliberately absent: what is refused for every image, and what the API server refuses before a host hears of it.

use serde_json::Value;

use super::{list, text};
use crate::egress::EGRESS_ANNOTATION;
use crate::linux::spec::Security;
use crate::pod::action::Action;
use crate::pod::probe::{Checks, ProbeKind};
use crate::pod::template::LinuxTemplate;

/// Parts of the security contexts that are not honoured, each with the one value that says nothing.
const CONTEXT_FIELDS: &[&str] = &[
    "appArmorProfile",
    "fsGroup",
    "procMount",
    "seLinuxOptions",
    "seccompProfile",
    "supplementalGroupsPolicy",
    "sysctls",
    "windowsOptions",
];
/// What changes nothing where it is said.
const DEFAULTS: &[(&str, &str)] = &[("procMount", "Default"), ("supplementalGroupsPolicy", "Merge")];

/// A container, if its image is a Linux image.
pub(super) fn linux(pod: &Value, item: &Value, checks: Option<&Checks>) -> LinuxTemplate {
    let (spec, name) = (&pod["spec"], text(item, "name"));
    let contexts = [&item["securityContext"], &spec["securityContext"]];
    let first = |field: &str| contexts.iter().find_map(|context| context.get(field).filter(|value| !value.is_null()));
    let id = |field: &str| first(field).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    let is = |field: &str| first(field).and_then(Value::as_bool).unwrap_or(false);
    let numbers = |value: &Value| list(value).iter().filter_map(|id| u32::try_from(id.as_u64()?).ok()).collect();
    LinuxTemplate {
        command_words: list(&item["command"]).iter().filter(|word| word.is_string()).count(),
        working_dir: Some(text(item, "workingDir")).filter(|dir| !dir.is_empty()).map(str::to_owned),
        hostname: Some(text(spec, "hostname")).filter(|name| !name.is_empty()).map(str::to_owned),
        security: Security {
            user: id("runAsUser"),
            group: id("runAsGroup"),
            is_non_root: is("runAsNonRoot"),
            groups: numbers(&spec["securityContext"]["supplementalGroups"]),
            is_root_read_only: is("readOnlyRootFilesystem"),
            may_gain_privileges: is("allowPrivilegeEscalation"),
            dropped: list(&item["securityContext"]["capabilities"]["drop"])
                .iter()
                .filter_map(Value::as_str)
                .map(capability)
                .collect(),
        },
        refusal: refuse(pod, item, checks).map(|(field, why)| format!("container {name:?}: {field}: {why}")),
    }
}

/// `NET_RAW` is `CAP_NET_RAW` to the OCI runtime; `ALL` is all.
fn capability(name: &str) -> String {
    match name.to_ascii_uppercase() {
        name if name == "ALL" || name.starts_with("CAP_") => name,
        name => format!("CAP_{name}"),
    }
}

/// The first field that a Linux container can't have here, and why.
fn refuse(pod: &Value, item: &Value, checks: Option<&Checks>) -> Option<(String, String)> {
    let spec = &pod["spec"];
    let refusal = |field: &str, why: &str| Some((field.to_owned(), why.to_owned()));
    if list(&spec["containers"]).len() + list(&spec["initContainers"]).len() > 1 {
        return refusal(
            "spec.containers",
            "a Linux container is alone in its pod for now; put the others into pods of their own",
        );
    }
    if spec["runtimeClassName"].as_str().is_some_and(|class| !class.is_empty()) {
        return refusal("spec.runtimeClassName", "it says \"wasm\", and the image is a Linux image; leave it out");
    }
    let no_network = "Linux containers have a network of their own for now, with nothing but their loopback";
    if !list(&item["ports"]).is_empty() {
        return refusal("ports", &format!("{no_network}; leave them out"));
    }
    if let Some(field) = checks.and_then(network_check) {
        return refusal(&field, &format!("{no_network}; use exec"));
    }
    if !list(&item["volumeMounts"]).is_empty() {
        return refusal(
            "volumeMounts",
            "Linux containers have no volumes for now; pass what they need in env, or put it into the image",
        );
    }
    if item["tty"].as_bool() == Some(true) {
        return refusal("tty", "there are no terminals; leave it out");
    }
    if spec["hostUsers"].as_bool() == Some(false) {
        return refusal("spec.hostUsers", "Linux containers have no user namespaces for now; leave it out");
    }
    if text(item, "terminationMessagePolicy") == "FallbackToLogsOnError" {
        return refusal(
            "terminationMessagePolicy",
            "Linux containers leave no messages for now; leave it out, and look at the logs",
        );
    }
    for (context, path) in
        [(&item["securityContext"], "securityContext"), (&spec["securityContext"], "spec.securityContext")]
    {
        let unknown =
            CONTEXT_FIELDS.iter().find(|field| context.get(**field).is_some_and(|value| says_something(field, value)));
        if let Some(field) = unknown {
            return refusal(
                &format!("{path}.{field}"),
                "this is not supported for Linux containers by this host; leave it out",
            );
        }
    }
    if let Some(annotation) = [
        EGRESS_ANNOTATION,
        super::CONFIG_ANNOTATION,
        super::CONCURRENCY_ANNOTATION,
        super::INSTANCE_REUSE_ANNOTATION,
        super::REQUEST_TIMEOUT_ANNOTATION,
    ]
    .into_iter()
    .find(|name| coracle_api::object::annotation(pod, name).is_some())
    {
        return refusal(
            &format!("metadata.annotations[{annotation}]"),
            "this is for components, and the image is a Linux image; leave it out",
        );
    }
    let amounts =
        ["limits", "requests"].into_iter().flat_map(|list| item["resources"][list].as_object().into_iter().flatten());
    let other = amounts.map(|(name, _)| name).find(|name| !matches!(name.as_str(), "cpu" | "memory"));
    other.and_then(|name| {
        refusal(&format!("resources: {name}"), "Linux containers are held to cpu and memory only; leave it out")
    })
}

fn says_something(field: &str, value: &Value) -> bool {
    let is_default = DEFAULTS.iter().any(|(known, default)| *known == field && value.as_str() == Some(default));
    let is_empty = value.is_null()
        || value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty);
    // What there is without it.
    let is_unconfined = value["type"] == "Unconfined";
    !is_default && !is_empty && !is_unconfined
}

/// A probe or hook that would have to reach the container by its network.
fn network_check(checks: &Checks) -> Option<String> {
    let probes = ProbeKind::ALL.into_iter().filter_map(|kind| Some((kind.field(), &checks.probe(kind)?.action)));
    let hooks = [("lifecycle.postStart", &checks.post_start), ("lifecycle.preStop", &checks.pre_stop)];
    let all = probes.chain(hooks.into_iter().filter_map(|(field, hook)| Some((field, hook.as_ref()?))));
    all.filter(|(_, action)| !matches!(action, Action::Exec { .. } | Action::Sleep(_)))
        .map(|(field, action)| format!("{field}.{}", action.field()))
        .next()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use crate::pod::parse;

    /// What becomes of a container with these fields, in a pod with these.
    fn check(container: serde_json::Value, spec: serde_json::Value, expected: Expect) {
        let mut pod = json!({
            "metadata": { "name": "web-1", "namespace": "default", "uid": "u1" },
            "spec": { "containers": [{ "name": "c", "image": "i" }] },
        });
        let merge = |into: &mut serde_json::Value, from: serde_json::Value| {
            into.as_object_mut().unwrap().append(&mut from.as_object().unwrap().clone());
        };
        merge(&mut pod["spec"]["containers"][0], container);
        merge(&mut pod["spec"], spec);
        let spec = parse::spec(&pod);
        let linux = &spec.template.containers[0].linux;
        assert_eq!(spec.template.containers[0].refusal, None);
        expected.assert_eq(linux.refusal.as_ref().unwrap_or(&format!("{linux:?}")));
    }

    #[test]
    fn what_is_honoured_is_read() {
        check(
            json!({}),
            json!({}),
            expect![
                "LinuxTemplate { command_words: 0, working_dir: None, hostname: None, security: Security { user: None, group: None, is_non_root: false, groups: [], is_root_read_only: false, may_gain_privileges: false, dropped: [] }, refusal: None }"
            ],
        );
        check(
            json!({
                "command": ["a", "b"], "args": ["c"], "workingDir": "/srv", "resources": {"limits": {"cpu": "1", "memory": "1Mi"}},
                "securityContext": {
                    "runAsUser": 5, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": true, "procMount": "Default",
                    "capabilities": {"drop": ["net_raw", "CAP_KILL", "ALL"]}, "seccompProfile": {"type": "Unconfined"}
                },
                "livenessProbe": {"exec": {"command": ["true"]}}, "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}
            }),
            json!({"hostname": "h", "securityContext": {"runAsUser": 6, "runAsGroup": 7, "runAsNonRoot": true, "supplementalGroups": [8]}}),
            expect![[
                r#"LinuxTemplate { command_words: 2, working_dir: Some("/srv"), hostname: Some("h"), security: Security { user: Some(5), group: Some(7), is_non_root: true, groups: [8], is_root_read_only: true, may_gain_privileges: true, dropped: ["CAP_NET_RAW", "CAP_KILL", "ALL"] }, refusal: None }"#
            ]],
        );
    }

    #[test]
    fn what_needs_more_than_there_is_is_refused_by_name() {
        check(
            json!({"ports": [{"containerPort": 80}]}),
            json!({}),
            expect![[
                r#"container "c": ports: Linux containers have a network of their own for now, with nothing but their loopback; leave them out"#
            ]],
        );
        check(
            json!({"readinessProbe": {"tcpSocket": {"port": 80}}}),
            json!({}),
            expect![[
                r#"container "c": readinessProbe.tcpSocket: Linux containers have a network of their own for now, with nothing but their loopback; use exec"#
            ]],
        );
        check(
            json!({"lifecycle": {"postStart": {"httpGet": {"port": 80}}}}),
            json!({}),
            expect![[
                r#"container "c": lifecycle.postStart.httpGet: Linux containers have a network of their own for now, with nothing but their loopback; use exec"#
            ]],
        );
        check(
            json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
            json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
            expect![[
                r#"container "c": volumeMounts: Linux containers have no volumes for now; pass what they need in env, or put it into the image"#
            ]],
        );
        check(
            json!({"tty": true}),
            json!({}),
            expect![[r#"container "c": tty: there are no terminals; leave it out"#]],
        );
    }

    #[test]
    fn what_is_not_honoured_is_refused_by_name() {
        check(
            json!({"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}),
            json!({}),
            expect![[
                r#"container "c": securityContext.seccompProfile: this is not supported for Linux containers by this host; leave it out"#
            ]],
        );
        check(
            json!({}),
            json!({"securityContext": {"fsGroup": 1}}),
            expect![[
                r#"container "c": spec.securityContext.fsGroup: this is not supported for Linux containers by this host; leave it out"#
            ]],
        );
        check(
            json!({}),
            json!({"hostUsers": false}),
            expect![[
                r#"container "c": spec.hostUsers: Linux containers have no user namespaces for now; leave it out"#
            ]],
        );
        check(
            json!({}),
            json!({"runtimeClassName": "wasm"}),
            expect![[
                r#"container "c": spec.runtimeClassName: it says "wasm", and the image is a Linux image; leave it out"#
            ]],
        );
        check(
            json!({"resources": {"limits": {"example.com/gpu": "1"}}}),
            json!({}),
            expect![[
                r#"container "c": resources: example.com/gpu: Linux containers are held to cpu and memory only; leave it out"#
            ]],
        );
        check(
            json!({}),
            json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            expect![[
                r#"container "a": spec.containers: a Linux container is alone in its pod for now; put the others into pods of their own"#
            ]],
        );
    }
}
