//! Says where the API servers are, as clients and operators look for it: the Service `default/kubernetes` and its Endpoints. An effect
//! beside the controllers, because members are no objects.
//!
//! Deliberately absent: its EndpointSlices, which the controller makes that mirrors Endpoints, and an address of the Service's own, which
//! no Service has here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use coracle_api::kind::Kind;
use coracle_api::kinds::{ENDPOINTS, SERVICE};
use coracle_api::object;
use coracle_store::{MemberStatus, Record, Store, WatchError};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::Objects;
use crate::leading::while_leading;
use crate::objects::{ObjectWrite, decode_record};

const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";
const PORT_NAME: &str = "https";
/// How often the members are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How long to wait after what failed.
const RETRY_DELAY: Duration = Duration::from_millis(200);
/// A member that was silent for so long is not named.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Keeps both objects true until `shutdown`, whenever this member leads.
pub async fn run(objects: Objects, shutdown: CancellationToken) {
    while_leading("the keeper of the service kubernetes", objects.store(), &shutdown, || keep(&objects)).await;
}

async fn keep(objects: &Objects) -> WatchError {
    let started = Instant::now();
    loop {
        let delay = match look(objects, started.elapsed()).await {
            Ok(()) => LOOK_INTERVAL,
            Err(reason) => {
                tracing::debug!(reason, "the service kubernetes is not what it should be");
                RETRY_DELAY
            }
        };
        sleep(delay).await;
    }
}

/// Writes what is not as it should be; an error says why that failed.
async fn look(objects: &Objects, led_for: Duration) -> Result<(), String> {
    let addresses = addresses(objects.store(), led_for).await?;
    let snapshot = objects.store().snapshot();
    let write = |part: Part| {
        let found = snapshot.get(&part.kind.key(Some(NAMESPACE), NAME));
        part.write(found.as_deref())
    };
    let writes = parts(&addresses).into_iter().filter_map(write).collect();
    let results = objects.write_all(writes).await.map_err(|status| status.message)?;
    results.into_iter().find_map(Result::err).map_or(Ok(()), |status| Err(status.message))
}

/// Where the servers are reached. One that has a name which means nothing at the moment is an error: it may be back soon.
async fn addresses(store: &Store, led_for: Duration) -> Result<BTreeSet<SocketAddr>, String> {
    let members = store.members();
    let mut addresses = BTreeSet::new();
    for address in answering(&members, led_for) {
        let found = tokio::net::lookup_host(address).await.map_err(|error| format!("{address}: {error}"))?;
        addresses.extend(found.min_by_key(SocketAddr::is_ipv6));
    }
    if addresses.is_empty() { Err("no server is known".to_owned()) } else { Ok(addresses) }
}

/// The members that answer, as far as their leader knows that leads for so long, and have all that is stored.
fn answering(members: &[MemberStatus], led_for: Duration) -> impl Iterator<Item = &str> {
    let is_heard = move |member: &MemberStatus| member.is_leader || member.silence.unwrap_or(led_for) < SILENCE_MAX;
    let answering = members.iter().filter(move |member| member.is_voter && is_heard(member));
    answering.map(|member| member.member.address.as_str())
}

/// An object, and the field of it that says where the servers are; the rest is whoever's who changes it.
struct Part {
    kind: &'static Kind,
    object: Value,
    field: &'static [&'static str],
}

fn parts(addresses: &BTreeSet<SocketAddr>) -> [Part; 2] {
    let mut by_port: BTreeMap<u16, Vec<Value>> = BTreeMap::new();
    for address in addresses {
        by_port.entry(address.port()).or_default().push(json!({ "ip": address.ip().to_string() }));
    }
    // Where servers listen on several ports, their Endpoints say which; a Service can name one.
    let port = json!({ "name": PORT_NAME, "port": 443, "protocol": "TCP", "targetPort": by_port.keys().next() });
    let subset = |(port, addresses): (u16, Vec<Value>)| json!({ "addresses": addresses, "ports": [{ "name": PORT_NAME, "port": port, "protocol": "TCP" }] });
    let subsets: Vec<Value> = by_port.into_iter().map(subset).collect();
    let labels = json!({ "component": "apiserver", "provider": "kubernetes" });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": NAME, "namespace": NAMESPACE, "labels": labels },
        "spec": { "ports": [port] },
    });
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": { "name": NAME, "namespace": NAMESPACE }, "subsets": subsets,
    });
    [
        Part { kind: &SERVICE, object: service, field: &["spec", "ports"] },
        Part { kind: &ENDPOINTS, object: endpoints, field: &["subsets"] },
    ]
}

impl Part {
    /// What makes the object as it should be, unless it is.
    fn write(self, found: Option<&Record>) -> Option<ObjectWrite> {
        let Part { kind, object: wanted, field } = self;
        let Some(record) = found else { return Some(ObjectWrite::Create { kind, object: wanted }) };
        let mut object = decode_record(record);
        let should = object::get(&wanted, field).cloned().unwrap_or_default();
        if object::get(&object, field) == Some(&should) {
            return None;
        }
        *field.iter().fold(&mut object, |value, name| &mut value[*name]) = should;
        Some(ObjectWrite::Update { kind, object, revision: Some(record.revision) })
    }
}

#[cfg(test)]
mod tests;
