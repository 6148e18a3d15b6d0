use coracle_store::Member;
use expect_test::{Expect, expect};

use super::*;
use crate::harness::Server;

const SERVICE_PATH: &str = "/api/v1/namespaces/default/services/kubernetes";
const ENDPOINTS_PATH: &str = "/api/v1/namespaces/default/endpoints/kubernetes";
const SLICES_PATH: &str =
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name%3Dkubernetes";

#[test]
fn servers_on_one_port_are_one_subset() {
    let check = |addresses: &[&str], expected: Expect| {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let [service, endpoints] = parts(&addresses);
        expected.assert_eq(&format!("{}\n{}", service.object["spec"]["ports"], endpoints.object["subsets"]));
    };
    check(
        &["10.0.0.2:6443", "10.0.0.1:6443"],
        expect![[r#"
        [{"name":"https","port":443,"protocol":"TCP","targetPort":6443}]
        [{"addresses":[{"ip":"10.0.0.1"},{"ip":"10.0.0.2"}],"ports":[{"name":"https","port":6443,"protocol":"TCP"}]}]"#]],
    );
    check(
        &["127.0.0.1:40002", "127.0.0.1:40001", "[fd00::1]:40001"],
        expect![[r#"
        [{"name":"https","port":443,"protocol":"TCP","targetPort":40001}]
        [{"addresses":[{"ip":"127.0.0.1"},{"ip":"fd00::1"}],"ports":[{"name":"https","port":40001,"protocol":"TCP"}]},{"addresses":[{"ip":"127.0.0.1"}],"ports":[{"name":"https","port":40002,"protocol":"TCP"}]}]"#]],
    );
}

#[test]
fn who_is_silent_for_long_is_not_named() {
    let member = |name: &str, is_voter, is_leader, silence: Option<u64>| MemberStatus {
        member: Member { id: 1, name: name.to_owned(), address: name.to_owned() },
        is_voter,
        is_leader,
        lag: None,
        silence: silence.map(Duration::from_secs),
    };
    let members = [
        member("leader", true, true, None),
        member("heard", true, false, Some(1)),
        member("silent", true, false, Some(11)),
        member("never-heard", true, false, None),
        member("learner", false, false, Some(1)),
    ];
    let answering = |led_for| answering(&members, Duration::from_secs(led_for)).collect::<Vec<_>>().join(" ");
    expect!["leader heard never-heard"].assert_eq(&answering(1));
    expect!["leader heard"].assert_eq(&answering(60));
}

#[tokio::test]
async fn both_objects_are_made_and_kept_true() {
    let server = Server::start_with_controllers().await;
    // A controller may be faster; then it is looked again.
    let look = async || while look(&server.app.objects, Duration::ZERO).await.is_err() {};
    look().await;
    let (_, service) = server.json(&format!("GET {SERVICE_PATH}"), Value::Null).await;
    expect![[r#"{"internalTrafficPolicy":"Cluster","ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","ports":[{"name":"https","port":443,"protocol":"TCP","targetPort":6443}],"sessionAffinity":"None","type":"ClusterIP"}"#]].assert_eq(&service["spec"].to_string());
    let slices = server.until(SLICES_PATH, |_, slices| slices["items"][0]["endpoints"][0].is_object()).await;
    expect![[
        r#"[{"addresses":["10.0.0.1"],"conditions":{"ready":true}}] [{"name":"https","port":6443,"protocol":"TCP"}]"#
    ]]
    .assert_eq(&format!("{} {}", slices["items"][0]["endpoints"], slices["items"][0]["ports"]));

    let revision = || server.app.objects.store().snapshot().revision();
    let before = revision();
    look().await;
    assert_eq!(revision(), before, "what is as it should be is not written");

    let (_, changed) = server.json(&format!("PATCH {ENDPOINTS_PATH}"), json!({ "subsets": null })).await;
    assert!(changed["subsets"].is_null());
    server.json(&format!("DELETE {SERVICE_PATH}"), Value::Null).await;
    // The controller of Endpoints takes the deletion for a reason to empty them, before or after; the keeper looks again and again.
    let endpoints = loop {
        look().await;
        let (_, endpoints) = server.json(&format!("GET {ENDPOINTS_PATH}"), Value::Null).await;
        if !endpoints["subsets"].is_null() {
            break endpoints;
        }
    };
    expect![[r#"[{"addresses":[{"ip":"10.0.0.1"}],"ports":[{"name":"https","port":6443,"protocol":"TCP"}]}]"#]]
        .assert_eq(&endpoints["subsets"].to_string());
    let (code, _) = server.json(&format!("GET {SERVICE_PATH}"), Value::Null).await;
    assert_eq!(code, 200);
}
