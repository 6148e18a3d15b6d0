//! Makes the namespaces and the priority classes every cluster has.

use coracle_api::kinds::{self, priority_class};
use serde_json::json;

use super::Outcome;
use crate::driver::world::{NODE_LEASES, World};
use crate::objects::ObjectWrite;

/// The namespaces every cluster has.
pub const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", NODE_LEASES];

/// Makes those that are missing.
pub fn reconcile(world: &World) -> Outcome {
    let mut outcome = Outcome::default();
    for name in NAMESPACES.into_iter().filter(|name| world.find(&kinds::NAMESPACE, "", name).is_none()) {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        outcome.write(ObjectWrite::Create { kind: &kinds::NAMESPACE, object });
    }
    for (name, value, description) in priority_class::SYSTEM {
        if world.find(&kinds::PRIORITY_CLASS, "", name).is_none() {
            let object = json!({
                "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
                "value": value, "description": description,
            });
            outcome.write(ObjectWrite::Create { kind: &kinds::PRIORITY_CLASS, object });
        }
    }
    outcome
}
