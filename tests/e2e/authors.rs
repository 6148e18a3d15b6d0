//! From nothing to a component that runs, as an author would go: each template is built and tested, and one is worked on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coracle_tests::{Cluster, Running, eventually, example, root, run, wasmctl_path};

/// A program with the Rust that the examples are built with, and where they are built, so that nothing is built or fetched twice.
fn author(program: impl AsRef<Path>, folder: &Path) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_clear().current_dir(folder);
    for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    if let Some(rustc) = std::env::var_os("CORACLE_TEST_GUEST_RUSTC").map(PathBuf::from) {
        command.env("CARGO", rustc.with_file_name("cargo")).env("RUSTC", rustc);
    }
    let built = example("");
    let target = built.ancestors().nth(2).expect("…/wasm32-wasip2/release is in the target folder");
    command.env("CARGO_TARGET_DIR", target).env("CARGO_NET_OFFLINE", "true");
    command
}

/// Begins a project, with the releases of libraries that the examples have.
fn begin(folder: &Path, arguments: &[&str]) {
    let parent = folder.parent().unwrap();
    let name = folder.file_name().unwrap();
    run(author(wasmctl_path(), parent).arg("new").arg(name).args(arguments)).ok();
    fs::copy(root().join("examples/Cargo.lock"), folder.join("Cargo.lock")).unwrap();
}

#[test]
fn every_template_is_built_and_tested() {
    let dir = tempfile::tempdir().unwrap();
    let sdk = root().join("sdk");
    let sdk = sdk.to_str().unwrap();
    for (name, arguments, kind) in [
        ("new-http", &["--template", "http"][..], "wasi:http 0.2 handler"),
        ("new-http-sdk", &["--sdk", sdk], "wasi:http 0.2 handler"),
        ("new-job", &["--template", "job"], "wasi:cli 0.2 command"),
        ("new-job-sdk", &["--template", "job", "--sdk", sdk], "wasi:cli 0.2 command"),
    ] {
        let folder = dir.path().join(name);
        begin(&folder, arguments);
        let built = run(author(wasmctl_path(), &folder).arg("build"));
        assert!(built.stderr.contains(&format!("inspected {kind}; needs ")), "{}", built.stderr);
        let file = built.ok();
        let file = file.trim();
        if kind.contains("command") {
            let printed = run(author(wasmctl_path(), &folder).args(["run", file, "--", "Ada", "Grace"]));
            assert_eq!(printed.ok(), "Hello, Ada!\nHello, Grace!\n");
            run(author(wasmctl_path(), &folder).args(["run", file])).fails_with(1);
        }
        let cargo = std::env::var_os("CORACLE_TEST_GUEST_RUSTC")
            .map_or_else(|| PathBuf::from("cargo"), |rustc| Path::new(&rustc).with_file_name("cargo"));
        let tested = run(author(cargo, &folder).args(["test", "--quiet"]));
        assert!(tested.stdout.contains("test result: ok"), "{tested:?}");
    }

    // What is no project is said before cargo says it.
    let none = run(author(wasmctl_path(), dir.path()).arg("build")).fails_with(2);
    assert!(none.contains("no Cargo.toml is in this folder"), "{none}");
    let mut without_rust = author(wasmctl_path(), &dir.path().join("new-job"));
    let said = run(without_rust.arg("build").env("RUSTC", "no-such-rustc")).fails_with(1);
    assert!(said.contains("Rust is not installed") && said.contains("https://rustup.rs"), "{said}");
}

#[test]
fn a_project_is_rolled_out_whenever_it_changes() {
    let cluster = Cluster::start();
    let folder = cluster.dir().join("new-shop");
    begin(&folder, &[]);
    // One stream of lines, and the process itself to send a signal to.
    let mut dev = author("sh", &folder);
    dev.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(wasmctl_path()).args(["dev", "--env", "GREETING_NAME=Ada"]);
    let mut dev = Running::start(dev.env("KUBECONFIG", cluster.dir().join("kubeconfig")));
    let mut wait_for = |text: &str| {
        let mut said = String::new();
        while !said.contains(text) {
            let line = dev.next_line();
            assert!(!line.is_empty() || !said.ends_with("\n\n\n"), "it ended before it said {text}: {said}");
            said.push_str(&line);
            said.push('\n');
        }
        said
    };
    let answers = |expected: &str| {
        eventually(expected, || (cluster.get("new-shop.localhost", "/") == (200, expected.to_owned())).then_some(()));
    };
    let said = wait_for("for a change");
    assert!(said.contains("built     new_shop.wasm") && said.contains("http://new-shop.localhost:"), "{said}");
    answers("Hello, Ada!\n");
    wait_for("GET / 200"); // its log

    let source = folder.join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    fs::write(&source, text.replace("Hello", "Servus\" broken \"")).unwrap();
    let said = wait_for("for a change");
    assert!(said.contains("changed   src/lib.rs") && said.contains("cargo did not build it"), "{said}");
    answers("Hello, Ada!\n");

    fs::write(&source, text.replace("Hello", "Servus")).unwrap();
    wait_for("for a change");
    answers("Servus, Ada!\n");

    dev.signal("INT");
    let said = dev.end();
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("stopped; deployment/new-shop stays, at http://new-shop.localhost:"), "{said:?}");
    assert!(said.stdout.contains("`wasmctl delete deployment,service,ingress new-shop` removes it"), "{said:?}");
    answers("Servus, Ada!\n");
}
