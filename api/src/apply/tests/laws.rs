//! What holds for all sets, objects and configurations.

use proptest::prelude::*;

use super::*;

fn sets() -> impl Strategy<Value = FieldSet> {
    let element = prop_oneof!["f:[a-c]", "[ab]".prop_map(|name| format!("k:{}", json!({ "name": name })))];
    let leaf = Just(json!({}));
    let tree = leaf.prop_recursive(3, 12, 3, move |inner| {
        let marks = any::<bool>();
        (proptest::collection::btree_map(element.clone(), inner, 0..4), marks).prop_map(|(below, is_marked)| {
            let mut value: Value = below.into_iter().collect();
            if is_marked {
                value["."] = json!({});
            }
            value
        })
    });
    tree.prop_map(|value| FieldSet::from_value(&value).unwrap())
}

fn union(one: &FieldSet, other: &FieldSet) -> FieldSet {
    let mut union = one.clone();
    union.union(other.clone());
    union
}

/// Pods of a few labels and containers, so that two of them often meet.
fn pods() -> impl Strategy<Value = Value> {
    let labels = proptest::collection::btree_map("[a-c]", "[xy]", 0..3);
    let ports = proptest::collection::btree_map(1..3, proptest::option::of("[xy]"), 0..3);
    let container = (proptest::option::of("[ij]"), ports);
    let containers = proptest::collection::btree_map("[a-c]", container, 0..4);
    let finalizers = proptest::collection::btree_set("[a-c]/x", 0..3);
    (labels, containers, finalizers, proptest::option::of("[hi]")).prop_map(|(labels, containers, finalizers, host)| {
        let port = |(port, name): (i32, Option<String>)| {
            let mut value = json!({ "containerPort": port });
            name.into_iter().for_each(|name| value["name"] = name.into());
            value
        };
        let container = |(name, (image, ports)): (String, (Option<String>, _))| {
            let mut value = json!({ "name": name });
            image.into_iter().for_each(|image| value["image"] = image.into());
            let ports: Vec<Value> = std::collections::BTreeMap::into_iter(ports).map(port).collect();
            if !ports.is_empty() {
                value["ports"] = ports.into();
            }
            value
        };
        let mut pod = json!({});
        if !labels.is_empty() {
            pod["metadata"]["labels"] = labels.into_iter().collect();
        }
        if !finalizers.is_empty() {
            pod["metadata"]["finalizers"] = finalizers.into_iter().collect();
        }
        if !containers.is_empty() {
            pod["spec"]["containers"] = containers.into_iter().map(container).collect();
        }
        host.into_iter().for_each(|host| pod["spec"]["hostname"] = host.into());
        pod
    })
}

fn without_owners(object: &Value) -> Value {
    let mut object = object.clone();
    object::metadata_mut(&mut object).remove("managedFields");
    if object["metadata"] == json!({}) {
        object.as_object_mut().unwrap().remove("metadata");
    }
    object
}

proptest! {
    #[test]
    fn sets_obey_their_algebra(a in sets(), b in sets(), c in sets()) {
        prop_assert_eq!(union(&a, &b), union(&b, &a));
        prop_assert_eq!(union(&a, &a), a.clone());
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.intersection(&a), a.clone());
        prop_assert!(a.difference(&a).is_empty());
        prop_assert!(a.difference(&b).intersection(&b).is_empty());
        prop_assert_eq!(union(&a.difference(&b), &a.intersection(&b)), a.clone());
        prop_assert_eq!(a.difference(&union(&b, &c)), a.difference(&b).difference(&c));
        prop_assert_eq!(union(&a, &b).intersection(&c), union(&a.intersection(&c), &b.intersection(&c)));
        prop_assert_eq!(FieldSet::from_value(&a.clone().into_value()).unwrap(), a);
    }

    #[test]
    fn applying_twice_is_applying_once(live in pods(), config in pods()) {
        let mut bench = Bench::pod();
        bench.update("u", &live.to_string()).force("a", &config.to_string());
        let (object, managed) = (without_owners(&bench.live), bench.managed.clone());
        bench.apply("a", &config.to_string());
        prop_assert_eq!(without_owners(&bench.live), object);
        prop_assert!(bench.managed.agrees_with(&managed));
    }

    #[test]
    fn a_sole_applier_gets_what_it_applies(first in pods(), second in pods()) {
        let mut bench = Bench::pod();
        bench.apply("a", &first.to_string()).apply("a", &second.to_string());
        let definition = bench.definition;
        let comparison = compare(definition, &without_owners(&bench.live), &second);
        prop_assert!(comparison.is_empty(), "{:?}", comparison);
    }

    #[test]
    fn what_is_applied_is_there_and_owned(live in pods(), config in pods()) {
        let mut bench = Bench::pod();
        bench.update("u", &live.to_string()).force("a", &config.to_string());
        let wanted = extract(bench.definition, &config, Part::AllButStatus);
        let found = extract(bench.definition, &bench.live, Part::AllButStatus);
        prop_assert!(wanted.difference(&found).is_empty());
        let merged = merge::merge(&bench.live, &config, Place::of_definition(bench.definition));
        prop_assert_eq!(&merged, &bench.live);
    }

    #[test]
    fn two_appliers_leave_no_trace(first in pods(), second in pods()) {
        let mut bench = Bench::pod();
        bench.apply("a", &first.to_string()).force("b", &second.to_string()).apply("a", "{}").apply("b", "{}");
        prop_assert!(bench.managed.is_empty());
        prop_assert_eq!(without_owners(&bench.live), json!({}));
    }

    #[test]
    fn a_write_is_owned_by_its_writer(old in pods(), new in pods()) {
        let mut bench = Bench::pod();
        bench.update("a", &old.to_string()).update("b", &new.to_string());
        let mut owned = FieldSet::default();
        for entry in &bench.managed.entries {
            prop_assert!(owned.intersection(&entry.fields).is_empty());
            owned.union(entry.fields.clone());
        }
        let all = changes(bench.definition, &json!({}), &new, Part::AllButStatus).added;
        prop_assert!(all.difference(&owned).paths().iter().all(|path| !path.ends_with(|end| "xyhij".contains(end))));
        prop_assert!(owned.difference(&all).is_empty());
    }
}
