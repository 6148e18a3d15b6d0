use expect_test::{Expect, expect};

use super::*;

fn given() -> Option<Cidr> {
    Some("127.64.0.0/11".parse().unwrap())
}

fn facts() -> NodeFacts {
    NodeFacts {
        name: "quiet-otter-1".to_owned(),
        internal_ip: "127.0.0.1".to_owned(),
        port: 10250,
        pods: PODS_DEFAULT,
        machine: Machine { cpus: 2, memory_bytes: 24 << 30, disk_bytes: 64 << 30, ..Machine::default() },
    }
}

#[test]
fn a_node_says_what_it_has() {
    let status = node_status(&facts(), given(), &Value::Null, Timestamp::UNIX_EPOCH);
    expect![[r#"{"cpu":"2","ephemeral-storage":"67108864Ki","memory":"25165824Ki","pods":"100000"}"#]]
        .assert_eq(&status["allocatable"].to_string());
    expect![[r#"[{"address":"127.0.0.1","type":"InternalIP"},{"address":"quiet-otter-1","type":"Hostname"}]"#]]
        .assert_eq(&status["addresses"].to_string());
    assert_eq!(status["daemonEndpoints"]["kubeletEndpoint"]["Port"], 10250);
}

#[test]
fn a_node_that_was_told_to_be_lost_registers_again() {
    let facts = facts();
    let mut node = node_object(&facts, given(), Timestamp::UNIX_EPOCH);
    assert!(is_registered(&facts, given(), &node));
    node["status"]["conditions"][3]["status"] = "Unknown".into();
    assert!(!is_registered(&facts, given(), &node));
}

#[test]
fn a_node_is_ready_once_it_has_a_range_and_takes_as_many_pods_as_that_has_addresses() {
    let facts = facts();
    let check = |range: Option<&str>, expected: Expect| {
        let range = range.map(|range| range.parse().unwrap());
        let node = node_object(&facts, range, Timestamp::UNIX_EPOCH);
        assert!(is_registered(&facts, range, &node));
        let (status, ready) = (&node["status"], &node["status"]["conditions"][3]);
        expected.assert_eq(&format!(
            "{} ready {} ({}) for {} pods",
            node["spec"], ready["status"], ready["message"], status["capacity"]["pods"]
        ));
    };
    check(
        None,
        expect![[r#"{} ready "False" ("host waits for its range of pod addresses, spec.podCIDR") for "100000" pods"#]],
    );
    check(
        Some("127.64.0.0/20"),
        expect![[
            r#"{"podCIDR":"127.64.0.0/20","podCIDRs":["127.64.0.0/20"]} ready "True" ("host is posting ready status") for "4094" pods"#
        ]],
    );
    let node = node_object(&facts, None, Timestamp::UNIX_EPOCH);
    assert!(!is_registered(&facts, given(), &node), "a range came: the status is to be written anew");
}

#[test]
fn transition_times_outlive_a_restart() {
    let facts = facts();
    let before = node_status(&facts, given(), &Value::Null, Timestamp::UNIX_EPOCH);
    let after = node_status(&facts, given(), &before, Timestamp::from_second(100).unwrap());
    assert_eq!(after["conditions"][3]["lastTransitionTime"], "1970-01-01T00:00:00Z");
    assert_eq!(after["conditions"][3]["lastHeartbeatTime"], "1970-01-01T00:01:40Z");
}

#[test]
fn memory_is_read_from_meminfo() {
    assert_eq!(memory_bytes("MemTotal:       24689764 kB\nMemFree: 1 kB"), 24_689_764 << 10);
    assert_eq!(memory_bytes(""), 0);
}
