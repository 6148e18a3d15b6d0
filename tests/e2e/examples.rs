//! Each example runs as its README says.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

use coracle_tests::{
    Cluster, Host, PATIENCE, Running, eventually, example, example_of_language, push_busybox, root, wasmctl,
    wasmctl_path,
};

#[test]
fn hello() {
    let cluster = Cluster::start();
    let file = root().join("examples/hello/hello.wat");
    let url = cluster.wasmctl(&["deploy", file.to_str().unwrap()]).ok();
    assert!(url.starts_with("http://hello.localhost:"), "{url}");
    assert_eq!(cluster.get("hello.localhost", "/"), (200, "Hello from Coracle!\n".to_owned()));

    // The same as plain Kubernetes YAML, through the real kubectl.
    cluster.wasmctl(&["delete", "deployment,service,ingress", "hello"]).ok();
    cluster.wasmctl(&["push", file.to_str().unwrap(), "hello:1"]).ok();
    let manifest = root().join("examples/hello/deployment.yaml");
    cluster.kubectl(&["apply", "-f", manifest.to_str().unwrap()]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/hello", "--timeout=60s"]).ok();
    eventually("the ingress knows the pods", || (cluster.get("hello.localhost", "/").0 == 200).then_some(()));
}

#[test]
fn hello_rust() {
    let cluster = Cluster::start();
    let file = example("hello_rust.wasm");
    let deploy =
        ["deploy", file.to_str().unwrap(), "--name", "greeter", "--env", "GREETING_NAME=Ada", "--replicas", "2"];
    cluster.wasmctl(&deploy).ok();
    assert_eq!(cluster.get("greeter.localhost", "/"), (200, "Hello, Ada!\n".to_owned()));
    assert_eq!(cluster.get("greeter.localhost", "/echo/1?a=b"), (200, "/echo/1?a=b\n".to_owned()));
    assert_eq!(cluster.get("nobody.localhost", "/").0, 404);
}

#[test]
fn job() {
    let file = example("job.wasm");
    let printed = wasmctl(&["run", file.to_str().unwrap(), "--env", "GREETING_NAME=Ada", "--", "3", "files"]);
    // WASI 0.2 knows success and failure; every other code is 1.
    assert_eq!(printed.code, 1, "{printed:?}");
    assert_eq!(printed.stdout, "arguments: 3 files\nname: Ada\n");
    assert_eq!(printed.stderr.trim(), "done");
}

#[test]
fn hello_concurrent() {
    let cluster = Cluster::start();
    let file = example("hello_concurrent.wasm");
    let file = file.to_str().unwrap();
    cluster.wasmctl(&["deploy", file, "--name", "concurrent"]).ok();
    // One instance answers several at once: the one that waits began before the ones that did not.
    let began = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            began.wait();
            cluster.get("concurrent.localhost", "/wait?1500")
        });
        began.wait();
        let begun = eventually("an instance has begun with more than one", || {
            let (status, text) = cluster.get("concurrent.localhost", "/");
            assert_eq!(status, 200, "{text}");
            (text != "request 1 of this instance\n").then_some(text)
        });
        assert!(begun.ends_with(" of this instance\n"), "{begun}");
        assert!(!waits.is_finished(), "an instance is not waited for");
        let (status, text) = waits.join().unwrap();
        assert_eq!((status, text.starts_with("request ")), (200, true), "{text}");
    });

    // The owner may choose an instance for each request.
    let annotation = r#"{"spec":{"template":{"metadata":{"annotations":{"coracle.dev/instance-reuse":"1"}}}}}"#;
    cluster.kubectl(&["patch", "deployment", "concurrent", "--type=merge", "-p", annotation]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/concurrent", "--timeout=60s"]).ok();
    eventually("the ingress knows the new pod", || {
        let answers: Vec<_> = (0..3).map(|_| cluster.get("concurrent.localhost", "/").1).collect();
        answers.iter().all(|text| text == "request 1 of this instance\n").then_some(())
    });
}

