//! An endpoint slice: some of the addresses behind a service.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::cells;
use crate::object;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    group: "discovery.k8s.io",
    version: "v1",
    kind: "EndpointSlice",
    plural: "endpointslices",
    singular: "endpointslice",
    short_names: &[],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.discovery.v1.EndpointSlice",
    subresources: &[],
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
        "AddressType",
        0,
        "addressType specifies the type of address carried by this EndpointSlice. All addresses in this slice must \
        be the same type. This field is immutable after creation. The following address types are currently \
        supported: * IPv4: Represents an IPv4 Address. * IPv6: Represents an IPv6 Address. * FQDN: Represents a \
        Fully Qualified Domain Name.",
        address_type,
    ),
    Column::string(
        "Ports",
        0,
        "ports specifies the list of network ports exposed by each endpoint in this slice. Each port must have a \
        unique name. When ports is empty, it indicates that there are no defined ports. When a port is defined with \
        a nil port value, it indicates \"all ports\". Each slice may include a maximum of 100 ports.",
        ports,
    ),
    Column::string(
        "Endpoints",
        0,
        "endpoints is a list of unique endpoints in this slice. Each slice may include a maximum of 1000 endpoints.",
        endpoints,
    ),
    cells::AGE,
];

const SHOWN_MAX: usize = 3;

fn address_type(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["addressType"], "")
}

fn ports(object: &Value, _: Timestamp) -> Value {
    first_few(object::list_at(object, &["ports"]).iter().map(|port| {
        let number = object::i64_at(port, &["port"]).map(|number| number.to_string());
        number.or_else(|| object::str_at(port, &["name"]).map(str::to_owned)).unwrap_or_else(|| "*".to_owned())
    }))
}

fn endpoints(object: &Value, _: Timestamp) -> Value {
    let endpoints = object::list_at(object, &["endpoints"]).iter();
    first_few(endpoints.flat_map(|endpoint| {
        object::list_at(endpoint, &["addresses"]).iter().filter_map(Value::as_str).map(str::to_owned)
    }))
}

fn first_few(mut texts: impl Iterator<Item = String>) -> Value {
    let shown: Vec<String> = texts.by_ref().take(SHOWN_MAX).collect();
    match (shown.len(), texts.count()) {
        (0, _) => "<unset>".into(),
        (_, 0) => shown.join(",").into(),
        (_, more) => format!("{} + {more} more...", shown.join(",")).into(),
    }
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(_: &mut Value) {}

fn validate(_: &Value, _: &mut Vec<FieldError>) {}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
