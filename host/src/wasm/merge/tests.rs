use expect_test::{Expect, expect};
use proptest::prelude::*;
use wasmparser::{Instance, Parser, Payload};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

use super::merge;
use crate::inspect::Wasi;
use crate::wasm::engine::compile_config;

/// What toolchains make: a library that is linked dynamically, and functions that need a memory before there is one, by way of a table.
const DYNAMIC: &str = r#"(component
  (import "length" (func $length (param "text" string) (result u32)))
  (core module $Shim
    (type $length (func (param i32 i32) (result i32)))
    (table (export "table") 1 1 funcref)
    (func (export "length") (type $length) (call_indirect (type $length) (local.get 0) (local.get 1) (i32.const 0))))
  (core module $Environment
    (memory (export "memory") 1)
    (table (export "table") 8 funcref)
    (global (export "data_base") i32 (i32.const 16))
    (global (export "table_base") i32 (i32.const 3))
    (global (export "calls") (mut i32) (i32.const 40))
    (data (i32.const 0) "hello"))
  (core module $Library
    (import "env" "memory" (memory 1))
    (import "env" "table" (table 1 funcref))
    (import "env" "table_base" (global $table_base i32))
    (import "env" "data_base" (global $data_base i32))
    (import "env" "calls" (global $calls (mut i32)))
    (type $number (func (result i32)))
    (global $own i32 (global.get $data_base))
    (elem (global.get $table_base) $stored $count)
    (data (global.get $data_base) "\05\00\00\00")
    (func $stored (type $number) (i32.load (global.get $own)))
    (func $count (type $number)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (global.get $calls))
    (func (export "call") (param i32) (result i32)
      (call_indirect (type $number) (i32.add (global.get $table_base) (local.get 0)))))
  (core module $Main
    (import "env" "memory" (memory 1))
    (import "lib" "call" (func $call (param i32) (result i32)))
    (import "host" "length" (func $length (param i32 i32) (result i32)))
    (func (export "run") (param i32) (result i32)
      (i32.add
        (i32.mul (call $call (local.get 0)) (i32.const 100))
        (call $length (i32.const 0) (i32.load (i32.const 16))))))
  (core module $Fixups
    (import "" "table" (table 1 1 funcref))
    (import "" "length" (func $length (param i32 i32) (result i32)))
    (elem (i32.const 0) $length))
  (core instance $shim (instantiate $Shim))
  (core instance $env (instantiate $Environment))
  (core instance $lib (instantiate $Library (with "env" (instance $env))))
  (alias core export $shim "length" (core func $late_length))
  (core instance $host (export "length" (func $late_length)))
  (core instance $main (instantiate $Main
    (with "env" (instance $env)) (with "lib" (instance $lib)) (with "host" (instance $host))))
  (alias core export $env "memory" (core memory $memory))
  (core func $real_length (canon lower (func $length) (memory $memory)))
  (alias core export $shim "table" (core table $table))
  (core instance $late (export "table" (table $table)) (export "length" (func $real_length)))
  (core instance (instantiate $Fixups (with "" (instance $late))))
  (func (export "run") (param "what" u32) (result u32) (canon lift (core func $main "run"))))"#;

/// How many instances of modules there are, at all levels.
fn instances(component: &[u8]) -> usize {
    let payloads = Parser::new(0).parse_all(component).map(|payload| payload.expect("it can be parsed"));
    let sections = payloads.filter_map(|payload| match payload {
        Payload::InstanceSection(section) => Some(section),
        _ => None,
    });
    let is_module = |instance: &Instance<'_>| matches!(instance, Instance::Instantiate { .. });
    sections.flatten().filter(|instance| is_module(instance.as_ref().expect("it can be parsed"))).count()
}

/// What `run` gives for each number, one after the other, in one instance.
fn results(component: &[u8], arguments: &[u32]) -> Vec<Result<u32, String>> {
    let engine = Engine::new(&compile_config(Wasi::V02)).expect("the host's engine");
    let component = Component::from_binary(&engine, component).expect("it compiles");
    let mut linker: Linker<()> = Linker::new(&engine);
    let length = |_: wasmtime::StoreContextMut<'_, ()>, (text,): (String,)| Ok((text.len() as u32,));
    linker.root().func_wrap("length", length).expect("it is defined once");
    let mut store = Store::new(&engine, ());
    store.set_epoch_deadline(1);
    let instance = linker.instantiate(&mut store, &component).expect("it starts");
    let run = instance.get_typed_func::<(u32,), (u32,)>(&mut store, "run").expect("it runs");
    let mut call = |argument: &u32| run.call(&mut store, (*argument,)).map(|(result,)| result);
    let described = |result: wasmtime::Result<u32>| result.map_err(|error| error.root_cause().to_string());
    arguments.iter().map(|argument| described(call(argument))).collect()
}

