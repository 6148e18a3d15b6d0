#![allow(clippy::too_many_lines, reason = "these are tables of tests")]

use std::collections::HashMap;

use bytes::Bytes;
use expect_test::{Expect, expect};
use http_body_util::{BodyExt as _, Full};
use jiff::SignedDuration;
use tokio::sync::watch;

use super::*;
use crate::console::Console;
use crate::pod::action::HttpGet;
use crate::runtime::{
    Answer, ContainerSpec, ExecError, Exit, LogSink, PodIdentity, Runtime as _, Start, Stats, Stream,
};
use crate::wasm::{Options, WasmRuntime};

/// A container that answers what it is told to, by path.
#[derive(Default)]
pub(crate) struct Answers {
    /// Status and `Location`, by path; 0 never answers, 1 fails.
    pub(crate) paths: HashMap<&'static str, (u16, &'static str)>,
}

/// A container that answers on port 8080 of a pod.
pub(crate) fn target(answers: Answers) -> Target {
    let container: Arc<dyn Container> = Arc::new(answers);
    let handlers = PodHandlers::new();
    let uid: Arc<str> = "u1".into();
    handlers.insert(&uid, None, 0, &[8080], &container);
    Target { uid, ip: "127.64.0.1".to_owned(), container, handlers }
}

struct Nothing;

impl LogSink for Nothing {
    fn write(&self, _: Stream, _: &[u8]) {}
}

struct Nobody;

impl coracle_net::Handler for Nobody {
    fn handle(
        &self,
        _: Request<RequestBody>,
        _: RequestContext,
    ) -> futures::future::BoxFuture<'static, Response<Body>> {
        unreachable!("probes are no traffic")
    }
}

impl Container for Answers {
    fn exited(&self) -> watch::Receiver<Option<Exit>> {
        watch::channel(None).1
    }

    fn stop(&self, _: Duration) {}

    fn handler(&self) -> Option<Arc<dyn coracle_net::Handler>> {
        Some(Arc::new(Nobody))
    }

    fn ask(&self, request: Request<RequestBody>, _: RequestContext) -> Option<Answer> {
        let path = request.uri().path();
        let (status, location) = self.paths.get(path).copied().unwrap_or((404, ""));
        Some(Box::pin(async move {
            match status {
                0 => std::future::pending().await,
                1 => Err(Unanswered("the component failed: unreachable".to_owned())),
                status => {
                    let body = Full::new(Bytes::from_static(b"x")).map_err(|never| match never {}).boxed_unsync();
                    let response = Response::builder().status(status).header("location", location);
                    Ok(response.body(body).unwrap())
                }
            }
        }))
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }

    fn console(&self) -> Option<Arc<Console>> {
        None
    }

    fn exec(&self, _: Vec<String>, _: Arc<Console>) -> Result<Start, ExecError> {
        Err(ExecError::NotACommand)
    }
}

fn get(port: u16, path: &str) -> Action {
    Action::HttpGet(HttpGet { port, path: path.to_owned(), headers: Vec::new() })
}

fn answers() -> Answers {
    let paths = [
        ("/ok", (204, "")),
        ("/busy", (503, "")),
        ("/trap", (1, "")),
        ("/hang", (0, "")),
        ("/moved", (302, "/ok")),
        ("/out", (302, "http://elsewhere/")),
        ("/round", (307, "/round")),
    ];
    Answers { paths: paths.into() }
}

#[track_caller]
fn check(action: &Action, expected: Expect) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (probe, hook) = runtime.block_on(async {
        let (target, limit) = (target(answers()), Duration::from_secs(2));
        (act(action, &target, limit).await, call(action, &target, limit).await)
    });
    expected.assert_eq(&format!("{probe:?}\nas a hook: {hook:?}"));
}

