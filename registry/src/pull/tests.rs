use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::blob_store::StoreLimits;
use crate::manifest::{WASM_CONFIG, WASM_LAYER};
use crate::push::{ComponentConfig, PushTarget, push_component};
use crate::reference::CLUSTER_REGISTRY;
use crate::server::tests::Registry;

/// A server that answers each path with bytes written beforehand, and notes who asked.
struct Fake {
    addr: String,
    answers: Arc<Mutex<HashMap<String, Bytes>>>,
    /// Path and `Authorization` of each request.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    async fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let fake = Fake { addr, answers: Arc::default(), asked: Arc::default() };
        let (answers, asked) = (fake.answers.clone(), fake.asked.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).await.is_ok() {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let authorization = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or("-");
                asked.lock().unwrap().push(format!("{path} {authorization}"));
                let path = path.split('?').next().unwrap_or_default();
                let unauthorized = format!("{path} {authorization}");
                let answer = {
                    let answers = answers.lock().unwrap();
                    answers.get(&unauthorized).or_else(|| answers.get(path)).cloned()
                };
                let answer = answer.unwrap_or_else(|| respond("404 Not Found", "", b""));
                drop(stream.write_all(&answer).await);
                drop(stream.shutdown().await);
            }
        });
        fake
    }

    fn put(&self, path: &str, answer: Bytes) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    fn put_manifest(&self, key: &str, manifest: &Value) -> Digest {
        let bytes = manifest.to_string();
        self.put(&format!("/v2/a/manifests/{key}"), ok(bytes.as_bytes()));
        Digest::of(bytes.as_bytes())
    }

    fn put_layer(&self, layer: &[u8], sent: &[u8]) {
        self.put(&format!("/v2/a/blobs/{}", Digest::of(layer)), ok(sent));
    }

    fn reference(&self, rest: &str) -> Reference {
        Reference::parse(&format!("{}/a{rest}", self.addr)).unwrap()
    }

    async fn check(&self, rest: &str, expected: Expect) {
        check(&Puller::new(PullOptions::default()), &self.reference(rest), &[&self.addr], expected).await;
    }
}

fn respond(status: &str, headers: &str, body: &[u8]) -> Bytes {
    let mut answer =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n", body.len())
            .into_bytes();
    answer.extend_from_slice(body);
    answer.into()
}

fn ok(body: &[u8]) -> Bytes {
    respond("200 OK", "", body)
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "digest": Digest::of(bytes), "mediaType": media_type, "size": bytes.len() })
}

fn image(config: &str, layers: &[(&str, &[u8])]) -> Value {
    let layers: Vec<_> = layers.iter().map(|(media_type, bytes)| descriptor(media_type, bytes)).collect();
    json!({ "config": descriptor(config, b"{}"), "layers": layers, "schemaVersion": 2 })
}

async fn check(puller: &Puller, reference: &Reference, hosts: &[&str], expected: Expect) {
    let dir = tempfile::tempdir().unwrap();
    let mut text = match puller.pull_component(reference, dir.path()).await {
        Ok(pulled) => {
            assert_eq!(Digest::of(&std::fs::read(&pulled.path).unwrap()), pulled.layer_digest);
            format!("{} bytes", pulled.size)
        }
        Err(error) => {
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
            format!("{}: {error}", error.reason())
        }
    };
    for (index, host) in hosts.iter().enumerate() {
        text = text.replace(host, &format!("HOST{index}"));
    }
    expected.assert_eq(&text);
}

fn cluster(servers: &[&str]) -> Endpoints {
    Endpoints { servers: servers.iter().map(|&server| server.to_owned()).collect(), ..Endpoints::default() }
}

