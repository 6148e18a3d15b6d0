//! Stopping, being killed, and two at once.

use coracle_tests::{Cluster, break_disk, eventually, root, run, up};

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start_in(dir.path());
    let file = root().join("examples/hello/hello.wat");
    cluster.wasmctl(&["deploy", file.to_str().unwrap(), "--replicas", "2"]).ok();
    for index in 0..20 {
        let map =
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: map-{index}}}\ndata: {{value: \"{index}\"}}\n");
        cluster.kubectl_with(&map, &["apply", "-f", "-"]).ok();
    }
    cluster.kill();

    let cluster = Cluster::start_in(dir.path());
    let maps = cluster.wasmctl(&["get", "configmaps", "-o", "name"]).ok();
    assert_eq!(maps.matches("configmap/map-").count(), 20, "{maps}");
    eventually("the URL answers again", || {
        matches!(cluster.try_get("hello.localhost", "/"), Ok((200, _))).then_some(())
    });
}

#[test]
fn a_disk_that_fails_ends_the_process_which_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, said) = (folder.path().join("data"), folder.path().join("said"));
    let mut cluster = Cluster::spawn(up(&dir).stderr(std::fs::File::create(&said).unwrap()), &dir);
    let create = |cluster: &Cluster, name: &str| cluster.kubectl(&["create", "configmap", name, "--from-literal=a=b"]);
    create(&cluster, "kept").ok();
    let syncs = break_disk(cluster.process_id());
    // Whether it is done isn't said.
    create(&cluster, "unknown");
    assert_eq!(cluster.end(), Some(1));
    drop(syncs);
    let said = std::fs::read_to_string(said).unwrap();
    assert!(said.contains("ends: its disk failed: ") && said.contains("hint: what was acknowledged is kept"), "{said}");
    assert!(said.lines().count() < 50, "{said}");

    let cluster = Cluster::start_in(&dir);
    let maps = cluster.wasmctl(&["get", "configmaps", "-o", "name"]).ok();
    assert!(maps.contains("configmap/kept"), "{maps}");
}

#[test]
fn a_clean_stop_and_a_second_start_on_the_same_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start_in(dir.path());
    let refused = run(&mut up(dir.path())).fails_with(1);
    assert!(refused.contains("is in use by another wasmctl (process"), "{refused}");
    let taken = run(up(&dir.path().join("other")).args(["--api-addr", cluster.address("api")]));
    let taken = taken.fails_with(2);
    assert!(taken.contains("--api-addr"), "{taken}");
    assert_eq!(cluster.terminate(), Some(0));
    assert_eq!(Cluster::start_in(dir.path()).terminate(), Some(0));
}

#[test]
fn a_port_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = holder.local_addr().unwrap().to_string();
    let mut command = std::process::Command::new(coracle_tests::wasmctl_path());
    command
        .args([
            "up",
            "--ingress-addr",
            "127.0.0.1:0",
            "--registry-addr",
            "127.0.0.1:0",
            "--api-addr",
            &addr,
            "--data-dir",
        ])
        .arg(dir.path());
    let refused = run(&mut command).fails_with(1);
    assert!(refused.contains(&format!("--api-addr {addr}")) && refused.contains("port 0"), "{refused}");
}
