use std::collections::BTreeMap;
use std::sync::Mutex;

use expect_test::{Expect, expect};
use futures::future::BoxFuture;
use http::Method;
use serde_json::json;

use super::*;
use crate::blob_store::StoreLimits;
use crate::cluster::{ClusterError, Peer};
use crate::digest::Digest;
use crate::manifest::{IMAGE_MANIFEST, WASM_CONFIG, WASM_LAYER};

/// A registry on a port of its own, and somebody who asks it.
pub(crate) struct Registry {
    pub(crate) base: String,
    pub(crate) credentials: Credentials,
    pub(crate) client: reqwest::Client,
    pub(crate) inner: Arc<super::Registry>,
    shutdown: CancellationToken,
    pub(crate) dir: tempfile::TempDir,
}

impl Registry {
    /// The registry of a cluster of one member.
    pub(crate) fn start(limits: StoreLimits) -> Registry {
        Registry::start_in(limits, Arc::new(Alone::default()))
    }

    pub(crate) fn start_in(limits: StoreLimits, cluster: Arc<dyn Cluster>) -> Registry {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(BlobStore::open(dir.path(), limits).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let credentials = Credentials { user: "admin".into(), password: "secret".into() };
        let shutdown = CancellationToken::new();
        let registry = Arc::new(super::Registry::new(store, &credentials, cluster, None, shutdown.clone()));
        let inner = registry.clone();
        tokio::spawn(serve(ServerOptions { listener, registry, shutdown: shutdown.clone() }));
        Registry { base, credentials, client: client(), inner, shutdown, dir }
    }

    fn ask(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        self.client.request(method, url)
    }

    /// With credentials.
    fn push(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.ask(method, path).basic_auth("admin", Some("secret"))
    }

    async fn begin(&self, repository: &str) -> String {
        let response = self.push(Method::POST, &format!("/v2/{repository}/blobs/uploads/")).send().await.unwrap();
        assert_eq!(response.status(), 202);
        response.headers()["location"].to_str().unwrap().to_owned()
    }

    async fn put_blob(&self, repository: &str, bytes: &'static [u8]) -> Digest {
        let digest = Digest::of(bytes);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        assert_eq!(self.push(Method::POST, &path).body(bytes).send().await.unwrap().status(), 201);
        digest
    }
}

pub(crate) fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

/// What tags mean, by repository.
pub(crate) type Tags = Mutex<BTreeMap<String, BTreeMap<String, Digest>>>;

pub(crate) fn change(tags: &Tags, repository: &str, changes: Vec<(String, Option<Digest>)>) {
    let mut tags = tags.lock().unwrap();
    let tags = tags.entry(repository.to_owned()).or_default();
    for (tag, digest) in changes {
        match digest {
            Some(digest) => tags.insert(tag, digest),
            None => tags.remove(&tag),
        };
    }
}

/// A cluster of one member.
struct Alone {
    tags: Tags,
    noted: Mutex<Vec<String>>,
    client: reqwest::Client,
}

impl Default for Alone {
    fn default() -> Alone {
        Alone { tags: Mutex::default(), noted: Mutex::default(), client: client() }
    }
}

impl Cluster for Alone {
    fn own_name(&self) -> String {
        "one".to_owned()
    }

    fn others(&self) -> Vec<Peer> {
        Vec::new()
    }

    fn client(&self) -> &reqwest::Client {
        &self.client
    }

    fn tags(&self, repository: &str) -> BoxFuture<'_, Result<BTreeMap<String, Digest>, ClusterError>> {
        let tags = self.tags.lock().unwrap().get(repository).cloned().unwrap_or_default();
        Box::pin(async { Ok(tags) })
    }

