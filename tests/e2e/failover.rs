//! Servers that join later: hosts and kubeconfigs learn of them, and do without the first.

use coracle_tests::{Host, Server, eventually, root};
use serde_json::Value;

use crate::servers::{dir, token};

#[test]
fn a_host_and_a_kubeconfig_that_knew_one_server_do_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Server::start(&dir(&folder, "one"), &[]);
    let worker_dir = dir(&folder, "h1");
    let mut worker = Host::start(&worker_dir, &["--join", &token(&first, "host"), "--name", "h1"]);
    first.wasmctl(&["deploy", root().join("examples/hello/hello.wat").to_str().unwrap()]).ok();
    let [second, _third] = ["two", "three"].map(|name| {
        let invitation = token(&first, "server");
        Server::start(&dir(&folder, name), &["--join", &invitation, "--name", name])
    });
    first.kubectl(&["config", "set-context", "--current", "--namespace", "kube-system"]).ok();
    let servers_of = |text: &str, pointer: &str| {
        let found: Value = serde_json::from_str(text).unwrap_or_default();
        found.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len)
    };
    eventually("the host keeps all servers", || {
        let kept = std::fs::read_to_string(worker_dir.join("host.json")).unwrap();
        (servers_of(&kept, "/servers") == 3).then_some(())
    });
    let kubeconfig = || first.kubectl(&["config", "view", "--raw", "-o", "json"]).ok();
    eventually("the kubeconfig names the others", || {
        (servers_of(&kubeconfig(), "/clusters/0/cluster/extensions/0/extension/servers") == 2).then_some(())
    });
    let context: Value = serde_json::from_str(&kubeconfig()).unwrap();
    assert_eq!(context["contexts"][0]["context"]["namespace"], "kube-system", "what users put there stays");

    first.kill();
    eventually("a write goes to another server by itself", || {
        let scaled = first.wasmctl(&["apply", "-n", "default", "-f", config_map(&folder).to_str().unwrap()]);
        (scaled.code == 0).then_some(())
    });
    let ready = || {
        let path = "jsonpath={.status.readyReplicas}";
        second.kubectl(&["get", "deployment", "hello", "-o", path]).stdout
    };
    second.kubectl(&["scale", "deployment/hello", "--replicas=2"]).ok();
    eventually("the host goes on with another server", || (ready() == "2").then_some(()));
    worker.kill();
    let _worker = Host::start(&worker_dir, &[]);
    eventually("a host that was started again does, too", || (ready() == "2").then_some(()));
}

fn config_map(folder: &tempfile::TempDir) -> std::path::PathBuf {
    let path = folder.path().join("config-map.yaml");
    std::fs::write(&path, "{apiVersion: v1, kind: ConfigMap, metadata: {name: written}, data: {a: b}}").unwrap();
    path
}
