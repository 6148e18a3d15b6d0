//! What a component's imports let it do here, in words: what it gets, what its pod has to declare for it, and what no host provides.
//!
//! Deliberately absent: what it makes of it. An import is no use; Rust's own library imports files for every component.

use serde::Serialize;

use super::{HANDLER_02, HANDLER_03, is_provided, versioned};

/// How an import that no host provides is satisfied.
const LINKED: &str =
    "another component that exports it can: a container of the pod, named in its annotation coracle.dev/libraries";

/// One thing that a component can ask its host for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capability {
    /// In a word or two: `files`.
    pub name: &'static str,
    /// Who has to do something for it.
    pub grant: Grant,
    /// What it gets, in a sentence's words.
    pub what: &'static str,
    /// The imports that ask for it, in order.
    pub imports: Vec<String>,
}

/// What it takes that a component has a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Grant {
    /// Every component has it.
    Given,
    /// It has as much of it as its pod declares.
    Declared,
    /// No host provides it: the component does not start.
    Missing,
}

impl Grant {
    /// The grant in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Grant::Given => "given",
            Grant::Declared => "as declared",
            Grant::Missing => "missing",
        }
    }
}

/// Name, grant, words, and the interfaces: whole ones, or all of a package that ends with `/`.
type Row = (&'static str, Grant, &'static str, &'static [&'static str]);

const ROWS: &[Row] = &[
    ("clocks", Grant::Given, "the time, and waiting", &["wasi:clocks/"]),
    ("random numbers", Grant::Given, "of the operating system's quality", &["wasi:random/"]),
    ("its end", Grant::Given, "it is told when it is to end, and has its pod's grace for it", &["coracle:lifecycle/"]),
    ("streams", Grant::Given, "what the others are made of", &["wasi:io/", "wasi:http/types", "wasi:cli/types"]),
    (
        "output, exit",
        Grant::Given,
        "what it prints is its pod's log",
        &[
            "wasi:cli/exit",
            "wasi:cli/stdout",
            "wasi:cli/stderr",
            "wasi:cli/terminal-output",
            "wasi:cli/terminal-stdout",
            "wasi:cli/terminal-stderr",
        ],
    ),
    (
        "configuration",
        Grant::Declared,
        "the ConfigMaps in the pod's annotation coracle.dev/config, as they are at its start; else none",
        &["wasi:config/store"],
    ),
    ("environment", Grant::Declared, "the container's `args`, `env` and `envFrom`", &["wasi:cli/environment"]),
    (
        "input",
        Grant::Declared,
        "a command's, with `stdin: true` in its container; else it is empty",
        &["wasi:cli/stdin", "wasi:cli/terminal-input", "wasi:cli/terminal-stdin"],
    ),
    ("files", Grant::Declared, "the volumes in the container's `volumeMounts`; else none", &["wasi:filesystem/"]),
    (
        "outgoing HTTP",
        Grant::Declared,
        "Services and pods always, the outside as the pod's annotation coracle.dev/egress says",
        &["wasi:http/outgoing-handler", "wasi:http/client"],
    ),
    (
        "sockets",
        Grant::Declared,
        "a command listens at its pod's address; outwards pods of this host, else as coracle.dev/egress says",
        &["wasi:sockets/"],
    ),
];

/// What these imports ask for; what is missing first, then what a pod has a say in, then the rest.
pub fn capabilities(imports: &[String]) -> Vec<Capability> {
    let mut found: Vec<Capability> = Vec::new();
    for import in imports {
        let (name, grant, what) = describe(import);
        match found.iter_mut().find(|capability| capability.name == name) {
            Some(capability) => capability.imports.push(import.clone()),
            None => found.push(Capability { name, grant, what, imports: vec![import.clone()] }),
        }
    }
    found.sort_by_key(|capability| (std::cmp::Reverse(capability.grant), capability.name));
    found
}