#[test]
fn ticker() {
    let file = example("ticker.wasm");
    let printed = wasmctl(&["run", file.to_str().unwrap(), "--", "3", "1"]);
    assert_eq!((printed.code, printed.stdout.as_str()), (0, "tick 1\ntick 2\ntick 3\n"), "{printed:?}");
    assert_eq!(wasmctl(&["run", file.to_str().unwrap()]).code, 1);
}

#[test]
fn worker() {
    let cluster = Cluster::start();
    let file = example("worker.wasm");
    cluster.wasmctl(&["push", file.to_str().unwrap(), "worker:1"]).ok();
    let manifest = root().join("examples/worker/deployment.yaml");
    cluster.kubectl(&["apply", "-f", manifest.to_str().unwrap()]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/worker", "--timeout=60s"]).ok();
    let mut log = cluster.start_kubectl(&["logs", "-f", "deployment/worker"]);
    let begun = log.next_line();
    assert_eq!(begun.trim_end(), r#"{"level":"info","message":"begun","piece":1}"#);
    cluster.kubectl(&["delete", "deployment", "worker"]).ok();
    // What was begun is finished.
    let lines = begun + &log.end_with("").stdout;
    let pieces = lines.matches("begun").count();
    assert!(
        lines.ends_with(&format!("{{\"level\":\"info\",\"message\":\"asked to end\",\"finished\":{pieces}}}\n")),
        "{lines}"
    );

    // Without a cluster: the first interrupt asks, the second makes an end.
    let start = |piece_ms: u32| {
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec "$@" 2>&1"#, "sh"]).arg(wasmctl_path());
        command.args(["run", file.to_str().unwrap(), "--env", &format!("PIECE_MS={piece_ms}")]);
        let mut run = Running::start(&mut command);
        assert!(run.next_line().contains("begun"));
        run.signal("INT");
        run
    };
    assert_eq!(start(10).end().code, 0);
    let long = start(60_000);
    long.signal("INT");
    assert_eq!(long.end().code, 130);
}

#[test]
fn probes() {
    let cluster = Cluster::start();
    cluster.wasmctl(&["push", example("probes.wasm").to_str().unwrap(), "probes:1"]).ok();
    let manifest = root().join("examples/probes/deployment.yaml");
    cluster.kubectl(&["apply", "-f", manifest.to_str().unwrap()]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/probes", "--timeout=60s"]).ok();
    eventually("the ingress knows the pods", || (cluster.get("probes.localhost", "/").0 == 200).then_some(()));
    let described = cluster.kubectl(&["describe", "pods", "-l", "app=probes"]).ok();
    for probe in [
        "http-get http://:web/live delay=0s timeout=1s period=1s successThreshold=1 failureThreshold=2",
        "http-get http://:web/ready delay=0s timeout=1s period=1s successThreshold=1 failureThreshold=3",
        "tcp-socket :web delay=0s timeout=1s period=10s successThreshold=1 failureThreshold=3",
    ] {
        assert_eq!(described.matches(probe).count(), 2, "{described}");
    }
    let ready = || {
        let slices =
            cluster.kubectl(&["get", "endpointslices", "-l", "kubernetes.io/service-name=probes", "-o", "json"]).ok();
        let slices: serde_json::Value = serde_json::from_str(&slices).unwrap();
        let endpoints =
            slices["items"].as_array().unwrap().iter().flat_map(|slice| slice["endpoints"].as_array().unwrap());
        endpoints
            .map(|endpoint| {
                (endpoint["targetRef"]["name"].as_str().unwrap().to_owned(), endpoint["conditions"]["ready"] == true)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(ready().iter().filter(|(_, is_ready)| *is_ready).count(), 2);

    // A pod that says it is not ready gets no requests, and holds up the rollout.
    cluster.kubectl(&["set", "env", "deployment/probes", "READY=no"]).ok();
    let unready = eventually("the new pod is unready", || {
        ready().into_iter().find(|(_, is_ready)| !is_ready).map(|(name, _)| name)
    });
    eventually("its event", || {
        let described = cluster.kubectl(&["describe", "pod", &unready]).ok();
        let failed = "Readiness probe failed: HTTP probe failed with statuscode: 503";
        (described.contains(failed) && described.contains("Unhealthy")).then_some(())
    });
    let waiting = cluster.kubectl(&["rollout", "status", "deployment/probes", "--timeout=1s"]).fails_with(1);
    assert!(waiting.contains("timed out waiting for the condition"), "{waiting}");
    assert_eq!(ready().iter().filter(|(_, is_ready)| *is_ready).count(), 2);
    assert_eq!(cluster.get("probes.localhost", "/"), (200, "Hello!\n".to_owned()));
    cluster.kubectl(&["rollout", "undo", "deployment/probes"]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/probes", "--timeout=60s"]).ok();

    // A sick one is restarted, and the restarts are counted.
    cluster.kubectl(&["set", "env", "deployment/probes", "SICK=yes"]).ok();
    eventually("a pod is restarted", || {
        let pods = cluster.kubectl(&["get", "pods", "-l", "app=probes", "-o", "json"]).ok();
        let pods: serde_json::Value = serde_json::from_str(&pods).unwrap();
        let restarts = |pod: &serde_json::Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64();
        pods["items"].as_array().unwrap().iter().any(|pod| restarts(pod) > Some(0)).then_some(())
    });
    let events = cluster.kubectl(&["get", "events"]).ok();
    for text in [
        "Liveness probe failed: HTTP probe failed with statuscode: 500",
        "Container probes failed liveness probe, will be restarted",
    ] {
        assert!(events.contains(text), "{events}");
    }
}

#[test]
fn settings() {
    let cluster = Cluster::start();
    for name in ["settings", "follow-settings"] {
        let file = example(&format!("{name}.wasm"));
        cluster.wasmctl(&["push", file.to_str().unwrap(), &format!("{name}:1")]).ok();
    }
    cluster.kubectl(&["create", "configmap", "settings", "--from-literal", "greeting=Hello"]).ok();
    let manifest = root().join("examples/settings/pods.yaml");
    cluster.kubectl(&["apply", "-f", manifest.to_str().unwrap()]).ok();
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/follow", "pod/settings", "--timeout=60s"]).ok();
    let get = |path: &str| cluster.get("settings.localhost", path);
    eventually("the ingress knows the pod", || (get("/settings/greeting") == (200, "Hello".to_owned())).then_some(()));
    assert_eq!(get("/etc/app/greeting"), (200, "Hello".to_owned()));
    assert_eq!(get("/pod/labels"), (200, "app=\"settings\"".to_owned()));
    assert_eq!(get("/pod/memory"), (200, "0".to_owned()));
    assert_eq!(get("/pod/token").1.split('.').count(), 3);
    for path in ["/etc/passwd", "/settings/../../etc/passwd", "/pod/../../../../../../../etc/passwd"] {
        assert_eq!(get(path).0, 404, "{path}");
    }
    let set = |greeting: &str| {
        let patch = format!("{{\"data\": {{\"greeting\": \"{greeting}\"}}}}");
        cluster.kubectl(&["patch", "configmap", "settings", "--patch", &patch]).ok();
    };
    let logs = |expected: &str| {
        eventually(expected, || (cluster.kubectl(&["logs", "follow"]).ok() == expected).then_some(()));
    };
    logs("start 1\nsettings: Hello\n");
    set("Servus");
    logs("start 1\nsettings: Hello\nsettings: Servus\n");
    eventually("the handler's file", || (get("/settings/greeting").1 == "Servus").then_some(()));
    // As with Kubernetes, a mounted part of a volume stays as it was when the container started.
    assert_eq!(get("/etc/app/greeting").1, "Hello");
}

#[test]
fn linked_pair() {
    let cluster = Cluster::start();
    for name in ["till", "prices"] {
        let file = example(&format!("{name}.wasm"));
        cluster.wasmctl(&["push", file.to_str().unwrap(), &format!("{name}:1")]).ok();
    }
    let manifest = root().join("examples/linked-pair/deployment.yaml");
    cluster.kubectl(&["apply", "-f", manifest.to_str().unwrap()]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/till", "--timeout=60s"]).ok();
    let get = |path: &str| cluster.get("till.localhost", path);
    eventually("the ingress knows the pod", || {
        (get("/paddle") == (200, "A paddle is 39.50\n".to_owned())).then_some(())
    });
    assert_eq!(get("/anchor"), (404, "No \"anchor\" is sold here\n".to_owned()));
    let pods = cluster.kubectl(&["get", "pods", "--no-headers"]).ok();
    assert!(pods.contains(" 2/2 ") && pods.contains("Running"), "{pods}");

    // What does not fit is said by the pod, and the old one goes on.
    cluster.wasmctl(&["push", root().join("tests/guests/library.wat").to_str().unwrap(), "prices:2"]).ok();
    cluster.kubectl(&["set", "image", "deployment/till", "prices=registry.coracle.internal/prices:2"]).ok();
    let why = "the component imports example:shop/prices@1.0.0, which nothing here provides";
    eventually("the new pod says why", || {
        let pods = cluster.kubectl(&["get", "pods", "-l", "app=till", "-o", "json"]).ok();
        let events = cluster.kubectl(&["get", "events"]).ok();
        (pods.contains(why) && pods.contains("CreateContainerError") && events.contains(why)).then_some(())
    });
    assert_eq!(get("/coracle"), (200, "A coracle is 499.00\n".to_owned()));
    // What the object itself shows is refused at once.
    let annotation = r#"{"spec":{"template":{"metadata":{"annotations":{"coracle.dev/libraries":"price"}}}}}"#;
    let refused = cluster.kubectl(&["patch", "deployment", "till", "--type=merge", "-p", annotation]).fails_with(1);
    assert!(refused.contains("no container of this pod is named \"price\""), "{refused}");
}

#[test]
fn middleware() {
    let cluster = Cluster::start();
    cluster.wasmctl(&["push", example("hello_rust.wasm").to_str().unwrap(), "hello:1"]).ok();
    cluster.wasmctl(&["push", example("middleware.wasm").to_str().unwrap(), "guard:1"]).ok();
    let manifest = root().join("examples/middleware/deployment.yaml");
    cluster.kubectl(&["apply", "-f", manifest.to_str().unwrap()]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/guarded", "--timeout=60s"]).ok();
    eventually("the ingress knows the pod", || (cluster.get("guarded.localhost", "/").0 == 401).then_some(()));
    let mut stream = connect(&cluster);
    let request =
        "GET / HTTP/1.1\r\nhost: guarded.localhost\r\nauthorization: Bearer sesame\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("Hello, world!\n"), "{answer}");
}

#[test]
fn front_and_back() {
    let cluster = Cluster::start();
    for name in ["front", "back"] {
        let file = example(&format!("{name}.wasm"));
        cluster.wasmctl(&["push", file.to_str().unwrap(), &format!("{name}:1")]).ok();
    }
    let manifest = root().join("examples/front-and-back/deployment.yaml");
    cluster.kubectl(&["apply", "-f", manifest.to_str().unwrap()]).ok();
    let rolled_out = |name: &str| {
        cluster.kubectl(&["rollout", "status", &format!("deployment/{name}"), "--timeout=60s"]).ok();
    };
    rolled_out("front");
    rolled_out("back");
    let text = eventually("the back end was heard", || {
        let (status, text) = cluster.get("front.localhost", "/");
        (status == 200).then_some(text)
    });
    assert!(text.starts_with("The back end says: 3 coracles in stock (request "), "{text}");

    // From another host it is the same, also by a pod's address.
    let token = cluster.wasmctl(&["token", "create"]).ok();
    let invitation = format!("{}@{}", token.trim(), cluster.address("api"));
    let folder = tempfile::tempdir().unwrap();
    let _worker = Host::start(folder.path(), &["--join", &invitation, "--name", "h1"]);
    let there = r#"{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":"h1"}}}}}"#;
    cluster.kubectl(&["patch", "deployment", "back", "--type=merge", "-p", there]).ok();
    rolled_out("back");
    let pods = ["get", "pods", "-l", "app=back", "--field-selector", "spec.nodeName=h1", "-o"];
    let address = cluster.kubectl(&[&pods[..], &["jsonpath={.items[0].status.podIP}"]].concat()).ok();
    for url in ["http://back.default.svc.cluster.local/".to_owned(), format!("http://{address}:8080/")] {
        cluster.kubectl(&["set", "env", "deployment/front", &format!("BACKEND_URL={url}")]).ok();
        rolled_out("front");
        eventually("a back end on another host was heard", || {
            let (status, text) = cluster.get("front.localhost", "/");
            (status == 200 && text.starts_with("The back end says: 3 coracles")).then_some(())
        });
    }

    // What is no Service has to be declared.
    cluster.kubectl(&["set", "env", "deployment/front", "BACKEND_URL=http://other.example.org/"]).ok();
    rolled_out("front");
    let denied = "http://other.example.org/ does not answer: ErrorCode::HttpRequestDenied\n";
    eventually("the new pod answers", || (cluster.get("front.localhost", "/").1 == denied).then_some(()));
    let event = "a connection to other.example.org:80 was denied: it is no Service, and the pod does not declare it; \
                 declare \"other.example.org\" in the pod's annotation coracle.dev/egress";
    eventually("its event", || {
        cluster.kubectl(&["get", "events", "--field-selector", "reason=Denied"]).ok().contains(event).then_some(())
    });

    // With it, nobody is at that name; the host is asked for, and refuses its own address.
    let declared = |pattern: &str| {
        format!(r#"{{"spec":{{"template":{{"metadata":{{"annotations":{{"coracle.dev/egress":"{pattern}"}}}}}}}}}}"#)
    };
    let (_, ingress_port) = cluster.address("ingress").rsplit_once(':').unwrap();
    let url = format!("BACKEND_URL=http://localhost:{}/", ingress_port.trim_end_matches('/'));
    cluster.kubectl(&["set", "env", "deployment/front", &url]).ok();
    cluster.kubectl(&["patch", "deployment", "front", "--type=merge", "-p", &declared("localhost")]).ok();
    rolled_out("front");
    eventually("the machine is not reached by a name", || {
        cluster.get("front.localhost", "/").1.ends_with("ErrorCode::DestinationIpProhibited\n").then_some(())
    });
    cluster
        .kubectl(&["patch", "deployment", "front", "--type=merge", "-p", &declared("localhost, 127.0.0.1, ::1")])
        .ok();
    rolled_out("front");
    eventually("the machine is reached where it is declared", || {
        cluster.get("front.localhost", "/").1.contains("no Ingress routes localhost").then_some(())
    });
    cluster.kubectl(&["patch", "deployment", "front", "--type=merge", "-p", &declared("http://a")]).ok();
    eventually("a wrong declaration is named", || {
        let pods = cluster.kubectl(&["get", "pods", "-l", "app=front", "-o", "json"]).ok();
        pods.contains("metadata.annotations[coracle.dev/egress]: \\\"http://a\\\" is none of HOST").then_some(())
    });
}

#[test]
fn tcp_echo() {
    let cluster = Cluster::start();
    cluster.wasmctl(&["push", example("tcp-echo.wasm").to_str().unwrap(), "tcp-echo:1"]).ok();
    let manifest = root().join("examples/tcp-echo/deployment.yaml");
    cluster.kubectl(&["apply", "-f", manifest.to_str().unwrap()]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/tcp-echo", "--timeout=60s"]).ok();
    let pods = cluster.kubectl(&["get", "pods", "-l", "app=tcp-echo", "-o", "json"]).ok();
    let pods: serde_json::Value = serde_json::from_str(&pods).unwrap();
    let address = pods["items"][0]["status"]["podIP"].as_str().unwrap();
    assert_eq!(cluster.kubectl(&["logs", "deployment/tcp-echo"]).ok(), format!("listening on {address}:7000\n"));

    // At the pod's address, several at once.
    let mut connections: Vec<_> = (0..50).map(|_| TcpStream::connect((address, 7000)).unwrap()).collect();
    for (number, connection) in connections.iter_mut().enumerate() {
        writeln!(connection, "hello {number}").unwrap();
    }
    for (number, mut connection) in connections.into_iter().enumerate() {
        connection.shutdown(Shutdown::Write).unwrap();
        let mut heard = String::new();
        connection.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, format!("hello {number}\n"));
    }

    // Through the API, as kubectl forwards it.
    let mut forwarding = cluster.start_kubectl(&["port-forward", "deployment/tcp-echo", ":7000"]);
    let line = forwarding.next_line();
    let port = line.split_whitespace().nth(2).and_then(|local| local.rsplit_once(':')).expect("it says where").1;
    let mut connection = TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap())).unwrap();
    connection.write_all(b"through the API").unwrap();
    connection.shutdown(Shutdown::Write).unwrap();
    let mut heard = String::new();
    connection.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "through the API");

    // A second pod has the same port at an address of its own; what does not listen is not ready.
    cluster.kubectl(&["scale", "deployment/tcp-echo", "--replicas=2"]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/tcp-echo", "--timeout=60s"]).ok();
    cluster.kubectl(&["set", "env", "deployment/tcp-echo", "PORT=7001"]).ok();
    eventually("the probe fails", || {
        let events = cluster.kubectl(&["get", "events", "--field-selector", "reason=Unhealthy"]).ok();
        (events.contains("Readiness probe failed: dial tcp") && events.contains(":7000: connect: connection refused"))
            .then_some(())
    });
}

/// Pushes an example, applies its manifest, and waits until it is rolled out.
fn roll_out(cluster: &Cluster, name: &str) {
    let file = example(&format!("{}.wasm", name.replace('-', "_")));
    cluster.wasmctl(&["push", file.to_str().unwrap(), &format!("{name}:1")]).ok();
    let manifest = root().join(format!("examples/{name}/deployment.yaml"));
    cluster.kubectl(&["apply", "-f", manifest.to_str().unwrap()]).ok();
    cluster.kubectl(&["rollout", "status", &format!("deployment/{name}"), "--timeout=60s"]).ok();
    let host = format!("{name}.localhost");
    eventually("the ingress knows the pods", || {
        let (_, text) = cluster.get(&host, "/");
        (!text.contains(&format!("no Ingress routes {host}")) && !text.contains("no ready pod")).then_some(())
    });
}

#[test]
fn hello_sdk() {
    let cluster = Cluster::start();
    roll_out(&cluster, "hello-sdk");
    let get = |path: &str| cluster.get("hello-sdk.localhost", path);
    assert_eq!(get("/"), (200, "Hello from the SDK!\n".to_owned()));
    assert_eq!(get("/hello/Ada"), (200, "{\"text\":\"Servus, Ada!\"}".to_owned()));
    assert_eq!(get("/sum?a=1&b=2"), (200, "3\n".to_owned()));
    assert_eq!((get("/sum?a=1").0, get("/sum?a=4294967295&b=1").0, get("/nowhere").0), (400, 422, 404));
    assert_eq!(get("/from/hello-sdk"), (200, "hello-sdk says: Hello from the SDK!\n".to_owned()));
    assert_eq!(get("/from/other.example.org").0, 502);
    eventually("the log's lines", || {
        let logs = cluster.kubectl(&["logs", "-l", "app=hello-sdk", "--tail=-1"]).ok();
        let line = |message: &str| {
            let lines = logs.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            lines.into_iter().find(|line| line["message"] == message)
        };
        let (greeted, denied) = (line("greeted")?, line("outgoing request")?);
        assert_eq!((&greeted["level"], &greeted["name"]), (&"debug".into(), &"Ada".into()));
        assert!(greeted["request"].as_str().is_some_and(|id| !id.is_empty()), "{greeted}");
        let error = "GET http://other.example.org/: the host does not allow it; on Coracle, the pod's annotation \
                     coracle.dev/egress declares hosts";
        assert_eq!((&denied["level"], &denied["error"]), (&"error".into(), &error.into()));
        Some(())
    });
}

#[test]
fn job_sdk() {
    let cluster = Cluster::start();
    let file = example("job-sdk.wasm");
    cluster.wasmctl(&["push", file.to_str().unwrap(), "job-sdk:1"]).ok();
    let manifest = root().join("examples/job-sdk/pod.yaml");
    cluster.kubectl(&["apply", "-f", manifest.to_str().unwrap()]).ok();
    cluster.kubectl(&["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/job-sdk", "--timeout=60s"]).ok();
    let logs = cluster.kubectl(&["logs", "job-sdk"]).ok();
    assert!(logs.contains("11 /texts/boat\n"), "{logs}");
    assert!(logs.contains(r#"{"level":"info","message":"counted","files":1}"#), "{logs}");

    let failed = wasmctl(&["run", file.to_str().unwrap(), "--", "nothing"]).fails_with(1);
    assert!(failed.starts_with(r#"{"level":"error","message":"failed","error":"nothing: "#), "{failed}");
}

#[test]
fn image_resizer() {
    let cluster = Cluster::start();
    roll_out(&cluster, "image-resizer");
    let picture = std::fs::read(root().join("examples/image-resizer/boat.png")).unwrap();
    let send = |path: &str, body: &[u8]| {
        let mut connection = connect(&cluster);
        write!(connection, "POST {path} HTTP/1.1\r\nHost: image-resizer.localhost\r\nConnection: close\r\n").unwrap();
        write!(connection, "Content-Length: {}\r\n\r\n", body.len()).unwrap();
        connection.write_all(body).unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        answer
    };
    let scaled = send("/?width=16", &picture);
    assert!(scaled.starts_with(b"HTTP/1.1 200 "), "{}", scaled.escape_ascii());
    let png = scaled.windows(8).position(|bytes| bytes == b"\x89PNG\r\n\x1a\n").expect("a picture");
    // Width and height are the first that a PNG's header says.
    assert_eq!(scaled[png + 16..png + 24], [0, 0, 0, 16, 0, 0, 0, 12]);
    assert!(send("/?width=16", b"no picture").starts_with(b"HTTP/1.1 422 "));
}

#[test]
fn streaming() {
    let cluster = Cluster::start();
    roll_out(&cluster, "streaming");
    let ticks = cluster.get("streaming.localhost", "/ticks?count=2&every_ms=1");
    assert_eq!(ticks, (200, "tick 1\ntick 2\n".to_owned()));
    // What was sent is answered before more is.
    let mut connection = connect(&cluster);
    let head = "POST /upper HTTP/1.1\r\nHost: streaming.localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.write_all(head.as_bytes()).unwrap();
    let mut heard = String::new();
    for (piece, expected) in [("one", "ONE"), ("two", "TWO")] {
        write!(connection, "3\r\n{piece}\r\n").unwrap();
        while !heard.contains(expected) {
            let mut bytes = [0; 1024];
            let count = connection.read(&mut bytes).unwrap();
            assert!(count > 0, "{heard}");
            heard.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
    }
    connection.write_all(b"0\r\n\r\n").unwrap();
}

/// A connection to the ingress.
fn connect(cluster: &Cluster) -> TcpStream {
    let connection = TcpStream::connect(cluster.address("ingress")).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection
}

/// Needs root, crun and Debian's busybox, all of which CI has.
#[test]
fn busybox_container() {
    let mut cluster = Cluster::start();
    push_busybox(&cluster, "busybox", "1");
    let manifest = root().join("examples/busybox-container/pod.yaml");
    cluster.kubectl(&["apply", "-f", manifest.to_str().unwrap()]).ok();
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/busybox", "--timeout=60s"]).ok();
    eventually("its first words", || {
        (cluster.kubectl(&["logs", "busybox"]).ok() == "hello from busybox, as root\n").then_some(())
    });

    // It is a machine of its own, as far as it can see, and it is its image and its pod.
    let inside = |script: &str| cluster.kubectl(&["exec", "busybox", "--", "sh", "-c", script]);
    assert_eq!(
        inside("echo $FROM_IMAGE $TZ $HOSTNAME; cat /etc/hostname; ls /etc").ok(),
        "yes UTC busybox\nbusybox\nhostname\nhosts\nos-release\npasswd\n"
    );
    assert_eq!(inside("exit 3").code, 3);
    assert!(inside("touch /file").fails_with(1).contains("Read-only file system"));
    assert!(cluster.kubectl(&["exec", "busybox", "--", "nothing"]).fails_with(255).contains("not found"));
    let limit = "cat /sys/fs/cgroup/memory.max 2>&- || cat /sys/fs/cgroup/memory/memory.limit_in_bytes";
    assert_eq!(inside(limit).ok(), "33554432\n");

    // A limit ends who passes it; a pod that ends says how.
    let run = |name: &str, script: &str, more: &str| {
        let manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  containers:\n  \
             - {{name: main, image: 'registry.coracle.internal/busybox:1', command: [sh, -c, '{script}'], {more}}}\n"
        );
        cluster.kubectl_with(&manifest, &["apply", "-f", "-"]).ok();
    };
    let state = |name: &str, field: &str| {
        let pod = cluster.object(&format!("pod/{name}"));
        pod["status"]["containerStatuses"][0]["state"][field].clone()
    };
    run("big", "dd if=/dev/zero of=/dev/null bs=64M", "resources: {limits: {memory: 32Mi}}");
    run("ends", "echo out; echo err >&2; exit 7", "workingDir: /tmp");
    run("listens", "true", "ports: [{containerPort: 80}]");
    let reason = eventually("it is killed", || state("big", "terminated")["reason"].as_str().map(str::to_owned));
    assert_eq!(reason, "OOMKilled");
    let ended = eventually("it ends", || Some(state("ends", "terminated")).filter(|ended| ended.is_object()));
    assert_eq!((&ended["exitCode"], &ended["reason"]), (&7.into(), &"Error".into()));
    let mut said: Vec<_> = cluster.kubectl(&["logs", "ends"]).ok().lines().map(str::to_owned).collect();
    said.sort();
    assert_eq!(said, ["err", "out"]);
    let refused = eventually("it is refused", || {
        Some(state("listens", "waiting")).filter(|waiting| waiting["message"].is_string())
    });
    assert_eq!(refused["reason"], "CreateContainerConfigError");
    assert!(
        refused["message"].as_str().unwrap().starts_with("container \"main\": ports: Linux containers have a network"),
        "{refused}"
    );

    // Who is asked to end, and does not, is killed; and a host that is killed leaves nothing behind for long.
    cluster.kubectl(&["delete", "pod", "ends", "big", "listens"]).ok();
    let uid = cluster.object("pod/busybox")["metadata"]["uid"].as_str().unwrap().to_owned();
    // Their control groups are named after the pod.
    let processes = || {
        let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path().join("cgroup")));
        all.filter(|path| std::fs::read_to_string(path).is_ok_and(|groups| groups.contains(&uid))).count()
    };
    assert_ne!(processes(), 0);
    cluster.restart();
    eventually("it runs again", || cluster.kubectl(&["exec", "busybox", "--", "true"]).code.eq(&0).then_some(()));
    // What could not be started in it does not keep it from ending.
    assert!(cluster.kubectl(&["exec", "busybox", "--", "nothing"]).fails_with(255).contains("not found"));
    cluster.kubectl(&["delete", "pod", "busybox", "--grace-period=1", "--timeout=60s"]).ok();
    eventually("all is gone", || (processes() == 0).then_some(()));
}

#[test]
#[ignore = "is run by `cargo xtask test --languages`"]
fn hello_javascript() {
    let (status, text) = answer_of_language("hello-javascript", "/boats?id=1");
    assert_eq!((status, text.as_str()), (200, "Hello from JavaScript, to whoever asked for /boats!\n"));
}

#[test]
#[ignore = "is run by `cargo xtask test --languages`"]
fn hello_python() {
    let (status, text) = answer_of_language("hello-python", "/boats?id=1");
    assert!(text.starts_with("Hello from Python 3."), "{text}");
    assert_eq!((status, text.ends_with(", to whoever asked for /boats?id=1!\n")), (200, true), "{text}");
}

/// What an example answers that is deployed by its manifest.
fn answer_of_language(name: &str, path: &str) -> (u16, String) {
    let cluster = Cluster::start();
    let file = example_of_language(&format!("{name}.wasm"));
    cluster.wasmctl(&["push", file.to_str().unwrap(), &format!("{name}:1")]).ok();
    let manifest = root().join("examples").join(name).join("deployment.yaml");
    cluster.kubectl(&["apply", "-f", manifest.to_str().unwrap()]).ok();
    // They are compiled first.
    cluster.kubectl(&["rollout", "status", &format!("deployment/{name}"), "--timeout=150s"]).ok();
    eventually("the ingress knows the pod", || {
        let (status, text) = cluster.get(&format!("{name}.localhost"), path);
        (status == 200).then_some((status, text))
    })
}
