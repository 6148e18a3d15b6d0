use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;
use crate::pod::parse;
use crate::pod::template::SourceKind;
use crate::runtime::SystemClock;

fn known() -> Known {
    let map = json!({"data": {"a": "1", "b": "2"}, "binaryData": {"c": "/w=="}});
    let secret = json!({"data": {"user": "YWRh"}});
    let objects = [
        ((SourceKind::ConfigMap, "map"), Some(map)),
        ((SourceKind::ConfigMap, "gone"), None),
        ((SourceKind::Secret, "secret"), Some(secret)),
        ((SourceKind::Secret, "gone"), None),
    ];
    let tokens = BTreeMap::from([(("default".to_owned(), "them".to_owned(), 3600), "abc".to_owned())]);
    Known {
        objects: objects.map(|((kind, name), object)| ((kind, name.to_owned()), object.map(Arc::new))).into(),
        tokens,
    }
}

fn pod(volume: Value) -> Value {
    let mut volume = volume;
    volume["name"] = "v".into();
    json!({
        "metadata": {"name": "web-1", "namespace": "team", "uid": "u1",
            "labels": {"tier": "a \"b\"\n", "app": "web"}, "annotations": {"note": "é\u{1}"}},
        "spec": {
            "containers": [{"name": "main", "resources": {"requests": {"cpu": "1500m"}, "limits": {"memory": "3Mi"}}}],
            "volumes": [volume]
        }
    })
}

/// The files of a volume: path, mode and content; or why there are none.
fn check(volume: Value, expected: Expect) {
    let spec = parse::spec(&pod(volume));
    let text = match spec.template.volumes.first().map(|volume| &volume.source) {
        None => format!("refused: {}", spec.template.containers[0].refusal.as_ref().unwrap().message),
        Some(VolumeSource::Files(projections)) => {
            let (known, identity) = (known(), PodIdentity { ip: "127.64.0.1".to_owned(), ..spec.identity.clone() });
            let allocatable = Allocatable { cpu_millis: 2000, memory_bytes: 1 << 30, disk_bytes: 0 };
            let around = Surroundings { pod: &identity, node_name: "h1", host_ip: "127.0.0.1", allocatable };
            let inputs = Inputs { around, objects: &known.objects, tokens: &known.tokens };
            match payload::payload(projections, inputs) {
                Err(error) => format!("error: {error}"),
                Ok(files) => {
                    let show = |(path, file): (&String, &payload::File)| {
                        format!("{path} {:o} {:?}", file.mode, String::from_utf8_lossy(&file.bytes))
                    };
                    files.iter().map(show).collect::<Vec<_>>().join("\n")
                }
            }
        }
        Some(other) => format!("{other:?}"),
    };
    expected.assert_eq(&text);
}

