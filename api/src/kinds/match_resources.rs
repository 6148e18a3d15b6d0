//! Which requests an admission policy, or a binding of one, is for.

use serde_json::{Map, Value, json};

use crate::kinds::check::{self, Errors, text};
use crate::object;
use crate::validation::FieldError;

const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: &[&str] = &["*", "Cluster", "Namespaced"];
const RULES: &[&str] = &["resourceRules", "excludeResourceRules"];

pub(crate) fn default(resources: &mut Map<String, Value>) {
    resources.entry("matchPolicy").or_insert_with(|| "Equivalent".into());
    for selector in ["namespaceSelector", "objectSelector"] {
        resources.entry(selector).or_insert_with(|| json!({}));
    }
    for field in RULES {
        let rules = resources.get_mut(*field).and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten().filter_map(Value::as_object_mut) {
            rule.entry("scope").or_insert_with(|| "*".into());
        }
    }
}

pub(crate) fn validate(resources: &Value, path: &str, errors: &mut Errors) {
    check::one_of(errors, &format!("{path}.matchPolicy"), text(resources, "matchPolicy"), &["Equivalent", "Exact"]);
    for selector in ["namespaceSelector", "objectSelector"] {
        match resources.get(selector).filter(|selector| selector.is_object()) {
            Some(found) => check::label_selector(errors, &format!("{path}.{selector}"), found),
            None => errors.push(FieldError::required(format!("{path}.{selector}"), "")),
        }
    }
    for field in RULES {
        for (index, rule) in object::list_at(resources, &[field]).iter().enumerate() {
            validate_rule(rule, &format!("{path}.{field}[{index}]"), errors);
        }
    }
}

fn validate_rule(rule: &Value, path: &str, errors: &mut Errors) {
    let operations: Vec<&str> = texts(rule, "operations");
    if operations.is_empty() {
        errors.push(FieldError::required(format!("{path}.operations"), ""));
    }
    if operations.len() > 1 && operations.contains(&"*") {
        let detail = "if '*' is present, must not specify other operations";
        errors.push(FieldError::invalid(format!("{path}.operations"), operations.clone(), detail));
    }
    for (index, operation) in operations.iter().enumerate() {
        check::one_of(errors, &format!("{path}.operations[{index}]"), operation, OPERATIONS);
    }
    for field in ["apiGroups", "apiVersions", "resources"] {
        let found = texts(rule, field);
        if found.is_empty() {
            errors.push(FieldError::required(format!("{path}.{field}"), ""));
        }
        if field != "resources" && found.len() > 1 && found.contains(&"*") {
            let what = if field == "apiGroups" { "API groups" } else { "API versions" };
            let detail = format!("if '*' is present, must not specify other {what}");
            errors.push(FieldError::invalid(format!("{path}.{field}"), found.clone(), detail));
        }
        if field == "resources" {
            validate_resources(&found, &format!("{path}.{field}"), errors);
        }
        for (index, name) in found.iter().enumerate().filter(|(_, name)| name.is_empty() && field != "apiGroups") {
            errors.push(FieldError::required(format!("{path}.{field}[{index}]"), *name));
        }
    }
    check::one_of(errors, &format!("{path}.scope"), text(rule, "scope"), SCOPES);
}

/// What names many goes with nothing after it that it names already.
fn validate_resources(found: &[&str], path: &str, errors: &mut Errors) {
    for (index, name) in found.iter().enumerate() {
        let Some((resource, part)) = name.split_once('/') else { continue };
        let all = [format!("{resource}/*"), format!("*/{part}")];
        for all in all.iter().filter(|all| found[..index].contains(&all.as_str())) {
            let detail = format!("if '{all}' is present, must not specify {name}");
            errors.push(FieldError::invalid(format!("{path}[{index}]"), *name, detail));
        }
    }
    if found.len() > 1 && found.contains(&"*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        errors.push(FieldError::invalid(path, found.to_vec(), detail));
    }
    if found.contains(&"*") && found.iter().any(|name| *name != "*" && !name.contains('/')) {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.push(FieldError::invalid(path, found.to_vec(), detail));
    }
}

fn texts<'a>(rule: &'a Value, field: &str) -> Vec<&'a str> {
    object::list_at(rule, &[field]).iter().filter_map(Value::as_str).collect()
}
