//! An ingress: HTTP routes from outside to services.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::cells;
use crate::object;
use crate::validation::FieldError;

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

fn default(_: &mut Value) {}

fn validate(_: &Value, _: &mut Vec<FieldError>) {}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
