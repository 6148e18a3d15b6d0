use expect_test::{Expect, expect};

use super::*;

/// `name: import import -> export export`, one part a line.
#[track_caller]
fn check(text: &str, expected: Expect) {
    check_with(text, false, expected);
}

#[track_caller]
fn check_with(text: &str, may_be_unused: bool, expected: Expect) {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let parts: Vec<(String, Inspection)> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (name, rest) = line.trim().split_once(':').unwrap();
            let (imports, exports) = rest.split_once("->").unwrap();
            (name.to_owned(), Inspection::of_names(words(imports), words(exports)))
        })
        .collect();
    let parts: Vec<Part<'_>> = parts.iter().map(|(name, inspection)| Part { name, inspection }).collect();
    let text = match plan(&parts, may_be_unused) {
        Ok(plan) => {
            let mut lines: Vec<String> = plan
                .wires
                .iter()
                .map(|wire| {
                    let (importer, exporter) = (parts[wire.importer].name, parts[wire.exporter].name);
                    format!("{importer} {} <- {exporter} {}", wire.import, wire.export)
                })
                .collect();
            let used: Vec<&str> = plan.used.iter().map(|part| parts[*part].name).collect();
            lines.push(format!("front {}, used {}", parts[plan.front].name, used.join(" ")));
            lines.join("\n")
        }
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&text);
}

#[test]
fn imports_are_satisfied_by_libraries_that_come_after() {
    check(
        "
        web: acme:a/x@1.2.0 wasi:io/poll@0.2.0 -> wasi:http/incoming-handler@0.2.0
        x: acme:a/y@0.3.1 -> acme:a/x@1.4.0 acme:a/other@1.0.0
        y: wasi:clocks/wall-clock@0.2.3 -> acme:a/y@0.3.0
        ",
        expect![[r#"
            web acme:a/x@1.2.0 <- x acme:a/x@1.4.0
            x acme:a/y@0.3.1 <- y acme:a/y@0.3.0
            front web, used web x y"#]],
    );
    // The very version first, then the first library that is compatible; an interface of WASI may be one, too.
    check(
        "
        web: acme:a/x@1.2.0 wasi:random/random@0.2.0 -> wasi:cli/run@0.2.0
        new: acme:a/x@1.4.0 -> acme:a/z@1.0.0
        old: -> acme:a/x@1.2.0 wasi:random/random@0.2.6
        ",
        expect![[r#"library "new" exports acme:a/z@1.0.0, which nothing here imports"#]],
    );
    check(
        "
        web: acme:a/x@1.2.0 wasi:random/random@0.2.0 -> wasi:cli/run@0.2.0
        wrap: acme:a/x@1.2.0 -> acme:a/x@1.2.0
        old: -> acme:a/x@1.2.0 wasi:random/random@0.2.6
        ",
        expect![[r#"
            web acme:a/x@1.2.0 <- wrap acme:a/x@1.2.0
            web wasi:random/random@0.2.0 <- old wasi:random/random@0.2.6
            wrap acme:a/x@1.2.0 <- old acme:a/x@1.2.0
            front web, used web wrap old"#]],
    );
}

#[test]
fn middleware_goes_in_front_in_order() {
    check(
        "
        web: acme:a/x@1.0.0 -> wasi:http/incoming-handler@0.2.3
        outer: wasi:http/incoming-handler@0.2.0 acme:a/x@1.0.0 -> wasi:http/incoming-handler@0.2.0
        x: -> acme:a/x@1.0.0
        inner: wasi:http/types@0.2.0 wasi:http/incoming-handler@0.2.0 -> wasi:http/incoming-handler@0.2.6
        ",
        expect![[r#"
            inner wasi:http/incoming-handler@0.2.0 <- web wasi:http/incoming-handler@0.2.3
            outer wasi:http/incoming-handler@0.2.0 <- inner wasi:http/incoming-handler@0.2.6
            web acme:a/x@1.0.0 <- x acme:a/x@1.0.0
            outer acme:a/x@1.0.0 <- x acme:a/x@1.0.0
            front outer, used web outer x inner"#]],
    );
    let other_generation = "
        web: -> wasi:http/handler@0.3.0
        auth: wasi:http/incoming-handler@0.2.0 -> wasi:http/incoming-handler@0.2.0
        ";
    for may_be_unused in [false, true] {
        check_with(
            other_generation,
            may_be_unused,
            expect![[
                r#"library "auth" is middleware for wasi:http/incoming-handler@0.2.0, and container "web" exports wasi:http/handler@0.3.0"#
            ]],
        );
    }
    let command = "
        job: -> wasi:cli/run@0.2.0
        auth: wasi:http/handler@0.3.0 -> wasi:http/handler@0.3.0
        ";
    check(
        command,
        expect![[
            r#"library "auth" is middleware for wasi:http/handler@0.3.0, and container "job" exports no handler"#
        ]],
    );
    // It may be for another container of the pod.
    check_with(command, true, expect!["front job, used job"]);
}

#[test]
fn what_does_not_fit_is_named_with_both_versions() {
    check(
        "
        web: acme:a/x@1.2.0 -> wasi:cli/run@0.2.0
        x: -> acme:a/x@2.0.0
        ",
        expect![[
            r#"container "web" imports acme:a/x@1.2.0, and library "x" exports acme:a/x@2.0.0: another version, which is not compatible with it"#
        ]],
    );
    check(
        "
        web: acme:a/x@1.2.0 acme:a/y@0.1.0-rc acme:a/z -> wasi:cli/run@0.2.0
        x: -> acme:a/x@1.2.0
        ",
        expect!["imports acme:a/y@0.1.0-rc, acme:a/z, which nothing here provides"],
    );
    check(
        "
        web: acme:a/x@1.2.0 acme:a/y@1.0.0 -> wasi:cli/run@0.2.0
        y: -> acme:a/y@1.0.0
        x: acme:a/y@1.0.0 -> acme:a/x@1.2.0
        ",
        expect![[r#"library "x" imports acme:a/y@1.0.0 from library "y": name "y" after it"#]],
    );
    check(
        "
        web: acme:a/user@1.0.0 -> wasi:http/handler@0.3.0
        auth: wasi:http/handler@0.3.0 -> wasi:http/handler@0.3.0 acme:a/user@1.0.0
        ",
        expect![[
            r#"container "web" imports acme:a/user@1.0.0, and middleware "auth" in front of it cannot be behind it, too"#
        ]],
    );
    for (exports, expected) in [
        (
            "wasi:http/incoming-handler@0.2.0",
            expect![[r#"library "x" is a wasi:http 0.2 handler and no library: leave it out of the libraries"#]],
        ),
        (
            "wasi:cli/run@0.3.0",
            expect![[r#"library "x" is a wasi:cli 0.3 command and no library: leave it out of the libraries"#]],
        ),
        ("", expect![[r#"library "x" is a component without exports and no library: leave it out of the libraries"#]]),
    ] {
        check(&format!("web: -> wasi:cli/run@0.2.0\nx: -> {exports}"), expected);
    }
}

#[test]
fn what_is_not_needed_is_named_unless_it_may_be_for_others() {
    let parts = "
        web: -> wasi:cli/run@0.2.0
        x: acme:a/y@1.0.0 -> acme:a/x@1.2.0
        ";
    check(parts, expect![[r#"library "x" exports acme:a/x@1.2.0, which nothing here imports"#]]);
    check_with(parts, true, expect!["front web, used web"]);
}