#[tokio::test]
async fn a_component_is_pushed_and_pulled() {
    let registry = Registry::start(StoreLimits::default());
    let target = PushTarget {
        registry: Endpoints::at(&registry.base),
        credentials: Some(registry.credentials.clone()),
        repository: "shop/cart".into(),
        tag: Some("1".into()),
    };
    let (component, config) = (Bytes::from(vec![7; 300_000]), ComponentConfig::default());
    let pushed = push_component(&target, component.clone(), &config).await.unwrap();
    let untagged = PushTarget { tag: None, ..target.clone() };
    assert_eq!(push_component(&untagged, component.clone(), &config).await.unwrap(), pushed, "the same again");
    let puller = Puller::new(PullOptions { cluster: Some(cluster(&[&registry.base])), ..PullOptions::default() });
    let tagged = Reference::parse(&format!("{CLUSTER_REGISTRY}/shop/cart:1")).unwrap();
    assert_eq!(puller.resolve(&tagged).await.unwrap(), pushed.digest);
    let dir = tempfile::tempdir().unwrap();
    let pulled = puller.pull_component(&tagged.at(pushed.digest), &dir.path().join("new")).await.unwrap();
    assert_eq!((pulled.digest, pulled.layer_digest, pulled.size), (pushed.digest, pushed.layer_digest, 300_000));
    assert_eq!(std::fs::read(&pulled.path).unwrap(), component);
    assert_eq!(pulled.kind, ArtifactKind::Component);
    std::fs::write(&pulled.path, vec![8; 300_000]).unwrap();
    let again = puller.pull_component(&tagged, &dir.path().join("new")).await.unwrap();
    assert_eq!(std::fs::read(&again.path).unwrap(), component, "a damaged file is pulled again");
}

