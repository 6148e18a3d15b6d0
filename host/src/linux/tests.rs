//! A real container by the real runtime: needs root and crun, which CI has.

use std::process::Command;
use std::time::Duration;

use expect_test::{Expect, expect};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::console::Stdin;
use crate::runtime::{Exit, LinuxSpec, PodIdentity, Security, Stream, SystemClock};

#[derive(Default)]
struct Collected(Mutex<Vec<String>>);

impl LogSink for Collected {
    fn write(&self, stream: Stream, line: &[u8]) {
        self.0.lock().push(format!("{stream:?} {}", String::from_utf8_lossy(line)));
    }
}

/// A host's folder with an image of Debian's static busybox in it.
struct Host {
    dir: tempfile::TempDir,
    runtime: LinuxRuntime,
}

impl Host {
    fn new() -> Host {
        let dir = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        let busybox =
            std::fs::read("/bin/busybox").expect("busybox-static is installed: run the tests with `cargo xtask test`");
        header.set_path("bin/busybox").unwrap();
        header.set_mode(0o755);
        header.set_size(busybox.len() as u64);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        archive.append(&header, &busybox[..]).unwrap();
        let archive = archive.into_inner().unwrap();
        let hex = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
        let put = |bytes: &[u8]| {
            std::fs::write(dir.path().join(format!("{}.blob", hex(bytes))), bytes).unwrap();
            json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": format!("sha256:{}", hex(bytes)), "size": bytes.len() })
        };
        let layer = put(&archive);
        let config = json!({
            "os": "linux", "architecture": "amd64", "config": { "Entrypoint": ["/bin/busybox", "sh", "-c"], "User": "3:4" },
            "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
        });
        let manifest = json!({ "config": put(config.to_string().as_bytes()), "layers": [layer] });
        std::fs::write(dir.path().join("manifest.json"), manifest.to_string()).unwrap();
        let runtime =
            LinuxRuntime::open(dir.path(), Arc::new(SystemClock), DiskQuota::unlimited(Arc::new(SystemClock)));
        Host { dir, runtime }
    }

    fn spec(&self, script: &str) -> ContainerSpec {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Its own among all tests on this machine: control groups are named after it.
        let uid = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let pod = PodIdentity { uid, ..PodIdentity::default() };
        let mut spec = ContainerSpec::new(pod, "main", self.dir.path().join("manifest.json"), "sha256:of-the-manifest");
        spec.linux =
            Some(LinuxSpec { args: vec![script.to_owned()], hostname: "here".to_owned(), ..LinuxSpec::default() });
        spec
    }

    async fn start(&self, spec: ContainerSpec, logs: Arc<Collected>) -> Result<Box<dyn Container>, StartError> {
        let prepared = self.runtime.prepare(&spec).await?;
        self.runtime.start(spec, prepared, logs).await
    }

    /// What a container printed, and how it ended.
    async fn run(&self, change: impl FnOnce(&mut ContainerSpec), script: &str) -> String {
        let mut spec = self.spec(script);
        change(&mut spec);
        let logs = Arc::new(Collected::default());
        let container = match self.start(spec, logs.clone()).await {
            Ok(container) => container,
            Err(error) => return format!("{}: {error}", error.reason()),
        };
        let exit = end_of(&*container).await;
        let mut lines = logs.0.lock().clone();
        // One stream is not in step with the other.
        lines.sort_by_key(|line| line.starts_with("Stdout"));
        lines.push(format!("{} {}", exit.code, exit.reason.as_str()));
        lines.join("\n")
    }

    fn check(change: impl FnOnce(&mut ContainerSpec), script: &str, expected: Expect) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        expected.assert_eq(&runtime.block_on(async { Host::new().run(change, script).await }));
    }
}

async fn end_of(container: &dyn Container) -> Exit {
    let mut exited = container.exited();
    exited.wait_for(Option::is_some).await.unwrap().clone().unwrap()
}

fn linux(spec: &mut ContainerSpec) -> &mut LinuxSpec {
    spec.linux.as_mut().unwrap()
}