#[test]
fn what_came_of_it_is_told_in_kubernetes_words() {
    check(
        &get(8080, "/ok"),
        expect![[r#"
        Success
        as a hook: Ok(())"#]],
    );
    check(
        &get(8080, "/busy?all"),
        expect![[r#"
        Failure("HTTP probe failed with statuscode: 503")
        as a hook: Ok(())"#]],
    );
    check(
        &get(8080, "/trap"),
        expect![[r#"
        Failure("Get \"http://127.64.0.1:8080/trap\": the component failed: unreachable")
        as a hook: Err("Get \"http://127.64.0.1:8080/trap\": the component failed: unreachable")"#]],
    );
    check(
        &get(8080, "/hang"),
        expect![[r#"
        TimedOut("Get \"http://127.64.0.1:8080/hang\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
        as a hook: Err("Get \"http://127.64.0.1:8080/hang\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)")"#]],
    );
    check(
        &get(8080, "/moved"),
        expect![[r#"
        Success
        as a hook: Ok(())"#]],
    );
    check(
        &get(8080, "/out"),
        expect![[r#"
        Warning("Probe terminated redirects")
        as a hook: Ok(())"#]],
    );
    check(
        &get(8080, "/round"),
        expect![[r#"
        Failure("Get \"http://127.64.0.1:8080/round\": stopped after 10 redirects")
        as a hook: Err("Get \"http://127.64.0.1:8080/round\": stopped after 10 redirects")"#]],
    );
    check(
        &get(81, "/ok"),
        expect![[r#"
        Failure("Get \"http://127.64.0.1:81/ok\": dial tcp 127.64.0.1:81: connect: connection refused")
        as a hook: Err("Get \"http://127.64.0.1:81/ok\": dial tcp 127.64.0.1:81: connect: connection refused")"#]],
    );
    check(
        &Action::TcpSocket { port: 8080 },
        expect![[r#"
        Success
        as a hook: Ok(())"#]],
    );
    check(
        &Action::TcpSocket { port: 81 },
        expect![[r#"
        Failure("dial tcp 127.64.0.1:81: connect: connection refused")
        as a hook: Err("dial tcp 127.64.0.1:81: connect: connection refused")"#]],
    );
    check(
        &Action::Grpc { port: 8080, service: String::new() },
        expect![[r#"
        Failure("error: health rpc probe failed: status 404 with content type none, which is no answer of gRPC")
        as a hook: Err("error: health rpc probe failed: status 404 with content type none, which is no answer of gRPC")"#]],
    );
    check(
        &Action::Grpc { port: 81, service: String::new() },
        expect![[r#"
        Failure("error: health rpc probe failed: dial tcp 127.64.0.1:81: connect: connection refused")
        as a hook: Err("error: health rpc probe failed: dial tcp 127.64.0.1:81: connect: connection refused")"#]],
    );
    check(
        &Action::Exec { words: vec!["a".to_owned()] },
        expect![[r#"
        Unknown("it answers HTTP requests and has no program to run")
        as a hook: Err("it answers HTTP requests and has no program to run")"#]],
    );
    check(
        &Action::Sleep(SignedDuration::from_secs(1)),
        expect![[r#"
        Success
        as a hook: Ok(())"#]],
    );
    check(
        &Action::Sleep(SignedDuration::from_secs(3)),
        expect![[r#"
        TimedOut("timed out after 2s")
        as a hook: Err("timed out after 2s")"#]],
    );
}

#[tokio::test]
async fn programs_say_by_their_exit_code_how_it_is() {
    let runtime = WasmRuntime::open(Options::in_process()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    for guest in
        ["command-exit-0", "command-exit-3", "command-prints", "command-fails", "command-traps", "command-loops"]
    {
        let text = std::fs::read(format!("{}/../tests/guests/{guest}.wat", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let file = dir.path().join(guest);
        std::fs::write(&file, wat::parse_bytes(&text).unwrap()).unwrap();
        let spec = ContainerSpec::new(PodIdentity::default(), "c", file, guest);
        let prepared = runtime.prepare(&spec).await.unwrap();
        let container: Arc<dyn Container> = runtime.start(spec, prepared, Arc::new(Nothing)).await.unwrap().into();
        let target = Target { uid: "u1".into(), ip: String::new(), container, handlers: PodHandlers::new() };
        let exec = Action::Exec { words: vec!["check".to_owned(), "it".to_owned()] };
        lines.push(format!("{guest}: {:?}", act(&exec, &target, Duration::from_millis(500)).await));
    }
    expect![[r#"
        command-exit-0: Success
        command-exit-3: Failure("command exited with code 3")
        command-prints: Success
        command-fails: Failure("command exited with code 1")
        command-traps: Failure("wasm `unreachable` instruction executed")
        command-loops: TimedOut("command timed out: \"check it\" timed out after 0.5s")"#]]
    .assert_eq(&lines.join("\n"));
    // The one that timed out ends, too.
    while runtime.instances() > 0 {
        tokio::task::yield_now().await;
    }
}
