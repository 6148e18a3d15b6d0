//! The projects that `wasmctl new` begins with, and the rules for their names. The files are in `templates/`, and are part of the binary.
//!
//! Deliberately absent: templates from elsewhere; `cargo generate` has them.

use coracle_api::validation::dns1123_label;

/// A template's files, with the places that they go to.
pub(crate) struct Template {
    files: &'static [(&'static str, &'static str)],
}

/// What to fill in.
pub(crate) struct Values<'a> {
    /// The project's name: a DNS label, and a package's.
    pub(crate) name: &'a str,
    /// The folder of `coracle-sdk`.
    pub(crate) sdk: &'a str,
}

/// Answers HTTP requests.
const HTTP: Template = Template {
    files: &[
        GITIGNORE,
        HTTP_MANIFEST,
        HTTP_README,
        ("Cargo.toml", include_str!("../templates/http/Cargo.toml.in")),
        ("src/lib.rs", include_str!("../templates/http/lib.rs")),
    ],
};

/// The same with the SDK.
const HTTP_SDK: Template = Template {
    files: &[
        GITIGNORE,
        HTTP_MANIFEST,
        HTTP_README,
        ("Cargo.toml", include_str!("../templates/http-sdk/Cargo.toml.in")),
        ("src/lib.rs", include_str!("../templates/http-sdk/lib.rs")),
    ],
};

/// Runs to its end.
const JOB: Template = Template {
    files: &[
        GITIGNORE,
        JOB_MANIFEST,
        JOB_README,
        ("Cargo.toml", include_str!("../templates/job/Cargo.toml.in")),
        ("src/main.rs", include_str!("../templates/job/main.rs")),
    ],
};

/// The same with the SDK.
const JOB_SDK: Template = Template {
    files: &[
        GITIGNORE,
        JOB_MANIFEST,
        JOB_README,
        ("Cargo.toml", include_str!("../templates/job-sdk/Cargo.toml.in")),
        ("src/main.rs", include_str!("../templates/job-sdk/main.rs")),
    ],
};

const GITIGNORE: (&str, &str) = (".gitignore", "/target\n");
const HTTP_MANIFEST: (&str, &str) = ("deployment.yaml", include_str!("../templates/http/deployment.yaml"));
const HTTP_README: (&str, &str) = ("README.md", include_str!("../templates/http/README.md"));
const JOB_MANIFEST: (&str, &str) = ("pod.yaml", include_str!("../templates/job/pod.yaml"));
const JOB_README: (&str, &str) = ("README.md", include_str!("../templates/job/README.md"));

/// What kind of component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TemplateName {
    /// Answers HTTP requests
    Http,
    /// Runs to its end
    Job,
}

/// The template for a kind of component, with the SDK or without.
pub(crate) fn template(name: TemplateName, with_sdk: bool) -> &'static Template {
    match (name, with_sdk) {
        (TemplateName::Http, false) => &HTTP,
        (TemplateName::Http, true) => &HTTP_SDK,
        (TemplateName::Job, false) => &JOB,
        (TemplateName::Job, true) => &JOB_SDK,
    }
}

impl Template {
    /// Its files: where each goes in the project's folder, and what is in it.
    pub(crate) fn render(&self, values: &Values<'_>) -> Vec<(&'static str, String)> {
        let crate_name = values.name.replace('-', "_");
        let fill = |text: &str| {
            text.replace("{{name}}", values.name).replace("{{crate}}", &crate_name).replace("{{sdk}}", values.sdk)
        };
        self.files.iter().map(|(path, text)| (*path, fill(text))).collect()
    }
}

/// Why a project can't have this name; `None` where it can. It becomes a package's, a crate's and a Deployment's.
pub(crate) fn name_problem(name: &str) -> Option<String> {
    if let Some(reason) = dns1123_label(name).into_iter().next() {
        return Some(reason);
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Some("a package's name begins with a letter".to_owned());
    }
    if KEYWORDS.contains(&name) {
        return Some("it is a keyword of Rust".to_owned());
    }
    if TAKEN.contains(&name) {
        return Some("cargo, Rust or a library of the template has this name already".to_owned());
    }
    None
}

/// Of the Rust reference; those that a DNS label can be.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// What cargo refuses, and what would be two crates of one name.
const TAKEN: &[&str] = &[
    "alloc",
    "build",
    "core",
    "coracle-sdk",
    "deps",
    "examples",
    "incremental",
    "proc-macro",
    "serde",
    "std",
    "test",
    "wstd",
];

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(name: &str, expected: Expect) {
        expected.assert_eq(&name_problem(name).unwrap_or_else(|| "fine".to_owned()));
    }

    #[test]
    fn names() {
        check("shop", expect!["fine"]);
        check("my-shop-2", expect!["fine"]);
        check("2-shops", expect!["a package's name begins with a letter"]);
        check(
            "My_Shop",
            expect![
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ],
        );
        check("fn", expect!["it is a keyword of Rust"]);
        check("wstd", expect!["cargo, Rust or a library of the template has this name already"]);
        check(
            "",
            expect![
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ],
        );
    }

    #[test]
    fn every_place_is_filled_in() {
        for name in [TemplateName::Http, TemplateName::Job] {
            for with_sdk in [false, true] {
                let files = template(name, with_sdk).render(&Values { name: "my-shop", sdk: "/sdk" });
                for (path, text) in &files {
                    assert!(!text.contains("{{"), "{path}: {text}");
                }
                let has = |wanted: &str| files.iter().any(|(path, _)| *path == wanted);
                assert!(has("Cargo.toml") && has("README.md") && has(".gitignore"));
                assert!(files.iter().any(|(path, text)| path.ends_with(".rs") && text.contains("#[test]")));
                let manifest = files.iter().find(|(path, _)| path.ends_with(".yaml")).unwrap();
                coracle_api::yaml::parse_all(&manifest.1).unwrap();
            }
        }
    }
}
