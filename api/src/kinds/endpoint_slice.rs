//! An endpoint slice: some of the addresses behind a service.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::pod::default;
use crate::kinds::{cells, check};
use crate::object;
use crate::validation::{self, FieldError};

const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;

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
    awaits_controller: false,
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

fn default(object: &mut Value) {
    for port in object.as_object_mut().into_iter().flat_map(|slice| default::each(slice, "ports")) {
        default::set(port, "name", "");
        default::set_text(port, "protocol", "TCP");
    }
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    let address_type = check::text(object, "addressType");
    check::one_of(errors, "addressType", address_type, &["FQDN", "IPv4", "IPv6"]);
    let endpoints = object::list_at(object, &["endpoints"]);
    if endpoints.len() > ENDPOINTS_MAX {
        errors.push(FieldError::too_many("endpoints", endpoints.len(), ENDPOINTS_MAX));
        return;
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        validate_endpoint(endpoint, address_type, &format!("endpoints[{index}]"), errors);
    }
    let ports = object::list_at(object, &["ports"]);
    if ports.len() > PORTS_MAX {
        errors.push(FieldError::too_many("ports", ports.len(), PORTS_MAX));
        return;
    }
    let mut names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = |field: &str| format!("ports[{index}].{field}");
        let name = check::text(port, "name");
        check::optional(errors, &path("name"), name, validation::dns1123_label);
        check::unique(errors, &mut names, &path("name"), name);
        check::one_of(errors, &path("protocol"), check::text(port, "protocol"), check::PROTOCOLS);
        check::optional(errors, &path("appProtocol"), check::text(port, "appProtocol"), validation::qualified_name);
    }
}

fn validate_endpoint(endpoint: &Value, address_type: &str, path: &str, errors: &mut Vec<FieldError>) {
    let addresses = object::list_at(endpoint, &["addresses"]);
    if addresses.is_empty() {
        errors.push(FieldError::required(format!("{path}.addresses"), "must contain at least 1 address"));
    } else if addresses.len() > ADDRESSES_MAX {
        errors.push(FieldError::too_many(format!("{path}.addresses"), addresses.len(), ADDRESSES_MAX));
    }
    for (index, address) in addresses.iter().enumerate() {
        let address = address.as_str().unwrap_or_default();
        let path = format!("{path}.addresses[{index}]");
        match address_type {
            "IPv4" if address.parse::<Ipv4Addr>().is_err() => {
                errors.push(FieldError::invalid(path, address, "must be a valid IPv4 address"));
            }
            "IPv6" if address.parse::<Ipv6Addr>().is_err() => {
                errors.push(FieldError::invalid(path, address, "must be a valid IPv6 address"));
            }
            "FQDN" => check::follows(errors, &path, address, validation::dns1123_subdomain),
            _ => {}
        }
    }
    let node = check::text(endpoint, "nodeName");
    check::optional(errors, &format!("{path}.nodeName"), node, validation::dns1123_subdomain);
    let hostname = check::text(endpoint, "hostname");
    check::optional(errors, &format!("{path}.hostname"), hostname, validation::dns1123_label);
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    check::immutable(errors, "addressType", new.get("addressType"), old.get("addressType"));
}
