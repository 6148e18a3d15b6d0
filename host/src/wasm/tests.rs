mod code;
mod host;
mod linked;
mod reuse;
mod volumes;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use coracle_net::{RequestBody, RequestContext, RequestId};
use expect_test::{Expect, expect};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::*;
use crate::console::Stdin;
use crate::runtime::{Exit, PodIdentity, Stream};

/// Keeps lines for a look at them.
#[derive(Default)]
struct Collected(Mutex<Vec<String>>);

impl LogSink for Collected {
    fn write(&self, _: Stream, line: &[u8]) {
        let mut lines = self.0.lock();
        if lines.len() < 1_000 {
            lines.push(String::from_utf8_lossy(line).into_owned());
        }
    }
}

/// A runtime, a folder for guests and a log.
struct Host {
    runtime: WasmRuntime,
    dir: tempfile::TempDir,
    logs: Arc<Collected>,
}

impl Host {
    fn new() -> Host {
        Host::with(|_| Options::in_process())
    }

    fn with(options: impl FnOnce(&Path) -> Options) -> Host {
        let dir = tempfile::tempdir().unwrap();
        let runtime = WasmRuntime::open(options(dir.path())).unwrap();
        Host { runtime, dir, logs: Arc::default() }
    }

    fn spec_of(&self, bytes: &[u8]) -> ContainerSpec {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
        let file = self.dir.path().join(&digest[7..]);
        std::fs::write(&file, bytes).unwrap();
        let pod = PodIdentity { namespace: "default".into(), name: "shop".into(), ..PodIdentity::default() };
        ContainerSpec::new(pod, "main", file, &digest)
    }

    fn spec(&self, guest: &str) -> ContainerSpec {
        self.spec_of(&guest_bytes(guest))
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<Box<dyn Container>, StartError> {
        let prepared = self.runtime.prepare(spec).await?;
        self.runtime.start(spec.clone(), prepared, self.logs.clone()).await
    }

    fn lines(&self) -> Vec<String> {
        self.logs.0.lock().clone()
    }
}

fn guest_text(name: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let file = match name {
        "hello" => format!("{root}/examples/hello/hello.wat"),
        name => format!("{root}/tests/guests/{name}.wat"),
    };
    std::fs::read_to_string(file).unwrap()
}

fn guest_bytes(name: &str) -> Vec<u8> {
    wat::parse_str(guest_text(name)).unwrap()
}

async fn get(container: &dyn Container, path: &str) -> http::Response<coracle_net::Body> {
    let request = http::Request::get(path).header("host", "shop.localhost").body(RequestBody::empty()).unwrap();
    let context = RequestContext {
        request_id: RequestId::generate(1, 1, 1),
        client_addr: ([127, 0, 0, 1], 1234).into(),
        scheme: http::uri::Scheme::HTTP,
    };
    container.handler().unwrap().handle(request, context).await
}

async fn get_text(container: &dyn Container, path: &str) -> String {
    let response = get(container, path).await;
    let status = response.status().as_u16();
    let retry = response.headers().get("retry-after").map_or(String::new(), |_| " (retry)".to_owned());
    match response.into_body().collect().await {
        Ok(body) => format!("{status}{retry} {}", String::from_utf8_lossy(&body.to_bytes()).trim_end()),
        Err(error) => format!("{status} then {error}"),
    }
}

async fn exit_of(container: &dyn Container) -> Exit {
    let mut exited = container.exited();
    exited.wait_for(Option::is_some).await.unwrap().clone().unwrap()
}

async fn exit_text(container: &dyn Container) -> String {
    let exit = exit_of(container).await;
    format!("{} {} {}", exit.code, exit.reason.as_str(), exit.message).trim_end().to_owned()
}

#[tokio::test]
async fn hello_answers() {
    let host = Host::new();
    let container = host.start(&host.spec("hello")).await.unwrap();
    let response = get(&*container, "/cart?id=1").await;
    assert_eq!(response.headers()["content-type"], "text/plain");
    assert_eq!(http_body::Body::size_hint(response.body()).exact(), Some(20));
    assert_eq!(get_text(&*container, "/").await, "200 Hello from Coracle!");
    let stats = container.stats();
    assert_eq!((stats.requests, stats.requests_active, stats.memory_bytes, stats.traps), (2, 0, 0, 0));
    assert!(stats.cpu_ns > 0);
    container.stop(Duration::from_secs(60));
    assert_eq!(exit_text(&*container).await, "0 Completed");
    assert_eq!(get_text(&*container, "/").await, "503 (retry) this container is stopping");
    let lines: Vec<String> = host.lines().iter().map(|line| line.rsplitn(3, ' ').last().unwrap().to_owned()).collect();
    assert_eq!(lines, ["GET /cart?id=1 200", "GET / 200"]);
}

#[track_caller]
fn check_handler(guest: &str, change: impl FnOnce(&mut ContainerSpec), expected: Expect) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(async {
        let host = Host::new();
        let mut spec = host.spec(guest);
        change(&mut spec);
        let container = host.start(&spec).await.unwrap();
        get_text(&*container, "/").await
    });
    expected.assert_eq(&text);
}

