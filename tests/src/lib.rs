//! The harness of the end-to-end tests: a cluster of the real binary in a directory and on ports of its own, and the peers that talk to it.
//!
//! `cargo xtask test` says where the binary, the peers and the example components are. Nothing here sleeps for a fixed time to see a result:
//! conditions are waited for, with a limit.

mod control_plane;
mod image;
pub mod linearizability;
mod network;
mod process;

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub use control_plane::ControlPlane;
pub use image::push_busybox;
pub use network::{Machine, Network};
use process::Process;
pub use process::status_field;

/// The longest wait for a condition.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running `wasmctl up`. Dropping it kills the process.
pub struct Cluster {
    dir: PathBuf,
    process: Process,
    addresses: Value,
    /// Keeps the directory of a cluster that made its own.
    _own_dir: Option<TempDir>,
}

/// A program that runs while the test goes on. Dropping it kills the process.
pub struct Running {
    process: Process,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    /// Starts it, with its standard streams at the test's end.
    pub fn start(command: &mut Command) -> Running {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        Running { process: Process(process), lines }
    }

    /// The next line that it prints; empty when it prints no more.
    pub fn next_line(&mut self) -> String {
        self.lines.next().map(|line| line.expect("it is text")).unwrap_or_default()
    }

    /// Writes to its standard input.
    pub fn write(&mut self, text: &str) {
        let stdin = self.process.0.stdin.as_mut().expect("it is open");
        stdin.write_all(text.as_bytes()).expect("it reads");
    }

    /// Sends it a signal, as `kill` names them.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Writes to its standard input and closes it, as what it prints is read; waits for its end.
    pub fn end_with(mut self, text: &str) -> Printed {
        let mut stdin = self.process.0.stdin.take().expect("it is open");
        std::thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(text.as_bytes()).expect("it reads"));
            self.end()
        })
    }

    /// Closes its standard input, and waits for its end.
    pub fn end(mut self) -> Printed {
        drop(self.process.0.stdin.take());
        let stdout = self.lines.by_ref().map(|line| line.expect("it is text") + "\n").collect();
        let stderr = self.error_after_end();
        Printed { code: self.process.0.wait().ok().and_then(|status| status.code()).unwrap_or(-1), stdout, stderr }
    }

    /// Waits for its end; gives what it printed on standard error.
    pub fn error_after_end(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.process.0.stderr.take() {
            stderr.read_to_string(&mut text).expect("it is text");
        }
        text
    }
}

/// What a program printed, and how it ended.
#[derive(Debug)]
pub struct Printed {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Printed {
    /// Fails the test unless the program succeeded; gives its standard output.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Fails the test unless the program failed with this code; gives its standard error.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self.stderr
    }
}

