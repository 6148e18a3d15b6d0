//! Fills in the rules of ClusterRoles that are made of others: the union of those their selectors select.

use coracle_api::selector::LabelSelector;
use coracle_api::{kinds, object};
use serde_json::Value;

use super::{Outcome, update};
use crate::driver::view::Object;
use crate::driver::world::World;

/// Brings every aggregated role up to date.
pub fn reconcile(world: &World) -> Outcome {
    let mut outcome = Outcome::default();
    let prefix = kinds::CLUSTER_ROLE.prefix(None);
    let roles: Vec<(&Object, Value)> = world.range(&prefix).map(|role| (&**role, role.decode())).collect();
    for (role, value) in &roles {
        let selectors = object::list_at(value, &["aggregationRule", "clusterRoleSelectors"]);
        if selectors.is_empty() || role.meta.deleting.is_some() {
            continue;
        }
        let selectors: Vec<LabelSelector> =
            selectors.iter().filter_map(|selector| LabelSelector::from_value(selector).ok()).collect();
        let mut rules: Vec<&Value> = Vec::new();
        let selected = roles
            .iter()
            .filter(|(other, _)| other.key != role.key && selectors.iter().any(|selector| other.matches(selector)));
        for rule in selected.flat_map(|(_, value)| object::list_at(value, &["rules"])) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        if object::list_at(value, &["rules"]).iter().ne(rules.iter().copied()) {
            let mut new = value.clone();
            new["rules"] = rules.into_iter().cloned().collect();
            outcome.write(update(role, new));
        }
    }
    outcome
}
