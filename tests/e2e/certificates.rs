//! Certificates that last for seconds, which a cluster outlives.

use std::time::{Duration, Instant};

use coracle_tests::{Cluster, Host, Server, eventually, host, root, run, wasmctl_path};

use crate::servers::{dir, token};

/// How long certificates last here.
const TTL: Duration = Duration::from_secs(8);
const TTL_FLAG: [&str; 2] = ["--certificate-ttl", "8s"];

/// When the certificates end that figures tell of, in seconds since 1970, the first first.
fn ends(server: &Server, path: &str) -> Vec<u64> {
    let figures = server.kubectl(&["get", "--raw", path]).stdout;
    let lines = figures.lines().filter(|line| line.starts_with("coracle_certificate_expiration_seconds{"));
    let mut ends: Vec<u64> = lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    ends.sort_unstable();
    ends
}

#[test]
fn servers_hosts_and_their_clients_outlive_their_certificates_many_times() {
    let folder = tempfile::tempdir().unwrap();
    let first = Server::start(&dir(&folder, "one"), &TTL_FLAG);
    let [second, third] = ["two", "three"].map(|name| {
        let invitation = token(&first, "server");
        Server::start(&dir(&folder, name), &[&["--join", &invitation, "--name", name][..], &TTL_FLAG].concat())
    });
    let servers = [&first, &second, &third];
    let _worker = Host::start(&dir(&folder, "h1"), &["--join", &token(&second, "host"), "--name", "h1"]);
    first.wasmctl(&["deploy", root().join("examples/hello/hello.wat").to_str().unwrap()]).ok();

    let host_figures = "/api/v1/nodes/h1/proxy/metrics";
    let began: Vec<Vec<u64>> = servers.map(|server| ends(server, "/metrics")).to_vec();
    assert_eq!(began.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3]);
    let host_began = ends(&first, host_figures);
    assert_eq!(host_began.len(), 1);
    // What ends then was renewed after the end of what ended at first, twice over.
    let is_later = |now: Vec<u64>, began: &[u64]| !now.is_empty() && now[0] > began.last().unwrap() + 2 * TTL.as_secs();
    for (server, began) in servers.iter().zip(&began) {
        eventually("a member's certificates are others", || is_later(ends(server, "/metrics"), began).then_some(()));
    }
    eventually("the host's is another", || is_later(ends(&first, host_figures), &host_began).then_some(()));

    for (number, server) in servers.iter().enumerate() {
        let name = format!("by-{number}");
        server.kubectl(&["create", "configmap", &name, "--from-literal=a=b"]).ok();
    }
    let members = third.wasmctl(&["member", "list"]).ok();
    assert_eq!((members.matches("leader").count(), members.matches("voter").count()), (1, 2), "{members}");
    first.kubectl(&["scale", "deployment/hello", "--replicas=3"]).ok();
    eventually("the host runs what is new", || {
        let ready = third.kubectl(&["get", "deployment", "hello", "-o", "jsonpath={.status.readyReplicas}"]);
        (ready.stdout == "3").then_some(())
    });
    second.kubectl(&["logs", "deployment/hello"]).ok();
}

#[test]
fn a_host_comes_back_with_what_it_was_given_last_and_joins_anew_when_that_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&dir(&folder, "one"), &TTL_FLAG);
    let path = dir(&folder, "h1");
    let mut worker = Host::start(&path, &["--join", &token(&server, "host"), "--name", "h1"]);
    let kept = || std::fs::read_to_string(path.join("host.json")).unwrap();
    let joined = kept();
    eventually("the host keeps another certificate", || (kept() != joined).then_some(()));
    worker.kill();
    let mut worker = Host::start(&path, &[]);
    worker.kill();
    let killed = Instant::now();
    eventually("its certificate is over", || (killed.elapsed() > TTL).then_some(()));
    let away = run(&mut host(&path)).fails_with(1);
    assert!(away.contains("host h1 was away for too long") && away.contains("wasmctl token create"), "{away}");
    let _worker = Host::start(&path, &["--join", &token(&server, "host")]);
    assert!(server.wasmctl(&["node", "list"]).ok().contains("h1"));
}

#[test]
fn a_kubeconfig_whose_certificate_is_over_is_told() {
    let cluster = Cluster::start();
    assert_eq!(cluster.wasmctl(&["get", "pods"]).stderr, "No resources found in default namespace.\n");
    let late =
        run(cluster.client("faketime").args(["-f", "+2y"]).arg(wasmctl_path()).args(["get", "pods"])).fails_with(1);
    assert!(late.starts_with("warning: the kubeconfig's certificate expired at 20"), "{late}");
}
