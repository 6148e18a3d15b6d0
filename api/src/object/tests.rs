use serde_json::{Value, json};

use super::*;

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "p", "namespace": "n", "uid": "u", "resourceVersion": "12", "generation": 3,
            "creationTimestamp": "2026-11-21T01:49:05Z", "labels": {"a": "b", "odd": 1}, "finalizers": ["x/y"],
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "v", "controller": true}],
        },
        "spec": {"list": [1, 2]},
    })
}

#[test]
fn reads_metadata() {
    let pod = pod();
    assert_eq!((api_version(&pod), kind(&pod), name(&pod), uid(&pod)), ("v1", "Pod", "p", "u"));
    assert_eq!((namespace(&pod), resource_version(&pod), generation(&pod)), (Some("n"), Some(12), 3));
    assert_eq!(labels(&pod).collect::<Vec<_>>(), [("a", "b")]);
    assert_eq!((label(&pod, "a"), annotation(&pod, "a")), (Some("b"), None));
    assert_eq!(creation_timestamp(&pod).map(timestamp).as_deref(), Some("2026-11-21T01:49:05Z"));
    assert!(!is_deleting(&pod) && deletion_timestamp(&pod).is_none());
    assert_eq!(controller_of(&pod).map(|owner| owner.name), Some("r"));
    assert_eq!(list_at(&pod, &["spec", "list"]).len(), 2);
}

#[test]
fn survives_what_is_no_object() {
    for value in [Value::Null, json!([]), json!({"metadata": 3}), json!({"metadata": {"name": 3, "labels": []}})] {
        assert_eq!((name(&value), namespace(&value), resource_version(&value)), ("", None, None));
        assert_eq!(labels(&value).count() + owner_references(&value).count() + finalizers(&value).count(), 0);
    }
}

#[test]
fn writes_metadata() {
    let mut object = json!({"metadata": {"labels": null}});
    set_name(&mut object, "x");
    set_label(&mut object, "a", "b");
    set_annotation(&mut object, "c", "d");
    set_resource_version(&mut object, 9);
    let at: Timestamp = "2026-11-21T01:49:05.123456789Z".parse().unwrap();
    set_deletion(&mut object, at, 30);
    add_finalizer(&mut object, "f");
    add_finalizer(&mut object, "f");
    assert!(is_deleting(&object));
    assert_eq!(
        object,
        json!({"metadata": {
            "name": "x", "labels": {"a": "b"}, "annotations": {"c": "d"}, "resourceVersion": "9", "finalizers": ["f"],
            "deletionTimestamp": "2026-11-21T01:49:05Z", "deletionGracePeriodSeconds": 30,
        }})
    );
    assert!(remove_finalizer(&mut object, "f") && !remove_finalizer(&mut object, "f"));
    remove_resource_version(&mut object);
    assert_eq!((object["metadata"].get("finalizers"), resource_version(&object)), (None, None));
    assert_eq!(micro_timestamp(at), "2026-11-21T01:49:05.123456Z");
    assert_eq!(micro_timestamp(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000000Z");
}