#[test]
fn what_is_linked_dynamically_does_the_same_as_one_module() {
    let component = wat::parse_str(DYNAMIC).unwrap();
    let merged = merge(&component).expect("it is merged");
    assert_eq!((instances(&component), instances(&merged)), (5, 2));
    let arguments = [0, 1, 1, 0, 9];
    let expected = results(&component, &arguments);
    assert_eq!(expected[..4], [Ok(505), Ok(4105), Ok(4205), Ok(505)]);
    assert!(expected[4].is_err());
    assert_eq!(results(&merged, &arguments), expected);
    assert!(merge(&merged).is_none(), "there is nothing more to gain");
}

#[test]
fn components_in_components_are_merged_where_they_are() {
    let text = format!(
        r#"(component
          (import "length" (func $length (param "text" string) (result u32)))
          {}
          (instance $inner (instantiate $Inner (with "length" (func $length))))
          (export "run" (func $inner "run")))"#,
        DYNAMIC.replacen("(component", "(component $Inner", 1)
    );
    let component = wat::parse_str(text).unwrap();
    let merged = merge(&component).expect("it is merged");
    assert_eq!((instances(&component), instances(&merged)), (5, 2));
    assert_eq!(results(&merged, &[0, 1]), results(&component, &[0, 1]));
}

#[test]
fn names_of_functions_stay_for_traces() {
    let merged = merge(&wat::parse_str(DYNAMIC).unwrap()).expect("it is merged");
    for name in ["stored", "count"] {
        assert!(merged.windows(name.len()).any(|bytes| bytes == name.as_bytes()), "{name}");
    }
}

#[test]
fn what_could_be_seen_is_left_as_it_is() {
    let check = |text: &str, expected: Expect| {
        let component = wat::parse_str(text).unwrap();
        let merged = merge(&component).map(|merged| (instances(&component), instances(&merged)));
        expected.assert_eq(&format!("{merged:?}"));
    };
    // One module.
    check("(component (core module $m) (core instance (instantiate $m)))", expect!["None"]);
    // Nothing stands against it.
    check(
        "(component (core module $a) (core module $b) (core instance (instantiate $a)) (core instance (instantiate $b)))",
        expect!["Some((2, 1))"],
    );
    // Twice the same module.
    check(
        "(component (core module $m) (core instance (instantiate $m)) (core instance (instantiate $m)))",
        expect!["None"],
    );
    // One that starts.
    check(
        "(component (core module $a) (core module $b (func $f) (start $f))
           (core instance (instantiate $a)) (core instance (instantiate $b)))",
        expect!["None"],
    );
    // Two memories.
    check(
        "(component (core module $a (memory 1)) (core module $b (memory 1))
           (core instance (instantiate $a)) (core instance (instantiate $b)))",
        expect!["None"],
    );
    // More tables than a module may have.
    check(
        "(component (core module $a (table 1 funcref) (table 1 funcref) (table 1 funcref)) (core module $b (table 1 funcref) (table 1 funcref))
           (core instance (instantiate $a)) (core instance (instantiate $b)))",
        expect!["None"],
    );
    // A module from outside.
    check(
        r#"(component (import "m" (core module $m)) (core module $a) (core module $b)
           (core instance (instantiate $a)) (core instance (instantiate $b)))"#,
        expect!["None"],
    );
    // One that fills the same table after one that has to wait.
    check(
        r#"(component
           (import "length" (func $length (param "text" string) (result u32)))
           (core module $a (memory (export "memory") 1) (table (export "table") 1 funcref))
           (core module $b (import "" "length" (func $length (param i32 i32) (result i32))) (import "" "table" (table 1 funcref)) (elem (i32.const 0) $length))
           (core module $c (import "" "table" (table 1 funcref)) (func $f) (elem (i32.const 0) $f))
           (core instance $a (instantiate $a))
           (core func $length (canon lower (func $length) (memory (core memory $a "memory"))))
           (alias core export $a "table" (core table $table))
           (core instance $late (export "table" (table $table)) (export "length" (func $length)))
           (core instance (instantiate $b (with "" (instance $late))))
           (core instance (instantiate $c (with "" (instance $a)))))"#,
        expect!["None"],
    );
}

proptest! {
    #[test]
    fn damaged_components_are_merged_or_not(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut component = wat::parse_str(DYNAMIC).unwrap();
        for (index, byte) in changes {
            let index = index.index(component.len());
            component[index] = byte;
        }
        if let Some(merged) = merge(&component) {
            prop_assert!(merge(&merged).is_none());
        }
    }
}
