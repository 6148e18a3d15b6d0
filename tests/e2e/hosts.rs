//! Machines that join a cluster: one process and one data directory each.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use coracle_tests::{Cluster, Host, eventually, guest, host, root, run, try_get, up, wasmctl_path};

fn token(cluster: &Cluster, arguments: &[&str]) -> String {
    let token = cluster.wasmctl(&[&["token", "create"], arguments].concat()).ok();
    format!("{}@{}", token.trim(), cluster.address("api"))
}

/// What a refused `wasmctl host` says.
fn refused(dir: &Path, arguments: &[&str]) -> String {
    run(host(dir).args(arguments)).fails_with(1)
}

fn ready_nodes(cluster: &Cluster) -> usize {
    cluster.wasmctl(&["node", "list"]).ok().lines().filter(|line| line.contains("   Ready   ")).count()
}

/// Runs a pod that prints a line, where its spec says.
fn run_pod(cluster: &Cluster, name: &str, image: &str, place: &str) {
    let manifest = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{restartPolicy: Never, {place}, \
         containers: [{{name: main, image: '{image}'}}]}}}}"
    );
    let file = cluster.dir().join("pod.yaml");
    std::fs::write(&file, manifest).unwrap();
    cluster.wasmctl(&["apply", "-f", file.to_str().unwrap()]).ok();
    let pod = format!("pod/{name}");
    eventually("the pod has run", || (cluster.object(&pod)["status"]["phase"] == "Succeeded").then_some(()));
    assert_eq!(cluster.object(&pod)["spec"]["nodeName"], "worker", "{name}");
    assert!(!cluster.wasmctl(&["logs", name]).ok().is_empty(), "{name}");
}

#[test]
fn a_machine_joins_once_runs_pods_and_comes_back_after_kill_9() {
    let cluster = Cluster::start();
    let dir = tempfile::tempdir().unwrap();
    let invitation = token(&cluster, &["--ttl", "1h"]);
    let listed = cluster.wasmctl(&["token", "list"]).ok();
    assert!(listed.contains("host   <none>    60m") || listed.contains("host   <none>    59m"), "{listed}");
    let mut worker = Host::start(dir.path(), &["--join", &invitation, "--name", "worker"]);
    eventually("both nodes are ready", || (ready_nodes(&cluster) == 2).then_some(()));
    let listed = cluster.wasmctl(&["token", "list"]).ok();
    assert!(listed.contains("host   worker"), "{listed}");

    let image = cluster.wasmctl(&["push", guest("command-prints.wat").to_str().unwrap(), "prints"]).ok();
    run_pod(&cluster, "by-name", image.trim(), "nodeName: worker");
    run_pod(&cluster, "by-label", image.trim(), "nodeSelector: {kubernetes.io/hostname: worker}");

    let again = refused(dir.path(), &["--join", &invitation]);
    assert!(again.contains("is in use by another wasmctl"), "{again}");
    worker.kill();
    let renamed = run(host(dir.path()).args(["--name", "other"])).fails_with(2);
    assert!(renamed.contains("this host is called worker, and keeps that name"), "{renamed}");
    let moved = run(host(dir.path()).args(["--advertise", "127.0.0.9"])).fails_with(2);
    assert!(
        moved.contains("host worker is known at 127.0.0.1") && moved.contains("wasmctl delete node worker"),
        "{moved}"
    );
    let another = Cluster::start();
    let foreign = refused(dir.path(), &["--join", &token(&another, &[])]);
    assert!(foreign.contains("has joined another cluster than the token's: as host worker"), "{foreign}");
    drop(another);
    eventually("the host is missed", || (ready_nodes(&cluster) == 1).then_some(()));
    // As a unit of systemd has it: the same command each time.
    let _worker = Host::start(dir.path(), &["--join", &invitation, "--name", "worker"]);
    eventually("both nodes are ready again", || (ready_nodes(&cluster) == 2).then_some(()));
    run_pod(&cluster, "after", image.trim(), "nodeName: worker");

    let other = tempfile::tempdir().unwrap();
    let used = refused(other.path(), &["--join", &invitation, "--name", "other"]);
    assert!(used.contains("the token was used by worker"), "{used}");
    let fresh = token(&cluster, &[]);
    let taken = refused(other.path(), &["--join", &fresh, "--name", "worker"]);
    assert!(taken.contains("a host of this name is alive"), "{taken}");
    let _other = Host::start(other.path(), &["--join", &fresh, "--name", "other"]);
    eventually("all nodes are ready", || (ready_nodes(&cluster) == 3).then_some(()));
}

