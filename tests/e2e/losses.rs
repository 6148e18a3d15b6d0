//! Control planes that lose members, a disk or their past: members on machines of their own, which takes root.

use std::path::Path;

use coracle_tests::{ControlPlane, Host, Machine, Network, Printed, Server, eventually, root, run, try_get};
use serde_json::json;

/// Any state will do; so a member answers it alone.
const CACHED: &str = "/api/v1/namespaces/default/configmaps?resourceVersion=0";

fn create(server: &Server, name: &str) -> Printed {
    server.kubectl(&["create", "configmap", name, "--from-literal=a=b"])
}

/// Makes a machine a host of the control plane.
fn worker(network: &mut Network, plane: &ControlPlane, dir: &Path) -> (Machine, Host) {
    let machine = network.machine();
    let host = Host::spawn(machine.host(dir).args(["--join", &plane.invitation("host"), "--name", "worker"]));
    (machine, host)
}

#[test]
fn without_a_quorum_reads_and_pods_go_on_and_writes_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = Network::start();
    let mut plane = ControlPlane::start(&mut network, folder.path(), 3);
    let (machine, _host) = worker(&mut network, &plane, &folder.path().join("worker"));
    plane.wasmctl(&["deploy", root().join("examples/hello/hello.wat").to_str().unwrap()]).ok();
    let hello = || try_get((machine.address(), 8080), "hello.localhost", "/").ok().filter(|answer| answer.0 == 200);
    eventually("hello answers", hello);
    create(plane.server(0), "before").ok();
    let leader = plane.leader();
    let follower = (leader + 1) % 3;
    for left in [leader, follower] {
        (0..3).filter(|number| *number != left).for_each(|number| plane.kill(number));
        let cached = plane.server(left).kubectl(&["get", "--raw", CACHED]).ok();
        assert!(cached.contains("\"before\""), "{cached}");
        // What is there may be gone elsewhere by now.
        for name in ["lost", "before"] {
            let why = create(plane.server(left), name).fails_with(1);
            let reasons = [
                "not confirmed by a quorum",
                "could not be confirmed by a quorum",
                "knows no other that does",
                "nobody has led",
                "does not answer",
            ];
            assert!(reasons.iter().any(|reason| why.contains(reason)), "{why}");
        }
        let status = plane.wasmctl(&["status"]).ok();
        assert!(status.contains("pods    1 running") && status.contains("nothing can be written"), "{status}");
        assert!(hello().is_some(), "pods need no control plane");
        (0..3).filter(|number| *number != left).for_each(|number| plane.restart(number));
        plane.settle();
        create(plane.server(left), &format!("after-{left}")).ok();
    }
    assert!(hello().is_some());
}

/// What it's told meanwhile is that its own pods are lost.
#[test]
fn a_host_that_is_not_heard_serves_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = Network::start();
    let plane = ControlPlane::start(&mut network, folder.path(), 1);
    let (machine, _host) = worker(&mut network, &plane, &folder.path().join("worker"));
    plane.wasmctl(&["deploy", root().join("examples/hello/hello.wat").to_str().unwrap()]).ok();
    let hello = || try_get((machine.address(), 8080), "hello.localhost", "/").ok().filter(|answer| answer.0 == 200);
    eventually("hello answers", hello);
    let server = plane.machine(0).address();
    let ready = |expected: &str| {
        let path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
        let ready = plane.server(0).kubectl(&["get", "node", "worker", "-o", path]).ok();
        // Before and after, and all the time between.
        assert!(hello().is_some(), "it serves while its node is {ready}");
        (ready.trim() == expected).then_some(())
    };
    machine.set_silent_to(server, true);
    eventually("the host counts as lost", || ready("Unknown"));
    let path = "jsonpath={.items[*].endpoints[*].conditions.ready}";
    let endpoints = || {
        plane.server(0).kubectl(&["get", "endpointslices", "-l", "kubernetes.io/service-name=hello", "-o", path]).ok()
    };
    eventually("its pods do", || (endpoints().trim() == "false").then_some(()));
    for _ in 0..50 {
        ready("Unknown");
    }
    machine.set_silent_to(server, false);
    eventually("the host is found again", || ready("True"));
    eventually("its pods are", || (endpoints().trim() == "true").then_some(()));
    for _ in 0..50 {
        ready("True");
    }
}

#[test]
fn of_two_members_both_are_needed() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = Network::start();
    let mut plane = ControlPlane::start(&mut network, folder.path(), 2);
    create(plane.server(1), "before").ok();
    plane.kill(1);
    let why = create(plane.server(0), "lost").fails_with(1);
    assert!(why.contains("quorum") && why.contains("no answer from member server-2"), "{why}");
    let cached = plane.server(0).kubectl(&["get", "--raw", CACHED]).ok();
    assert!(cached.contains("\"before\""), "{cached}");
    plane.restart(1);
    eventually("writes are done again", || (create(plane.server(1), "after").code == 0).then_some(()));
}

