//! An ingress class: which controller serves the ingresses that name it.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::pod::default;
use crate::kinds::{cells, check};
use crate::object;
use crate::validation::{self, FieldError};

const CONTROLLER_BYTES_MAX: usize = 250;
/// The annotation that makes a class the one for ingresses that name none.
const DEFAULT_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";
const PATH_FORMAT: &str = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+";

pub(crate) const KIND: Kind = Kind {
    group: "networking.k8s.io",
    version: "v1",
    kind: "IngressClass",
    plural: "ingressclasses",
    singular: "ingressclass",
    short_names: &[],
    categories: &[],
    namespaced: false,
    definition: "io.k8s.api.networking.v1.IngressClass",
    subresources: &[],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags,
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string("Controller", 0, "Controller that is responsible for handling this class", |object, _| {
        cells::text_or(object, &["spec", "controller"], "")
    }),
    Column::string("Parameters", 0, "A reference to a resource with additional parameters", parameters),
    cells::AGE,
];

fn parameters(object: &Value, _: Timestamp) -> Value {
    let Some(parameters) = object::get(object, &["spec", "parameters"]).filter(|found| !found.is_null()) else {
        return cells::NONE.into();
    };
    let [kind, group, name] = ["kind", "apiGroup", "name"].map(|field| check::text(parameters, field));
    if check::is_set(parameters, "apiGroup") {
        format!("{kind}.{group}/{name}").into()
    } else {
        format!("{kind}/{name}").into()
    }
}

/// Whether ingresses that name no class get this one.
pub fn is_default(object: &Value) -> bool {
    object::annotation(object, DEFAULT_ANNOTATION) == Some("true")
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(object: &mut Value) {
    if let Some(parameters) = default::child(object::child_mut(object, "spec"), "parameters") {
        default::set(parameters, "scope", "Cluster");
    }
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    controller(check::text(spec, "controller"), errors);
    if !check::is_set(spec, "parameters") {
        return;
    }
    let parameters = &spec["parameters"];
    if let Some(group) = object::str_at(parameters, &["apiGroup"]) {
        check::follows(errors, "spec.parameters.apiGroup", group, validation::dns1123_subdomain);
    }
    for field in ["kind", "name"] {
        let (text, path) = (check::text(parameters, field), format!("spec.parameters.{field}"));
        if text.is_empty() {
            errors.push(FieldError::required(path, format!("{field} is required")));
        } else {
            check::follows(errors, &path, text, validation::path_segment);
        }
    }
    let scope = check::text(parameters, "scope");
    check::one_of(errors, "spec.parameters.scope", scope, &["Cluster", "Namespace"]);
    let path = "spec.parameters.namespace";
    match (scope, object::str_at(parameters, &["namespace"])) {
        ("Namespace", None) => {
            errors.push(FieldError::required(path, "`parameters.scope` is set to 'Namespace'"));
        }
        ("Namespace", Some(namespace)) => check::follows(errors, path, namespace, validation::dns1123_label),
        ("Cluster", Some(_)) => {
            errors.push(FieldError::forbidden(path, "`parameters.scope` is set to 'Cluster'"));
        }
        _ => {}
    }
}

/// A path in a domain: `example.com/ingress`.
fn controller(controller: &str, errors: &mut Vec<FieldError>) {
    const PATH: &str = "spec.controller";
    if controller.len() > CONTROLLER_BYTES_MAX {
        errors.push(FieldError::too_long(PATH, CONTROLLER_BYTES_MAX));
    }
    match controller.split_once('/') {
        _ if controller.is_empty() => errors.push(FieldError::required(PATH, "")),
        None | Some(("", _) | (_, "")) => {
            let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            errors.push(FieldError::invalid(PATH, controller, detail));
        }
        Some((domain, path)) => {
            check::follows(errors, PATH, domain, validation::dns1123_subdomain);
            if !path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte)) {
                let detail = format!("Invalid path (regex used for validation is '{PATH_FORMAT}')");
                errors.push(FieldError::invalid(PATH, path, detail));
            }
        }
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let controller = |object| object::get(object, &["spec", "controller"]);
    check::immutable(errors, "spec.controller", controller(new), controller(old));
}