#[test]
fn a_host_whose_node_is_deleted_stops_and_may_do_nothing_until_it_joins_anew() {
    let cluster = Cluster::start();
    let dir = tempfile::tempdir().unwrap();
    let _worker = Host::start(dir.path(), &["--join", &token(&cluster, &[]), "--name", "worker"]);
    eventually("both nodes are ready", || (ready_nodes(&cluster) == 2).then_some(()));
    cluster.wasmctl(&["delete", "node", "worker"]).ok();
    let refused = eventually("its process ends", || {
        let again = run(&mut host(dir.path()));
        (!again.stderr.contains("is in use by another wasmctl")).then_some(again)
    });
    let refused = refused.fails_with(1);
    assert!(refused.contains("worker is no host of the cluster any more: its Node was deleted"), "{refused}");
    assert!(refused.contains("wasmctl token create"), "{refused}");
    assert!(!cluster.wasmctl(&["node", "list"]).ok().contains("worker"));

    let _worker = Host::start(dir.path(), &["--join", &token(&cluster, &[])]);
    eventually("both nodes are ready again", || (ready_nodes(&cluster) == 2).then_some(()));
    let image = cluster.wasmctl(&["push", guest("command-prints.wat").to_str().unwrap(), "prints"]).ok();
    run_pod(&cluster, "again", image.trim(), "nodeName: worker");
}

