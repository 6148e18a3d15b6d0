//! Control planes of several members: one process and one data directory each.

use std::path::Path;

use coracle_tests::{Host, Server, eventually, root, run, server};
use tempfile::TempDir;

/// A token for `role`, with the address of the member that made it.
pub(crate) fn token(member: &Server, role: &str) -> String {
    let token = member.wasmctl(&["token", "create", "--role", role]).ok();
    let config = member.kubectl(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"]).ok();
    format!("{}@{}", token.trim(), config.trim().trim_start_matches("https://"))
}

pub(crate) fn dir(folder: &TempDir, name: &str) -> std::path::PathBuf {
    folder.path().join(name)
}

/// Three members, `one` the first.
pub(crate) fn three(folder: &TempDir) -> [Server; 3] {
    let first = Server::start(&dir(folder, "one"), &[]);
    let [second, third] = ["two", "three"].map(|name| {
        let invitation = token(&first, "server");
        Server::start(&dir(folder, name), &["--join", &invitation, "--name", name])
    });
    eventually("all vote", || (roles(&third).matches("voter").count() == 2).then_some(()));
    [first, second, third]
}

fn roles(member: &Server) -> String {
    member.wasmctl(&["member", "list"]).ok()
}

fn refused(dir: &Path, arguments: &[&str]) -> String {
    run(server(dir).args(arguments)).fails_with(1)
}

/// Creates a ConfigMap through a member, as soon as the group has a leader.
fn write(member: &Server, name: &str) {
    eventually("the write is taken", || {
        let made = member.kubectl(&["create", "configmap", name, "--from-literal=a=b"]);
        let is_there = made.code == 0 || made.stderr.contains("already exists");
        is_there.then_some(())
    });
}

/// How many API servers the service `kubernetes` names, as a member tells.
fn named(member: &Server) -> usize {
    let addresses = "jsonpath={.subsets[*].addresses[*].ip}";
    member.kubectl(&["get", "endpoints", "kubernetes", "-o", addresses]).stdout.split_whitespace().count()
}

#[test]
fn three_members_lose_nothing_when_the_leader_is_killed_and_take_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let [mut first, second, third] = three(&folder);
    write(&second, "before");
    eventually("clients are told of all three", || (named(&second) == 3).then_some(()));
    first.kill();
    write(&third, "after");
    eventually("and then of those that answer", || (named(&second) == 2).then_some(()));
    let names = second.kubectl(&["get", "configmaps", "-o", "name"]).ok();
    assert!(names.contains("configmap/before") && names.contains("configmap/after"), "{names}");
    // It comes back at another port, and the others find it.
    let first = Server::start(&dir(&folder, "one"), &[]);
    write(&first, "again");
    eventually("nobody lacks anything", || (roles(&second).matches(" 0 entries").count() == 2).then_some(()));
    assert!(third.kubectl(&["get", "configmap", "again"]).ok().contains("again"));
}

#[test]
fn a_member_that_stops_hands_over_and_one_that_is_gone_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let [mut first, second, mut third] = three(&folder);
    assert_eq!(first.terminate(), Some(0));
    write(&second, "after-a-stop");
    let _first = Server::start(&dir(&folder, "one"), &[]);
    eventually("all are there", || (roles(&second).matches(" 0 entries").count() == 2).then_some(()));
    third.kill();
    // Under its old name it would be taken for who it was.
    let invitation = token(&second, "server");
    let taken = refused(&dir(&folder, "new"), &["--join", &invitation, "--name", "three"]);
    assert!(taken.contains("there is member three") && taken.contains("wasmctl member remove three"), "{taken}");
    second.wasmctl(&["member", "remove", "three"]).ok();
    let mut again = Server::start(&dir(&folder, "new-three"), &["--join", &invitation, "--name", "three"]);
    write(&again, "after-a-replacement");
    let gone = refused(&dir(&folder, "three"), &[]);
    assert!(gone.contains("member three ends: it was removed from the cluster"), "{gone}");
    let unknown = second.wasmctl(&["member", "remove", "nobody"]).fails_with(1);
    assert!(unknown.contains("there is no member nobody"), "{unknown}");
    second.wasmctl(&["member", "remove", "three"]).ok();
    assert_eq!(again.end(), Some(1));
    let joined = refused(&dir(&folder, "one-more"), &["--join", &token(&second, "host"), "--name", "four"]);
    assert!(joined.contains("the token is for a host, and this machine is to be a server"), "{joined}");
}

#[test]
fn hosts_work_on_whichever_member_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let [mut first, second, _third] = three(&folder);
    let host = |name: &str| Host::start(&dir(&folder, name), &["--join", &token(&second, "host"), "--name", name]);
    let _hosts = [host("h1"), host("h2")];
    second.wasmctl(&["deploy", root().join("examples/hello/hello.wat").to_str().unwrap(), "--replicas", "4"]).ok();
    let nodes = second.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}"]).ok();
    assert!(nodes.contains("h1") && nodes.contains("h2"), "{nodes}");
    first.kill();
    eventually("the deployment is scaled", || {
        let scaled = second.kubectl(&["scale", "deployment/hello", "--replicas=6"]);
        (scaled.code == 0).then_some(())
    });
    eventually("six pods are ready", || {
        let ready = second.kubectl(&["get", "deployment", "hello", "-o", "jsonpath={.status.readyReplicas}"]);
        (ready.stdout == "6").then_some(())
    });
}
