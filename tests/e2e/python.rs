//! Kubernetes' own Python client; `client.py` says what it does.

use coracle_tests::{Cluster, peer, root, run};

#[test]
fn the_python_client_works_with_typed_objects() {
    let cluster = Cluster::start();
    let file = root().join("examples/hello/hello.wat");
    cluster.wasmctl(&["push", file.to_str().unwrap(), "hello:1"]).ok();
    let script = root().join("tests/e2e/client.py");
    let printed = run(cluster.client("python3").arg(script).env("PYTHONPATH", peer("PYTHON_CLIENT")));
    assert_eq!(printed.ok().trim(), "done");
}