#[test]
fn a_container_is_run_and_says_how_it_ended() {
    let script = "echo $0 $A; /bin/busybox id; /bin/busybox hostname; echo to err >&2; echo $$; exit 7";
    Host::check(
        |spec| spec.env = vec![("A".to_owned(), "b".to_owned())],
        script,
        expect![[r#"
        Stderr to err
        Stdout sh b
        Stdout uid=3 gid=4
        Stdout here
        Stdout 1
        7 Error"#]],
    );
    Host::check(
        |_| {},
        "kill -9 $$; /bin/busybox kill -SEGV 1; echo still here",
        expect![[r#"
        Stdout still here
        0 Completed"#]],
    );
}

#[test]
fn it_sees_nothing_of_its_host() {
    let script = "cd /bin && ./busybox ls / && ./busybox ls /sys/class/net && ./busybox cat /proc/kcore && ./busybox mknod /tmp-dev b 8 0";
    Host::check(
        |_| {},
        script,
        expect![[r#"
            Stderr cat: can't open '/proc/kcore': No such file or directory
            Stdout bin
            Stdout dev
            Stdout etc
            Stdout proc
            Stdout sys
            Stdout lo
            1 Error"#]],
    );
}

#[test]
fn who_takes_too_much_memory_is_killed() {
    let hold = |spec: &mut ContainerSpec| linux(spec).memory_bytes_max = Some(32 << 20);
    Host::check(hold, "/bin/busybox dd if=/dev/zero of=/dev/null bs=64M", expect!["137 OOMKilled"]);
}

#[test]
fn what_cannot_start_says_why() {
    Host::check(
        |spec| linux(spec).command = vec!["/no/such/program".to_owned()],
        "",
        expect![
            "RunContainerError: the container cannot be started: executable file `/no/such/program` not found in $PATH: No such file or directory"
        ],
    );
    Host::check(
        |spec| linux(spec).security.is_non_root = true,
        "echo as 3",
        expect![[r#"
        Stdout as 3
        0 Completed"#]],
    );
    Host::check(
        |spec| linux(spec).security = Security { is_non_root: true, user: Some(0), ..Security::default() },
        "",
        expect![[
            r#"CreateContainerConfigError: container "main": container has runAsNonRoot and image will run as root; set securityContext.runAsUser"#
        ]],
    );
}

#[tokio::test]
async fn it_is_asked_to_end_and_then_killed() {
    let host = Host::new();
    let logs = Arc::new(Collected::default());
    let trap = "trap 'echo asked; exit 5' TERM; echo ready; while true; do /bin/busybox sleep 0.01; done";
    let container = host.start(host.spec(trap), logs.clone()).await.unwrap();
    until(|| logs.0.lock().contains(&"Stdout ready".to_owned())).await;
    container.stop(Duration::from_secs(60));
    assert_eq!(end_of(&*container).await.code, 5);
    assert_eq!(logs.0.lock().last().unwrap(), "Stdout asked");

    // The first program of a container ignores what it doesn't ask for.
    let container = host.start(host.spec("while true; do /bin/busybox sleep 1; done"), Arc::default()).await.unwrap();
    container.stop(Duration::from_millis(50));
    assert_eq!(end_of(&*container).await.code, 137);
    until(|| std::fs::read_dir(host.dir.path().join("linux/containers")).unwrap().count() == 0).await;
    assert_eq!(std::fs::read_dir(host.dir.path().join("linux/state")).unwrap().count(), 0);
}

#[tokio::test]
async fn programs_run_within_it_and_end_with_whoever_wants_them() {
    let host = Host::new();
    let container = host.start(host.spec("while true; do /bin/busybox sleep 1; done"), Arc::default()).await.unwrap();
    let exec = |words: &[&str]| {
        let console = Arc::new(Console::new(Stdin::Once));
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let start = container.exec(words, console.clone()).unwrap();
        (console, start)
    };
    let (console, start) = exec(&["/bin/busybox", "sh", "-c", "read line; echo got $line; exit 3"]);
    let mut output = console.read();
    let program = start();
    console.type_in(b"this\n").await.unwrap();
    assert_eq!(output.recv().await.unwrap().1, "got this\n");
    assert_eq!(end_of(&*program).await.code, 3);

    let (console, start) = exec(&["nothing"]);
    let mut output = console.read();
    assert_ne!(end_of(&*start()).await.code, 0);
    let said = output.recv().await.unwrap().1;
    assert!(String::from_utf8_lossy(&said).contains("nothing"), "{said:?}");

    let (console, start) = exec(&["/bin/busybox", "sh", "-c", "echo on; /bin/busybox sleep 1000"]);
    let mut output = console.read();
    let program = start();
    output.recv().await.unwrap();
    program.stop(Duration::ZERO);
    assert_eq!(end_of(&*program).await.code, 137);
    until(|| container.stats().memory_bytes > 0 && container.stats().cpu_ns > 0).await;
}

#[tokio::test]
async fn what_a_killed_host_left_is_removed() {
    let host = Host::new();
    let container = host.start(host.spec("while true; do /bin/busybox sleep 1; done"), Arc::default()).await.unwrap();
    let mut exited = container.exited();
    let again = LinuxRuntime::open(host.dir.path(), Arc::new(SystemClock), DiskQuota::unlimited(Arc::new(SystemClock)));
    assert_eq!(exited.wait_for(Option::is_some).await.unwrap().as_ref().unwrap().code, 137);
    assert_eq!(std::fs::read_dir(host.dir.path().join("linux/containers")).unwrap().count(), 0);
    drop(again);
    let listed = Command::new("crun")
        .arg("--root")
        .arg(host.dir.path().join("linux/state"))
        .args(["list", "-q"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), "");
}

async fn until(condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("it becomes true");
}
