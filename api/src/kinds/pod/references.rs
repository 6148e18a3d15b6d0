//! Which ConfigMaps and Secrets of its namespace a pod needs.

use serde_json::Value;

use super::config::config_maps;
use crate::kinds::check::text;
use crate::object;

/// Whether a pod names an object of a kind, `ConfigMap` or `Secret`: in variables, volumes, as configuration, or for pulling images.
pub fn refers_to(pod: &Value, kind: &str, name: &str) -> bool {
    let (spec, is_secret) = (&pod["spec"], kind == "Secret");
    let (volume, name_field) = if is_secret { ("secret", "secretName") } else { ("configMap", "name") };
    let (key, all) = if is_secret { ("secretKeyRef", "secretRef") } else { ("configMapKeyRef", "configMapRef") };
    let is_named = |source: &Value, field: &str| source.is_object() && text(source, field) == name;
    let in_containers = ["containers", "initContainers", "ephemeralContainers"].iter().any(|list| {
        object::list_at(spec, &[list]).iter().any(|container| {
            let env = object::list_at(container, &["env"]).iter().map(|variable| &variable["valueFrom"][key]);
            let env_from = object::list_at(container, &["envFrom"]).iter().map(|source| &source[all]);
            env.chain(env_from).any(|source| is_named(source, "name"))
        })
    });
    let in_volumes = object::list_at(spec, &["volumes"]).iter().any(|entry| {
        let projected = object::list_at(entry, &["projected", "sources"]).iter();
        is_named(&entry[volume], name_field) || projected.map(|source| &source[volume]).any(|it| is_named(it, "name"))
    });
    let pulls = object::list_at(spec, &["imagePullSecrets"]).iter();
    let is_config = !is_secret && config_maps(pod).contains(&name);
    in_containers || in_volumes || is_config || (is_secret && pulls.into_iter().any(|secret| is_named(secret, "name")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::refers_to;

    #[test]
    fn each_place_counts_for_its_kind() {
        let pod = json!({"metadata": {"annotations": {"coracle.dev/config": "j, k"}}, "spec": {
            "containers": [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "a"}}}, {"valueFrom": {"secretKeyRef": {"name": "b"}}}]}],
            "initContainers": [{"envFrom": [{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "d"}}]}],
            "volumes": [{"name": "v", "configMap": {"name": "e"}}, {"name": "w", "secret": {"secretName": "f"}},
                {"name": "x", "projected": {"sources": [{"configMap": {"name": "g"}}, {"secret": {"name": "h"}}]}}],
            "imagePullSecrets": [{"name": "i"}],
        }});
        let found =
            |kind: &str| ('a'..='z').filter(|name| refers_to(&pod, kind, &name.to_string())).collect::<String>();
        assert_eq!((found("ConfigMap").as_str(), found("Secret").as_str()), ("acegjk", "bdfhi"));
    }
}
