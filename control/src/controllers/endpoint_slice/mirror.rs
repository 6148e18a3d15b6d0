//! The endpoints of a service without a selector: those of the Endpoints object that somebody made for it.

use std::collections::BTreeMap;

use coracle_api::{kinds, object};
use serde_json::{Value, json};

use super::{Group, MIRROR, SKIP_MIRROR, Signature, Wanted, own_labels};
use crate::driver::view::Object;
use crate::driver::world::World;

/// What the Endpoints object of a service says, unless there is none or it isn't to be mirrored.
pub(super) fn wanted<'a>(world: &'a World, service: &Object) -> Option<Wanted<'a>> {
    let owner = world.find(&kinds::ENDPOINTS, &service.meta.namespace, &service.meta.name)?;
    let is_skipped = owner.meta.labels.get(SKIP_MIRROR).is_some_and(|skip| &**skip == "true");
    if owner.meta.deleting.is_some() || is_skipped {
        return None;
    }
    let mut groups: BTreeMap<Signature, Group> = BTreeMap::new();
    for subset in object::list_at(&owner.decode(), &["subsets"]) {
        let ports = object::list_at(subset, &["ports"]).iter().map(port).collect();
        let ports = Value::Array(ports).to_string();
        for (list, is_ready) in [("addresses", true), ("notReadyAddresses", false)] {
            for address in object::list_at(subset, &[list]) {
                let Some(ip) = object::str_at(address, &["ip"]) else { continue };
                let family = if ip.contains(':') { "IPv6" } else { "IPv4" };
                let endpoint = endpoint(ip, address, is_ready);
                let identity = super::identity(&endpoint).unwrap_or(ip).to_owned();
                groups.entry((family, ports.clone())).or_default().endpoints.push((identity, endpoint));
            }
        }
    }
    Some(Wanted { owner, manager: MIRROR, labels: own_labels(owner), groups })
}

fn endpoint(ip: &str, address: &Value, is_ready: bool) -> Value {
    let mut endpoint = json!({"addresses": [ip], "conditions": {"ready": is_ready}});
    for field in ["hostname", "nodeName", "targetRef"] {
        if let Some(value) = address.get(field) {
            endpoint[field] = value.clone();
        }
    }
    endpoint
}

/// A port as slices spell it.
fn port(port: &Value) -> Value {
    let mut spelled = json!({
        "name": object::str_at(port, &["name"]).unwrap_or_default(),
        "port": port["port"],
        "protocol": object::str_at(port, &["protocol"]).unwrap_or("TCP"),
    });
    if let Some(protocol) = port.get("appProtocol") {
        spelled["appProtocol"] = protocol.clone();
    }
    spelled
}
