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
    let kept = dir(&folder, "three");
    for (lost, told) in [
        ("store", "this member has lost what it kept"),
        ("member.json", "without it nobody knows which member's the store is"),
        ("cluster.json", "cluster.json is gone, and a store is there that knows more than it"),
    ] {
        let (path, aside) = (kept.join(lost), kept.join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        if lost == "store" {
            // As where a disk is not mounted.
            std::fs::create_dir(&path).unwrap();
        }
        let refused = refused(&kept, &[]);
        assert!(refused.contains(told), "{refused}");
        if lost == "store" {
            std::fs::remove_dir(&path).unwrap();
        }
        std::fs::rename(&aside, &path).unwrap();
    }
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
fn what_would_cost_the_quorum_is_refused_and_members_are_listed_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let [mut first, second, mut third] = three(&folder);
    let founder = roles(&second).split_whitespace().find(|word| word.ends_with("-1")).unwrap().to_owned();
    third.kill();
    let refused = second.wasmctl(&["member", "remove", &founder]).fails_with(1);
    assert!(refused.contains("no quorum would be left: no answer from member three"), "{refused}");
    write(&second, "goes-on");
    first.kill();
    let refused = second.wasmctl(&["token", "create"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let listed = roles(&second);
    assert!(listed.contains("three") && listed.contains(&founder), "{listed}");
    let _first = Server::start(&dir(&folder, "one"), &[]);
    write(&second, "back");
    second.wasmctl(&["member", "remove", "three"]).ok();
}

#[test]
fn controllers_work_on_whoever_leads_again_after_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let members = three(&folder);
    let leading = |asked: &Server| {
        let list: serde_json::Value =
            serde_json::from_str(&asked.wasmctl(&["member", "list", "--output", "json"]).stdout).ok()?;
        let leads = |member: &serde_json::Value| member["role"] == "leader";
        let name = list["items"].as_array()?.iter().find(|member| leads(member))?["name"].as_str()?.to_owned();
        ["two", "three"].iter().position(|known| *known == name).map_or(Some(0), |place| Some(place + 1))
    };
    members[0].kubectl(&["create", "deployment", "web", "--image=example.org/web:1", "--replicas=0"]).ok();
    // Each has been paused by then.
    for round in 1..=4 {
        let leader = eventually("a member leads", || leading(&members[0]));
        let other = &members[(leader + 1) % 3];
        members[leader].signal("STOP");
        eventually("another leads", || leading(other).filter(|next| *next != leader));
        members[leader].signal("CONT");
        let label = format!("round={round}");
        eventually("the deployment is changed", || {
            let patch = format!(r#"{{"spec":{{"template":{{"metadata":{{"labels":{{"round":"{round}"}}}}}}}}}}"#);
            (other.kubectl(&["patch", "deployment", "web", "-p", &patch]).code == 0).then_some(())
        });
        eventually("a controller sees it", || {
            let sets = other.kubectl(&["get", "replicasets", "-l", &label, "-o", "name"]);
            (!sets.stdout.trim().is_empty()).then_some(())
        });
    }
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
