//! Components that are linked before they are compiled.

use super::*;
use crate::runtime::Library;

fn library(host: &Host, name: &str, text: &str) -> Library {
    let spec = host.spec_of(&wat::parse_str(text).unwrap());
    Library { name: name.to_owned(), artifact: spec.artifact, digest: spec.digest, is_shared: false }
}

#[track_caller]
fn check(guest: &str, libraries: &[(&str, String)], change: impl FnOnce(&mut ContainerSpec), expected: Expect) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(async {
        let host = Host::new();
        let mut spec = host.spec(guest);
        spec.libraries = libraries.iter().map(|(name, text)| library(&host, name, text)).collect();
        change(&mut spec);
        match host.start(&spec).await {
            Ok(container) if container.handler().is_some() => get_text(&*container, "/").await,
            Ok(container) => exit_text(&*container).await,
            Err(error) => format!("{}: {error}", error.reason()),
        }
    });
    expected.assert_eq(&text);
}

#[test]
fn what_a_library_exports_satisfies_what_a_component_imports() {
    let ledger = guest_text("library");
    check("command-asks-library", &[("ledger", ledger.clone())], |_| {}, expect!["0 Completed"]);
    let newer = ledger.replace("1.2.0", "1.3.1");
    check("command-asks-library", &[("ledger", newer)], |_| {}, expect!["0 Completed"]);
    let wrong = ledger.replace("i64.const 42", "i64.const 41");
    check(
        "command-asks-library",
        &[("ledger", wrong)],
        |_| {},
        expect!["1 Error wasm `unreachable` instruction executed"],
    );
}

#[test]
fn what_does_not_fit_is_refused_by_interface_and_version() {
    let ledger = guest_text("library");
    let link = |text: String, expected: Expect| check("command-asks-library", &[("ledger", text)], |_| {}, expected);
    link(
        ledger.replace("1.2.0", "2.0.0"),
        expect![[
            r#"CreateContainerError: the component cannot be linked: container "main" imports acme:billing/ledger@1.2.0, and library "ledger" exports acme:billing/ledger@2.0.0: another version, which is not compatible with it"#
        ]],
    );
    let other_type = ledger.replace("(result u64)", "(result s64)").replace("1.2.0", "1.3.0");
    link(
        other_type,
        expect![[
            r#"CreateContainerError: the component cannot be linked: "main" imports acme:billing/ledger@1.2.0, and acme:billing/ledger@1.3.0 of "ledger" does not fit: mismatched instantiation argument `acme:billing/ledger@1.2.0`: mismatched type for export `balance`: mismatched type for function result: expected u64, found s64"#
        ]],
    );
    link(
        ledger.replace("\"balance\" (func $balance)", "\"sum\" (func $balance)"),
        expect![[
            r#"CreateContainerError: the component cannot be linked: "main" imports acme:billing/ledger@1.2.0, and acme:billing/ledger@1.2.0 of "ledger" does not fit: mismatched instantiation argument `acme:billing/ledger@1.2.0`: instance is missing expected function export `balance`"#
        ]],
    );
    link(
        ledger.replace("billing", "sales"),
        expect!["CreateContainerError: the component imports acme:billing/ledger@1.2.0, which nothing here provides"],
    );
    check(
        "hello",
        &[("ledger", ledger.clone())],
        |_| {},
        expect![[
            r#"CreateContainerError: the component cannot be linked: library "ledger" exports acme:billing/ledger@1.2.0, which nothing here imports"#
        ]],
    );
    check(
        "hello",
        &[("ledger", ledger.clone())],
        |spec| spec.libraries[0].is_shared = true,
        expect!["200 Hello from Coracle!"],
    );
    check(
        "hello",
        &[("ledger", guest_text("command-exit-0"))],
        |_| {},
        expect![[
            r#"CreateContainerError: the component cannot be linked: library "ledger" is a wasi:cli 0.2 command and no library: leave it out of the libraries"#
        ]],
    );
    let damaged = |spec: &mut ContainerSpec| spec.libraries[0].digest = format!("sha256:{}", "0".repeat(64));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let host = Host::new();
        let mut spec = host.spec("command-asks-library");
        spec.libraries = vec![library(&host, "ledger", &ledger)];
        damaged(&mut spec);
        assert!(host.start(&spec).await.err().unwrap().to_string().contains("is damaged: its digest is sha256:"));
    });
}

#[test]
fn limits_hold_for_all_components_together() {
    let middleware = || ("outer", guest_text("middleware"));
    check("hello", &[middleware()], |_| {}, expect!["200 Hello from Coracle!"]);
    // One page of the handler and three of each middleware.
    let seven_pages = |bytes: u64| {
        let libraries = [middleware(), ("inner", guest_text("middleware"))];
        move |expected: Expect| check("hello", &libraries, |spec| spec.memory_bytes_max = bytes, expected)
    };
    seven_pages(7 << 16)(expect!["200 Hello from Coracle!"]);
    seven_pages((7 << 16) - 1)(expect![
        "RunContainerError: the component does not fit its limits: it starts with 448Ki of memory and may have 458751 bytes"
    ]);
    // The sum of the sizes is limited, too.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut options = Options::in_process();
        let (own, other) =
            (guest_bytes("hello").len() as u64, wat::parse_str(guest_text("middleware")).unwrap().len() as u64);
        options.compile_limits.component_bytes_max = own + other - 1;
        let host = Host::with(|_| options);
        let mut spec = host.spec("hello");
        spec.libraries = vec![library(&host, "outer", &guest_text("middleware"))];
        let error = host.start(&spec).await.err().unwrap().to_string();
        assert_eq!(
            error,
            format!("the component is {} bytes; this host compiles at most {}", own + other, own + other - 1)
        );
    });
}

#[tokio::test]
async fn a_linked_component_is_linked_by_the_child_and_kept_by_a_digest_of_its_own() {
    let host = Host::with(|dir| child_options(dir, CompileLimits::default()));
    let mut spec = host.spec("command-asks-library");
    spec.libraries = vec![library(&host, "ledger", &guest_text("library"))];
    let prepared = host.runtime.prepare(&spec).await.unwrap();
    assert!(prepared.compile_time() > Duration::ZERO);
    assert!(cached(host.dir.path(), "cwasm").to_string_lossy().contains("linked-"));
    let again = WasmRuntime::open(child_options(host.dir.path(), CompileLimits::default())).unwrap();
    assert_eq!(again.prepare(&spec).await.unwrap().compile_time(), Duration::ZERO);
    spec.libraries = vec![library(&host, "ledger", &guest_text("library").replace("(result u64)", "(result s64)"))];
    let error = again.prepare(&spec).await.err().unwrap().to_string();
    expect![[r#"the component cannot be linked: "main" imports acme:billing/ledger@1.2.0, and acme:billing/ledger@1.2.0 of "ledger" does not fit: mismatched instantiation argument `acme:billing/ledger@1.2.0`: mismatched type for export `balance`: mismatched type for function result: expected u64, found s64"#]].assert_eq(&error);
}