impl From<Output> for Printed {
    fn from(output: Output) -> Printed {
        Printed {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The binary under test.
pub fn wasmctl_path() -> PathBuf {
    from_environment("CORACLE_TEST_WASMCTL")
}

/// A program that the tests use as an outside peer: `KUBECTL`, `KUBECTL_1_33`, `HELM`; or `PYTHON_CLIENT`, a folder.
pub fn peer(name: &str) -> PathBuf {
    from_environment(&format!("CORACLE_TEST_{name}"))
}

/// An example component built from Rust.
pub fn example(file: &str) -> PathBuf {
    from_environment("CORACLE_TEST_GUESTS").join(file)
}

/// An example component built from another language.
pub fn example_of_language(file: &str) -> PathBuf {
    from_environment("CORACLE_TEST_LANGUAGES").join(file)
}

/// A component written as text, made for the tests.
pub fn guest(file: &str) -> PathBuf {
    root().join("tests/guests").join(file)
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is a folder of the repository").to_owned()
}

fn from_environment(name: &str) -> PathBuf {
    match std::env::var_os(name) {
        Some(path) => path.into(),
        None => panic!("${name} is not set: run the tests with `cargo xtask test`"),
    }
}

/// Runs `wasmctl` without a cluster.
pub fn wasmctl(arguments: &[&str]) -> Printed {
    run(Command::new(wasmctl_path()).args(arguments))
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Printed {
    let output = command.stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display())).into()
}

/// Runs a program to its end, with something on its standard input.
pub fn run_with(command: &mut Command, input: &str) -> Printed {
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut process = spawned.unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
    let mut stdin = process.stdin.take().expect("it is piped");
    // A program that fails early doesn't read it all, and says why by itself.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    process.wait_with_output().expect("it ends").into()
}

impl Cluster {
    /// Starts a new cluster.
    pub fn start() -> Cluster {
        let dir = tempfile::tempdir().expect("a directory");
        let mut cluster = Cluster::start_in(dir.path());
        cluster._own_dir = Some(dir);
        cluster
    }

    /// Starts the cluster of this directory, and waits until it is ready.
    pub fn start_in(dir: &Path) -> Cluster {
        Cluster::spawn(&mut up(dir), dir)
    }

    /// Kills the process, and starts the cluster again at the address of the API that its clients know.
    pub fn restart(&mut self) {
        self.kill();
        let mut again = Cluster::spawn(&mut up_at(&self.dir, self.address("api")), &self.dir);
        std::mem::swap(&mut self.process, &mut again.process);
        std::mem::swap(&mut self.addresses, &mut again.addresses);
    }

    /// Runs the command of a cluster of this directory, and waits until it is ready.
    pub fn spawn(up: &mut Command, dir: &Path) -> Cluster {
        let process = start_until_ready(up);
        let addresses = std::fs::read(dir.join("addresses.json")).expect("addresses.json is written before ready");
        let addresses = serde_json::from_slice(&addresses).expect("it is JSON");
        Cluster { dir: dir.to_owned(), process, addresses, _own_dir: None }
    }

    /// Its data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process that is the cluster.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// An address of `addresses.json`: `api`, `ingress` or `registry`.
    pub fn address(&self, name: &str) -> &str {
        self.addresses[name].as_str().expect("the address is there")
    }

    /// Kills the process as nothing else does, and waits for its end.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks the process to stop, and waits; gives its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.process.terminate()
    }

    /// Waits until the process ends by itself; gives its exit code.
    pub fn end(&mut self) -> Option<i32> {
        self.process.end()
    }

    /// Runs `wasmctl` against this cluster.
    pub fn wasmctl(&self, arguments: &[&str]) -> Printed {
        run(Command::new(wasmctl_path()).args(arguments).env("KUBECONFIG", self.dir.join("kubeconfig")))
    }

    /// Runs the real `kubectl` against this cluster.
    pub fn kubectl(&self, arguments: &[&str]) -> Printed {
        run(self.client(peer("KUBECTL")).args(arguments))
    }

    /// Starts the real `kubectl` against this cluster, to run while the test goes on.
    pub fn start_kubectl(&self, arguments: &[&str]) -> Running {
        Running::start(self.client(peer("KUBECTL")).args(arguments))
    }

    /// Starts `wasmctl` against this cluster, to run while the test goes on.
    pub fn start_wasmctl(&self, arguments: &[&str]) -> Running {
        let kubeconfig = self.dir.join("kubeconfig");
        Running::start(Command::new(wasmctl_path()).args(arguments).env("KUBECONFIG", kubeconfig))
    }

    /// Runs the real `kubectl` with something on its standard input.
    pub fn kubectl_with(&self, input: &str, arguments: &[&str]) -> Printed {
        run_with(self.client(peer("KUBECTL")).args(arguments), input)
    }

    /// The command that runs a client of Kubernetes' API against this cluster.
    pub fn client(&self, program: impl AsRef<OsStr>) -> Command {
        client(&self.dir, program)
    }

    /// What its only host counts under `name`, as its metrics spell it.
    pub fn host_figure(&self, name: &str) -> u64 {
        let node = self.kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]).ok();
        let text = self.kubectl(&["get", "--raw", &format!("/api/v1/nodes/{node}/proxy/metrics")]).ok();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// `GET http://HOST/PATH` through the ingress: the status and the body.
    pub fn get(&self, host: &str, path: &str) -> (u16, String) {
        self.try_get(host, path).expect("the ingress answers")
    }

    /// As `get`, where the ingress may not be there.
    pub fn try_get(&self, host: &str, path: &str) -> std::io::Result<(u16, String)> {
        try_get(self.address("ingress"), host, path)
    }

    /// An object as JSON, through `wasmctl`.
    pub fn object(&self, what: &str) -> Value {
        serde_json::from_str(&self.wasmctl(&["get", what, "-o", "json"]).ok()).expect("it is JSON")
    }
}

/// `GET http://HOST/PATH` through the ingress at an address.
pub fn try_get(ingress: impl ToSocketAddrs, host: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(ingress)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::InvalidData)?;
    Ok((
        status,
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") { unchunk(body) } else { body.to_owned() },
    ))
}

/// A running `wasmctl server`. Dropping it kills the process.
pub struct Server {
    dir: PathBuf,
    process: Process,
}

