//! The house rules that a compiler does not check: which crate may use which, how long a file may be, that each example has a test,
//! that each crate inherits the workspace's lints.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::process::root;

/// The longest file. A limit only tightens.
const FILE_LINES_MAX: usize = 1_000;

/// Which of our crates each crate may depend on, dev-dependencies included. A crate that is missing here is an error too.
const MAY_USE: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("store", &[]),
    ("registry", &[]),
    ("net", &[]),
    ("scheduler", &["api"]),
    ("client", &["api"]),
    ("sdk", &["sdk-macros"]),
    ("control", &["api", "scheduler", "store", "net", "registry"]),
    ("host", &["api", "client", "net", "registry"]),
    ("wasmctl", &["api", "client", "control", "host", "net", "registry", "store"]),
    ("tests", &["api", "client", "store"]),
    ("xtask", &[]),
];

/// Prints every broken rule, then fails if there was one.
pub(crate) fn run() -> Result<()> {
    let root = root();
    let mut broken = dependencies(&root)?;
    broken.extend(file_lengths(&root)?);
    broken.extend(examples(&root)?);
    if broken.is_empty() {
        return Ok(());
    }
    for line in &broken {
        eprintln!("tidy: {line}");
    }
    bail!("{} house rules are broken", broken.len())
}

fn dependencies(root: &Path) -> Result<Vec<String>> {
    let rules: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut broken = Vec::new();
    for entry in fs::read_dir(root)? {
        let manifest = entry?.path().join("Cargo.toml");
        let Some(krate) = manifest.parent().and_then(Path::file_name).and_then(|name| name.to_str()).map(str::to_owned)
        else {
            continue;
        };
        if !manifest.is_file() || krate == "examples" {
            continue;
        }
        let text = fs::read_to_string(&manifest)?;
        broken.extend(manifest_problems(&krate, &text, rules.get(krate.as_str()).copied()));
    }
    Ok(broken)
}

fn manifest_problems(krate: &str, manifest: &str, may_use: Option<&[&str]>) -> Vec<String> {
    let Some(may_use) = may_use else {
        return vec![format!("{krate}/: no rule in xtask/src/tidy.rs says what it may depend on")];
    };
    let mut broken = Vec::new();
    for line in manifest.lines() {
        if let Some((used, _)) = line.strip_prefix("coracle-").and_then(|rest| rest.split_once(['.', ' ', '=']))
            && !may_use.contains(&used)
        {
            broken.push(format!("{krate}/Cargo.toml: may not depend on `{used}`"));
        }
    }
    if !manifest.contains("[lints]\nworkspace = true") {
        broken.push(format!("{krate}/Cargo.toml: does not inherit the workspace's lints"));
    }
    broken
}

fn file_lengths(root: &Path) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for file in rust_files(root)? {
        let lines = fs::read_to_string(&file)?.lines().count();
        if lines > FILE_LINES_MAX {
            broken.push(format!(
                "{}: {lines} lines, the limit is {FILE_LINES_MAX}",
                file.strip_prefix(root).unwrap_or(&file).display()
            ));
        }
        if file.file_name().is_some_and(|name| name == "mod.rs") {
            broken.push(format!(
                "{}: `foo.rs` beside `foo/`, not `foo/mod.rs`",
                file.strip_prefix(root).unwrap_or(&file).display()
            ));
        }
    }
    Ok(broken)
}

fn rust_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

/// Each folder of `examples/` has a README and a test in `tests/e2e/examples.rs` that names it.
fn examples(root: &Path) -> Result<Vec<String>> {
    let tests = fs::read_to_string(root.join("tests/e2e/examples.rs")).unwrap_or_default();
    let mut broken = Vec::new();
    for entry in fs::read_dir(root.join("examples"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if !path.is_dir() || name == "target" {
            continue;
        }
        if !path.join("README.md").is_file() {
            broken.push(format!("examples/{name}: has no README.md"));
        }
        if !tests.contains(&format!("fn {}(", name.replace('-', "_"))) {
            broken.push(format!(
                "examples/{name}: has no test; write `fn {}` in tests/e2e/examples.rs",
                name.replace('-', "_")
            ));
        }
    }
    Ok(broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_forbidden_direction_is_named() {
        let manifest =
            "[dependencies]\ncoracle-store.workspace = true\ncoracle-api.workspace = true\n[lints]\nworkspace = true\n";
        expect![[r#"
            [
                "scheduler/Cargo.toml: may not depend on `store`",
            ]
        "#]]
        .assert_debug_eq(&manifest_problems("scheduler", manifest, Some(&["api"])));
    }

    #[test]
    fn missing_lints_and_unknown_crates_are_named() {
        assert_eq!(manifest_problems("api", "[dependencies]\n", Some(&[])).len(), 1);
        assert_eq!(manifest_problems("news", "", None).len(), 1);
    }
}
