//! A snapshot of the cluster is whole, of one moment, and for those only who may have everything.

use std::collections::BTreeMap;
use std::fs;

use coracle_store::Record;
use coracle_store::archive::{ArchiveReader, Entry, Header};
use expect_test::expect;
use http_body_util::BodyExt;
use serde_json::json;

use crate::authentication::User;
use crate::harness::{Server, config_map};

const SNAPSHOTS: &str = "POST /apis/coracle.dev/v1/clustersnapshots";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

struct Saved {
    header: Header,
    records: Vec<Record>,
    files: BTreeMap<String, Vec<u8>>,
}

async fn save(server: &Server) -> Saved {
    let answer = server.send(SNAPSHOTS, JSON, "{}").await;
    assert_eq!(answer.status(), 201);
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let mut archive = ArchiveReader::new(&*bytes).unwrap();
    let (mut records, mut files, mut last) = (Vec::new(), BTreeMap::new(), String::new());
    while let Some(entry) = archive.next_entry().unwrap() {
        match entry {
            Entry::Record(record) => records.push(record),
            Entry::File(path) => {
                files.insert(path.clone(), Vec::new());
                last = path;
            }
            Entry::Content(piece) => files.get_mut(&last).unwrap().extend(piece),
        }
    }
    Saved { header: archive.header().clone(), records, files }
}