#[tokio::test]
async fn the_cluster_s_registries_are_asked_in_turn() {
    let [empty, registry] = [0, 1].map(|_| Registry::start(StoreLimits::default()));
    let target = PushTarget {
        registry: Endpoints::at(&registry.base),
        credentials: Some(registry.credentials.clone()),
        repository: "a".into(),
        tag: Some("1".into()),
    };
    let pushed = push_component(&target, Bytes::from_static(b"x"), &ComponentConfig::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let tagged = Reference::parse(&format!("{CLUSTER_REGISTRY}/a:1")).unwrap();
    let servers = ["http://127.0.0.1:1", &empty.base, &registry.base];
    let puller = Puller::new(PullOptions { cluster: Some(cluster(&servers)), ..PullOptions::default() });
    assert_eq!(puller.pull_component(&tagged, dir.path()).await.unwrap().digest, pushed.digest);
    assert_eq!(puller.current.load(Ordering::Relaxed), 2, "it is the first that is asked from now on");
    puller.set_servers(vec![registry.base.clone()]);
    assert_eq!(puller.resolve(&tagged).await.unwrap(), pushed.digest);
    let none = Puller::new(PullOptions { cluster: Some(cluster(&[servers[1], servers[0]])), ..PullOptions::default() });
    let error = none.pull_component(&tagged, dir.path()).await.unwrap_err();
    assert!(matches!(*error.cause, PullCause::Transport(TransportError::NotFound { .. })), "{error}");
}

#[tokio::test]
async fn hosts_are_asked_for_a_digest_that_no_registry_gives() {
    let (member, damaged, host) = (Registry::start(StoreLimits::default()), Fake::start().await, Fake::start().await);
    let digest = host.put_manifest("m", &image(WASM_CONFIG, &[(WASM_LAYER, b"wasm")]));
    for (fake, sent) in [(&damaged, b"evil"), (&host, b"wasm")] {
        let manifest = host.answers.lock().unwrap()["/v2/a/manifests/m"].clone();
        fake.put(&format!("/v2/a/manifests/{digest}"), manifest);
        fake.put_layer(b"wasm", sent);
    }
    let puller = Puller::new(PullOptions { cluster: Some(cluster(&[&member.base])), ..PullOptions::default() });
    let reference = |rest: &str| Reference::parse(&format!("{CLUSTER_REGISTRY}/a{rest}")).unwrap();
    let (by_digest, hosts) = (reference(&format!("@{digest}")), [member.base.trim_start_matches("http://")]);
    let nobody = "http://127.0.0.1:1".to_owned();
    // What the members say is told, not that hosts don't have it either.
    for unhelpful in [Vec::new(), vec![nobody.clone()]] {
        puller.set_hosts(unhelpful);
        check(&puller, &by_digest, &hosts, expect!["ErrImagePull: cannot pull registry.coracle.internal/a@sha256:93f4968e8dc6a99d3cf19c0d71330ab1a07b340202fce1d73264887c7e21219c: registry HOST0 has no such manifest `sha256:93f4968e8dc6a99d3cf19c0d71330ab1a07b340202fce1d73264887c7e21219c` in `a`: check the name and the tag"]).await;
    }
    let dir = tempfile::tempdir().unwrap();
    puller.set_hosts(vec![nobody, format!("http://{}", damaged.addr), format!("http://{}", host.addr)]);
    let pulled = puller.pull_component(&by_digest, dir.path()).await.unwrap();
    for digest in [pulled.digest, pulled.layer_digest] {
        let mut bytes = Vec::new();
        open_pulled(dir.path(), digest).await.unwrap().unwrap().read_to_end(&mut bytes).await.unwrap();
        assert_eq!(Digest::of(&bytes), digest, "it can be given on");
    }
    assert!(open_pulled(dir.path(), Digest::of(b"other")).await.unwrap().is_none());
    // A tag means what the members say.
    let asked = host.asked.lock().unwrap().len();
    assert!(puller.pull_component(&reference(":m"), dir.path()).await.is_err());
    assert_eq!(host.asked.lock().unwrap().len(), asked);
}

#[tokio::test]
async fn pushing_says_why_it_failed() {
    let registry = Registry::start(StoreLimits { blob_bytes_max: 64, ..StoreLimits::default() });
    let target = |base: &str, user: Option<&str>, repository: &str, tag: Option<&str>| PushTarget {
        registry: Endpoints::at(base),
        credentials: user.map(|user| Credentials { user: user.into(), password: "secret".into() }),
        repository: repository.into(),
        tag: tag.map(Into::into),
    };
    let check = async |target: PushTarget, expected: Expect| {
        let error = push_component(&target, Bytes::from(vec![0; 65]), &ComponentConfig::default()).await.unwrap_err();
        expected.assert_eq(&error.to_string().replace(registry.base.trim_start_matches("http://"), "HOST"));
    };
    let base = &*registry.base;
    check(target(base, None, "a", None), expect!["cannot push a: registry HOST wants credentials, and none are given for it (a repository that does not exist may answer so too)"]).await;
    check(
        target(base, Some("me"), "a", None),
        expect!["cannot push a: registry HOST wants other credentials than those given"],
    )
    .await;
    check(
        target(base, Some("admin"), "a", None),
        expect!["cannot push a: registry HOST answered 413 (SIZE_INVALID: a blob may have at most 64 bytes here)"],
    )
    .await;
    check(target(base, Some("admin"), "A", None), expect!["cannot push as `A`: a name has lower-case letters, digits and single `.`, `_`, `-` between them, in parts separated by `/`"]).await;
    check(
        target(base, Some("admin"), "a", Some("a b")),
        expect!["cannot push with the tag `a b`: a tag has letters, digits, `_`, `.` and `-`, at most 128"],
    )
    .await;
    check(
        target("nonsense", None, "a", None),
        expect!["cannot push: `nonsense` is not the address of a registry (http://HOST:PORT)"],
    )
    .await;
    check(target("http://127.0.0.1:1", None, "a", None), expect!["cannot push a: registry 127.0.0.1:1 cannot be reached (Connection refused (os error 111)): check the name, that it runs, and the network"]).await;
}

#[tokio::test]
async fn what_is_not_one_component_is_refused() {
    let fake = Fake::start().await;
    let put = |tag: &str, config: &str, layers: &[(&str, &[u8])]| fake.put_manifest(tag, &image(config, layers));
    fake.put_layer(b"wasm", b"wasm");
    put("good", WASM_CONFIG, &[(WASM_LAYER, b"wasm")]);
    put("wasmcloud", "application/x", &[("application/vnd.module.wasm.content.layer.v1+wasm", b"wasm")]);
    let spin = [
        ("application/vnd.wasm.content.layer.v1+wasm", &b"wasm"[..]),
        ("application/vnd.wasm.content.layer.v1+data", b"file"),
    ];
    put("spin", "application/vnd.fermyon.spin.application.v1+config", &spin);
    put("two", WASM_CONFIG, &[(WASM_LAYER, b"wasm"), (WASM_LAYER, b"more")]);
    put("none", WASM_CONFIG, &[]);
    put("text", WASM_CONFIG, &[("text/plain", b"wasm")]);
    put(
        "linux",
        "application/vnd.oci.image.config.v1+json",
        &[("application/vnd.oci.image.layer.v1.tar+gzip", b"tar")],
    );
    fake.put_manifest("empty", &json!({}));
    fake.put("/v2/a/manifests/nonsense", ok(b"<html>"));
    for tag in ["good", "wasmcloud", "spin"] {
        fake.check(&format!(":{tag}"), expect!["4 bytes"]).await;
    }
    fake.check(":two", expect!["InvalidImage: cannot pull HOST0/a:two: its manifest has 2 layers (application/wasm, application/wasm), and a component is exactly one: compose the parts first, or push them one by one"]).await;
    fake.check(
        ":none",
        expect!["InvalidImage: cannot pull HOST0/a:none: its manifest has no layer, so there is nothing to run"],
    )
    .await;
    fake.check(
        ":text",
        expect![
            "InvalidImage: cannot pull HOST0/a:text: its layer is `text/plain`, and a component's is `application/wasm`"
        ],
    )
    .await;
    fake.check(":linux", expect!["InvalidImage: cannot pull HOST0/a:linux: it is a Linux container image (layer application/vnd.oci.image.layer.v1.tar+gzip), and a WebAssembly component is wanted here: push one with `wasmctl push FILE.wasm NAME`, or run the image as a container of a Pod"]).await;
    fake.check(":empty", expect!["InvalidImage: cannot pull HOST0/a:empty: its manifest has neither `config` and `layers` nor `manifests`: it is no OCI image manifest"]).await;
    fake.check(
        ":nonsense",
        expect![
            "InvalidImage: cannot pull HOST0/a:nonsense: its manifest is not valid: expected value at line 1 column 1"
        ],
    )
    .await;
}

#[tokio::test]
async fn an_index_leads_to_its_wasm_manifest() {
    let fake = Fake::start().await;
    let manifest = image(WASM_CONFIG, &[(WASM_LAYER, b"wasm")]).to_string();
    let digest = Digest::of(manifest.as_bytes());
    fake.put(&format!("/v2/a/manifests/{digest}"), ok(manifest.as_bytes()));
    fake.put_layer(b"wasm", b"wasm");
    let entry = |os: &str, architecture: &str, bytes: &[u8]| {
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", bytes);
        entry["platform"] = json!({ "os": os, "architecture": architecture });
        entry
    };
    let wasm = entry("wasip2", "wasm", manifest.as_bytes());
    let old = entry("wasip1", "wasm", b"old");
    fake.put_manifest("good", &json!({ "manifests": [entry("linux", "amd64", b"x"), old, wasm] }));
    fake.put_manifest("linux", &json!({ "manifests": [entry("linux", "amd64", b"x"), entry("linux", "arm64", b"y")] }));
    let inner = json!({ "manifests": [] });
    fake.put_manifest(&Digest::of(inner.to_string().as_bytes()).to_string(), &inner);
    fake.put_manifest("nested", &json!({ "manifests": [entry("wasip2", "wasm", inner.to_string().as_bytes())] }));
    fake.check(":good", expect!["4 bytes"]).await;
    fake.check(":linux", expect!["InvalidImage: cannot pull HOST0/a:linux: it is an index for linux/amd64, linux/arm64, and none of these is `wasm`: add a manifest with architecture wasm, or name one by its digest"]).await;
    fake.check(":nested", expect!["InvalidImage: cannot pull HOST0/a:nested: its index leads to another index: name the component's manifest by its digest"]).await;
    let puller = Puller::new(PullOptions::default());
    assert_eq!(puller.manifest(&fake.reference(":good")).await.unwrap().digest, digest);
}

#[tokio::test]
async fn a_linux_image_is_pulled_with_all_its_parts() {
    let fake = Fake::start().await;
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let manifest = image("application/vnd.oci.image.config.v1+json", &[(layer, b"one"), (layer, b"two")]).to_string();
    fake.put(&format!("/v2/a/manifests/{}", Digest::of(manifest.as_bytes())), ok(manifest.as_bytes()));
    [&b"{}"[..], b"one", b"two"].iter().for_each(|blob| fake.put_layer(blob, blob));
    let mut ours = descriptor("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
    ours["platform"] = json!({ "os": "linux", "architecture": crate::manifest::ARCHITECTURE });
    fake.put_manifest("index", &json!({ "manifests": [ours] }));
    let dir = tempfile::tempdir().unwrap();
    let pull =
        |options| async { Puller::new(options).pull_any(&fake.reference(":index"), dir.path(), &Boundless).await };
    let pulled = pull(PullOptions::default()).await.unwrap();
    assert_eq!((pulled.kind, pulled.size, pulled.files.len()), (ArtifactKind::Container, 8, 4));
    assert_eq!((pulled.digest, pulled.layer_digest), (Digest::of(manifest.as_bytes()), pulled.digest));
    for (path, size) in &pulled.files {
        assert_eq!(std::fs::metadata(path).unwrap().len(), *size, "{}", path.display());
    }
    assert!(open_pulled(dir.path(), Digest::of(b"two")).await.unwrap().is_some(), "others get it from here");
    let error = pull(PullOptions { image_bytes_max: 7, ..PullOptions::default() }).await.unwrap_err();
    assert_eq!(error.reason(), "InvalidImage");
    assert!(
        error.to_string().ends_with("the image has 8 bytes in 2 layers, and at most 7 bytes in 127 layers are taken")
    );
}

#[tokio::test]
async fn what_is_changed_on_the_way_is_not_used() {
    let fake = Fake::start().await;
    fake.put_manifest("t", &image(WASM_CONFIG, &[(WASM_LAYER, b"wasm")]));
    let other = Digest::of(b"other");
    fake.put_manifest(&other.to_string(), &image(WASM_CONFIG, &[(WASM_LAYER, b"wasm")]));
    fake.check(&format!("@{other}"), expect!["ErrImagePull: cannot pull HOST0/a@sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa: the manifest that HOST0 sent has digest sha256:93f4968e8dc6a99d3cf19c0d71330ab1a07b340202fce1d73264887c7e21219c where sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa was asked for: it was changed or damaged on the way, so it is not used"]).await;
    fake.put_layer(b"wasm", b"evil");
    fake.check(":t", expect!["ErrImagePull: cannot pull HOST0/a:t: the layer that HOST0 sent has digest sha256:b5c1fb2efc6d6b4674c2fdcc48ce01b43a3b7c03763c0c3355de0099ee0f8c73 where sha256:336154bf67f765f8f75d16a0accee61b5ee5f6a75b2a2905703df913bd550f3e was asked for: it was changed or damaged on the way, so it is not used"]).await;
    fake.put_layer(b"wasm", b"wasm and more");
    fake.check(":t", expect!["ErrImagePull: cannot pull HOST0/a:t: the layer that HOST0 sent has 13 bytes where its manifest says 4: it is not used"]).await;
    fake.put_layer(b"wasm", b"was");
    fake.check(":t", expect!["ErrImagePull: cannot pull HOST0/a:t: the layer that HOST0 sent has 3 bytes where its manifest says 4: it is not used"]).await;
    let broken = respond("200 OK", "", b"wasm").slice(..respond("200 OK", "", b"wasm").len() - 1);
    fake.put(&format!("/v2/a/blobs/{}", Digest::of(b"wasm")), broken);
    let puller = Puller::new(PullOptions::default());
    let error = puller.pull_component(&fake.reference(":t"), tempfile::tempdir().unwrap().path()).await.unwrap_err();
    assert!(matches!(*error.cause, PullCause::Transport(TransportError::Unreachable { .. })), "{error}");
    assert!(error.is_temporary());
}

#[tokio::test]
async fn too_much_is_not_read() {
    let fake = Fake::start().await;
    let mut large = image(WASM_CONFIG, &[(WASM_LAYER, b"wasm")]);
    large["layers"][0]["size"] = (1u64 << 40).into();
    fake.put_manifest("component", &large);
    fake.put("/v2/a/manifests/announced", respond("200 OK", "", &vec![b' '; (4 << 20) + 1]));
    let mut endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    endless.resize(5 << 20, b' ');
    fake.put("/v2/a/manifests/endless", endless.into());
    fake.check(":component", expect!["InvalidImage: cannot pull HOST0/a:component: the component has 1099511627776 bytes, and at most 67108864 are taken: strip debug information (`wasm-tools strip`), or move data out of it"]).await;
    fake.check(
        ":announced",
        expect![
            "ErrImagePull: cannot pull HOST0/a:announced: registry HOST0 sends a manifest of more than 4194304 bytes"
        ],
    )
    .await;
    fake.check(
        ":endless",
        expect![
            "ErrImagePull: cannot pull HOST0/a:endless: registry HOST0 sends a manifest of more than 4194304 bytes"
        ],
    )
    .await;
}

#[tokio::test]
async fn a_registry_s_refusals_are_told() {
    let fake = Fake::start().await;
    let error = br#"{"errors":[{"code":"DENIED","message":"not yours\u001b"}]}"#;
    fake.put("/v2/a/manifests/denied", respond("403 Forbidden", "", error));
    fake.put("/v2/a/manifests/broken", respond("500 Internal Server Error", "", b"<html>"));
    fake.put("/v2/a/manifests/slow", respond("429 Too Many Requests", "Retry-After: 30\r\n", b""));
    fake.put("/v2/a/manifests/strange", respond("401 Unauthorized", "WWW-Authenticate: Negotiate\r\n", b""));
    fake.put("/v2/a/manifests/basic", respond("401 Unauthorized", "WWW-Authenticate: Basic realm=x\r\n", b""));
    fake.put("/v2/a/manifests/loop", respond("307 Temporary Redirect", "Location: /v2/a/manifests/loop\r\n", b""));
    fake.put("/v2/a/manifests/file", respond("302 Found", "Location: file:///etc/passwd\r\n", b""));
    fake.put_manifest("layerless", &image(WASM_CONFIG, &[(WASM_LAYER, b"gone")]));
    fake.check(
        ":denied",
        expect!["ErrImagePull: cannot pull HOST0/a:denied: registry HOST0 forbids this (DENIED: not yours)"],
    )
    .await;
    fake.check(
        ":broken",
        expect!["ErrImagePull: cannot pull HOST0/a:broken: registry HOST0 answered 500 (without saying why)"],
    )
    .await;
    fake.check(
        ":slow",
        expect![
            "ErrImagePull: cannot pull HOST0/a:slow: registry HOST0 limits the rate of pulls and wants a pause of 30 s"
        ],
    )
    .await;
    fake.check(":strange", expect!["ErrImagePull: cannot pull HOST0/a:strange: registry HOST0 asks for authentication in a way that does not work: its 401 has no Basic or Bearer challenge"]).await;
    fake.check(":basic", expect!["ErrImagePull: cannot pull HOST0/a:basic: registry HOST0 wants credentials, and none are given for it (a repository that does not exist may answer so too)"]).await;
    fake.check(":loop", expect!["ErrImagePull: cannot pull HOST0/a:loop: registry HOST0 redirects more than 5 times"])
        .await;
    fake.check(
        ":file",
        expect![
            "ErrImagePull: cannot pull HOST0/a:file: registry HOST0 redirects from http to file, which is not followed"
        ],
    )
    .await;
    fake.check(":layerless", expect!["ErrImagePull: cannot pull HOST0/a:layerless: registry HOST0 has no such layer sha256:283bb9deef02e6843abfb538efa1eca70801bd8a701c3f98191e123496339247: check the name and the tag"]).await;
    fake.check(":absent", expect!["ErrImagePull: cannot pull HOST0/a:absent: registry HOST0 has no such manifest `absent` in `a`: check the name and the tag"]).await;
    let puller = Puller::new(PullOptions::default());
    let cluster = Reference::parse("registry.coracle.internal/a").unwrap();
    check(&puller, &cluster, &[], expect!["ErrImagePull: cannot pull registry.coracle.internal/a:latest: registry.coracle.internal is the registry of a cluster, and no cluster is known here: start one with `wasmctl up`, or name another registry"]).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let reference = Reference::parse(&format!("{nobody}/a")).unwrap();
    check(&puller, &reference, &[&nobody], expect!["ErrImagePull: cannot pull HOST0/a:latest: registry HOST0 cannot be reached (Connection refused (os error 111)): check the name, that it runs, and the network"]).await;
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let puller = Puller::new(PullOptions { idle_timeout: Duration::from_millis(20), ..PullOptions::default() });
    let reference = Reference::parse(&format!("{host}/a")).unwrap();
    check(&puller, &reference, &[&host], expect!["ErrImagePull: cannot pull HOST0/a:latest: registry HOST0 did not answer in time: try again, or check that it is well"]).await;
}

fn as_alice(host: &str) -> Puller {
    let alice = Credentials { user: "alice".into(), password: "pw".into() };
    Puller::new(PullOptions { credentials: BTreeMap::from([(host.to_owned(), alice)]), ..PullOptions::default() })
}

#[tokio::test]
async fn credentials_are_not_sent_to_where_a_registry_redirects() {
    let (fake, elsewhere) = (Fake::start().await, Fake::start().await);
    let blob = format!("/v2/a/blobs/{}", Digest::of(b"wasm"));
    let manifest = image(WASM_CONFIG, &[(WASM_LAYER, b"wasm")]).to_string();
    fake.put("/v2/a/manifests/t", respond("401 Unauthorized", "WWW-Authenticate: Basic realm=x\r\n", b""));
    fake.put("/v2/a/manifests/t Basic YWxpY2U6cHc=", ok(manifest.as_bytes()));
    fake.put(&blob, respond("307 Temporary Redirect", &format!("Location: http://{}/blob\r\n", elsewhere.addr), b""));
    elsewhere.put("/blob", ok(b"wasm"));
    check(&as_alice(&fake.addr), &fake.reference(":t"), &[], expect!["4 bytes"]).await;
    assert_eq!(*elsewhere.asked.lock().unwrap(), ["/blob -"]);
    assert_eq!(fake.asked.lock().unwrap().last().unwrap(), &format!("{blob} Basic YWxpY2U6cHc="));
}

#[tokio::test]
async fn a_token_is_fetched_where_the_registry_says() {
    let (fake, tokens) = (Fake::start().await, Fake::start().await);
    let manifest = image(WASM_CONFIG, &[(WASM_LAYER, b"wasm")]).to_string();
    let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{}/token\",service=\"s\"\r\n", tokens.addr);
    fake.put("/v2/a/manifests/t", respond("401 Unauthorized", &challenge, b""));
    fake.put("/v2/a/manifests/t Bearer T0", ok(manifest.as_bytes()));
    fake.put_layer(b"wasm", b"wasm");
    tokens.put("/token", ok(br#"{"access_token":"T0"}"#));
    check(&as_alice(&fake.addr), &fake.reference(":t"), &[], expect!["4 bytes"]).await;
    let asked = tokens.asked.lock().unwrap().join("\n");
    expect!["/token?scope=repository%3Aa%3Apull&service=s Basic YWxpY2U6cHc="].assert_eq(&asked);
    tokens.put("/token", respond("403 Forbidden", "", b""));
    check(
        &as_alice(&fake.addr),
        &fake.reference(":t"),
        &[&fake.addr],
        expect!["ErrImagePull: cannot pull HOST0/a:t: registry HOST0 wants other credentials than those given"],
    )
    .await;
    tokens.put("/token", ok(b"{}"));
    check(&as_alice(&fake.addr), &fake.reference(":t"), &[&fake.addr], expect!["ErrImagePull: cannot pull HOST0/a:t: registry HOST0 asks for authentication in a way that does not work: its token server gives no token"]).await;
}
