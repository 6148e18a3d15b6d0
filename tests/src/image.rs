//! A small Linux image, made of Debian's static busybox and pushed to a cluster's registry as any client pushes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{Cluster, PATIENCE};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Where Debian's `busybox-static` puts it.
const BUSYBOX: &str = "/bin/busybox";
/// The programs that the image has, besides `busybox` itself.
const APPLETS: &[&str] = &[
    "cat", "dd", "echo", "env", "hostname", "id", "ls", "mount", "rm", "sh", "sleep", "tail", "test", "touch", "true",
];

/// Pushes busybox as `name:tag`: two layers, the upper of which deletes a file of the lower, and an index that leads to them.
pub fn push_busybox(cluster: &Cluster, name: &str, tag: &str) {
    let registry = Registry::of(cluster, name);
    let mut lower = tar::Builder::new(Vec::new());
    for folder in ["bin", "etc", "tmp"] {
        append(&mut lower, folder, tar::EntryType::Directory, b"", "");
    }
    let busybox = std::fs::read(BUSYBOX).expect("busybox-static is installed: run the tests with `cargo xtask test`");
    append(&mut lower, "bin/busybox", tar::EntryType::Regular, &busybox, "");
    for applet in APPLETS {
        append(&mut lower, &format!("bin/{applet}"), tar::EntryType::Symlink, b"", "busybox");
    }
    append(
        &mut lower,
        "etc/passwd",
        tar::EntryType::Regular,
        b"root:x:0:0:root:/:/bin/sh\nweb:x:101:102::/tmp:/bin/sh\n",
        "",
    );
    append(&mut lower, "etc/deleted", tar::EntryType::Regular, b"of the lower layer\n", "");
    let mut upper = tar::Builder::new(Vec::new());
    append(&mut upper, "etc/.wh.deleted", tar::EntryType::Regular, b"", "");
    append(&mut upper, "etc/os-release", tar::EntryType::Regular, b"NAME=busybox\n", "");
    let archives = [lower, upper].map(|builder| builder.into_inner().expect("it is in memory"));
    let config = json!({
        "architecture": architecture(), "os": "linux",
        "config": { "Entrypoint": null, "Cmd": ["sh"], "Env": ["PATH=/bin", "FROM_IMAGE=yes"] },
        "rootfs": { "type": "layers", "diff_ids": archives.each_ref().map(|archive| digest(archive)) },
    });
    let layers = archives.map(|archive| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&archive).expect("it is in memory");
        registry.blob("application/vnd.oci.image.layer.v1.tar+gzip", &gzip.finish().expect("it is in memory"))
    });
    let config = registry.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers }).to_string();
    registry.put(&format!("manifests/{}", digest(manifest.as_bytes())), MANIFEST, manifest.as_bytes());
    let platform = json!({ "os": "linux", "architecture": architecture() });
    let entry = json!({ "mediaType": MANIFEST, "digest": digest(manifest.as_bytes()), "size": manifest.len(), "platform": platform });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] }).to_string();
    registry.put(&format!("manifests/{tag}"), INDEX, index.as_bytes());
}

fn append(builder: &mut tar::Builder<Vec<u8>>, path: &str, kind: tar::EntryType, content: &[u8], target: &str) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_path(path).expect("the path is short");
    header.set_mode(if kind == tar::EntryType::Regular && !path.starts_with("bin/") { 0o644 } else { 0o755 });
    if !target.is_empty() {
        header.set_link_name(target).expect("the target is short");
    }
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    builder.append(&header, content).expect("it is in memory");
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A repository of a cluster's registry, for its administrator.
struct Registry {
    address: String,
    authorization: String,
    name: String,
}

impl Registry {
    fn of(cluster: &Cluster, name: &str) -> Registry {
        let kubeconfig = cluster.kubectl(&["config", "view", "--raw", "-o", "json"]).ok();
        let kubeconfig: Value = serde_json::from_str(&kubeconfig).expect("it is JSON");
        let extension = &kubeconfig["clusters"][0]["cluster"]["extensions"][0]["extension"];
        let [user, password] =
            ["registryUser", "registryPassword"].map(|field| extension[field].as_str().expect("it is told"));
        let authorization = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Registry { address: cluster.address("registry").to_owned(), authorization, name: name.to_owned() }
    }

    /// Pushes content; gives its descriptor.
    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let begun =
            self.send("POST", &format!("/v2/{}/blobs/uploads/", self.name), "application/octet-stream", b"", "202");
        let location = begun
            .lines()
            .find_map(|line| line.to_ascii_lowercase().starts_with("location: ").then(|| line[10..].trim()));
        let location = location.expect("an upload has a place");
        let path = location.find("/v2/").map_or(location, |at| &location[at..]);
        let separator = if path.contains('?') { '&' } else { '?' };
        let target = format!("{path}{separator}digest={}", digest(bytes));
        self.send("PUT", &target, "application/octet-stream", bytes, "201");
        json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
    }

    fn put(&self, path: &str, media_type: &str, bytes: &[u8]) {
        self.send("PUT", &format!("/v2/{}/{path}", self.name), media_type, bytes, "201");
    }

    fn send(&self, method: &str, path: &str, media_type: &str, body: &[u8], status: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("the registry listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            self.address,
            self.authorization,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).expect("the registry reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the registry answers");
        assert_eq!(answer.split(' ').nth(1), Some(status), "{method} {path}: {answer}");
        answer
    }
}