#[test]
fn broken_handlers_become_errors() {
    check_handler("handler-no-response", |_| {}, expect!["502 the component returned without a response"]);
    check_handler(
        "handler-traps",
        |_| {},
        expect![
            "500 the component failed: wasm `unreachable` instruction executed (request 00000001010000000000000001)"
        ],
    );
    check_handler(
        "handler-allocates",
        |_| {},
        expect!["500 the component failed: memory limit of 128Mi exceeded (request 00000001010000000000000001)"],
    );
    let short = |spec: &mut ContainerSpec| spec.request_timeout = Duration::from_millis(200);
    check_handler("handler-loops", short, expect!["504 no response within 0.2 s"]);
}

#[tokio::test]
async fn a_trap_in_the_middle_of_a_body_breaks_the_body_off() {
    let host = Host::new();
    let text = guest_text("hello").replace("(call $drop-stream (local.get $stream))", "unreachable");
    let container = host.start(&host.spec_of(&wat::parse_str(text).unwrap())).await.unwrap();
    let expected = "200 then the component failed during its response: wasm `unreachable` instruction executed";
    assert_eq!(get_text(&*container, "/").await, expected);
}

#[tokio::test]
async fn outgoing_requests_are_denied_and_reported_once() {
    let host = Host::new();
    let container = host.start(&host.spec("handler-calls-out")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(get_text(&*container, "/").await, "502 the component returned without a response");
    }
    let lines = host.lines();
    let denied: Vec<&String> = lines.iter().filter(|line| line.contains("denied")).collect();
    expect![[r#"a connection to example.com:443 was denied: it is no Service, and the pod does not declare it; declare "example.com" in the pod's annotation coracle.dev/egress"#]].assert_eq(&denied.into_iter().map(String::as_str).collect::<Vec<_>>().join("\n"));
}

#[tokio::test]
async fn configuration_is_what_the_pod_declares() {
    let host = Host::new();
    let mut spec = host.spec("command-asks-config");
    let declared =
        |pairs: &[(&str, &str)]| Some(pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect());
    spec.config = declared(&[("other", "x"), ("greeting", "Hello")]);
    let container = host.start(&spec).await.unwrap();
    assert_eq!(exit_text(&*container).await, "0 Completed");
    let without = "1 Error wasm `unreachable` instruction executed";
    spec.config = declared(&[]);
    assert_eq!(exit_text(&*host.start(&spec).await.unwrap()).await, without);
    assert_eq!(host.lines(), [""; 0]);
    spec.config = None;
    assert_eq!(exit_text(&*host.start(&spec).await.unwrap()).await, without);
    expect!["configuration was denied, so there is none: the pod declares none; name ConfigMaps in the pod's annotation coracle.dev/config"].assert_eq(&host.lines().join("\n"));
}

#[tokio::test]
async fn a_container_that_only_traps_counts_as_broken() {
    let host = Host::new();
    let container = host.start(&host.spec("handler-traps")).await.unwrap();
    for _ in 0..5 {
        assert!(get_text(&*container, "/").await.starts_with("500 "));
    }
    assert_eq!(
        exit_text(&*container).await,
        "1 Error its first 5 requests failed: wasm `unreachable` instruction executed"
    );
    assert_eq!(container.stats().traps, 5);
    assert_eq!(get_text(&*container, "/").await, "503 (retry) this container is stopping");
}

#[tokio::test]
async fn requests_beyond_concurrency_wait_and_beyond_the_queue_are_refused() {
    let host = Host::new();
    let mut spec = host.spec("handler-loops");
    spec.concurrency = 1;
    spec.request_timeout = Duration::from_millis(500);
    let container = host.start(&spec).await.unwrap();
    let (first, second, third) =
        tokio::join!(get_text(&*container, "/1"), get_text(&*container, "/2"), get_text(&*container, "/3"));
    assert_eq!(first, "504 no response within 0.5 s");
    assert_eq!(second, "504 no response within 0.5 s");
    assert_eq!(third, "503 (retry) too many requests are waiting for this container");
    let stats = container.stats();
    assert_eq!((stats.requests, stats.requests_refused, stats.timeouts), (3, 1, 2));
}

#[tokio::test]
async fn a_looping_guest_leaves_the_thread_to_its_neighbour() {
    let host = Host::new();
    let looping = host.start(&host.spec("handler-loops")).await.unwrap();
    let hello = host.start(&host.spec("hello")).await.unwrap();
    let loops: Vec<_> = (0..10).map(|_| looping.handler().unwrap()).collect();
    let pending: Vec<_> = loops
        .iter()
        .map(|handler| {
            let request = http::Request::get("/").body(RequestBody::empty()).unwrap();
            let context = RequestContext {
                request_id: RequestId::generate(1, 1, 1),
                client_addr: ([127, 0, 0, 1], 1234).into(),
                scheme: http::uri::Scheme::HTTP,
            };
            tokio::spawn(handler.handle(request, context))
        })
        .collect();
    while looping.stats().requests_active < 10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(get_text(&*hello, "/").await, "200 Hello from Coracle!");
    // The clients go away, and with them their guests.
    pending.iter().for_each(tokio::task::JoinHandle::abort);
    while looping.stats().requests_active > 0 || host.runtime.instances() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(looping.stats().memory_bytes, 0);
}

#[tokio::test]
async fn memory_bounds_concurrency() {
    let host = Host::new();
    let mut spec = host.spec("hello");
    spec.memory_bytes_max = 64 << 10;
    let container = host.start(&spec).await.unwrap();
    let (first, second) = tokio::join!(get_text(&*container, "/"), get_text(&*container, "/"));
    assert_eq!((first.as_str(), second.as_str()), ("200 Hello from Coracle!", "200 Hello from Coracle!"));
}

#[track_caller]
fn check_command(guest: &str, expected: Expect) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(async {
        let host = Host::new();
        let container = host.start(&host.spec(guest)).await.unwrap();
        format!("{}; log {:?}", exit_text(&*container).await, host.lines())
    });
    expected.assert_eq(&text);
}

#[test]
fn commands_end_as_they_say() {
    check_command("command-exit-0", expect!["0 Completed; log []"]);
    check_command("command-exit-3", expect!["3 Error; log []"]);
    check_command("command-fails", expect!["1 Error; log []"]);
    check_command("command-prints", expect![[r#"0 Completed; log ["hello", "world!"]"#]]);
    check_command("command-traps", expect!["1 Error wasm `unreachable` instruction executed; log []"]);
    check_command("command-allocates", expect!["137 OOMKilled memory limit of 128Mi exceeded; log []"]);
}

#[tokio::test]
async fn endless_commands_are_stopped() {
    for guest in ["command-loops", "command-floods"] {
        let host = Host::new();
        let container = host.start(&host.spec(guest)).await.unwrap();
        while container.stats().cpu_ns == 0 && host.lines().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(*container.exited().borrow(), None);
        container.stop(Duration::ZERO);
        assert_eq!(exit_text(&*container).await, "143 Error stopped by the host", "{guest}");
        assert_eq!(container.stats().memory_bytes, 0);
    }
}

#[track_caller]
fn check_refused(bytes: &[u8], change: impl FnOnce(&mut ContainerSpec), expected: Expect) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(async {
        let host = Host::with(|_| {
            let compile_limits = CompileLimits { component_bytes_max: 1 << 20, ..CompileLimits::default() };
            Options { compile_limits, start_max: Duration::from_millis(100), ..Options::in_process() }
        });
        let mut spec = host.spec_of(bytes);
        change(&mut spec);
        let error = host.start(&spec).await.err().expect("it starts");
        format!("{}: {error}", error.reason())
    });
    expected.assert_eq(&text);
}

#[test]
fn what_cannot_run_is_refused_with_the_reason() {
    check_refused(
        b"#!/bin/sh",
        |_| {},
        expect![[r##"InvalidImage: not a WebAssembly file: it starts with "#!/bin/s", not with "\0asm""##]],
    );
    check_refused(
        &guest_bytes("core-module"),
        |_| {},
        expect![
            "InvalidImage: a core module, not a component: build for wasm32-wasip2, or wrap it with `wasm-tools component new`"
        ],
    );
    check_refused(
        &guest_bytes("hello")[..500],
        |_| {},
        expect!["InvalidImage: the file is truncated: it ends after 500 bytes, within a section"],
    );
    check_refused(
        &guest_bytes("unknown-import"),
        |_| {},
        expect!["CreateContainerError: the component imports acme:billing/ledger@1.2.0, which nothing here provides"],
    );
    check_refused(
        &guest_bytes("library"),
        |_| {},
        expect![
            "InvalidImage: the component exports neither a handler (wasi:http/incoming-handler@0.2, wasi:http/handler@0.3) nor a command (wasi:cli/run); it exports acme:billing/ledger@1.2.0"
        ],
    );
    check_refused(
        &guest_bytes("start-traps"),
        |_| {},
        expect!["RunContainerError: the component trapped while starting: wasm `unreachable` instruction executed"],
    );
    check_refused(
        &guest_bytes("start-loops"),
        |_| {},
        expect!["RunContainerError: the component trapped while starting: it was not done after 0.1 s"],
    );
    check_refused(
        &guest_bytes("much-memory"),
        |_| {},
        expect![
            "RunContainerError: the component does not fit its limits: it starts with 256Mi of memory and may have 128Mi"
        ],
    );
    check_refused(
        &[0; (1 << 20) + 1],
        |_| {},
        expect!["InvalidImage: the component is 1048577 bytes; this host compiles at most 1048576"],
    );
    let other = |spec: &mut ContainerSpec| spec.digest = format!("sha256:{}", "0".repeat(64));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let host = Host::new();
        let mut spec = host.spec("hello");
        other(&mut spec);
        assert!(host.start(&spec).await.err().unwrap().to_string().contains("is damaged: its digest is sha256:"));
    });
}

/// Not a test of its own: the compiling child that the tests below start is this test binary running only this.
#[test]
fn child_entry() {
    let args: Vec<String> = std::env::args().skip_while(|arg| arg != "--nocapture").skip(1).collect();
    if args.len() >= 6 {
        let code = compile_child_main(&args);
        let is_it = |number: &u8| std::process::ExitCode::from(*number) == code;
        std::process::exit((0..=u8::MAX).find(is_it).map_or(2, i32::from));
    }
}

fn child_options(dir: &Path, compile_limits: CompileLimits) -> Options {
    let leading = ["--exact", "wasm::tests::child_entry", "--nocapture"];
    let compiler = Compiler {
        exe: std::env::current_exe().unwrap(),
        leading_args: leading.iter().map(|arg| (*arg).to_owned()).collect(),
    };
    let compile =
        Compile::Child { compiler, cache_dir: dir.join("compiled"), key_file: dir.join("compiled").join("key") };
    Options { compile, compile_limits, ..Options::in_process() }
}

fn cached(dir: &Path, extension: &str) -> PathBuf {
    let mut engine = std::fs::read_dir(dir.join("compiled")).unwrap().map(|entry| entry.unwrap().path());
    let folder = engine.find(|path| path.is_dir()).unwrap();
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let found = files.iter().find(|path| path.extension().is_some_and(|found| found == extension));
    found.unwrap_or_else(|| panic!("no .{extension} in {files:?}")).clone()
}

fn is_same(one: &Prepared, other: &Prepared) -> bool {
    let [PreparedArtifact::Component(one), PreparedArtifact::Component(other)] = [&one.artifact, &other.artifact]
    else {
        return false;
    };
    Arc::ptr_eq(one, other)
}

#[tokio::test]
async fn compiled_components_are_kept_and_only_trusted_when_sealed() {
    let host = Host::with(|dir| child_options(dir, CompileLimits::default()));
    let spec = host.spec("hello");
    let compiled = host.runtime.prepare(&spec).await.unwrap();
    assert!(compiled.compile_time() > Duration::ZERO);
    let again = host.runtime.prepare(&spec).await.unwrap();
    assert!(is_same(&compiled, &again));
    let container = host.start(&spec).await.unwrap();
    assert_eq!(get_text(&*container, "/").await, "200 Hello from Coracle!");

    let reopen = || async {
        let runtime = WasmRuntime::open(child_options(host.dir.path(), CompileLimits::default())).unwrap();
        runtime.prepare(&spec).await.unwrap().compile_time() > Duration::ZERO
    };
    assert!(!reopen().await, "kept");

    let code = cached(host.dir.path(), "cwasm");
    let mut damaged = std::fs::read(&code).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&code, damaged).unwrap();
    assert!(reopen().await, "damaged");
    assert!(!reopen().await, "kept again");

    std::fs::remove_file(cached(host.dir.path(), "seal")).unwrap();
    assert!(reopen().await, "unsealed");

    std::fs::write(host.dir.path().join("compiled/key"), [7; 32]).unwrap();
    assert!(reopen().await, "foreign");
    assert!(!reopen().await, "kept under the new key");
}

#[tokio::test]
async fn callers_for_one_digest_share_one_compilation() {
    let host = Host::with(|dir| child_options(dir, CompileLimits::default()));
    let spec = host.spec("hello");
    let all = futures::future::join_all((0..100).map(|_| host.runtime.prepare(&spec))).await;
    let first = all[0].as_ref().unwrap();
    assert!(all.iter().all(|prepared| is_same(prepared.as_ref().unwrap(), first)));
}

#[tokio::test]
async fn compilation_is_limited() {
    let small = CompileLimits { memory_bytes_max: 64 << 20, ..CompileLimits::default() };
    let host = Host::with(|dir| child_options(dir, small));
    let bomb = wat::parse_str(format!(
        "(component (core module {}))",
        format!("(func (local {})) ", "i64 ".repeat(20_000)).repeat(100)
    ));
    let error = host.runtime.prepare(&host.spec_of(&bomb.unwrap())).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "compiling the component took more than the limit of 64Mi of memory; split it or build it with optimisation"
    );

    let quick = CompileLimits { wall_max: Duration::ZERO, ..CompileLimits::default() };
    let host = Host::with(|dir| child_options(dir, quick));
    let error = host.runtime.prepare(&host.spec("hello")).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "compiling the component took more than the limit of 0 s; split it or build it with optimisation"
    );
}

