//! No object is let in that would make its namespace use more than its quotas allow.
//!
//! Deliberately absent: what is used. That decisions don't overspend together is the ledger's matter.

use coracle_api::kinds::POD;
use coracle_api::quantity::Quantity;
use coracle_api::status::{self, Status};
use serde_json::Value;

use super::Attributes;
use crate::amounts::{self, Amounts};
use crate::quota::{Quota, Usage};

/// A quota, and what is used of it.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) quota: Quota,
    pub(crate) used: Amounts,
}

/// What a write adds to each quota, in their order, or the refusal. `before` is what the object used, where it is there
/// already.
pub(crate) fn admit(
    attributes: &Attributes<'_>,
    standings: &[Standing],
    object: &Value,
    before: Option<&Usage>,
    after: &Usage,
) -> Result<Vec<Amounts>, Status> {
    let refused = |because: String| status::forbidden(attributes.kind, attributes.name, &because);
    if *attributes.kind == POD && before.is_none() {
        for Standing { quota, .. } in standings {
            if let Some(complaint) = quota.left_open(object, after) {
                return Err(refused(format!("failed quota: {}: must specify {complaint}", quota.name)));
            }
        }
    }
    let increases: Vec<Amounts> = standings.iter().map(|standing| increase(&standing.quota, before, after)).collect();
    for (Standing { quota, used }, increase) in standings.iter().zip(&increases) {
        let of = |amounts: &Amounts, resource: &str| amounts.get(resource).copied().unwrap_or(Quantity::ZERO);
        let exceeds = |resource: &&String| of(used, resource).plus(of(increase, resource)) > of(&quota.hard, resource);
        let exceeded: Vec<&String> = increase.keys().filter(exceeds).collect();
        if !exceeded.is_empty() {
            let print = |amounts: &Amounts| {
                let some = exceeded.iter().map(|resource| ((*resource).clone(), of(amounts, resource)));
                amounts::print(&some.collect())
            };
            return Err(refused(format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                quota.name,
                print(increase),
                print(used),
                print(&quota.hard)
            )));
        }
    }
    Ok(increases)
}

/// What a quota counts more than before. What it counts less is credited once it is stored.
pub(crate) fn increase(quota: &Quota, before: Option<&Usage>, after: &Usage) -> Amounts {
    let before = before.map(|usage| quota.share(usage)).unwrap_or_default();
    let more = quota.share(after).into_iter().map(|(resource, quantity)| {
        let had = before.get(&resource).copied().unwrap_or(Quantity::ZERO);
        (resource, quantity.minus(had))
    });
    more.filter(|(_, quantity)| *quantity > Quantity::ZERO).collect()
}

#[cfg(test)]
mod tests;
