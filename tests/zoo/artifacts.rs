//! Components that are made to be hard to compile, to load or to start.

use std::fmt::Write as _;

use coracle_tests::guest;
use expect_test::{Expect, expect};

use crate::Cage;

/// What `kubectl` says why a component does not run, or `runs`.
fn check(text: &str, expected: Expect) {
    let cage = Cage::new();
    let file = cage.cluster.dir().join("beast.wat");
    std::fs::write(&file, text).unwrap();
    cage.cluster.wasmctl(&["push", file.to_str().unwrap(), "beast:1"]).ok();
    let manifest = "
apiVersion: v1
kind: Pod
metadata: {name: beast}
spec:
  restartPolicy: Never
  containers: [{name: beast, image: registry.coracle.internal/beast:1}]
";
    cage.cluster.kubectl_with(manifest, &["apply", "-f", "-"]).ok();
    let path = "jsonpath={.status.phase} {.status.containerStatuses[0].state.*.reason}: {.status.containerStatuses[0].state.*.message}";
    let told = coracle_tests::eventually("the pod ends", || {
        let told = cage.cluster.kubectl(&["get", "pod", "beast", "-o", path]).stdout;
        (!told.starts_with("Pending ContainerCreating")
            && !told.starts_with("Pending :")
            && !told.starts_with("Running"))
        .then_some(told)
    });
    expected.assert_eq(&told);
    cage.end_unharmed();
}

/// A command with these items in its module, and this as its `run`.
fn command(items: &str, run: &str) -> String {
    format!(
        r#"(component
  (core module $Main
    {items}
    (func (export "run") (result i32) {run} (i32.const 0)))
  (core instance $main (instantiate $Main))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command)))"#
    )
}

#[test]
fn many_locals() {
    let mut items = String::new();
    for _ in 0..200 {
        write!(items, "(func (local {}))", "i64 ".repeat(49_000)).unwrap();
    }
    check(&command(&items, ""), expect!["Succeeded Completed: "]);
}

#[test]
fn many_functions() {
    check(&command(&"(func (result i32) (i32.const 1))".repeat(100_000), ""), expect!["Succeeded Completed: "]);
}

#[test]
fn a_huge_function() {
    let body = "(i32.store (i32.const 8) (i32.mul (i32.load (i32.const 8)) (i32.load (i32.const 16))))".repeat(300_000);
    check(&command("(memory 1)", &body), expect!["Succeeded Completed: "]);
}

#[test]
fn branches_upon_branches() {
    let depth = 20_000;
    let body = format!("{}{}", "(block (br_if 0 (i32.load (i32.const 8)))".repeat(depth), ")".repeat(depth));
    check(&command("(memory 1)", &body), expect!["Succeeded Completed: "]);
}

#[test]
fn thousands_of_instances() {
    let text = command("", "").replace(
        "(core instance $main",
        &format!("{}(core instance $main", "(core instance (instantiate $Main))".repeat(4_000)),
    );
    check(
        &text,
        expect![
            "Pending InvalidImage: the component did not compile: failed to parse WebAssembly module: instances count exceeds limit of 1000 (at offset 0x3f)"
        ],
    );
}

#[test]
fn a_large_table() {
    check(
        &command("(table 10000000 funcref)", ""),
        expect![
            "Failed StartError: the component does not fit its limits: module table does not fit in pooling allocator requirements: table index 0 has a minimum element size of 10000000 which exceeds the limit of 65536"
        ],
    );
}

#[test]
fn a_table_that_grows() {
    let run = "(loop (br_if 0 (i32.ne (table.grow 0 (ref.null func) (i32.const 10000)) (i32.const -1))))";
    check(&command("(table 1 funcref)", run), expect!["Succeeded Completed: "]);
}

#[test]
fn a_start_function_that_traps() {
    check(
        &std::fs::read_to_string(guest("start-traps.wat")).unwrap(),
        expect!["Failed StartError: the component trapped while starting: wasm `unreachable` instruction executed"],
    );
}

#[test]
fn a_start_function_that_loops() {
    check(
        &std::fs::read_to_string(guest("start-loops.wat")).unwrap(),
        expect!["Failed StartError: the component trapped while starting: it was not done after 10 s"],
    );
}
