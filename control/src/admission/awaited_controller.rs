//! Who creates what nobody acts on is told so: the object is kept, and nothing comes of it.

use coracle_api::kinds::{SECRET, SERVICE};
use coracle_api::object;
use coracle_api::status::Status;
use serde_json::Value;

use super::Attributes;

pub(super) fn admit(attributes: &Attributes<'_>, object: &mut Value, warnings: &mut Vec<String>) -> Result<(), Status> {
    let kind = attributes.kind;
    if kind.awaits_controller {
        let name = kind.kind;
        warnings.push(format!("{name} is stored, but this version of Coracle has no controller that acts on it"));
    }
    if *kind == SECRET && object::str_at(object, &["type"]) == Some("kubernetes.io/service-account-token") {
        let told = "no token is put into Secrets of this type: ask for one that expires, with `kubectl create token`";
        warnings.push(told.to_owned());
    }
    let address = object::str_at(object, &["spec", "clusterIP"]).filter(|address| !matches!(*address, "" | "None"));
    if let Some(address) = address.filter(|_| *kind == SERVICE && !attributes.trusted) {
        let told = "services have no address of their own here, and nothing answers at";
        warnings.push(format!("spec.clusterIP: {told} {address}"));
    }
    let told = match object::str_at(object, &["spec", "type"]).filter(|_| *kind == SERVICE) {
        Some("NodePort") => Some("no port of the hosts is opened for services here"),
        Some("LoadBalancer") => Some("nothing here gives services a load balancer"),
        _ => None,
    };
    warnings.extend(told.map(|told| format!("spec.type: {told}: an Ingress makes one reachable from outside")));
    Ok(())
}
