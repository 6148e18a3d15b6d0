//! Tests against registries and clients that others wrote: Debian's `docker-registry` and `skopeo`.

use std::io::BufRead as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;

use crate::blob_store::StoreLimits;
use crate::digest::Digest;
use crate::endpoints::Endpoints;
use crate::pull::{PullCause, PullOptions, Puller};
use crate::push::{ComponentConfig, PushTarget, push_component};
use crate::reference::Reference;
use crate::server::tests::Registry;
use crate::transport::{Credentials, TransportError};

/// Of user `me` and password `secret`.
const HTPASSWD: &str = "me:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";
const PORT_ATTEMPTS: usize = 5;

struct DockerRegistry {
    host: String,
    process: Child,
    _dir: tempfile::TempDir,
}

impl DockerRegistry {
    /// `None`, with a message, where it isn't installed; in CI that is a failure.
    fn start(is_private: bool) -> Option<DockerRegistry> {
        if !is_installed("docker-registry") {
            assert!(std::env::var_os("CI").is_none(), "docker-registry is not installed, and CI runs every test");
            eprintln!("skipped: docker-registry is not installed (`apt-get install docker-registry`)");
            return None;
        }
        (0..PORT_ATTEMPTS).find_map(|_| DockerRegistry::try_start(is_private)).or_else(|| panic!("it did not start"))
    }

    fn try_start(is_private: bool) -> Option<DockerRegistry> {
        let dir = tempfile::tempdir().unwrap();
        let host = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let path = dir.path().display();
        std::fs::write(dir.path().join("htpasswd"), HTPASSWD).unwrap();
        let auth = format!("auth:\n  htpasswd:\n    realm: test\n    path: {path}/htpasswd\n");
        let config = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {path}/data\nhttp:\n  addr: {host}\n{}",
            if is_private { &auth } else { "" }
        );
        let file = dir.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("docker-registry");
        let mut process = command.arg("serve").arg(&file).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = std::io::BufReader::new(process.stderr.take().unwrap());
        let mut lines = lines.lines().map_while(Result::ok);
        let is_listening = lines.any(|line| line.contains("listening on"));
        // Its log is read to the end, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let registry = DockerRegistry { host, process, _dir: dir };
        is_listening.then_some(registry)
    }

    fn target(&self, user: Option<&str>) -> PushTarget {
        let credentials = user.map(|user| Credentials { user: user.into(), password: "secret".into() });
        let tag = Some("1.0".to_owned());
        PushTarget {
            registry: Endpoints::at(format!("http://{}", self.host)),
            credentials,
            repository: "shop/cart".into(),
            tag,
        }
    }

    fn reference(&self) -> Reference {
        Reference::parse(&format!("{}/shop/cart:1.0", self.host)).unwrap()
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn component() -> Bytes {
    (0..200_000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>().into()
}

#[tokio::test]
async fn docker_s_registry_takes_and_gives_components() {
    let Some(registry) = DockerRegistry::start(false) else { return };
    let pushed = push_component(&registry.target(None), component(), &ComponentConfig::default()).await.unwrap();
    let puller = Puller::new(PullOptions::default());
    assert_eq!(puller.resolve(&registry.reference()).await.unwrap(), pushed.digest);
    let dir = tempfile::tempdir().unwrap();
    for reference in [registry.reference(), registry.reference().at(pushed.digest)] {
        let pulled = puller.pull_component(&reference, dir.path()).await.unwrap();
        assert_eq!((pulled.digest, pulled.layer_digest), (pushed.digest, pushed.layer_digest));
        assert_eq!(std::fs::read(&pulled.path).unwrap(), component());
        std::fs::remove_file(&pulled.path).unwrap();
    }
    let unknown = registry.reference().at(Digest::of(b"unknown"));
    let error = puller.pull_component(&unknown, dir.path()).await.unwrap_err();
    assert!(matches!(*error.cause, PullCause::Transport(TransportError::NotFound { .. })), "{error}");
}

#[tokio::test]
async fn docker_s_registry_wants_its_password() {
    let Some(registry) = DockerRegistry::start(true) else { return };
    for (user, with_credentials) in [(None, false), (Some("you"), true)] {
        let error = push_component(&registry.target(user), component(), &ComponentConfig::default()).await.unwrap_err();
        let expected = TransportError::Unauthorized { registry: registry.host.clone(), with_credentials };
        assert_eq!(error.to_string(), format!("cannot push shop/cart: {expected}"));
    }
    let target = registry.target(Some("me"));
    let pushed = push_component(&target, component(), &ComponentConfig::default()).await.unwrap();
    let credentials = [(registry.host.clone(), target.credentials.unwrap())].into();
    let puller = Puller::new(PullOptions { credentials, ..PullOptions::default() });
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(puller.pull_component(&registry.reference(), dir.path()).await.unwrap().digest, pushed.digest);
}

#[tokio::test]
async fn skopeo_copies_to_us_and_from_us() {
    if !is_installed("skopeo") {
        eprintln!("skipped: skopeo is not installed");
        return;
    }
    let Some(docker) = DockerRegistry::start(false) else { return };
    let ours = Registry::start(StoreLimits::default());
    let pushed = push_component(&docker.target(None), component(), &ComponentConfig::default()).await.unwrap();
    let host = ours.base.trim_start_matches("http://").to_owned();
    let copy = async |from: String, to: String, more: &[&str]| {
        let mut command = tokio::process::Command::new("skopeo");
        command.args(["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"]);
        let output = command.args(more).args([format!("docker://{from}"), format!("docker://{to}")]).output();
        let output = tokio::time::timeout(Duration::from_secs(60), output).await.unwrap().unwrap();
        output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let from = docker.reference().to_string();
    let refused = copy(from.clone(), format!("{host}/copied:1"), &[]).await.unwrap_err();
    assert!(refused.contains("unauthorized"), "{refused}");
    copy(from, format!("{host}/copied:1"), &["--dest-creds", "admin:secret"]).await.unwrap();
    copy(format!("{host}/copied:1"), format!("{}/back:1", docker.host), &[]).await.unwrap();
    let puller = Puller::new(PullOptions::default());
    for reference in [format!("{host}/copied:1"), format!("{}/back:1", docker.host)] {
        let reference = Reference::parse(&reference).unwrap();
        assert_eq!(puller.resolve(&reference).await.unwrap(), pushed.digest);
    }
}
