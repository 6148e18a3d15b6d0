//! Streams into pods, as the real kubectl opens them: forwarded ports.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use coracle_tests::{Cluster, PATIENCE, Running, eventually, root};

/// The address at which a `kubectl port-forward` to port 0 listens.
fn address(forward: &mut Running) -> String {
    let line = forward.next_line();
    let rest = line.strip_prefix("Forwarding from ").unwrap_or_else(|| panic!("{line}"));
    rest.split(" -> ").next().expect("it says where it leads").to_owned()
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("kubectl listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("kubectl takes it");
    let mut answer = String::new();
    // A connection that is refused is closed without an answer.
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn ports_are_forwarded() {
    let cluster = Cluster::start();
    cluster.wasmctl(&["deploy", root().join("examples/hello/hello.wat").to_str().unwrap()]).ok();
    let mut forward = cluster.start_kubectl(&["port-forward", "deployment/hello", ":8080"]);
    let to = address(&mut forward);
    for _ in 0..3 {
        let answer = get(&to, "/");
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("Hello"), "{answer}");
    }
    // One connection, several requests, while another is open and says nothing.
    let _silent = TcpStream::connect(&to).unwrap();
    let mut stream = BufReader::new(TcpStream::connect(&to).unwrap());
    for _ in 0..3 {
        write!(stream.get_mut(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut line = String::new();
        while !line.starts_with("Hello") {
            line.clear();
            assert_ne!(stream.read_line(&mut line).unwrap(), 0);
        }
    }
    // What nobody listens on is refused, and said so.
    let mut refused = cluster.start_kubectl(&["port-forward", "service/hello", ":8080"]);
    assert!(refused.error_after_end().contains("does not have a service port 8080"));
    let mut refused = cluster.start_kubectl(&["port-forward", "deployment/hello", ":81"]);
    assert_eq!(get(&address(&mut refused), "/"), "");
    let error = refused.error_after_end();
    assert!(error.contains("listens on port 81, only on 8080"), "{error}");
    // The connection ends with the pod.
    let pod = eventually("the pod", || {
        cluster.kubectl(&["get", "pods", "-o", "name"]).ok().lines().next().map(str::to_owned)
    });
    cluster.kubectl(&["delete", &pod]).ok();
    let error = forward.error_after_end();
    assert!(error.contains("lost connection to pod"), "{error}");
}
