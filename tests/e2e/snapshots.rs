//! A cluster is saved, lost, and there again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use coracle_tests::{Cluster, eventually, root, run, wasmctl, wasmctl_path};
use serde_json::{Value, json};

#[test]
fn a_cluster_is_restored_from_its_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("monday.coracle"));
    let (data_text, file_text) = (data.to_str().unwrap(), file.to_str().unwrap());
    let cluster = Cluster::start_in(&data);
    let component = root().join("examples/hello/hello.wat");
    cluster.wasmctl(&["deploy", component.to_str().unwrap()]).ok();
    cluster.kubectl(&["create", "configmap", "settings", "--from-literal=color=blue"]).ok();
    cluster.kubectl(&["create", "secret", "generic", "login", "--from-literal=password=hunter2"]).ok();
    let token = cluster.kubectl(&["create", "token", "default"]).ok();
    let kinds = ["deployment/hello", "service/hello", "ingress/hello", "configmap/settings", "secret/login"];
    let saved_objects = kinds.map(|what| cluster.object(what)["metadata"]["uid"].clone());
    let old_kubeconfig = fs::read_to_string(data.join("kubeconfig")).unwrap();

    // Others write meanwhile.
    let mut writer = cluster.start_kubectl(&["create", "-f", write_entries(dir.path()).to_str().unwrap()]);
    assert!(writer.next_line().contains("entry-0000 created"));
    let saved = cluster.wasmctl(&["snapshot", "save", file_text]).ok();
    drop(writer);
    assert!(saved.contains("keep it as secret as the cluster"), "{saved}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(cluster.wasmctl(&["snapshot", "save", file_text]).fails_with(1).contains("--force"));
    let inspected = wasmctl(&["snapshot", "inspect", file_text]).ok();
    assert!(inspected.contains("deployments.apps") && inspected.contains("verified"), "{inspected}");
    // What happens later is not in it.
    cluster.kubectl(&["create", "configmap", "later"]).ok();
    cluster.kubectl(&["label", "configmap", "settings", "changed=later"]).ok();
    let changed_later = cluster.object("configmap/settings").to_string();
    let last_known = revision(&cluster);
    let refused = wasmctl(&["snapshot", "restore", file_text, "--data-dir", data_text]).fails_with(1);
    assert!(refused.contains("holds a cluster already"), "{refused}");

    drop(cluster);
    fs::remove_dir_all(&data).unwrap();
    wasmctl(&["snapshot", "restore", file_text, "--data-dir", data_text]).ok();
    let cluster = Cluster::start_in(&data);
    assert_eq!(kinds.map(|what| cluster.object(what)["metadata"]["uid"].clone()), saved_objects);
    assert_eq!(cluster.object("configmap/settings")["data"]["color"], "blue");
    assert_eq!(cluster.object("secret/login")["data"]["password"], "aHVudGVyMg==");
    cluster.wasmctl(&["get", "configmap", "later"]).fails_with(1);
    // Of those written one after the other, no later one is there without all before it.
    let entries = cluster.kubectl(&["get", "configmaps", "--selector", "entry", "--output", "name"]).ok();
    let count = entries.lines().count();
    assert!((1..ENTRIES).contains(&count), "{count} were there");
    assert!(
        entries.lines().enumerate().all(|(index, name)| name == format!("configmap/entry-{index:04}")),
        "{entries}"
    );
    eventually("the URL answers again", || {
        matches!(cluster.try_get("hello.localhost", "/"), Ok((200, _))).then_some(())
    });
    knows_its_clients(&cluster, token.trim(), &old_kubeconfig);
    // A write on top of what is no more is refused, and a watch from before begins anew.
    let refused = cluster.kubectl_with(&changed_later, &["replace", "-f", "-"]).fails_with(1);
    assert!(refused.contains("the object has been modified"), "{refused}");
    assert!(revision(&cluster) > last_known);
    let path = format!("/api/v1/configmaps?watch=true&timeoutSeconds=5&resourceVersion={last_known}");
    let gone = cluster.kubectl(&["get", "--raw", &path]);
    assert!(format!("{gone:?}").contains("too old resource version"), "{gone:?}");
}

/// It is the same cluster to those who knew it: a token, and a kubeconfig, but for the port.
fn knows_its_clients(cluster: &Cluster, token: &str, old_kubeconfig: &str) {
    let server = format!("--server=https://{}", cluster.address("api"));
    let token = format!("--token={token}");
    let nobody = ["--kubeconfig=/dev/null", "--insecure-skip-tls-verify", "auth", "whoami"];
    let who = cluster.kubectl(&[&nobody[..], &[&server, &token]].concat()).ok();
    assert!(who.contains("system:serviceaccount:default:default"), "{who}");
    let server = |kubeconfig: &str| kubeconfig.lines().find(|line| line.contains("server:")).unwrap().to_owned();
    let new_kubeconfig = fs::read_to_string(cluster.dir().join("kubeconfig")).unwrap();
    let moved = old_kubeconfig.replace(&server(old_kubeconfig), &server(&new_kubeconfig));
    let known = cluster.dir().join("known-kubeconfig");
    fs::write(&known, moved).unwrap();
    wasmctl(&["--kubeconfig", known.to_str().unwrap(), "get", "configmap", "settings"]).ok();
}

/// More than are written while a snapshot is saved.
const ENTRIES: usize = 2_000;

/// A file of so many config maps.
fn write_entries(dir: &Path) -> PathBuf {
    let entry = |index: usize| {
        let metadata = json!({ "name": format!("entry-{index:04}"), "labels": { "entry": "" } });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata }).to_string()
    };
    let entries: Vec<String> = (0..ENTRIES).map(entry).collect();
    let path = dir.join("entries.yaml");
    fs::write(&path, entries.join("\n---\n")).unwrap();
    path
}

fn revision(cluster: &Cluster) -> u64 {
    let list = cluster.kubectl(&["get", "--raw", "/api/v1/configmaps"]).ok();
    let list: Value = serde_json::from_str(&list).unwrap();
    list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

/// Nothing is changed by a file that is not a whole snapshot.
#[test]
fn what_is_not_a_whole_snapshot_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.coracle");
    let cluster = Cluster::start();
    fs::write(&file, "something old").unwrap();
    cluster.wasmctl(&["snapshot", "save", file.to_str().unwrap(), "--force"]).ok();
    let whole = fs::read(&file).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    let mut newer = whole.clone();
    newer[8] += 1;
    let target = dir.path().join("restored");
    for (bytes, expected) in [
        (&whole[..whole.len() - 10], "cut off"),
        (&changed, "damaged"),
        (&newer, "format 2 is from a later release"),
        (b"kind: ConfigMap\n", "not a snapshot of a cluster"),
    ] {
        fs::write(&file, bytes).unwrap();
        for arguments in [
            &["snapshot", "inspect", file.to_str().unwrap()][..],
            &["snapshot", "restore", file.to_str().unwrap(), "--data-dir", target.to_str().unwrap()],
        ] {
            let refused = wasmctl(arguments).fails_with(1);
            assert!(refused.contains(expected), "{refused}");
        }
        assert!(!target.exists());
    }
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a.coracle"]);

    // A whole one may also come through a pipe, as from a program that decrypts it.
    fs::write(&file, &whole).unwrap();
    let mut piped = Command::new("sh");
    piped.args(["-c", r#"cat "$1" | "$2" snapshot restore /dev/stdin --data-dir "$3""#, "sh"]);
    run(piped.arg(&file).arg(wasmctl_path()).arg(&target)).ok();
    assert!(target.join("cluster.json").exists());
}
