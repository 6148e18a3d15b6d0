//! A patch made from the difference of two objects turns the one into the other, and changes nothing more the next time.

use super::*;

/// The merge patch from one object to another, which holds no nulls.
fn merge_difference(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return new.clone() };
    let removed = old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let changed = new.iter().filter(|(name, value)| old.get(*name) != Some(*value));
    let changed = changed.map(|(name, value)| match old.get(name) {
        Some(old) => (name.clone(), merge_difference(old, value)),
        None => (name.clone(), value.clone()),
    });
    removed.chain(changed).collect()
}

/// The strategic patch from one list of containers to another, as kubectl makes it.
fn strategic_difference(old: &Value, new: &Value) -> Value {
    let items = |pod: &Value| pod["containers"].as_array().cloned().unwrap_or_default();
    let (old, new) = (items(old), items(new));
    let named = |items: &[Value], name: &Value| items.iter().find(|item| item["name"] == *name).cloned();
    let deleted = old.iter().filter(|item| named(&new, &item["name"]).is_none());
    let deleted = deleted.map(|item| json!({ "name": item["name"], "$patch": "delete" }));
    let changed = new.iter().map(|item| match named(&old, &item["name"]) {
        Some(old) => {
            let mut patch = merge_difference(&old, item);
            patch["name"] = item["name"].clone();
            patch
        }
        None => item.clone(),
    });
    let order: Vec<Value> = new.iter().map(|item| json!({ "name": item["name"] })).collect();
    json!({ "$setElementOrder/containers": order, "containers": deleted.chain(changed).collect::<Vec<_>>() })
}

fn objects() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[a-d]", plain(), 0..4)
        .prop_map(|fields| without_nulls(fields.into_iter().collect()))
}

proptest! {
    #[test]
    fn merge_patches_carry_any_difference(old in objects(), new in objects()) {
        let patch = merge_difference(&old, &new);
        let mut patched = old;
        merge_patch(&mut patched, &patch);
        prop_assert_eq!(&patched, &new);
        merge_patch(&mut patched, &patch);
        prop_assert_eq!(patched, new);
    }

    #[test]
    fn strategic_patches_carry_any_difference(old in containers(), new in containers()) {
        let patch = strategic_difference(&old, &new);
        let patched = strategic_merge(&old, &patch, pod_spec()).unwrap();
        prop_assert_eq!(&patched, &new);
        prop_assert_eq!(strategic_merge(&patched, &patch, pod_spec()).unwrap(), new);
    }

    #[test]
    fn json_patches_carry_any_difference(old in plain(), new in plain()) {
        let patch = serde_json::to_vec(&::json_patch::diff(&old, &new)).unwrap();
        let mut patched = old;
        json_patch(&mut patched, &patch).unwrap();
        prop_assert_eq!(patched, new);
    }

    #[test]
    fn json_patches_that_set_fields_are_idempotent(target in objects(), fields in objects()) {
        let set = |(name, value): (&String, &Value)| json!({ "op": "add", "path": format!("/{name}"), "value": value });
        let operations: Value = fields.as_object().unwrap().iter().map(set).collect();
        let mut once = target;
        json_patch(&mut once, operations.to_string().as_bytes()).unwrap();
        let mut twice = once.clone();
        json_patch(&mut twice, operations.to_string().as_bytes()).unwrap();
        prop_assert_eq!(twice, once);
    }
}
