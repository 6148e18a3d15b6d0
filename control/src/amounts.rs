//! Amounts of resources by name, and what a pod's containers come to together.

use std::collections::BTreeMap;

use coracle_api::object;
use coracle_api::quantity::Quantity;
use serde_json::Value;

/// Amounts by resource name. A resource that isn't there is not spoken of, which is not the same as zero.
pub(crate) type Amounts = BTreeMap<String, Quantity>;

/// The list of quantities at a path. What is no quantity is left out.
pub(crate) fn read(object: &Value, path: &[&str]) -> Amounts {
    let entries = object::get(object, path).and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), Quantity::from_value(value).ok()?))).collect()
}

/// Adds to amounts, resource by resource.
pub(crate) fn add(to: &mut Amounts, other: &Amounts) {
    for (name, quantity) in other {
        let sum = to.entry(name.clone()).or_insert(Quantity::ZERO);
        *sum = sum.plus(*quantity);
    }
}

/// `cpu=1,pods=3`.
pub(crate) fn print(amounts: &Amounts) -> String {
    amounts.iter().map(|(name, quantity)| format!("{name}={quantity}")).collect::<Vec<_>>().join(",")
}

/// The `requests` or `limits` of a pod: of its containers while they run, or of an init container beside those that stay,
/// whichever is more. Its overhead is left out.
pub(crate) fn of_pod(pod: &Value, list: &str) -> Amounts {
    let own = |container| read(container, &["resources", list]);
    let mut running = Amounts::new();
    for container in object::list_at(pod, &["spec", "containers"]) {
        add(&mut running, &own(container));
    }
    let (mut staying, mut starting) = (Amounts::new(), Amounts::new());
    for container in object::list_at(pod, &["spec", "initContainers"]) {
        let mut now = staying.clone();
        add(&mut now, &own(container));
        raise(&mut starting, &now);
        if object::str_at(container, &["restartPolicy"]) == Some("Always") {
            add(&mut running, &own(container));
            staying = now;
        }
    }
    raise(&mut running, &starting);
    running
}

fn raise(to: &mut Amounts, other: &Amounts) {
    for (name, quantity) in other {
        let highest = to.entry(name.clone()).or_insert(*quantity);
        *highest = (*highest).max(*quantity);
    }
}
