//! Logs that can't be had, and why.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::harness::{Server, pod};

#[tokio::test]
async fn each_obstacle_is_named() {
    let server = Server::start().await;
    let pods = "/api/v1/namespaces/default/pods";
    let check = async |query: &str, expected: Expect| {
        expected.assert_eq(&server.outcome(&format!("GET {pods}/{query}"), Value::Null).await);
    };
    check("p/log", expect![[r#"404 pods "p" not found"#]]).await;
    let mut two = pod("p");
    let second = json!({ "name": "side", "image": "example.org/b@sha256:00" });
    two["spec"]["containers"].as_array_mut().unwrap().push(second);
    two["spec"]["initContainers"] = json!([{ "name": "first", "image": "example.org/c@sha256:00" }]);
    server.json(&format!("POST {pods}"), two).await;
    check("p/log", expect!["400 a container name must be specified for pod p, choose one of: [main side] or one of the init containers: [first]"]).await;
    check("p/log?container=nope", expect!["400 container nope is not valid for pod p"]).await;
    check("p/log?container=first", expect!["400 pod p does not have a host assigned"]).await;
    check("p/log?container=side", expect!["400 pod p does not have a host assigned"]).await;
    server.json(&format!("POST {pods}/p/binding"), json!({ "target": { "name": "n1" } })).await;
    check("p/log?container=side", expect!["503 the host n1 is not known (any more)"]).await;
    server.json("POST /api/v1/nodes", json!({ "metadata": { "name": "n1" } })).await;
    check("p/log?container=side", expect!["503 the host n1 does not say where it serves"]).await;
    expect!["405 the server does not allow this method on the requested resource"]
        .assert_eq(&server.outcome(&format!("POST {pods}/p/log"), json!({})).await);
}
