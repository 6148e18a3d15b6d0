//! An ingress: HTTP routes from outside to services.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::pod::default;
use crate::kinds::{cells, check};
use crate::object;
use crate::validation::{self, FieldError};

const PATH_TYPES: &[&str] = &["Exact", "ImplementationSpecific", "Prefix"];

pub(crate) const KIND: Kind = Kind {
    group: "networking.k8s.io",
    version: "v1",
    kind: "Ingress",
    plural: "ingresses",
    singular: "ingress",
    short_names: &["ing"],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.networking.v1.Ingress",
    subresources: &[Subresource::Status],
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
    Column::string(
        "Class",
        0,
        "The name of the IngressClass resource that should be used for additional configuration",
        class,
    ),
    Column::string("Hosts", 0, "Hosts that incoming requests are matched against before the ingress rule", hosts),
    Column::string("Address", 0, "Address is a list containing ingress points for the load-balancer", address),
    Column::string("Ports", 0, "Ports of TLS configurations that open", ports),
    cells::AGE,
];

const HOSTS_SHOWN_MAX: usize = 3;

fn class(object: &Value, _: Timestamp) -> Value {
    object::str_at(object, &["spec", "ingressClassName"]).unwrap_or(cells::NONE).into()
}

fn hosts(object: &Value, _: Timestamp) -> Value {
    let rules = object::list_at(object, &["spec", "rules"]);
    let named = rules.iter().filter_map(|rule| object::str_at(rule, &["host"])).filter(|host| !host.is_empty());
    let mut hosts: Vec<&str> = named.collect();
    let more = hosts.len() >= HOSTS_SHOWN_MAX && rules.len() > HOSTS_SHOWN_MAX;
    hosts.truncate(HOSTS_SHOWN_MAX);
    match hosts.join(",") {
        text if text.is_empty() => "*".into(),
        text if more => format!("{text} + {} more...", rules.len() - HOSTS_SHOWN_MAX).into(),
        text => text.into(),
    }
}

fn address(object: &Value, _: Timestamp) -> Value {
    cells::load_balancer_addresses(object).into()
}

fn ports(object: &Value, _: Timestamp) -> Value {
    if object::list_at(object, &["spec", "tls"]).is_empty() { "80".into() } else { "80, 443".into() }
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(object: &mut Value) {
    object::child_mut(object, "spec");
    default::set(object::child_mut(object, "status"), "loadBalancer", json!({}));
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    let rules = object::list_at(spec, &["rules"]);
    if rules.is_empty() && !check::is_set(spec, "defaultBackend") {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid("spec", spec.get("rules").cloned().unwrap_or_default(), detail));
    }
    let class = check::text(spec, "ingressClassName");
    check::optional(errors, "spec.ingressClassName", class, validation::dns1123_subdomain);
    for (index, tls) in object::list_at(spec, &["tls"]).iter().enumerate() {
        for (host_index, name) in object::list_at(tls, &["hosts"]).iter().enumerate() {
            let path = format!("spec.tls[{index}].hosts[{host_index}]");
            check::follows(errors, &path, name.as_str().unwrap_or_default(), validation::host_or_wildcard);
        }
        let path = format!("spec.tls[{index}].secretName");
        check::optional(errors, &path, check::text(tls, "secretName"), validation::dns1123_subdomain);
    }
    if check::is_set(spec, "defaultBackend") {
        backend(&spec["defaultBackend"], "spec.defaultBackend", errors);
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        let name = check::text(rule, "host");
        if !name.is_empty() {
            check::follows(errors, &format!("{path}.host"), name, validation::ingress_host);
        }
        if let Some(http) = rule.get("http").filter(|http| !http.is_null()) {
            paths(http, &format!("{path}.http.paths"), errors);
        }
    }
}

fn paths(http: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let paths = object::list_at(http, &["paths"]);
    if paths.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    for (index, entry) in paths.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (path_type, text) = (check::text(entry, "pathType"), check::text(entry, "path"));
        let text_path = format!("{path}.path");
        match path_type {
            "" => {
                errors.push(FieldError::required(format!("{path}.pathType"), "pathType must be specified"));
            }
            "Exact" | "Prefix" => exact_path(text, &text_path, errors),
            "ImplementationSpecific" if !text.is_empty() && !text.starts_with('/') => {
                errors.push(FieldError::invalid(text_path, text, "must be an absolute path"));
            }
            "ImplementationSpecific" => {}
            _ => errors.push(FieldError::not_supported(format!("{path}.pathType"), path_type, PATH_TYPES)),
        }
        backend(&entry["backend"], &format!("{path}.backend"), errors);
    }
}

fn exact_path(text: &str, path: &str, errors: &mut Vec<FieldError>) {
    if !text.starts_with('/') {
        errors.push(FieldError::invalid(path, text, "must be an absolute path"));
    }
    for sequence in ["//", "/./", "/../", "%2f", "%2F"].iter().filter(|sequence| text.contains(**sequence)) {
        errors.push(FieldError::invalid(path, text, format!("must not contain '{sequence}'")));
    }
    for suffix in ["/..", "/."].iter().filter(|suffix| text.ends_with(**suffix)) {
        errors.push(FieldError::invalid(path, text, format!("cannot end with '{suffix}'")));
    }
}

fn backend(backend: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match (check::is_set(backend, "service"), check::is_set(backend, "resource")) {
        (true, true) => {
            errors.push(FieldError::invalid(path, "", "cannot set both resource and service backends"));
        }
        (false, false) => errors.push(FieldError::invalid(path, "", "resource or service backend is required")),
        (false, true) => {
            for field in ["kind", "name"].iter().filter(|field| check::text(&backend["resource"], field).is_empty()) {
                errors.push(FieldError::required(format!("{path}.resource.{field}"), format!("{field} is required")));
            }
        }
        (true, false) => {
            let service = &backend["service"];
            let name = check::text(service, "name");
            check::required(errors, &format!("{path}.service.name"), name, validation::dns1035_label);
            let port_name = object::str_at(service, &["port", "name"]).unwrap_or_default();
            let number = object::i64_at(service, &["port", "number"]).unwrap_or(0);
            match (port_name, number) {
                ("", 0) => errors.push(FieldError::required(path, "port name or number is required")),
                ("", number) => check::port(errors, &format!("{path}.service.port.number"), number),
                (name, 0) => {
                    check::follows(errors, &format!("{path}.service.port.name"), name, validation::port_name);
                }
                _ => errors.push(FieldError::invalid(path, "", "cannot set both port name & port number")),
            }
        }
    }
}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
