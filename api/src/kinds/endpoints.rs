//! Endpoints: the addresses behind a service, all in one object; what was there before endpoint slices.

use std::net::{IpAddr, Ipv6Addr};

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule};
use crate::kinds::pod::default;
use crate::kinds::{cells, check};
use crate::object;
use crate::validation::{self, FieldError};

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Endpoints",
    plural: "endpoints",
    singular: "endpoints",
    short_names: &["ep"],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.core.v1.Endpoints",
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
        "Endpoints",
        0,
        "The set of all endpoints is the union of all subsets. Addresses are placed into subsets according to the \
        IPs they share. A single address with multiple ports, some of which are ready and some of which are not \
        (because they come from different containers) will result in the address being displayed in different \
        subsets for the different ports. No address will appear in both Addresses and NotReadyAddresses in the \
        same subset. Sets of addresses and ports that comprise a service.",
        endpoints,
    ),
    cells::AGE,
];

const SHOWN_MAX: usize = 3;

fn endpoints(object: &Value, _: Timestamp) -> Value {
    let mut texts = Vec::new();
    for subset in object::list_at(object, &["subsets"]) {
        let addresses = object::list_at(subset, &["addresses"]).iter().map(|address| check::text(address, "ip"));
        let ports = object::list_at(subset, &["ports"]);
        if ports.is_empty() {
            texts.extend(addresses.clone().map(str::to_owned));
        }
        for port in ports.iter().map(|port| object::i64_at(port, &["port"]).unwrap_or(0)) {
            texts.extend(addresses.clone().map(|address| match address.contains(':') {
                true => format!("[{address}]:{port}"),
                false => format!("{address}:{port}"),
            }));
        }
    }
    let more = texts.len().saturating_sub(SHOWN_MAX);
    texts.truncate(SHOWN_MAX);
    match (texts.join(","), more) {
        (text, _) if text.is_empty() => cells::NONE.into(),
        (text, 0) => text.into(),
        (text, more) => format!("{text} + {more} more...").into(),
    }
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(object: &mut Value) {
    for subset in object.as_object_mut().into_iter().flat_map(|object| default::each(object, "subsets")) {
        default::each(subset, "ports").for_each(|port| default::set_text(port, "protocol", "TCP"));
    }
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    // The API servers of a cluster on one machine.
    let may_be_here = (object::namespace(object), object::name(object)) == (Some("default"), "kubernetes");
    for (index, subset) in object::list_at(object, &["subsets"]).iter().enumerate() {
        let path = format!("subsets[{index}]");
        let lists = ["addresses", "notReadyAddresses"];
        if lists.iter().all(|list| object::list_at(subset, &[list]).is_empty()) {
            let detail = "must specify `addresses` or `notReadyAddresses`";
            errors.push(FieldError::required(path.as_str(), detail));
        }
        for list in lists {
            for (index, found) in object::list_at(subset, &[list]).iter().enumerate() {
                address(found, may_be_here, &format!("{path}.{list}[{index}]"), errors);
            }
        }
        let ports = object::list_at(subset, &["ports"]);
        for (index, found) in ports.iter().enumerate() {
            port(found, ports.len() > 1, &format!("{path}.ports[{index}]"), errors);
        }
    }
}

fn address(address: &Value, may_be_here: bool, path: &str, errors: &mut Vec<FieldError>) {
    let ip_path = format!("{path}.ip");
    let ip = check::text(address, "ip");
    check::follows(errors, &ip_path, ip, validation::ip_address);
    let hostname = check::text(address, "hostname");
    check::optional(errors, &format!("{path}.hostname"), hostname, validation::dns1123_label);
    let node = check::text(address, "nodeName");
    check::optional(errors, &format!("{path}.nodeName"), node, validation::dns1123_subdomain);
    let Ok(parsed) = ip.parse::<IpAddr>() else { return };
    for (is_special, detail) in special(parsed) {
        if is_special && !(may_be_here && parsed.is_loopback()) {
            errors.push(FieldError::invalid(ip_path.as_str(), ip, detail.replace("%v", ip)));
        }
    }
}

/// The ranges in which no endpoint of a service can be.
fn special(address: IpAddr) -> [(bool, &'static str); 4] {
    let is_link_local_multicast = match address {
        IpAddr::V4(address) => address.octets()[..3] == [224, 0, 0],
        IpAddr::V6(address) => is_multicast_of(address, 2),
    };
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    [
        (address.is_unspecified(), "may not be unspecified (%v)"),
        (address.is_loopback() && !is_of_pods(address), "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (is_link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (is_link_local_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    ]
}

/// Pods are in this part of the loopback range; the rest of it is the machine's own.
fn is_of_pods(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if matches!(address.octets(), [127, 64..=255, ..]))
}

fn is_multicast_of(address: Ipv6Addr, scope: u16) -> bool {
    address.is_multicast() && address.segments()[0] & 0xf == scope
}

fn port(port: &Value, is_one_of_many: bool, path: &str, errors: &mut Vec<FieldError>) {
    let path = |field: &str| format!("{path}.{field}");
    let name = check::text(port, "name");
    if is_one_of_many {
        check::required(errors, &path("name"), name, validation::dns1123_label);
    } else {
        check::optional(errors, &path("name"), name, validation::dns1123_label);
    }
    check::port(errors, &path("port"), object::i64_at(port, &["port"]).unwrap_or(0));
    check::one_of(errors, &path("protocol"), check::text(port, "protocol"), check::PROTOCOLS);
    check::optional(errors, &path("appProtocol"), check::text(port, "appProtocol"), validation::qualified_name);
}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
