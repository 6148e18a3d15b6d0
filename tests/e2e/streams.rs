//! Streams into pods, as the real kubectl opens them: forwarded ports, attached and executed commands; and as wasmctl does.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use coracle_tests::{Cluster, PATIENCE, Running, eventually, guest, root};

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

/// A pod named `echo` that prints what it reads.
fn echo(cluster: &Cluster) {
    cluster.wasmctl(&["push", guest("command-echoes.wat").to_str().expect("it is UTF-8"), "echo:1"]).ok();
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: echo}\nspec:\n  restartPolicy: Never\n  containers:\n  \
        - {name: main, image: 'registry.coracle.internal/echo:1', stdin: true}\n";
    let applied = cluster.kubectl_with(manifest, &["apply", "-f", "-"]);
    assert_eq!(applied.stderr, "");
    applied.ok();
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/echo", "--timeout=60s"]).ok();
}

#[test]
fn commands_are_attached_to() {
    let cluster = Cluster::start();
    echo(&cluster);
    let mut first = cluster.start_kubectl(&["attach", "-q", "-i", "echo"]);
    // Who attaches sees what comes from then on, so it is typed until it is seen.
    let mut second = cluster.start_kubectl(&["attach", "-q", "-i", "echo"]);
    second.write("ping\n");
    assert_eq!(second.next_line(), "ping");
    first.write("hello\n");
    let heard = |running: &mut Running| loop {
        match running.next_line().as_str() {
            "ping" => {}
            line => return line.to_owned(),
        }
    };
    assert_eq!((heard(&mut first), heard(&mut second)), ("hello".to_owned(), "hello".to_owned()));
    assert!(cluster.kubectl(&["logs", "echo"]).ok().contains("hello"));
    // Input that fails the command ends it for all.
    second.write("!\n");
    assert_eq!(first.end().code, 0);
    let state = || cluster.object("pod/echo")["status"]["containerStatuses"][0]["state"]["terminated"].take();
    assert_eq!(eventually("the pod's end", || Some(state()).filter(|state| !state.is_null()))["exitCode"], 1);
    let over = cluster.kubectl(&["attach", "echo"]).fails_with(1);
    assert!(over.contains("completed pod") || over.contains("has completed"), "{over}");
}

#[test]
fn commands_are_executed_beside_a_pod() {
    let cluster = Cluster::start();
    echo(&cluster);
    for start in [Cluster::start_kubectl, Cluster::start_wasmctl] {
        let run = |input: &str| start(&cluster, &["exec", "-i", "echo", "--", "echo"]).end_with(input);
        assert_eq!(run("one\ntwo\n").ok(), "one\ntwo\n");
        assert_eq!(run("!").code, 1);
        let long = "a line of some length\n".repeat(100_000);
        assert_eq!(run(&long).ok().len(), long.len());
    }
    assert_eq!(cluster.kubectl(&["logs", "echo"]).ok(), "");
    let unknown = cluster.kubectl(&["exec", "echo", "-c", "nope", "--", "x"]).fails_with(1);
    assert!(unknown.contains("nope is not valid for pod echo"), "{unknown}");
    // What the user may do is decided by roles.
    let viewer = ["exec", "echo", "--as=viewer", "--", "x"];
    assert!(cluster.kubectl(&viewer).fails_with(1).contains("User \"viewer\" cannot get resource \"pods\""));
    // A handler has nothing to run.
    cluster.wasmctl(&["deploy", root().join("examples/hello/hello.wat").to_str().unwrap()]).ok();
    let refused = cluster.kubectl(&["exec", "deployment/hello", "--", "ls"]).fails_with(1);
    assert!(refused.contains("kubectl port-forward"), "{refused}");
}