    fn change_tags(
        &self,
        repository: &str,
        changes: Vec<(String, Option<Digest>)>,
    ) -> BoxFuture<'_, Result<(), ClusterError>> {
        change(&self.tags, repository, changes);
        Box::pin(async { Ok(()) })
    }

    fn note(&self, change: &Change<'_>) {
        let (method, path) = (&change.head.method, change.head.uri.path());
        self.noted.lock().unwrap().push(format!("{method} {path} {}", change.code.as_u16()));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

const HEADERS: [&str; 6] =
    ["content-range", "docker-content-digest", "link", "oci-filters-applied", "range", "www-authenticate"];

/// Status, headers that matter, body; digests cut short.
async fn check(request: reqwest::RequestBuilder, expected: Expect) {
    let response = request.send().await.unwrap();
    let mut text = response.status().as_u16().to_string();
    for name in HEADERS {
        if let Some(value) = response.headers().get(name) {
            text += &format!(" [{name}: {}]", value.to_str().unwrap());
        }
    }
    if response.status() == 200 {
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        text += &format!(" {} bytes of {}", header("content-length"), header("content-type"));
    }
    text += &format!(" {}", response.text().await.unwrap());
    for found in text.clone().split("sha256:").skip(1).filter_map(|rest| rest.get(..64)) {
        if found.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            text = text.replace(&format!("sha256:{found}"), &format!("#{}", &found[..6]));
        }
    }
    expected.assert_eq(text.trim_end());
}

