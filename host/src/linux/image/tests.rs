use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;

const TAR_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn hex_of(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// Layers by media type; each is `b…b` as sent and `1…1`, `2…2`, … as an archive.
fn check(layers: &[&str], change: impl FnOnce(&mut Value), expected: Expect) {
    let dir = tempfile::tempdir().unwrap();
    let diff_ids: Vec<_> = (1..=layers.len()).map(|index| format!("sha256:{}", index.to_string().repeat(64))).collect();
    let mut config = json!({ "architecture": "amd64", "os": "linux", "config": null, "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    change(&mut config);
    let digest = |digit| format!("sha256:{}", hex_of(digit));
    let layers: Vec<_> =
        layers.iter().map(|kind| json!({ "mediaType": kind, "digest": digest('b'), "size": 1 })).collect();
    let manifest = json!({ "config": { "mediaType": "x", "digest": digest('c'), "size": 1 }, "layers": layers });
    std::fs::write(dir.path().join("manifest.json"), manifest.to_string()).unwrap();
    std::fs::write(dir.path().join(format!("{}.blob", hex_of('c'))), config.to_string()).unwrap();
    let shown = match Image::read(&dir.path().join("manifest.json")) {
        Err(error) => error.to_string(),
        Ok(image) => {
            let layers = image.layers.iter().map(|layer| format!("{:?} {}", layer.packing, &layer.chain_id[..8]));
            format!("{}\n{:?}", layers.collect::<Vec<_>>().join(", "), image.config)
        }
    };
    expected.assert_eq(&shown);
}

#[test]
fn an_image_says_what_its_containers_are() {
    check(
        &[TAR_GZIP, "application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+zstd"],
        |config| {
            config["config"] = json!({
                "Entrypoint": ["/bin/web"], "Cmd": null, "Env": ["A=b"], "WorkingDir": "/srv", "User": "web", "StopSignal": "SIGQUIT",
                "ExposedPorts": {"80/tcp": {}},
            });
        },
        expect![[r#"
            Gzip 11111111, Gzip 99320742, Zstd 50127c0d
            Config { entrypoint: ["/bin/web"], cmd: [], env: ["A=b"], working_dir: "/srv", user: "web", stop_signal: "SIGQUIT" }"#]],
    );
    check(
        &["application/vnd.oci.image.layer.v1.tar"],
        |_| {},
        expect![[r#"
        None 11111111
        Config { entrypoint: [], cmd: [], env: [], working_dir: "", user: "", stop_signal: "" }"#]],
    );
}

#[test]
fn what_cannot_be_used_is_refused() {
    check(&[], |_| {}, expect!["its manifest has 0 layers and its configuration 0"]);
    check(
        &[TAR_GZIP],
        |config| config["rootfs"]["diff_ids"] = json!([]),
        expect!["its manifest has 1 layers and its configuration 0"],
    );
    check(
        &[TAR_GZIP],
        |config| config["rootfs"]["diff_ids"] = json!(["sha256:../../etc"]),
        expect![[r#"its configuration names "sha256:../../etc", which is no SHA-256 digest"#]],
    );
    check(
        &[TAR_GZIP],
        |config| config["os"] = "windows".into(),
        expect!["it is for windows/amd64, and this host is Linux"],
    );
    check(
        &["application/vnd.oci.image.layer.v1.tar+gzip+encrypted"],
        |_| {},
        expect![
            "it has a layer of type `application/vnd.oci.image.layer.v1.tar+gzip+encrypted`, and this host unpacks tar, tar+gzip and tar+zstd"
        ],
    );
}