#[test]
fn config_maps_and_secrets() {
    check(
        json!({"configMap": {"name": "map"}}),
        expect![[r#"
        a 644 "1"
        b 644 "2"
        c 644 "�""#]],
    );
    check(
        json!({"configMap": {"name": "map", "defaultMode": 256, "items": [{"key": "a", "path": "x/./y"}, {"key": "b", "path": "z", "mode": 511}]}}),
        expect![[r#"
            x/y 400 "1"
            z 777 "2""#]],
    );
    check(json!({"secret": {"secretName": "secret"}}), expect![[r#"user 600 "ada""#]]);
    check(json!({"configMap": {"name": "gone"}}), expect![[r#"error: configmap "gone" not found"#]]);
    check(json!({"secret": {"secretName": "gone"}}), expect![[r#"error: secret "gone" not found"#]]);
    check(json!({"secret": {"secretName": "gone", "optional": true}}), expect![[r#""#]]);
    let missing = |optional: bool| json!({"configMap": {"name": "map", "optional": optional, "items": [{"key": "q", "path": "q"}]}});
    check(missing(false), expect!["error: configmap references non-existent config key: q"]);
    check(missing(true), expect![[r#""#]]);
    check(
        json!({"secret": {"secretName": "secret", "items": [{"key": "q", "path": "q"}]}}),
        expect!["error: references non-existent secret key: q"],
    );
    check(
        json!({"configMap": {"name": "map", "items": [{"key": "a", "path": "x"}, {"key": "b", "path": "x/y"}]}}),
        expect![[r#"error: the files "x" and "x/y" cannot both be there"#]],
    );
}

#[test]
fn what_a_pod_shows_of_itself() {
    let field = |path: &str, field: &str| json!({"path": path, "fieldRef": {"fieldPath": field}});
    let resource = |path: &str, resource: &str, divisor: &str| json!({"path": path, "resourceFieldRef": {"containerName": "main", "resource": resource, "divisor": divisor}});
    check(
        json!({"downwardAPI": {"items": [field("labels", "metadata.labels"), field("annotations", "metadata.annotations"),
            field("app", "metadata.labels['app']"), field("name", "metadata.name"), field("uid", "metadata.uid"),
            resource("cpu", "requests.cpu", "1"), resource("cpu-m", "requests.cpu", "1m"), resource("all-cpu", "limits.cpu", "0"),
            resource("memory", "limits.memory", "2Mi"), resource("no-memory", "requests.memory", "1")]}}),
        expect![[r#"
            all-cpu 644 "2"
            annotations 644 "note=\"é\\x01\""
            app 644 "web"
            cpu 644 "2"
            cpu-m 644 "1500"
            labels 644 "app=\"web\"\ntier=\"a \\\"b\\\"\\n\""
            memory 644 "2"
            name 644 "web-1"
            no-memory 644 "0"
            uid 644 "u1""#]],
    );
    check(
        json!({"downwardAPI": {"items": [field("x", "spec.secret")]}}),
        expect![[r#"refused: spec.volumes: "v": downwardAPI: "spec.secret" is not supported by this host"#]],
    );
}

#[test]
fn projected_together() {
    check(
        json!({"projected": {"defaultMode": 288, "sources": [{"configMap": {"name": "map", "items": [{"key": "a", "path": "a"}]}},
            {"secret": {"name": "secret"}}, {"downwardAPI": {"items": [{"path": "ns", "mode": 384, "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
            {"serviceAccountToken": {"path": "token", "audience": "them"}}, {"configMap": {"name": "gone", "optional": true}}]}}),
        expect![[r#"
            a 440 "1"
            ns 600 "team"
            token 400 "abc"
            user 400 "ada""#]],
    );
    check(
        json!({"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}),
        expect![[r#"error: failed to fetch token: none was given for service account "default""#]],
    );
    check(
        json!({"projected": {"sources": [{"podCertificate": {}}]}}),
        expect![[
            r#"refused: spec.volumes: "v": projected.sources: only configMap, secret, downwardAPI and serviceAccountToken are supported by this host"#
        ]],
    );
}

#[test]
fn other_sources() {
    check(json!({"emptyDir": {}}), expect!["EmptyDir { limit: None }"]);
    check(json!({"emptyDir": {"sizeLimit": 0}}), expect!["EmptyDir { limit: None }"]);
    check(
        json!({"emptyDir": {"sizeLimit": "1Mi"}}),
        expect![[r#"EmptyDir { limit: Some(SizeLimit { bytes_max: 1048576, text: "1Mi" }) }"#]],
    );
    check(
        json!({"emptyDir": {"medium": "Memory"}}),
        expect![[
            r#"refused: spec.volumes: "v": emptyDir.medium "Memory" is not supported by this host; leave it out"#
        ]],
    );
    check(
        json!({"hostPath": {"path": "/a//./b/", "type": "Directory"}}),
        expect![[r#"HostPath { path: "/a/b", kind: Directory }"#]],
    );
    check(
        json!({"persistentVolumeClaim": {"claimName": "c"}}),
        expect![[
            r#"refused: spec.volumes: "v": persistentVolumeClaim is not supported by this host; use emptyDir for what may go with the pod, or hostPath where the host's owner allows it"#
        ]],
    );
}

/// A host without an API, whose pod has an `emptyDir` and shows its own name, and mounts both.
#[tokio::test]
async fn a_pods_folders_live_as_long_as_it() {
    let dir = tempfile::tempdir().unwrap();
    let (messages, _inbox) = mpsc::unbounded_channel();
    let config = coracle_client::Config {
        server: "http://127.0.0.1:1".to_owned(),
        other_servers: Vec::new(),
        ca_pem: Vec::new(),
        identity_pem: None,
        token: None,
        namespace: "default".to_owned(),
        context: "test".to_owned(),
        cluster: serde_json::Map::new(),
    };
    let volumes = Volumes::open(Options {
        dir: dir.path().join("volumes"),
        client: Client::new(config).unwrap(),
        clock: Arc::new(SystemClock),
        node_name: "h1".to_owned(),
        host_ip: "127.0.0.1".to_owned(),
        allocatable: Allocatable::default(),
        host_paths: Vec::new(),
        messages,
    })
    .unwrap();
    let mut pod =
        pod(json!({"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.labels['app']"}}]}}));
    let scratch = json!({"name": "scratch", "emptyDir": {}});
    pod["spec"]["volumes"].as_array_mut().unwrap().push(scratch);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([
        {"name": "scratch", "mountPath": "/scratch/", "subPathExpr": "of/$(WHO)"}, {"name": "v", "mountPath": "/pod"},
        {"name": "v", "mountPath": "/etc/name", "subPath": "name"}
    ]);
    let uid: Arc<str> = "u1".into();
    let take = |pod: &Value| {
        let spec = parse::spec(pod);
        volumes.take(&uid, &spec.identity, &spec.template);
    };
    take(&pod);
    volumes.set_up(&uid).await.unwrap();
    let env = [("WHO".to_owned(), "ada".to_owned())];
    let mounts = volumes.mounts(&uid, 0, &env).await.unwrap();
    let shown: Vec<String> = mounts.iter().map(|mount| format!("{} {}", mount.path, mount.is_read_only)).collect();
    assert_eq!(shown, ["/scratch false", "/pod true", "/etc true"]);
    let folder = dir.path().join("volumes/u1");
    let read = |path: &str| fs::read_to_string(folder.join(path)).unwrap_or_default();
    fs::write(folder.join("scratch/of/ada/file"), "kept").unwrap();
    assert_eq!((read("v/name"), read(".mounts/main/2/name")), ("web".to_owned(), "web".to_owned()));
    let missing = volumes.mounts(&uid, 0, &[]).await.unwrap_err().to_string();
    expect![[r#"failed to prepare subPath for volumeMount "scratch": missing value for "WHO""#]].assert_eq(&missing);
    // Another label, and the container starts again.
    pod["metadata"]["labels"]["app"] = "other".into();
    take(&pod);
    volumes.set_up(&uid).await.unwrap();
    assert_eq!((read("v/name"), read(".mounts/main/2/name")), ("other".to_owned(), "web".to_owned()));
    volumes.mounts(&uid, 0, &env).await.unwrap();
    assert_eq!((read(".mounts/main/2/name"), read("scratch/of/ada/file")), ("other".to_owned(), "kept".to_owned()));
    // What another pod left goes when the host starts; what this one has goes with it.
    let left = dir.path().join("volumes/u0/scratch");
    fs::create_dir_all(&left).unwrap();
    volumes.retain(&HashSet::from([uid.clone()]));
    volumes.release(&uid);
    while left.exists() || folder.exists() {
        tokio::task::yield_now().await;
    }
}
