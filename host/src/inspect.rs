//! Says what a Wasm file is and what it needs, without running or compiling it.
//!
//! Deliberately absent: full validation; the compiler does that.

mod capability;

pub use capability::{Capability, Grant, capabilities};
use serde::Serialize;
use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload};

/// The generations of WASI that a component may be built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wasi {
    /// 0.2, in which a call blocks its instance.
    V02,
    /// 0.3, in which an instance has many calls under way.
    V03,
}

/// What a component is for; of several things, the last one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Exports nothing.
    Other,
    /// Exports other interfaces only: to be linked into a sibling.
    Library,
    /// Exports `wasi:cli/run@0.2`: runs to an end.
    Command02,
    /// Exports `wasi:cli/run@0.3`: runs to an end.
    Command03,
    /// Exports `wasi:http/incoming-handler@0.2`: answers requests.
    HttpHandler02,
    /// Exports `wasi:http/handler@0.3`: answers requests, several at once.
    HttpHandler03,
    /// Exports `wasi:http/incoming-handler@0.2` and imports it: to be put in front of a handler.
    Middleware02,
    /// Exports `wasi:http/handler@0.3` and imports it: to be put in front of a handler.
    Middleware03,
}

impl Kind {
    /// What a component with these exports is for.
    pub fn of_exports<'a>(exports: impl IntoIterator<Item = &'a str>) -> Kind {
        let kind = |export| match versioned(export) {
            Some(HANDLER_03) => Kind::HttpHandler03,
            Some(HANDLER_02) => Kind::HttpHandler02,
            Some(("wasi:cli/run", (0, 3))) => Kind::Command03,
            Some(("wasi:cli/run", (0, 2))) => Kind::Command02,
            _ => Kind::Library,
        };
        exports.into_iter().map(kind).max().unwrap_or(Kind::Other)
    }

    /// It answers requests.
    pub fn is_handler(self) -> bool {
        matches!(self, Kind::HttpHandler02 | Kind::HttpHandler03)
    }

    /// It passes requests on to a handler.
    pub fn is_middleware(self) -> bool {
        matches!(self, Kind::Middleware02 | Kind::Middleware03)
    }

    /// It runs to an end.
    pub fn is_command(self) -> bool {
        matches!(self, Kind::Command02 | Kind::Command03)
    }

    /// The kind in words.
    pub fn describe(self) -> &'static str {
        match self {
            Kind::HttpHandler02 => "wasi:http 0.2 handler",
            Kind::HttpHandler03 => "wasi:http 0.3 handler",
            Kind::Middleware02 => "wasi:http 0.2 middleware",
            Kind::Middleware03 => "wasi:http 0.3 middleware",
            Kind::Command02 => "wasi:cli 0.2 command",
            Kind::Command03 => "wasi:cli 0.3 command",
            Kind::Library => "library",
            Kind::Other => "component without exports",
        }
    }
}

/// What a component is and needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// What it is for.
    pub kind: Kind,
    /// All that it imports, in order.
    pub imports: Vec<String>,
    /// All that it exports, in order.
    pub exports: Vec<String>,
    /// Those imports that no host provides.
    pub unknown: Vec<String>,
}

impl Inspection {
    /// What is known of a component by the names of what it imports and exports.
    pub(crate) fn of_names(imports: Vec<String>, exports: Vec<String>) -> Inspection {
        let kind = Kind::of_exports(exports.iter().map(String::as_str));
        let unknown = imports.iter().filter(|import| !is_provided(import)).cloned().collect();
        let mut inspection = Inspection { kind, imports, exports, unknown };
        inspection.kind = match (kind, inspection.handler_import()) {
            (Kind::HttpHandler02, Some(_)) => Kind::Middleware02,
            (Kind::HttpHandler03, Some(_)) => Kind::Middleware03,
            (kind, _) => kind,
        };
        inspection
    }

    /// The handler that it exports, by name and version.
    pub fn handler_export(&self) -> Option<&str> {
        let interface = match self.kind {
            Kind::HttpHandler02 | Kind::Middleware02 => HANDLER_02,
            Kind::HttpHandler03 | Kind::Middleware03 => HANDLER_03,
            Kind::Other | Kind::Library | Kind::Command02 | Kind::Command03 => return None,
        };
        named(&self.exports, interface)
    }