#[test]
fn a_member_that_lost_what_it_kept_is_not_taken_for_who_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = Network::start();
    let mut plane = ControlPlane::start(&mut network, folder.path(), 3);
    create(plane.server(0), "before").ok();
    for number in [0, 2] {
        plane.kill(number);
        let store = plane.dir(number).join("store");
        let aside = folder.path().join("aside");
        std::fs::rename(&store, &aside).unwrap();
        let (machine, dir) = (plane.machine(number), plane.dir(number));
        let refused = run(&mut machine.server(&dir, machine.address())).fails_with(1);
        assert!(refused.contains("this member has lost what it kept"), "{refused}");
        assert!(refused.contains("wasmctl member remove"), "{refused}");
        std::fs::rename(&aside, &store).unwrap();
        plane.restart(number);
        plane.settle();
    }

    // With nothing left a machine begins a cluster, which the members at whose address it is don't take for theirs.
    plane.kill(2);
    let machine = plane.machine(2);
    let other = Server::spawn(
        &folder.path().join("other"),
        &mut machine.server(&folder.path().join("other"), machine.address()),
    );
    eventually("the others write without it", || (create(plane.server(0), "after").code == 0).then_some(()));
    let found = other.kubectl(&["get", "configmaps", "-o", "name"]).ok();
    assert!(!found.contains("before") && !found.contains("after"), "{found}");
    let members = plane.wasmctl(&["member", "list"]).ok();
    assert_eq!(members.matches("voter").count(), 2, "{members}");
    drop(other);
    plane.restart(2);
    plane.settle();
}

#[test]
fn a_member_whose_disk_breaks_ends_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = Network::start();
    let mut plane = ControlPlane::start(&mut network, folder.path(), 3);
    let leader = plane.leader();
    let follower = (leader + 1) % 3;
    create(plane.server(follower), "before").ok();
    let syncs = plane.server(leader).break_disk();
    // Whether it is done isn't said.
    create(plane.server(follower), "unknown");
    assert_eq!(plane.end(leader), Some(1), "it ends");
    drop(syncs);
    eventually("the others write without it", || (create(plane.server(follower), "after").code == 0).then_some(()));
    plane.restart(leader);
    plane.settle();
    let found = plane.server(leader).kubectl(&["get", "configmaps", "-o", "name"]).ok();
    assert!(found.contains("before") && found.contains("after"), "{found}");
}

#[test]
fn a_member_whose_disk_is_full_keeps_nobody_from_writing_and_catches_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = Network::start();
    let mut machines: Vec<Machine> = (0..3).map(|_| network.machine()).collect();
    machines[2].set_disk(&folder.path().join("disk"), 64);
    let places = machines.into_iter().map(|machine| (machine.address(), machine)).collect();
    let plane = ControlPlane::start_on(places, folder.path());
    let server = format!("https://{}:6443", plane.machine(2).address());
    let ask_third = |path: &str| plane.server(0).kubectl(&["--server", &server, "get", "--raw", path]);

    plane.machine(2).set_disk_full(true);
    let text = format!("--from-literal=text={}", "x".repeat(100_000));
    for number in 0..100 {
        plane.server(0).kubectl(&["create", "configmap", &format!("map-{number}"), &text]).ok();
    }
    let lag = || {
        let list: serde_json::Value =
            serde_json::from_str(&plane.wasmctl(&["member", "list", "-o", "json"]).ok()).unwrap();
        let items = list["items"].as_array().unwrap();
        items.iter().find(|item| item["name"] == "server-3").and_then(|item| item["lag"].as_u64())
    };
    assert!(lag().is_none_or(|lag| lag > 0), "the disk was full");
    assert_eq!(ask_third("/livez").ok(), "ok");
    assert!(ask_third(CACHED).ok().contains("ConfigMapList"));
    plane.machine(2).set_disk_full(false);
    plane.settle();
    assert!(ask_third(CACHED).ok().contains("\"map-99\""));
}

#[test]
fn a_leader_whose_disk_is_full_lets_another_lead() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = Network::start();
    let mut machines: Vec<Machine> = (0..3).map(|_| network.machine()).collect();
    machines[0].set_disk(&folder.path().join("disk"), 64);
    let places = machines.into_iter().map(|machine| (machine.address(), machine)).collect();
    let plane = ControlPlane::start_on(places, folder.path());
    assert_eq!(plane.leader(), 0, "it began the cluster");
    plane.machine(0).set_disk_full(true);
    let text = format!("--from-literal=text={}", "x".repeat(100_000));
    for number in 0..100 {
        plane.server(1).kubectl(&["create", "configmap", &format!("map-{number}"), &text]).ok();
    }
    assert_ne!(plane.leader(), 0, "its disk was full");
    plane.machine(0).set_disk_full(false);
    plane.settle();
}

/// Large objects fill it between two checkpoints, and fill what a failed one would leave behind.
#[test]
fn a_full_disk_clears_when_objects_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = Network::start();
    let mut machine = network.machine();
    machine.set_disk(&folder.path().join("disk"), 64);
    let mut plane = ControlPlane::start_on(vec![(machine.address(), machine)], folder.path());
    let large = |number: u32| {
        let metadata = json!({ "name": format!("large-{number}"), "labels": { "large": "" } });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "a": "x".repeat(700_000) } })
    };
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": (0..50).map(large).collect::<Vec<_>>() });
    let file = folder.path().join("large.json");
    std::fs::write(&file, list.to_string()).unwrap();
    let create = |plane: &ControlPlane| plane.server(0).kubectl(&["create", "-f", file.to_str().unwrap()]);
    let delete = |plane: &ControlPlane| {
        plane.server(0).kubectl(&["delete", "configmaps", "--selector", "large"]).ok();
    };
    for is_killed in [false, true] {
        let refused = create(&plane).fails_with(1);
        assert!(refused.contains("no space is left on the disk of the store"), "{refused}");
        if is_killed {
            plane.kill(0);
            plane.restart(0);
            plane.settle();
        }
        delete(&plane);
        eventually("there is space again", || {
            let created = create(&plane).stdout;
            delete(&plane);
            created.contains("large-").then_some(())
        });
    }
}