#[tokio::test]
async fn objects_and_files_are_saved_secrets_sealed_and_leases_not() {
    let server = Server::start().await;
    let lease = json!({ "metadata": { "name": "n1" }, "spec": { "holderIdentity": "n1" } });
    let leases = "POST /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let secret = json!({ "metadata": { "name": "s" }, "stringData": { "password": "hunter2" } });
    for (line, object) in [
        (format!("POST {MAPS}"), config_map("a", "b")),
        (leases.to_owned(), lease),
        ("POST /api/v1/namespaces/default/secrets".to_owned(), secret),
    ] {
        assert_eq!(server.json(&line, object).await.0, 201);
    }
    let blobs = server.dir.path().join("registry/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join("ab12"), vec![7; 200_000]).unwrap();
    let saved = save(&server).await;
    let keys: Vec<&str> = saved.records.iter().map(|record| &*record.key).collect();
    expect!["configmaps/default/a namespaces/default namespaces/kube-node-lease secrets/default/s"]
        .assert_eq(&keys.join(" "));
    assert_eq!(saved.header.revision, server.app.objects.store().snapshot().revision());
    expect!["calm-otter 2026-11-21T10:00:00Z 4"]
        .assert_eq(&format!("{} {} {}", saved.header.cluster, saved.header.taken, saved.header.records));
    let sealed = String::from_utf8_lossy(&saved.records[3].json).into_owned();
    assert!(sealed.contains("\"sealed\"") && !sealed.contains("aHVudGVyMg"), "{sealed}");
    let files: Vec<&str> = saved.files.keys().map(String::as_str).collect();
    expect!["pki/secret-keys.json pki/service-account.key registry/blobs/ab12"].assert_eq(&files.join(" "));
    for (path, content) in &saved.files {
        assert_eq!(*content, fs::read(server.dir.path().join(path)).unwrap(), "{path}");
    }
}

#[tokio::test]
async fn only_those_get_one_who_may_have_everything() {
    let server = Server::start().await;
    server.furnish().await;
    let refused = async |user: User| server.as_user(user).outcome(SNAPSHOTS, json!({})).await;
    let user = |name: &str| User::authenticated(name, []);
    expect![[r#"403 clustersnapshots.coracle.dev is forbidden: User "reader" cannot create resource "clustersnapshots" in API group "coracle.dev" at the cluster scope"#]].assert_eq(&refused(user("reader")).await);
    expect![[r#"403 clustersnapshots.coracle.dev is forbidden: User "system:anonymous" cannot create resource "clustersnapshots" in API group "coracle.dev" at the cluster scope"#]].assert_eq(&refused(User::anonymous()).await);
    let host = server.as_node("n1").outcome(SNAPSHOTS, json!({})).await;
    expect![[r#"403 clustersnapshots.coracle.dev is forbidden: User "system:node:n1" cannot create resource "clustersnapshots" in API group "coracle.dev" at the cluster scope"#]].assert_eq(&host);
    // Reading everything is not enough; to be an administrator is, unless anybody is.
    let rules = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"] }]);
    let role = json!({ "metadata": { "name": "read-all" }, "rules": rules });
    let roles = "/apis/rbac.authorization.k8s.io/v1";
    assert_eq!(server.json(&format!("POST {roles}/clusterroles"), role).await.0, 201);
    for (binding, role, kind, name) in [
        ("readers", "read-all", "User", "reader"),
        ("admins", "cluster-admin", "User", "backup"),
        ("careless", "cluster-admin", "Group", "system:unauthenticated"),
    ] {
        let binding = json!({
            "metadata": { "name": binding },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name }],
        });
        assert_eq!(server.json(&format!("POST {roles}/clusterrolebindings"), binding).await.0, 201);
    }
    assert!(refused(user("reader")).await.starts_with("403 "));
    expect!["403 forbidden: a snapshot holds the cluster's keys, which no anonymous user gets"]
        .assert_eq(&refused(User::anonymous()).await);
    save(&server.as_user(user("backup"))).await;
    expect!["405 the server does not allow this method on the requested resource"]
        .assert_eq(&server.outcome(&SNAPSHOTS.replace("POST", "GET"), json!({})).await);
}

/// Writes go on meanwhile: what is saved is the state after one of them, never one without another that was there before it.
#[tokio::test]
async fn a_snapshot_is_of_one_moment() {
    let server = Server::start().await;
    let write = async |index: usize| {
        let (code, _) = server.json(&format!("POST {MAPS}"), config_map(&format!("map-{index:04}"), "x")).await;
        assert_eq!(code, 201);
    };
    write(0).await;
    for round in 0..10 {
        let before = server.app.objects.store().snapshot();
        let writes = async {
            for index in 0..20 {
                write(1 + round * 20 + index).await;
            }
        };
        let (saved, ()) = futures::join!(save(&server), writes);
        let maps: Vec<&Record> =
            saved.records.iter().filter(|record| record.key.starts_with("configmaps/default/map-")).collect();
        assert!(maps.len() >= before.count("configmaps/default/map-"), "what was acknowledged before is there");
        for (index, map) in maps.iter().enumerate() {
            assert_eq!(*map.key, format!("configmaps/default/map-{index:04}"));
            assert!(map.revision <= saved.header.revision);
        }
    }
}

#[tokio::test]
async fn a_rotation_meanwhile_leaves_no_secret_without_its_key() {
    let server = Server::start().await;
    for index in 0..50 {
        let secret = json!({ "metadata": { "name": format!("s{index}") }, "stringData": { "a": "b" } });
        assert_eq!(server.json("POST /api/v1/namespaces/default/secrets", secret).await.0, 201);
    }
    for _ in 0..10 {
        let rotation = server.json("POST /apis/coracle.dev/v1/secretkeyrotations", json!({}));
        let (saved, (code, _)) = futures::join!(save(&server), rotation);
        assert_eq!(code, 201);
        let keys = String::from_utf8_lossy(&saved.files["pki/secret-keys.json"]).into_owned();
        for record in saved.records.iter().filter(|record| record.key.starts_with("secrets/")) {
            let stored: serde_json::Value = serde_json::from_slice(&record.json).unwrap();
            let key_id = stored["sealed"]["keyId"].as_str().unwrap();
            assert!(keys.contains(key_id), "{} is sealed with {key_id}", record.key);
        }
    }
}

#[tokio::test]
async fn a_missing_file_is_named_before_anything_is_sent() {
    let server = Server::start().await;
    fs::remove_file(server.dir.path().join("pki/service-account.key")).unwrap();
    let answer = server.outcome(SNAPSHOTS, json!({})).await;
    assert!(answer.starts_with("500 ") && answer.contains("pki/service-account.key"), "{answer}");
}
