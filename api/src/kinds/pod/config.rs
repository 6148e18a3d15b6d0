//! Configuration: ConfigMaps whose entries the components of a pod read through `wasi:config`.
//!
//! The annotation is Coracle's own. Deliberately absent: Secrets, which a pod gets as files or variables.

use serde_json::Value;

use crate::object;
use crate::validation::{self, FieldError};

/// Names ConfigMaps of the pod's namespace, separated by commas. Of equal keys, the last one counts.
pub const CONFIG_ANNOTATION: &str = "coracle.dev/config";

/// The names in the annotation of a pod, in order.
pub fn config_maps(pod: &Value) -> Vec<&str> {
    let given = object::annotation(pod, CONFIG_ANNOTATION).unwrap_or_default();
    given.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// What is wrong with the configuration of a pod or pod template, whose spec lies at `path`.
pub fn config_errors(pod: &Value, path: &str) -> Vec<FieldError> {
    let names = config_maps(pod);
    let annotation = format!("{}metadata.annotations[{CONFIG_ANNOTATION}]", path.trim_end_matches("spec"));
    let given = object::annotation(pod, CONFIG_ANNOTATION).unwrap_or_default();
    let refuse = |detail: String| FieldError::invalid(annotation.clone(), given, detail);
    let wrong = |(index, name): (usize, &&str)| {
        if names[..index].contains(name) {
            return Some(refuse(format!("{name:?} is named twice")));
        }
        let messages = validation::dns1123_subdomain(name);
        let detail =
            || format!("{name:?} is no name of a ConfigMap; name some, separated by commas: {}", messages.join("; "));
        (!messages.is_empty()).then(|| refuse(detail()))
    };
    names.iter().enumerate().filter_map(wrong).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(annotation: &str, expected: Expect) {
        let pod = json!({"metadata": {"annotations": {CONFIG_ANNOTATION: annotation}}});
        let errors = config_errors(&pod, "spec.template.spec");
        let text = match errors.is_empty() {
            true => config_maps(&pod).join(" "),
            false => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn names_are_separated_by_commas() {
        check("settings", expect!["settings"]);
        check(" base, shop.example,", expect!["base shop.example"]);
        check("", expect![""]);
        check(
            "a, b, a",
            expect![[
                r#"spec.template.metadata.annotations[coracle.dev/config]: Invalid value: "a, b, a": "a" is named twice"#
            ]],
        );
        check(
            "Shop, b",
            expect![[
                r#"spec.template.metadata.annotations[coracle.dev/config]: Invalid value: "Shop, b": "Shop" is no name of a ConfigMap; name some, separated by commas: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#
            ]],
        );
    }
}