fn describe(import: &str) -> (&'static str, Grant, &'static str) {
    let covers = |interface: &str| match versioned(import) {
        Some((name, _)) if interface.ends_with('/') => name.starts_with(interface),
        Some((name, _)) => name == interface,
        None => false,
    };
    let row = ROWS.iter().find(|(_, _, _, interfaces)| interfaces.iter().any(|interface| covers(interface)));
    match row {
        Some((name, grant, what, _)) if is_provided(import) => (name, *grant, what),
        _ if matches!(versioned(import), Some(HANDLER_02 | HANDLER_03)) => (
            "a handler",
            Grant::Missing,
            "it is middleware: a library, in coracle.dev/libraries, in a pod with a handler",
        ),
        _ if import.starts_with("wasi:") => (
            "other WASI",
            Grant::Missing,
            "no interface, or no version of one, that hosts provide; a library of the pod may",
        ),
        _ => ("not of WASI", Grant::Missing, LINKED),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PROVIDED_02, PROVIDED_03, PROVIDED_DRAFTS};
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(imports: &[&str], expected: Expect) {
        let imports: Vec<String> = imports.iter().map(|import| (*import).to_owned()).collect();
        let lines = capabilities(&imports)
            .into_iter()
            .map(|found| format!("{}: {} ({})\n", found.name, found.grant.as_str(), found.imports.join(", ")));
        expected.assert_eq(&lines.collect::<String>());
    }

    #[test]
    fn imports_are_told_as_what_they_let_a_component_do() {
        check(
            &[
                "wasi:io/streams@0.2.3",
                "wasi:http/types@0.2.3",
                "wasi:cli/environment@0.2.0",
                "wasi:config/store@0.2.0-rc.1",
                "wasi:filesystem/types@0.2.0",
                "wasi:filesystem/preopens@0.2.0",
                "wasi:http/outgoing-handler@0.2.3",
                "wasi:sockets/tcp@0.2.0",
                "wasi:keyvalue/store@0.2.0-draft",
                "wasi:http/incoming-handler@0.2.3",
                "acme:billing/ledger@1.2.0",
            ],
            expect![[r#"
                a handler: missing (wasi:http/incoming-handler@0.2.3)
                not of WASI: missing (acme:billing/ledger@1.2.0)
                other WASI: missing (wasi:keyvalue/store@0.2.0-draft)
                configuration: as declared (wasi:config/store@0.2.0-rc.1)
                environment: as declared (wasi:cli/environment@0.2.0)
                files: as declared (wasi:filesystem/types@0.2.0, wasi:filesystem/preopens@0.2.0)
                outgoing HTTP: as declared (wasi:http/outgoing-handler@0.2.3)
                sockets: as declared (wasi:sockets/tcp@0.2.0)
                streams: given (wasi:io/streams@0.2.3, wasi:http/types@0.2.3)
            "#]],
        );
        check(
            &["wasi:http/client@0.3.0", "wasi:sockets/types@0.3.0", "wasi:http/types@0.4.0"],
            expect![[r#"
            other WASI: missing (wasi:http/types@0.4.0)
            outgoing HTTP: as declared (wasi:http/client@0.3.0)
            sockets: as declared (wasi:sockets/types@0.3.0)
        "#]],
        );
        check(&[], expect![]);
    }

    #[test]
    fn everything_that_hosts_provide_is_told() {
        let of = |interfaces: &[&str], version| {
            interfaces.iter().map(move |it| format!("{it}@{version}")).collect::<Vec<_>>()
        };
        let drafts = PROVIDED_DRAFTS.iter().map(|import| (*import).to_owned());
        for import in of(PROVIDED_02, "0.2.0").into_iter().chain(of(PROVIDED_03, "0.3.0")).chain(drafts) {
            let (name, grant, _) = describe(&import);
            assert_ne!(grant, Grant::Missing, "{import}: {name}");
        }
    }
}