    /// The handler that it imports, of the generation that it exports.
    pub fn handler_import(&self) -> Option<&str> {
        let interface = versioned(self.handler_export()?);
        self.imports.iter().map(String::as_str).find(|import| versioned(import) == interface)
    }

    /// What the component must be compiled for: 0.2 unless it names anything of 0.3.
    pub fn wasi(&self) -> Wasi {
        let is_03 = |name: &String| matches!(versioned(name), Some((_, (0, 3))));
        if self.imports.iter().chain(&self.exports).any(is_03) { Wasi::V03 } else { Wasi::V02 }
    }
}

/// Why a file can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// It doesn't start as Wasm does.
    #[error("not a WebAssembly file: it starts with {found}, not with \"\\0asm\"")]
    NotWasm {
        /// Its first bytes.
        found: String,
    },
    /// A module, not a component.
    #[error("a core module, not a component: build for wasm32-wasip2, or wrap it with `wasm-tools component new`")]
    CoreModule,
    /// It ends too early.
    #[error("the file is truncated: it ends after {bytes} bytes, within a section")]
    Truncated {
        /// Its length.
        bytes: usize,
    },
    /// It is damaged.
    #[error("the file is not a valid component: {reason} (at byte {offset})")]
    Invalid {
        /// What is wrong.
        reason: String,
        /// Where.
        offset: u64,
    },
}

/// What answers requests, by interface and compatible version.
const HANDLER_02: (&str, (u64, u64)) = ("wasi:http/incoming-handler", (0, 2));
const HANDLER_03: (&str, (u64, u64)) = ("wasi:http/handler", (0, 3));

/// Interfaces of WASI 0.2 and of ours that go with it, which every host links.
const PROVIDED_02: &[&str] = &[
    "coracle:lifecycle/termination",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// Interfaces of WASI 0.3 and of ours that go with it, which every host links.
const PROVIDED_03: &[&str] = &[
    "coracle:lifecycle/termination",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/types",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/system-clock",
    "wasi:clocks/types",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/client",
    "wasi:http/types",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/types",
];

/// What no final version of WASI has. Drafts are not compatible with each other, so it is this one or none.
const PROVIDED_DRAFTS: &[&str] = &["wasi:config/store@0.2.0-rc.1"];

/// Whether every host provides this import.
pub fn is_provided(import: &str) -> bool {
    match versioned(import) {
        _ if PROVIDED_DRAFTS.contains(&import) => true,
        Some((name, (0, 2))) => PROVIDED_02.contains(&name),
        Some((name, (0, 3))) => PROVIDED_03.contains(&name),
        _ => false,
    }
}

/// Reads the outline of a component.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, InspectError> {
    if !bytes.starts_with(b"\0asm") {
        return Err(InspectError::NotWasm { found: first_bytes(bytes) });
    }
    let mut names = Names::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let read = payload.and_then(|payload| read_payload(payload, &mut depth, &mut names));
        match read {
            Ok(Outline::Component) => {}
            Ok(Outline::CoreModule) => return Err(InspectError::CoreModule),
            Err(error) if error.message().starts_with("unexpected end") || error.offset() >= bytes.len() => {
                return Err(InspectError::Truncated { bytes: bytes.len() });
            }
            Err(error) => {
                return Err(InspectError::Invalid {
                    reason: error.message().to_owned(),
                    offset: error.offset() as u64,
                });
            }
        }
    }
    Ok(Inspection::of_names(names.imports, names.exports))
}

#[derive(Default)]
struct Names {
    imports: Vec<String>,
    exports: Vec<String>,
}

enum Outline {
    Component,
    CoreModule,
}

fn read_payload(payload: Payload<'_>, depth: &mut usize, found: &mut Names) -> wasmparser::Result<Outline> {
    match payload {
        Payload::Version { encoding: Encoding::Module, .. } if *depth == 0 => return Ok(Outline::CoreModule),
        Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => *depth += 1,
        Payload::End(_) => *depth = depth.saturating_sub(1),
        Payload::ComponentImportSection(imports) if *depth == 0 => {
            for import in imports {
                found.imports.push(import?.name.name.to_owned());
            }
        }
        Payload::ComponentExportSection(exports) if *depth == 0 => {
            for export in exports {
                let export = export?;
                if matches!(export.kind, ComponentExternalKind::Instance | ComponentExternalKind::Func) {
                    found.exports.push(export.name.name.to_owned());
                }
            }
        }
        _ => {}
    }
    Ok(Outline::Component)
}

