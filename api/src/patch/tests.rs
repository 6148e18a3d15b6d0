use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::schema;

mod differences;

fn check_json(target: Value, patch: &Value, expected: &Expect) {
    let mut target = target;
    let text = match json_patch(&mut target, patch.to_string().as_bytes()) {
        Ok(()) => target.to_string(),
        Err(error) => format!("{error:?}"),
    };
    expected.assert_eq(&text);
}

#[test]
fn json_patches() {
    let object = || json!({"a": {"b": [1, 2]}, "c": "x"});
    check_json(
        object(),
        &json!([{"op": "test", "path": "/c", "value": "x"}, {"op": "add", "path": "/a/b/-", "value": 3},
            {"op": "replace", "path": "/c", "value": "y"}, {"op": "copy", "from": "/a", "path": "/d"},
            {"op": "move", "from": "/c", "path": "/e"}, {"op": "remove", "path": "/a/b/0"}]),
        &expect![[r#"{"a":{"b":[2,3]},"d":{"b":[1,2,3]},"e":"y"}"#]],
    );
    check_json(
        object(),
        &json!([{"op": "test", "path": "/c", "value": "z"}]),
        &expect![[r#"Unfit("operation '/0' failed at path '/c': value did not match")"#]],
    );
    check_json(
        object(),
        &json!([{"op": "remove", "path": "/nope"}]),
        &expect![[r#"Unfit("operation '/0' failed at path '/nope': path is invalid")"#]],
    );
    check_json(
        object(),
        &json!([{"op": "add", "path": "/x/y", "value": 1}]),
        &expect![[r#"Unfit("operation '/0' failed at path '/x/y': path is invalid")"#]],
    );
    check_json(
        object(),
        &json!([{"op": "move", "from": "/a", "path": "/a/b/0"}]),
        &expect![[r#"Unfit("operation '/0' failed at path '/a/b/0': cannot move the value inside itself")"#]],
    );
    check_json(
        object(),
        &json!([{"op": "jump", "path": "/a"}]),
        &expect![[
            r#"Malformed("error decoding patch: unknown variant `jump`, expected one of `add`, `remove`, `replace`, `move`, `copy`, `test` at line 1 column 13")"#
        ]],
    );
    check_json(
        object(),
        &json!({"a": 1}),
        &expect![[r#"Malformed("error decoding patch: invalid type: map, expected a sequence at line 1 column 0")"#]],
    );
}

#[test]
fn json_patches_that_explode_are_refused() {
    let doubling = |count| Value::from(vec![json!({"op": "copy", "from": "/a", "path": "/a/-"}); count]);
    check_json(
        json!({"a": ["x"]}),
        &doubling(60),
        &expect![[r#"TooLarge("the copies and moves of the patch exceed 3145728 bytes")"#]],
    );
    let deepening = |count| Value::from(vec![json!({"op": "copy", "from": "/a", "path": "/a/b"}); count]);
    check_json(json!({"a": {}}), &deepening(3), &expect![[r#"{"a":{"b":{"b":{"b":{}}}}}"#]]);
    check_json(
        json!({"a": {}}),
        &deepening(150),
        &expect![[r#"TooLarge("the patched object is nested deeper than 100 levels")"#]],
    );
    let many = vec![json!({"op": "test", "path": "/a", "value": 1}); 10_001];
    check_json(json!({"a": 1}), &many.into(), &expect!["TooManyOperations { max: 10000, found: 10001 }"]);
}

#[test]
fn merge_patches() {
    // The examples of RFC 7386.
    let cases = [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a": "b"}), json!(["c"]), json!(["c"])),
        (json!({"a": "foo"}), json!(null), json!(null)),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ];
    for (mut target, patch, expected) in cases {
        merge_patch(&mut target, &patch);
        assert_eq!(target, expected);
    }
}

fn pod_spec() -> &'static schema::Definition {
    schema::definition("io.k8s.api.core.v1.PodSpec").unwrap()
}

fn check_in(definition: &str, target: &Value, patch: &Value, expected: &Expect) {
    let text = match strategic_merge(target, patch, schema::definition(definition).unwrap()) {
        Ok(value) => value.to_string(),
        Err(error) => format!("{error:?}"),
    };
    expected.assert_eq(&text);
}

fn check_pod(target: &Value, patch: &Value, expected: &Expect) {
    check_in("io.k8s.api.core.v1.PodSpec", target, patch, expected);
}

#[test]
fn lists_with_a_key_merge() {
    let two = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2", "args": ["x"]}]});
    check_pod(
        &two,
        &json!({"containers": [{"name": "b", "image": "3", "args": ["y", "z"]}]}),
        &expect![[r#"{"containers":[{"image":"1","name":"a"},{"args":["y","z"],"image":"3","name":"b"}]}"#]],
    );
    check_pod(
        &two,
        &json!({"containers": [{"name": "new", "image": "3", "stdin": null}]}),
        &expect![[
            r#"{"containers":[{"image":"3","name":"new"},{"image":"1","name":"a"},{"args":["x"],"image":"2","name":"b"}]}"#
        ]],
    );
    check_pod(
        &two,
        &json!({"containers": [{"name": "a", "$patch": "delete"}]}),
        &expect![[r#"{"containers":[{"args":["x"],"image":"2","name":"b"}]}"#]],
    );
    check_pod(
        &two,
        &json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}),
        &expect![[r#"{"containers":[{"name":"c"}]}"#]],
    );
    check_pod(
        &two,
        &json!({"containers": [{"image": "3"}]}),
        &expect![[r#"Malformed("map: {\"image\":\"3\"} does not contain declared merge key: name")"#]],
    );
    check_pod(
        &two,
        &json!({"containers": [{"name": "a", "$patch": "mix"}]}),
        &expect![[r#"Malformed("unknown patch type in a list: \"mix\"")"#]],
    );
    check_pod(
        &two,
        &json!({"containers": ["a"]}),
        &expect![[r#"Malformed("map: \"a\" does not contain declared merge key: name")"#]],
    );
    check_pod(&two, &json!({"containers": null}), &expect!["{}"]);
    check_pod(
        &json!({}),
        &json!({"containers": [{"name": "a", "$patch": "delete"}, {"name": "b", "env": [{"name": "X", "value": null}]}]}),
        &expect![[r#"{"containers":[{"env":[{"name":"X"}],"name":"b"}]}"#]],
    );
}

#[test]
fn lists_without_a_key_are_replaced() {
    check_pod(
        &json!({"tolerations": [{"key": "a"}]}),
        &json!({"tolerations": [{"key": "b"}]}),
        &expect![[r#"{"tolerations":[{"key":"b"}]}"#]],
    );
}

#[test]
fn lists_are_put_in_order() {
    let four = json!({"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "server"}]});
    let order = |names: &[&str]| Value::from(names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>());
    check_pod(
        &four,
        &json!({"$setElementOrder/containers": order(&["c", "a", "b"])}),
        &expect![[r#"{"containers":[{"name":"c"},{"name":"a"},{"name":"b"},{"name":"server"}]}"#]],
    );
    check_pod(
        &four,
        &json!({"$setElementOrder/containers": order(&["new", "a", "c"]), "containers": [{"name": "new"}, {"name": "b", "$patch": "delete"}]}),
        &expect![[r#"{"containers":[{"name":"new"},{"name":"a"},{"name":"c"},{"name":"server"}]}"#]],
    );
    check_pod(
        &four,
        &json!({"containers": [{"name": "c", "image": "x"}, {"name": "a", "image": "y"}]}),
        &expect![[
            r#"{"containers":[{"name":"b"},{"image":"x","name":"c"},{"image":"y","name":"a"},{"name":"server"}]}"#
        ]],
    );
    check_pod(
        &four,
        &json!({"$setElementOrder/containers": 1}),
        &expect![[r#"Malformed("$setElementOrder/containers must be a list")"#]],
    );
}

#[test]
fn lists_of_values_are_sets() {
    let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    let object = json!({"finalizers": ["a", "b", "c"]});
    check_in(meta, &object, &json!({"finalizers": ["d", "b"]}), &expect![[r#"{"finalizers":["d","a","b","c"]}"#]]);
    check_in(
        meta,
        &object,
        &json!({"$deleteFromPrimitiveList/finalizers": ["a", "x"]}),
        &expect![[r#"{"finalizers":["b","c"]}"#]],
    );
    check_in(
        meta,
        &object,
        &json!({"$deleteFromPrimitiveList/finalizers": ["b"], "$setElementOrder/finalizers": ["c", "d", "a"], "finalizers": ["d"]}),
        &expect![[r#"{"finalizers":["c","d","a"]}"#]],
    );
}

#[test]
fn maps_and_structs_merge() {
    let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    let object = json!({"labels": {"a": "1", "b": "2"}, "name": "x"});
    check_in(
        meta,
        &object,
        &json!({"labels": {"a": null, "c": "3"}}),
        &expect![[r#"{"labels":{"b":"2","c":"3"},"name":"x"}"#]],
    );
    check_in(
        meta,
        &object,
        &json!({"labels": {"$patch": "replace", "c": "3"}}),
        &expect![[r#"{"labels":{"c":"3"},"name":"x"}"#]],
    );
    check_in(meta, &object, &json!({"labels": {"$patch": "delete"}}), &expect![[r#"{"labels":{},"name":"x"}"#]]);
    check_in(
        meta,
        &object,
        &json!({"labels": {"$patch": "blend"}}),
        &expect![[r#"Malformed("unknown patch type: \"blend\"")"#]],
    );
    check_in(
        meta,
        &object,
        &json!({"unknown": {"a": {"b": null}}, "other": [1]}),
        &expect![[r#"{"labels":{"a":"1","b":"2"},"name":"x","other":[1],"unknown":{"a":{}}}"#]],
    );
    check_in(meta, &object, &json!([]), &expect![[r#"Malformed("a strategic merge patch is an object")"#]]);
}

#[test]
fn retained_keys_drop_the_others() {
    let spec = "io.k8s.api.apps.v1.DeploymentSpec";
    let object = json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}});
    check_in(
        spec,
        &object,
        &json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}),
        &expect![[r#"{"strategy":{"type":"Recreate"}}"#]],
    );
    check_in(
        spec,
        &object,
        &json!({"strategy": {"$retainKeys": ["type"], "rollingUpdate": {}}}),
        &expect![[r#"Malformed("$retainKeys does not name \"rollingUpdate\", which the patch sets")"#]],
    );
    check_in(
        spec,
        &object,
        &json!({"strategy": {"$retainKeys": ["type"], "rollingUpdate": null}}),
        &expect![[r#"{"strategy":{"type":"RollingUpdate"}}"#]],
    );
}

#[test]
fn errors_have_their_status() {
    let codes = [
        PatchError::Malformed(String::new()),
        PatchError::Unfit(String::new()),
        PatchError::TooLarge(String::new()),
        PatchError::TooManyOperations { max: 1, found: 2 },
    ];
    assert_eq!(codes.map(|error| error.to_status().code), [400, 422, 413, 413]);
    assert!(parse(b"[]").is_err() && parse(b"{").is_err());
    assert_eq!(parse(br#"{"a": 1, "a": 2}"#).unwrap().duplicates, ["a"]);
}

fn plain() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![any::<bool>().prop_map(Value::from), "[a-c]{0,2}".prop_map(Value::from), Just(Value::Null)];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        other => other,
    }
}

fn containers() -> impl Strategy<Value = Value> {
    let container = (proptest::option::of("[x-z]"), proptest::collection::vec("[p-q]", 0..2));
    let items = proptest::collection::btree_map("[a-e]", container, 0..5).prop_map(|containers| {
        let item = |(name, (image, args)): (String, (Option<String>, Vec<String>))| {
            without_nulls(json!({ "name": name, "image": image, "args": args }))
        };
        containers.into_iter().map(item).collect::<Vec<Value>>()
    });
    items.prop_shuffle().prop_map(|items| json!({ "containers": items }))
}

proptest! {
    #[test]
    fn merging_twice_is_merging_once(mut target in plain(), patch in plain()) {
        merge_patch(&mut target, &patch);
        let once = target.clone();
        merge_patch(&mut target, &patch);
        prop_assert_eq!(target, once);
    }

    #[test]
    fn strategic_merging_twice_is_merging_once(target in containers(), patch in containers()) {
        let once = strategic_merge(&target, &patch, pod_spec()).unwrap();
        prop_assert_eq!(&strategic_merge(&once, &patch, pod_spec()).unwrap(), &once);
        prop_assert_eq!(&strategic_merge(&target, &json!({}), pod_spec()).unwrap(), &target);
    }

    #[test]
    fn an_object_merged_into_nothing_is_itself(object in containers(), free in plain()) {
        prop_assert_eq!(strategic_merge(&json!({}), &object, pod_spec()).unwrap(), object);
        let free = without_nulls(json!({"free": free}));
        let mut merged = json!({});
        merge_patch(&mut merged, &free);
        prop_assert_eq!(merged, without_nulls(free));
    }

    #[test]
    fn strategic_merging_never_panics(target in plain(), patch in plain()) {
        let _ = strategic_merge(&json!({"containers": target}), &json!({"containers": patch}), pod_spec());
    }
}
