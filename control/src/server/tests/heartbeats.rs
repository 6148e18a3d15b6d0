//! Signs of life of many hosts.

use coracle_api::kinds::LEASE;
use serde_json::{Value, json};

use crate::harness::{Server, config_map};
use crate::objects::ObjectWrite;

const HOSTS: u64 = 5_000;
const ROUNDS: u64 = 3;

fn lease(host: u64, round: u64) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": format!("host-{host}"), "namespace": "kube-node-lease" },
        "spec": { "leaseDurationSeconds": 5, "renewTime": format!("2026-11-21T10:00:0{round}.000000Z") },
    })
}

#[tokio::test]
async fn five_thousand_hosts_renew_their_leases_without_a_word_in_the_log() {
    let server = Server::start().await;
    let (objects, store) = (&server.app.objects, server.app.objects.store());
    let before = store.status();
    for round in 0..=ROUNDS {
        let write = |host| match round {
            0 => ObjectWrite::Create { kind: &LEASE, object: lease(host, round) },
            _ => ObjectWrite::Update { kind: &LEASE, object: lease(host, round), revision: None },
        };
        let written = objects.write_all((0..HOSTS).map(write).collect()).await.unwrap();
        assert!(written.iter().all(Result::is_ok));
    }
    let after = store.status();
    assert_eq!(after.keys - before.keys, HOSTS as usize);
    assert_eq!(after.revision - before.revision, HOSTS * (1 + ROUNDS), "readers see each");
    assert_eq!(after.log_bytes, before.log_bytes);
    // The figure does tell of what is written to the log.
    server.json("POST /api/v1/namespaces/default/configmaps", config_map("c", "x")).await;
    assert!(store.status().log_bytes > before.log_bytes);
}