/// Splits `wasi:http/types@0.2.6` into its name and the numbers that decide compatibility.
fn versioned(name: &str) -> Option<(&str, (u64, u64))> {
    let (name, version) = name.split_once('@')?;
    let version = version.split(['-', '+']).next()?;
    let mut numbers = version.split('.').map(str::parse::<u64>);
    Some((name, (numbers.next()?.ok()?, numbers.next()?.ok()?)))
}

fn named<'a>(names: &'a [String], interface: (&str, (u64, u64))) -> Option<&'a str> {
    names.iter().map(String::as_str).find(|name| versioned(name) == Some(interface))
}

fn first_bytes(bytes: &[u8]) -> String {
    match bytes {
        [] => "nothing (the file is empty)".to_owned(),
        bytes => format!("\"{}\"", bytes[..bytes.len().min(8)].escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(bytes: &[u8], expected: Expect) {
        let text = match inspect(bytes) {
            Ok(found) => format!(
                "{}; imports {}; exports {}; unknown {}",
                found.kind.describe(),
                found.imports.join(" "),
                found.exports.join(" "),
                found.unknown.join(" ")
            ),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&text);
    }

    fn guest(name: &str) -> Vec<u8> {
        wat::parse_file(format!("{}/../tests/guests/{name}.wat", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn what_is_not_a_component_is_named() {
        check(
            b"",
            expect![[r#"not a WebAssembly file: it starts with nothing (the file is empty), not with "\0asm""#]],
        );
        check(b"#!/bin/sh\n", expect![[r##"not a WebAssembly file: it starts with "#!/bin/s", not with "\0asm""##]]);
        check(b"\0as", expect![[r#"not a WebAssembly file: it starts with "\x00as", not with "\0asm""#]]);
        check(
            &guest("core-module"),
            expect![
                "a core module, not a component: build for wasm32-wasip2, or wrap it with `wasm-tools component new`"
            ],
        );
        let bytes = guest("command-exit-0");
        check(&bytes[..bytes.len() / 2], expect!["the file is truncated: it ends after 97 bytes, within a section"]);
        check(&bytes[..8], expect!["component without exports; imports ; exports ; unknown "]);
        let mut damaged = bytes.clone();
        damaged[4] = 0x7f;
        check(&damaged, expect!["the file is not a valid component: unknown binary version:    0x1007f (at byte 4)"]);
    }

    #[test]
    fn components_say_what_they_are_and_need() {
        check(
            &guest("command-exit-0"),
            expect!["wasi:cli 0.2 command; imports ; exports wasi:cli/run@0.2.0; unknown "],
        );
        check(
            &guest("handler-traps"),
            expect![
                "wasi:http 0.2 handler; imports wasi:http/types@0.2.0; exports wasi:http/incoming-handler@0.2.0; unknown "
            ],
        );
        check(
            &guest("unknown-import"),
            expect![
                "wasi:cli 0.2 command; imports acme:billing/ledger@1.2.0; exports wasi:cli/run@0.2.0; unknown acme:billing/ledger@1.2.0"
            ],
        );
    }

    #[test]
    fn provided_imports() {
        for (import, provided) in [
            ("wasi:http/types@0.2.0", true),
            ("wasi:http/types@0.2.12", true),
            ("wasi:http/types@0.2.0-rc-2024-01-01", true),
            ("wasi:http/types@0.3.0", true),
            ("wasi:config/store@0.2.0-rc.1", true),
            ("wasi:config/store@0.2.0-draft", false),
            ("wasi:config/store@0.2.0", false),
            ("wasi:http/handler@0.3.0", false),
            ("wasi:io/streams@0.3.0", false),
            ("wasi:http/types@0.4.0", false),
            ("wasi:http/types", false),
            ("wasi:http/nothing@0.2.0", false),
            ("acme:billing/ledger@1.2.0", false),
        ] {
            assert_eq!(is_provided(import), provided, "{import}");
        }
    }
}