impl Server {
    /// Starts the member of this directory, and waits until it is ready.
    pub fn start(dir: &Path, arguments: &[&str]) -> Server {
        Server::spawn(dir, server(dir).args(arguments))
    }

    /// Runs the command of a member of this directory, and waits until it is ready.
    pub fn spawn(dir: &Path, command: &mut Command) -> Server {
        Server { dir: dir.to_owned(), process: start_until_ready(command) }
    }

    /// The member's process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Sends the process a signal, as `kill` names them.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// See [`break_disk`].
    pub fn break_disk(&self) -> Running {
        break_disk(self.process_id())
    }

    /// Runs `wasmctl` against this member.
    pub fn wasmctl(&self, arguments: &[&str]) -> Printed {
        run(Command::new(wasmctl_path()).args(arguments).env("KUBECONFIG", self.dir.join("kubeconfig")))
    }

    /// Runs the real `kubectl` against this member.
    pub fn kubectl(&self, arguments: &[&str]) -> Printed {
        run(client(&self.dir, peer("KUBECTL")).args(arguments))
    }

    /// Kills the process as nothing else does, and waits for its end.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Waits until the process ends by itself; gives its exit code.
    pub fn end(&mut self) -> Option<i32> {
        self.process.end()
    }

    /// Asks the process to stop, and waits; gives its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.process.terminate()
    }
}

/// Lets every sync of a process's files fail, as on a disk that breaks, until what is given back is dropped. Each is a line that it prints.
/// Needs `strace`.
pub fn break_disk(process_id: u32) -> Running {
    let mut strace = Command::new("strace");
    strace.args(["--follow-forks", "--attach", &process_id.to_string(), "--output", "/dev/stdout"]);
    Running::start(strace.args(["--trace=fsync,fdatasync", "--inject=fsync,fdatasync:error=EIO"]))
}

/// The command that starts the member of a control plane of a directory, on free ports.
pub fn server(dir: &Path) -> Command {
    let mut command = Command::new(wasmctl_path());
    command.args(["server", "--advertise", "127.0.0.1", "--api-addr", "127.0.0.1:0", "--registry-addr", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(dir).env("RUST_BACKTRACE", "0");
    command
}

/// A running `wasmctl host`. Dropping it kills the process.
pub struct Host {
    process: Process,
}

impl Host {
    /// Starts the host of this directory, and waits until it is ready.
    pub fn start(dir: &Path, arguments: &[&str]) -> Host {
        Host::spawn(host(dir).args(arguments))
    }

    /// Runs the command of a host, and waits until it is ready.
    pub fn spawn(command: &mut Command) -> Host {
        Host { process: start_until_ready(command) }
    }

    /// The host's process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Kills the process as nothing else does, and waits for its end.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// The command that starts the host of a directory, on free ports.
pub fn host(dir: &Path) -> Command {
    let mut command = Command::new(wasmctl_path());
    command.args(["host", "--ingress-addr", "127.0.0.1:0", "--data-dir"]).arg(dir).env("RUST_BACKTRACE", "0");
    command
}

/// A program that speaks to the cluster of a directory's kubeconfig, with a home of its own.
fn client(dir: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("KUBECONFIG", dir.join("kubeconfig")).env("HOME", dir.join("client-home"));
    command
}

/// Starts `wasmctl up` or `wasmctl host`, and waits until it says that it is ready.
fn start_until_ready(command: &mut Command) -> Process {
    let mut process = command.stdout(Stdio::piped()).spawn().expect("wasmctl starts");
    let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
    let (ready, is_ready) = std::sync::mpsc::channel();
    // Reads on for as long as the process lives, so that it never waits for its output to be read.
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if line.starts_with("ready in") {
                let _ = ready.send(());
            }
        }
    });
    if is_ready.recv_timeout(PATIENCE).is_err() {
        let _ = process.kill();
        panic!("{command:?} did not become ready");
    }
    Process(process)
}

/// The command that starts a cluster in `dir`, on free ports.
pub fn up(dir: &Path) -> Command {
    up_at(dir, "127.0.0.1:0")
}

fn up_at(dir: &Path, api: &str) -> Command {
    let mut command = Command::new(wasmctl_path());
    command
        .args([
            "up",
            "--api-addr",
            api,
            "--ingress-addr",
            "127.0.0.1:0",
            "--registry-addr",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(dir);
    command.env("RUST_BACKTRACE", "0");
    command
}

/// Waits until `condition` gives a value; fails the test with `what` if it never does.
#[track_caller]
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn unchunk(body: &str) -> String {
    let mut rest = body;
    let mut text = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        if size == 0 || after.len() < size {
            break;
        }
        text.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    text
}