#[test]
fn hosts_that_are_killed_under_load_fail_no_request_that_another_can_answer() {
    const CLIENTS: usize = 4;
    const REQUESTS_EACH: usize = 1500;
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let workers = ["h1", "h2"].map(|name| {
        let invitation = token(&cluster, &[]);
        Host::start(&folder.path().join(name), &["--join", &invitation, "--name", name])
    });
    let hello = root().join("examples/hello/hello.wat");
    cluster.wasmctl(&["deploy", hello.to_str().unwrap(), "--replicas", "6"]).ok();
    let nodes = cluster.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}"]).ok();
    assert!(nodes.contains("h1") && nodes.contains("h2"), "{nodes}");

    let (asked, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let ask = || {
        for _ in 0..REQUESTS_EACH {
            match try_get(cluster.address("ingress"), "hello.localhost", "/") {
                Ok((200, _)) => {}
                other => failed.lock().unwrap().push(format!("{other:?}")),
            }
            asked.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        (0..CLIENTS).for_each(|_| drop(scope.spawn(ask)));
        for (number, mut worker) in workers.into_iter().enumerate() {
            let enough = (number + 1) * CLIENTS * REQUESTS_EACH / 4;
            eventually("requests are made", || (asked.load(Ordering::Relaxed) > enough).then_some(()));
            worker.kill();
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), failed.first());
}

#[test]
fn what_is_wrong_with_an_invitation_is_said_and_nothing_is_changed() {
    let (cluster, foreign) = (Cluster::start(), Cluster::start());
    let dir = tempfile::tempdir().unwrap();
    let join = |invitation: &str| {
        let error = refused(dir.path(), &["--join", invitation, "--name", "worker"]);
        assert!(!dir.path().join("host.json").exists(), "{error}");
        error
    };
    let good = token(&cluster, &[]);
    let (text, address) = good.split_once('@').unwrap();
    let parts: Vec<&str> = text.split('.').collect();

    let no_host = join(&token(&cluster, &["--role", "server"]));
    assert!(no_host.contains("the token is for a server, and this machine is to be a host"), "{no_host}");
    let wrong = join(&format!("host.{}.{}.{}@{address}", parts[1], "0".repeat(32), parts[3]));
    assert!(wrong.contains("the token's secret is wrong"), "{wrong}");
    let elsewhere = join(&format!("{text}@{}", foreign.address("api")));
    assert!(elsewhere.contains("belongs to another cluster than the token"), "{elsewhere}");
    let nobody = join(&format!("{text}@127.0.0.1:1"));
    assert!(nobody.contains("cannot reach a server at 127.0.0.1:1: Connection refused"), "{nobody}");
    let short = run(host(dir.path()).args(["--join", &good[..20]])).fails_with(2);
    assert!(short.contains("TOKEN@HOST:PORT"), "{short}");
    let none = run(&mut host(dir.path())).fails_with(2);
    assert!(none.contains("has not joined a cluster so far") && none.contains("wasmctl token create"), "{none}");
    let late = token(&cluster, &["--ttl", "1"]);
    eventually("the token has expired", || {
        (!cluster.wasmctl(&["token", "list", "-o", "name"]).ok().contains(late.split('.').nth(1).unwrap()))
            .then_some(())
    });
    let late = join(&late);
    assert!(late.contains("has expired"), "{late}");
    let own = refused(cluster.dir(), &["--join", &good]);
    assert!(own.contains("is in use by another wasmctl"), "{own}");

    assert_eq!(ready_nodes(&cluster), 1);
    let _worker = Host::start(dir.path(), &["--join", &good, "--name", "worker"]);
}

#[test]
fn clocks_that_are_hours_apart_are_told() {
    let cluster = Cluster::start();
    let dir = tempfile::tempdir().unwrap();
    let invitation = token(&cluster, &[]);
    for (hours, told) in [("+3h", "ahead of the server's"), ("-3h", "behind the server's")] {
        let data_dir = dir.path().join("data");
        let mut joiner = Command::new("faketime");
        joiner.args(["-f", hours]).arg(wasmctl_path()).args(["host", "--ingress-addr", "127.0.0.1:0"]);
        joiner.args(["--join", &invitation, "--name", "worker", "--data-dir"]).arg(&data_dir);
        let refused = run(&mut joiner).fails_with(1);
        assert!(refused.contains(told), "{refused}");
        assert!(!data_dir.join("host.json").exists());
    }
    // The token is as good as before.
    let _worker = Host::start(dir.path(), &["--join", &invitation, "--name", "worker"]);
    // One that is made where the clock is another lasts as long as was asked, all the same.
    for hours in ["+3h", "-3h"] {
        let token =
            run(cluster.client("faketime").args(["-f", hours]).arg(wasmctl_path()).args(["token", "create"])).ok();
        let object = cluster.object(&format!("jointokens/{}", token.split('.').nth(1).unwrap()));
        let time = |value: &serde_json::Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let lasts = time(&object["spec"]["expirationTimestamp"]) - time(&object["metadata"]["creationTimestamp"]);
        assert_eq!(lasts.get_seconds(), 24 * 60 * 60, "{object}");
    }
}

#[test]
fn a_deleted_token_is_good_for_nothing() {
    let cluster = Cluster::start();
    let dir = tempfile::tempdir().unwrap();
    let invitation = token(&cluster, &[]);
    let id = invitation.split('.').nth(1).unwrap();
    assert_eq!(cluster.wasmctl(&["token", "delete", id]).ok(), format!("token {id} deleted\n"));
    let unknown = cluster.wasmctl(&["token", "delete", id]).fails_with(1);
    assert!(unknown.contains("wasmctl token list"), "{unknown}");
    let error = refused(dir.path(), &["--join", &invitation, "--name", "worker"]);
    assert!(error.contains("the token is not known"), "{error}");
}

#[test]
fn what_only_this_machine_could_reach_is_not_advertised() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let error = run(up(&data_dir).args(["--advertise", "192.0.2.1"])).fails_with(2);
    assert!(error.contains("other machines cannot reach --api-addr 127.0.0.1:0 there"), "{error}");
    assert!(!data_dir.exists());
}