#[tokio::test]
async fn anybody_here_reads_and_only_the_user_writes() {
    let registry = Registry::start(StoreLimits::default());
    let digest = registry.put_blob("a", b"hello").await;
    check(
        registry.ask(Method::GET, "/v2/"),
        expect![[r#"200 [www-authenticate: Basic realm="coracle"] 2 bytes of application/json {}"#]],
    )
    .await;
    check(registry.push(Method::GET, "/v2/"), expect!["200 2 bytes of application/json {}"]).await;
    check(
        registry.ask(Method::GET, &format!("/v2/a/blobs/{digest}")),
        expect!["200 [docker-content-digest: #2cf24d] 5 bytes of application/octet-stream hello"],
    )
    .await;
    check(
        registry.ask(Method::GET, &format!("/v2/a/blobs/{digest}")).basic_auth("", Some("")),
        expect!["200 [docker-content-digest: #2cf24d] 5 bytes of application/octet-stream hello"],
    )
    .await;
    check(registry.ask(Method::POST, "/v2/a/blobs/uploads/"), expect![[r#"401 [www-authenticate: Basic realm="coracle"] {"errors":[{"code":"UNAUTHORIZED","message":"pushing needs credentials"}]}"#]]).await;
    check(registry.ask(Method::GET, "/v2/").basic_auth("admin", Some("wrong")), expect![[r#"401 [www-authenticate: Basic realm="coracle"] {"errors":[{"code":"UNAUTHORIZED","message":"these credentials are not the registry's"}]}"#]]).await;
    check(registry.ask(Method::DELETE, &format!("/v2/a/blobs/{digest}")), expect![[r#"401 [www-authenticate: Basic realm="coracle"] {"errors":[{"code":"UNAUTHORIZED","message":"pushing needs credentials"}]}"#]]).await;
}

#[tokio::test]
async fn blobs_are_read_whole_and_in_ranges() {
    let registry = Registry::start(StoreLimits::default());
    let path = format!("/v2/a/blobs/{}", registry.put_blob("a", b"0123456789").await);
    check(
        registry.ask(Method::HEAD, &path),
        expect!["200 [docker-content-digest: #84d898] 10 bytes of application/octet-stream"],
    )
    .await;
    check(
        registry.ask(Method::GET, &path),
        expect!["200 [docker-content-digest: #84d898] 10 bytes of application/octet-stream 0123456789"],
    )
    .await;
    check(
        registry.ask(Method::GET, &path).header("range", "bytes=2-4"),
        expect!["206 [content-range: bytes 2-4/10] [docker-content-digest: #84d898] 234"],
    )
    .await;
    check(registry.ask(Method::GET, &path).header("range", "bytes=12-"), expect![[r#"416 [content-range: bytes */10] {"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"the blob has 10 bytes"}]}"#]]).await;
    check(
        registry.ask(Method::GET, &path.replace("/a/", "/b/")),
        expect![[r#"404 {"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to the registry"}]}"#]],
    )
    .await;
    check(
        registry.push(Method::POST, &path),
        expect![[r#"405 {"errors":[{"code":"UNSUPPORTED","message":"the method is not supported here"}]}"#]],
    )
    .await;
}

#[tokio::test]
async fn uploads_go_in_chunks_and_in_order() {
    let registry = Registry::start(StoreLimits::default());
    let location = registry.begin("a").await;
    let chunk = |range: &str, body: &'static str| {
        registry.push(Method::PATCH, &location).header("content-range", range.to_owned()).body(body)
    };
    check(chunk("0-4", "hello"), expect!["202 [range: 0-4]"]).await;
    check(chunk("7-8", "xx"), expect![[r#"416 [range: 0-4] {"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"the chunk does not follow what was uploaded, which is 5 bytes"}]}"#]]).await;
    check(chunk("5-6", ", "), expect!["202 [range: 0-6]"]).await;
    check(registry.push(Method::GET, &location), expect!["204 [range: 0-6]"]).await;
    let digest = Digest::of(b"hello, world");
    check(registry.push(Method::PUT, &location).body("world"), expect![[r#"400 {"errors":[{"code":"DIGEST_INVALID","message":"the upload is ended with ?digest=sha256:…, which is missing"}]}"#]]).await;
    check(
        registry.push(Method::PUT, &format!("{location}?digest={digest}")).body("world"),
        expect!["201 [docker-content-digest: #09ca7e]"],
    )
    .await;
    check(registry.push(Method::GET, &location), expect![[r#"404 {"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to the registry: begin it again"}]}"#]]).await;
    check(
        registry.ask(Method::GET, &format!("/v2/a/blobs/{digest}")),
        expect!["200 [docker-content-digest: #09ca7e] 12 bytes of application/octet-stream hello, world"],
    )
    .await;
}

#[tokio::test]
async fn wrong_and_oversized_uploads_are_refused() {
    let registry = Registry::start(StoreLimits { blob_bytes_max: 8, ..StoreLimits::default() });
    let (location, digest) = (registry.begin("a").await, Digest::of(b"right"));
    check(registry.push(Method::PUT, &format!("{location}?digest={digest}")).body("wrong"), expect![[r#"400 {"errors":[{"code":"DIGEST_INVALID","message":"provided digest #27042f did not match uploaded content #8810ad"}]}"#]]).await;
    check(registry.push(Method::PUT, &format!("{location}?digest={digest}")).body("right"), expect![[r#"404 {"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to the registry: begin it again"}]}"#]]).await;
    let location = registry.begin("a").await;
    check(
        registry.push(Method::PATCH, &location).body("123456789"),
        expect![[r#"413 {"errors":[{"code":"SIZE_INVALID","message":"a blob may have at most 8 bytes here"}]}"#]],
    )
    .await;
    let chunks = futures::stream::iter([Ok::<_, io::Error>("12345"), Ok("6789")]);
    check(
        registry.push(Method::PATCH, &location).body(reqwest::Body::wrap_stream(chunks)),
        expect![[r#"413 {"errors":[{"code":"SIZE_INVALID","message":"a blob may have at most 8 bytes here"}]}"#]],
    )
    .await;
    check(registry.push(Method::DELETE, &location), expect!["204"]).await;
    check(registry.push(Method::DELETE, &location), expect![[r#"404 {"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to the registry: begin it again"}]}"#]]).await;
    check(
        registry.push(Method::POST, "/v2/a/blobs/uploads/?digest=sha256:12"),
        expect![[r#"400 {"errors":[{"code":"DIGEST_INVALID","message":"`sha256:12` is not a digest: it should be `sha256:` and 64 lower-case hexadecimal digits"}]}"#]],
    )
    .await;
}

#[tokio::test]
async fn changes_are_noted_and_nothing_else_is() {
    let cluster = Arc::new(Alone::default());
    let registry = Registry::start_in(StoreLimits::default(), cluster.clone());
    let config = registry.put_blob("a", b"{}").await;
    let session = registry.begin("a").await;
    registry.push(Method::PATCH, &session).body("piece").send().await.unwrap();
    registry.push(Method::PUT, &format!("{session}?digest={config}")).send().await.unwrap();
    for from in ["a", "nowhere"] {
        let path = format!("/v2/b/blobs/uploads/?mount={config}&from={from}");
        registry.push(Method::POST, &path).send().await.unwrap();
    }
    let part = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 });
    let manifest = json!({ "schemaVersion": 2, "config": part, "layers": [] }).to_string();
    registry.push(Method::PUT, "/v2/a/manifests/1").body(manifest.clone()).send().await.unwrap();
    registry.ask(Method::PUT, "/v2/a/manifests/2").body(manifest).send().await.unwrap();
    registry.ask(Method::GET, "/v2/a/manifests/1").send().await.unwrap();
    registry.push(Method::DELETE, "/v2/a/manifests/1").send().await.unwrap();
    registry.push(Method::DELETE, &format!("/v2/a/blobs/{config}")).send().await.unwrap();
    let noted = cluster.noted.lock().unwrap().join("\n").replace(&config.to_string(), "CONFIG");
    let id = session.rsplit('/').next().unwrap().split('?').next().unwrap();
    expect![[r#"
        POST /v2/a/blobs/uploads/ 201
        PUT /v2/a/blobs/uploads/SESSION 400
        POST /v2/b/blobs/uploads/ 201
        PUT /v2/a/manifests/1 201
        DELETE /v2/a/manifests/1 202
        DELETE /v2/a/blobs/CONFIG 202"#]]
    .assert_eq(&noted.replace(id, "SESSION"));
}

#[tokio::test]
async fn a_blob_of_another_repository_is_mounted() {
    let registry = Registry::start(StoreLimits::default());
    let digest = registry.put_blob("a", b"shared").await;
    check(
        registry.push(Method::POST, &format!("/v2/b/blobs/uploads/?mount={digest}&from=a")),
        expect!["201 [docker-content-digest: #a4d268]"],
    )
    .await;
    check(
        registry.ask(Method::HEAD, &format!("/v2/b/blobs/{digest}")),
        expect!["200 [docker-content-digest: #a4d268] 6 bytes of application/octet-stream"],
    )
    .await;
    let unknown = Digest::of(b"unknown");
    let answer =
        registry.push(Method::POST, &format!("/v2/b/blobs/uploads/?mount={unknown}&from=a")).send().await.unwrap();
    assert_eq!(answer.status(), 202, "an upload is begun instead");
}

#[tokio::test]
async fn manifests_are_tagged_listed_and_deleted() {
    let registry = Registry::start(StoreLimits::default());
    let (config, layer) = (registry.put_blob("shop/cart", b"{}").await, registry.put_blob("shop/cart", b"wasm").await);
    let descriptor =
        |media_type, digest: Digest, size| json!({ "digest": digest, "mediaType": media_type, "size": size });
    let manifest = json!({
        "config": descriptor(WASM_CONFIG, config, 2), "layers": [descriptor(WASM_LAYER, layer, 4)], "schemaVersion": 2
    })
    .to_string();
    let path = |key: &str| format!("/v2/shop/cart/manifests/{key}");
    let put = |key: &str| {
        registry.push(Method::PUT, &path(key)).header("content-type", IMAGE_MANIFEST).body(manifest.clone())
    };
    for tag in ["1", "2", "3"] {
        assert_eq!(put(tag).send().await.unwrap().status(), 201);
    }
    let digest = Digest::of(manifest.as_bytes());
    check(put(&digest.to_string()), expect!["201 [docker-content-digest: #93f496]"]).await;
    check(put(&Digest::of(b"other").to_string()), expect![[r#"400 {"errors":[{"code":"DIGEST_INVALID","message":"provided digest #d9298a did not match uploaded content #93f496"}]}"#]]).await;
    check(
        registry.ask(Method::HEAD, &path("2")),
        expect!["200 [docker-content-digest: #93f496] 308 bytes of application/vnd.oci.image.manifest.v1+json"],
    )
    .await;
    check(registry.ask(Method::GET, &path(&digest.to_string())), expect![[r##"200 [docker-content-digest: #93f496] 308 bytes of application/vnd.oci.image.manifest.v1+json {"config":{"digest":"#44136f","mediaType":"application/vnd.wasm.config.v0+json","size":2},"layers":[{"digest":"#336154","mediaType":"application/wasm","size":4}],"schemaVersion":2}"##]]).await;
    check(registry.ask(Method::GET, "/v2/shop/cart/tags/list?n=2"), expect![[r#"200 [link: </v2/shop/cart/tags/list?n=2&last=2>; rel="next"] 37 bytes of application/json {"name":"shop/cart","tags":["1","2"]}"#]]).await;
    check(
        registry.ask(Method::GET, "/v2/shop/cart/tags/list?n=2&last=2"),
        expect![[r#"200 33 bytes of application/json {"name":"shop/cart","tags":["3"]}"#]],
    )
    .await;
    check(registry.ask(Method::GET, "/v2/shop/cart/tags/list?n=x"), expect![[r#"400 {"errors":[{"code":"PAGINATION_NUMBER_INVALID","message":"`n` is the number of names wanted, and not a number"}]}"#]]).await;
    check(
        registry.ask(Method::GET, "/v2/nowhere/tags/list"),
        expect![[r#"404 {"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to the registry"}]}"#]],
    )
    .await;
    check(
        registry.ask(Method::GET, "/v2/_catalog"),
        expect![[r#"200 30 bytes of application/json {"repositories":["shop/cart"]}"#]],
    )
    .await;
    check(registry.ask(Method::GET, &format!("/v2/shop/cart/referrers/{digest}?artifactType=x")), expect![[r#"200 [oci-filters-applied: artifactType] 88 bytes of application/vnd.oci.image.index.v1+json {"manifests":[],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}"#]]).await;
    check(registry.push(Method::DELETE, &path("3")), expect!["202"]).await;
    check(registry.push(Method::DELETE, &path(&digest.to_string())), expect!["202"]).await;
    check(
        registry.ask(Method::GET, &path("1")),
        expect![[r#"404 {"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#]],
    )
    .await;
}

#[tokio::test]
async fn addresses_and_bodies_that_are_none_are_refused() {
    let registry = Registry::start(StoreLimits { manifest_bytes_max: 16, ..StoreLimits::default() });
    check(
        registry.ask(Method::GET, "/"),
        expect![[
            r#"404 {"errors":[{"code":"UNSUPPORTED","message":"no such address: the registry's begin with /v2/"}]}"#
        ]],
    )
    .await;
    check(
        registry.ask(Method::GET, "/v2/A/manifests/x"),
        expect![[r#"400 {"errors":[{"code":"NAME_INVALID","message":"`A` is no name of a repository"}]}"#]],
    )
    .await;
    check(
        registry.push(Method::PUT, "/v2/a/manifests/x").body("0123456789abcdefg"),
        expect![[r#"413 {"errors":[{"code":"SIZE_INVALID","message":"a manifest may have at most 16 bytes here"}]}"#]],
    )
    .await;
    check(registry.push(Method::PUT, "/v2/a/manifests/x").body("nonsense"), expect![[r#"400 {"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid: expected ident at line 1 column 2"}]}"#]]).await;
}

#[test]
fn from_elsewhere_even_reading_needs_credentials() {
    let credentials = Credentials { user: "admin".into(), password: "secret".into() };
    let guard = Guard::new(&credentials);
    let check = |peer: &str, header: Option<&Credentials>, expected: Expect| {
        let mut request = Request::new(());
        if let Some(credentials) = header {
            request.headers_mut().insert(http::header::AUTHORIZATION, credentials.basic());
        }
        let answer = guard.check(&request.into_parts().0, peer.parse().unwrap());
        expected.assert_eq(&answer.map_or_else(|refusal| refusal.to_string(), |user| format!("{user:?}")));
    };
    check("127.0.0.1", None, expect!["Anonymous"]);
    check("::ffff:127.0.0.1", None, expect!["Anonymous"]);
    check("10.0.0.1", None, expect!["401 UNAUTHORIZED pulling from another machine needs credentials"]);
    check("10.0.0.1", Some(&credentials), expect!["Known"]);
}
