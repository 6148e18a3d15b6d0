//! Bad input gets a clear error and hurts nobody.

use coracle_tests::{Cluster, eventually, guest, root};

#[test]
fn files_that_are_no_components_are_refused_before_anything_is_written() {
    let cluster = Cluster::start();
    let dir = cluster.dir().join("bad");
    std::fs::create_dir(&dir).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.join(name), bytes).unwrap();
        dir.join(name).to_str().unwrap().to_owned()
    };
    let check = |file: &str, expected: &str| {
        let error = cluster.wasmctl(&["deploy", file]).fails_with(1);
        assert!(error.contains(expected), "{file}: {error}");
    };
    check(&write("text.wasm", b"hello"), "not a WebAssembly file");
    check(&write("module.wasm", b"\0asm\x01\0\0\0"), "a core module, not a component");
    check(&write("broken.wat", b"(component"), "broken.wat");
    check(&write("not.yaml", b"a: [b"), "not.yaml");
    let unknown = b"{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, dta: {}}";
    let refused = "unknown.yaml: failed to create typed patch object (default/c; /v1, Kind=ConfigMap): .dta: field not";
    check(&write("unknown.yaml", unknown), refused);
    check(
        guest("unknown-import.wat").to_str().unwrap(),
        "imports acme:billing/ledger@1.2.0, which nothing here provides",
    );
    let huge = dir.join("huge.wasm");
    std::fs::File::create(&huge).unwrap().set_len(2 << 30).unwrap();
    check(huge.to_str().unwrap(), "2048 MiB is too large");
    let long = "a".repeat(70);
    let hello = root().join("examples/hello/hello.wat");
    let error = cluster.wasmctl(&["deploy", hello.to_str().unwrap(), "--name", &long]).fails_with(2);
    assert!(error.contains("cannot be a name"), "{error}");
    let error = cluster.wasmctl(&["deploy", hello.to_str().unwrap(), "--route", "two words"]).fails_with(2);
    assert!(error.contains("--route two words: not a host name"), "{error}");
    assert!(cluster.wasmctl(&["get", "deployments", "-o", "name"]).ok().is_empty());
}

#[test]
fn what_cannot_run_says_why_and_leaves_the_neighbour_alone() {
    let cluster = Cluster::start();
    let hello = root().join("examples/hello/hello.wat");
    cluster.wasmctl(&["deploy", hello.to_str().unwrap()]).ok();

    let error =
        cluster.wasmctl(&["deploy", hello.to_str().unwrap(), "--name", "large", "--memory", "900Gi"]).fails_with(1);
    assert!(error.contains("cannot be placed") && error.contains("900Gi"), "{error}");
    let trap = guest("start-traps.wat");
    let error = cluster.wasmctl(&["deploy", trap.to_str().unwrap()]).fails_with(1);
    assert!(error.contains("trap"), "{error}");
    let missing = cluster.wasmctl(&["deploy", "registry.coracle.internal/nothing:1"]).fails_with(1);
    assert!(missing.contains("registry.coracle.internal/nothing:1"), "{missing}");

    for (file, status) in [("handler-no-response.wat", 502), ("handler-traps.wat", 500)] {
        let file = guest(file);
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        cluster.wasmctl(&["deploy", file.to_str().unwrap()]).ok();
        let (answer, body) = cluster.get(&format!("{name}.localhost"), "/");
        assert!(answer == status || answer == 502, "{name}: {answer} {body}");
    }
    eventually("the neighbour answers", || (cluster.get("hello.localhost", "/").0 == 200).then_some(()));
}
