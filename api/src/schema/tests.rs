use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;

fn check_object(definition_name: &str, object: &Value, expected: &Expect) {
    let problems = check(definition(definition_name).unwrap(), object);
    expected.assert_eq(&problems.iter().map(|problem| format!("{problem}\n")).collect::<String>());
}

fn deployment(spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec})
}

const DEPLOYMENT: &str = "io.k8s.api.apps.v1.Deployment";

#[test]
fn the_whole_table_parses_and_is_sorted() {
    let all: Vec<&str> = names().collect();
    assert!(all.is_sorted() && all.len() > 200);
    for name in all {
        let definition = definition(name).unwrap();
        assert!(definition.fields().is_sorted_by_key(|field| field.name), "{name}");
        for field in definition.fields() {
            let _ = field.shape.definition();
            assert!(!field.is_merged || matches!(field.shape, Shape::List(_)), "{name}.{}", field.name);
        }
    }
    assert!(definition("io.k8s.api.core.v1.Nothing").is_none());
}

#[test]
fn every_kind_has_its_definitions() {
    for kind in crate::kinds::ALL {
        assert!(definition(kind.definition).is_some(), "{}", kind.definition);
        assert!(definition(&format!("{}List", kind.definition)).is_some(), "{}", kind.definition);
    }
}

#[test]
fn knows_how_lists_merge() {
    let spec = definition("io.k8s.api.core.v1.PodSpec").unwrap();
    let containers = spec.field("containers").unwrap();
    assert!(containers.is_merged && !containers.retains_keys);
    assert_eq!(containers.merge_key, Some("name"));
    let volumes = spec.field("volumes").unwrap();
    assert!(volumes.is_merged && volumes.retains_keys);
    let finalizers =
        definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").unwrap().field("finalizers").unwrap();
    assert!(finalizers.is_merged && finalizers.merge_key.is_none());
    assert!(!spec.field("tolerations").unwrap().is_merged);
}

#[test]
fn knows_how_writers_share_fields() {
    let shared = |path: &str| {
        let (definition_name, name) = path.split_once(' ').unwrap();
        let field = definition(definition_name).unwrap().field(name).unwrap();
        let map_type = field.map_type.or_else(|| field.shape.definition().map(|definition| definition.map_type));
        match (&field.shape, &field.list_type) {
            (Shape::List(_), ListType::Map(keys)) => {
                let keys = keys.iter().map(|key| match key.default {
                    Some(default) => format!("{}={default:?}", key.name),
                    None => key.name.to_owned(),
                });
                keys.collect::<Vec<_>>().join(",")
            }
            (Shape::List(_), list_type) => format!("{list_type:?}"),
            _ => format!("{:?}", map_type.unwrap_or_default()),
        }
    };
    let core = "io.k8s.api.core.v1.";
    let cases = [
        ("PodSpec containers", "name"),
        ("Container ports", "containerPort,protocol=\"TCP\""),
        ("ServiceSpec ports", "port,protocol=\"TCP\""),
        ("PodSpec imagePullSecrets", "name=\"\""),
        ("PodSpec topologySpreadConstraints", "topologyKey,whenUnsatisfiable"),
        ("PodSpec tolerations", "Atomic"),
        ("Container args", "Atomic"),
        ("NodeSpec podCIDRs", "Set"),
        ("ServiceSpec selector", "Atomic"),
        ("PodSpec nodeSelector", "Atomic"),
        ("EnvVarSource configMapKeyRef", "Atomic"),
        ("PersistentVolumeSpec claimRef", "Granular"),
        ("ConfigMap data", "Granular"),
        ("PodSpec securityContext", "Granular"),
    ];
    for (path, expected) in cases {
        assert_eq!(shared(&format!("{core}{path}")), expected, "{path}");
    }
}

#[test]
fn finds_unknown_fields() {
    let spec = json!({"foo": 1, "template": {"spec": {"containers": [{"name": "a"}, {"name": "b", "imag": "x"}]}}});
    check_object(
        DEPLOYMENT,
        &deployment(spec),
        &expect![[r#"
        unknown field "spec.foo"
        unknown field "spec.template.spec.containers[1].imag"
    "#]],
    );
    let config = json!({"data": {"any": "thing"}, "metadata": {"labels": {"x": "y"}, "managedFields": [{"fieldsV1": {"f:x": {}}}]}});
    check_object("io.k8s.api.core.v1.ConfigMap", &config, &expect![[""]]);
}

#[test]
fn finds_wrong_types() {
    let spec = json!({"replicas": "three", "paused": 1, "minReadySeconds": 1.5, "revisionHistoryLimit": 3_000_000_000_u64,
        "selector": [], "template": {"spec": {"containers": {}, "nodeSelector": {"a": 1}}}});
    check_object(
        DEPLOYMENT,
        &deployment(spec),
        &expect![[r#"
        json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.minReadySeconds of type int32
        json: cannot unmarshal number into Go struct field DeploymentSpec.spec.paused of type bool
        json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32
        json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.revisionHistoryLimit of type int32
        json: cannot unmarshal array into Go struct field DeploymentSpec.spec.selector of type v1.LabelSelector
        json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container
        json: cannot unmarshal number into Go struct field PodSpec.spec.template.spec.nodeSelector.a of type string
    "#]],
    );
    check_object(
        DEPLOYMENT,
        &json!([]),
        &expect![[r#"
            json: cannot unmarshal array into Go value of type v1.Deployment
        "#]],
    );
}

#[test]
fn finds_malformed_values() {
    let container = json!({"name": "a", "resources": {"limits": {"cpu": "1x", "memory": 5}}, "livenessProbe":
        {"httpGet": {"port": "http"}, "tcpSocket": {"port": true}}});
    let spec = json!({"template": {"metadata": {"creationTimestamp": null}, "spec": {"containers": [container]}}});
    check_object(
        DEPLOYMENT,
        &deployment(spec),
        &expect![[r#"
        json: cannot unmarshal bool into Go struct field TCPSocketAction.spec.template.spec.containers[0].livenessProbe.tcpSocket.port of type intstr.IntOrString
        spec.template.spec.containers[0].resources.limits.cpu: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
    "#]],
    );
    check_object(
        "io.k8s.api.core.v1.Secret",
        &json!({"data": {"ok": "eA==", "bad": "x", "empty": ""}}),
        &expect![[r#"
        data.bad: illegal base64 data: Invalid input length: 1
    "#]],
    );
    let times = [
        "2026-11-21T01:49:05Z",
        "2026-11-21T01:49:05.5+01:00",
        "yesterday",
        "2026-11-21",
        "2026-11-21 01:49:05Z",
        "2026-11-21T01:49:05Z[UTC]",
    ];
    for time in times {
        let problems = check(definition(DEPLOYMENT).unwrap(), &json!({"metadata": {"creationTimestamp": time}}));
        assert_eq!(
            problems.is_empty(),
            time.len() > 18 && time.contains('T') && !time.ends_with(']'),
            "{time} {problems:?}"
        );
    }
}

#[test]
fn lists_only_so_many_problems() {
    let fields: serde_json::Map<String, Value> = (0..1000).map(|index| (format!("x{index}"), json!(1))).collect();
    assert_eq!(check(definition(DEPLOYMENT).unwrap(), &Value::Object(fields)).len(), 100);
}
