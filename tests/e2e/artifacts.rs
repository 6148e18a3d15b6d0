//! Components in the registries of several members: what was acknowledged outlives the member that took it.

use coracle_tests::{Cluster, Host, Server, eventually, guest, root, up};

use crate::servers::{dir, three, token};

fn hello() -> String {
    root().join("examples/hello/hello.wat").to_str().unwrap().to_owned()
}

#[test]
fn a_component_runs_though_the_member_it_was_pushed_to_is_dead() {
    let folder = tempfile::tempdir().unwrap();
    let [first, mut second, third] = three(&folder);
    let host = |name: &str| Host::start(&dir(&folder, name), &["--join", &token(&third, "host"), "--name", name]);
    let _hosts = [host("h1"), host("h2")];
    let image = second.wasmctl(&["push", &hello(), "shop/hello:1.0"]).ok();
    second.kill();
    // No host has it so far.
    eventually("it is deployed", || {
        let deployed = third.wasmctl(&["deploy", image.trim(), "--name", "by-digest", "--replicas", "4"]);
        (deployed.code == 0).then_some(())
    });
    let nodes = third.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}"]).ok();
    assert!(nodes.contains("h1") && nodes.contains("h2"), "{nodes}");
    first.wasmctl(&["deploy", "registry.coracle.internal/shop/hello:1.0", "--name", "by-tag"]).ok();
    let digest = image.trim().rsplit('@').next().unwrap();
    let pulled = dir(&folder, "pulled.wasm");
    for member in [&first, &third] {
        let pull = ["pull", "registry.coracle.internal/shop/hello:1.0", "--file", pulled.to_str().unwrap()];
        assert!(member.wasmctl(&pull).ok().contains(digest));
        assert!(member.wasmctl(&["inspect", image.trim()]).ok().contains("wasi:http 0.2 handler"));
    }

    // Two of three are enough to take more, and the third takes it over when it is back.
    let other = first.wasmctl(&["push", guest("command-prints.wat").to_str().unwrap(), "prints"]).ok();
    let second = Server::start(&dir(&folder, "two"), &[]);
    let (mut first, mut third) = (first, third);
    eventually("it has what was pushed while it was away", || has(&folder, "two", other.trim()).then_some(()));
    first.kill();
    third.kill();
    // Without a quorum it gives what it has, and takes nothing new.
    let pull = ["pull", "registry.coracle.internal/prints:latest", "--file", pulled.to_str().unwrap()];
    second.wasmctl(&pull).ok();
    let refused = second.wasmctl(&["push", &hello(), "hello:2"]).fails_with(1);
    assert!(refused.contains("503") && refused.contains("no other took a copy"), "{refused}");
}

#[test]
fn a_host_gets_from_another_what_no_member_has_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let member = Server::start(&dir(&folder, "one"), &[]);
    let host = |name: &str| Host::start(&dir(&folder, name), &["--join", &token(&member, "host"), "--name", name]);
    let _first = host("h1");
    let image = member.wasmctl(&["push", &hello(), "shop/hello:1.0"]).ok();
    member.wasmctl(&["deploy", image.trim(), "--name", "hello"]).ok();
    std::fs::remove_dir_all(dir(&folder, "one").join("registry/blobs/sha256")).unwrap();
    let pulled = dir(&folder, "pulled.wasm");
    let gone = member.wasmctl(&["pull", image.trim(), "--file", pulled.to_str().unwrap()]).fails_with(1);
    assert!(gone.contains("has no such manifest"), "{gone}");

    let _second = host("h2");
    member.wasmctl(&["node", "cordon", "h1"]).ok();
    member.kubectl(&["scale", "deployment/hello", "--replicas=2"]).ok();
    eventually("the other host runs it too", || {
        let ready = member.kubectl(&["get", "deployment", "hello", "-o", "jsonpath={.status.readyReplicas}"]);
        (ready.stdout == "2").then_some(())
    });
    let nodes = member.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}"]).ok();
    assert!(nodes.contains("h1") && nodes.contains("h2"), "{nodes}");
}

/// Whether a member's own files have the manifest that a reference names.
fn has(folder: &tempfile::TempDir, member: &str, image: &str) -> bool {
    let digits = image.rsplit(':').next().unwrap();
    dir(folder, member).join("registry/blobs/sha256").join(&digits[..2]).join(digits).exists()
}

#[test]
fn a_host_keeps_images_and_code_within_its_quota() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start_in(folder.path());
    cluster.wasmctl(&["deploy", &hello(), "--name", "hello"]).ok();
    let bytes = cluster.host_figure("coracle_host_image_disk_bytes");
    cluster.kill();

    let quota = (bytes + bytes / 2).to_string();
    let cluster = Cluster::spawn(up(folder.path()).args(["--image-disk-quota", &quota]), folder.path());
    eventually("it runs again", || cluster.try_get("hello.localhost", "/").is_ok_and(|got| got.0 == 200).then_some(()));
    assert_eq!(cluster.host_figure("coracle_host_image_disk_bytes"), bytes);
    let other = folder.path().join("other.wat");
    std::fs::write(&other, std::fs::read_to_string(hello()).unwrap().replace("Hello", "Hallo")).unwrap();
    let image = cluster.wasmctl(&["push", other.to_str().unwrap(), "other"]).ok();
    cluster.kubectl(&["create", "deployment", "other", "--image", image.trim()]).ok();
    eventually("it waits for room", || {
        let waiting = "jsonpath={.items[*].status.containerStatuses[0].state.waiting.message}";
        let message = cluster.kubectl(&["get", "pods", "-l", "app=other", "-o", waiting]).stdout;
        (message.contains("there is no room for it") && message.contains("--image-disk-quota")).then_some(())
    });
    assert_eq!(cluster.get("hello.localhost", "/").0, 200);

    cluster.kubectl(&["delete", "deployment", "hello"]).ok();
    eventually("it has room", || {
        let ready = cluster.kubectl(&["get", "deployment", "other", "-o", "jsonpath={.status.readyReplicas}"]);
        (ready.stdout == "1").then_some(())
    });
    assert!(cluster.host_figure("coracle_host_image_disk_bytes") <= bytes + bytes / 2);
    assert_ne!(cluster.host_figure("coracle_host_image_evictions_total{kind=\"code\"}"), 0);
}

#[test]
fn what_is_pushed_is_compiled_before_a_pod_wants_it() {
    let cluster = Cluster::start();
    let image = cluster.wasmctl(&["push", &hello(), "hello"]).ok();
    let bytes = || cluster.host_figure("coracle_host_image_disk_bytes");
    let component = std::fs::metadata(hello()).unwrap().len();
    // The code is larger than the text that the component is made from.
    eventually("it is compiled", || (bytes() > 2 * component).then_some(()));
    assert_eq!(cluster.host_figure("coracle_host_compilations_total"), 1);
    cluster.wasmctl(&["deploy", image.trim(), "--name", "hello"]).ok();
    assert_eq!(cluster.get("hello.localhost", "/").0, 200);
    assert_eq!(cluster.host_figure("coracle_host_compilations_total"), 1);
}