/// What comes out until the command has ended.
async fn all_output(mut output: tokio::sync::mpsc::Receiver<crate::console::Chunk>) -> String {
    let mut text = Vec::new();
    while let Some((_, bytes)) = output.recv().await {
        text.extend_from_slice(&bytes);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn programs_run_beside_a_command() {
    let host = Host::new();
    let mut spec = host.spec("command-echoes");
    spec.stdin = Stdin::Kept;
    let container = host.start(&spec).await.unwrap();
    let console = container.console().unwrap();
    let mut attached = console.read();
    console.type_in(b"to the first\n").await.unwrap();
    assert_eq!(attached.recv().await, Some((Stream::Stdout, "to the first\n".into())));
    let run = async |input: &[u8]| {
        let own = Arc::new(Console::new(Stdin::Once));
        let output = own.read();
        let program = container.exec(vec!["echo".to_owned()], own.clone()).unwrap()();
        let typing = async {
            own.type_in(input).await.unwrap();
            own.leave_input();
        };
        let ((), output) = tokio::join!(typing, all_output(output));
        format!("{output:?} {}", exit_text(&*program).await)
    };
    expect![[r#""beside" 0 Completed"#]].assert_eq(&run(b"beside").await);
    expect![[r#""" 1 Error"#]].assert_eq(&run(b"!").await);
    let long = vec![b'x'; 500_000];
    assert!(run(&long).await.starts_with(&format!("{:?} 0", String::from_utf8_lossy(&long))));
    // None of it reached the container or its log.
    assert!(attached.try_recv().is_err());
    assert_eq!(host.lines(), ["to the first"]);
    assert!(container.exited().borrow().is_none());
}

#[tokio::test]
async fn programs_beside_a_command_are_bounded_and_can_be_ended() {
    let host = Host::new();
    let container = host.start(&host.spec("command-loops")).await.unwrap();
    let exec = || container.exec(vec!["loop".to_owned()], Arc::new(Console::new(Stdin::Closed)));
    let mut running: Vec<_> = (0..8).map(|_| exec().unwrap()()).collect();
    expect!["8 programs run beside this container already; wait for one to end"]
        .assert_eq(&exec().map(drop).unwrap_err().to_string());
    let first = running.remove(0);
    first.stop(Duration::ZERO);
    assert_eq!(exit_of(&*first).await.code, 143);
    drop(first);
    drop(exec().unwrap());
    exec().unwrap()();
    let handler = host.start(&host.spec("hello")).await.unwrap();
    assert!(handler.console().is_none());
    expect!["it answers HTTP requests and has no program to run"]
        .assert_eq(&handler.exec(Vec::new(), Arc::new(Console::new(Stdin::Closed))).map(drop).unwrap_err().to_string());
}
