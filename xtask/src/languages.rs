//! Builds the examples in other languages than Rust, with the tools that their own folders pin.
//!
//! Deliberately absent: installing Node or Python themselves. Whoever lacks them is told what to get.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::peers;
use crate::process::{quietly, root, target_dir};

/// Builds a copy of an example into a file.
type Build = fn(&Path, &Path) -> Result<()>;

/// Its tests, by what builds the component that each of them needs.
const TESTS: &[(&str, Build)] = &[("hello_javascript", build_javascript), ("hello_python", build_python)];

/// The tests of them whose name contains the filter; with one that leaves none, there is nothing to do.
pub(crate) fn tests(filter: Option<&str>) -> Result<Vec<&'static str>> {
    let names = TESTS.iter().map(|(name, _)| *name);
    let tests: Vec<&str> = names.clone().filter(|name| filter.is_none_or(|filter| name.contains(filter))).collect();
    if tests.is_empty() {
        let (filter, names) = (filter.unwrap_or_default(), names.collect::<Vec<_>>().join(" and "));
        bail!("--languages adds the tests {names}, and {filter:?} is in neither name; leave one of the two out");
    }
    Ok(tests)
}

/// Builds the components that these tests need, and gives the folder that they are in.
pub(crate) fn build(tests: &[&str]) -> Result<PathBuf> {
    let folder = target_dir().join("languages");
    for (name, build) in TESTS.iter().filter(|(name, _)| tests.contains(name)) {
        let example = name.replace('_', "-");
        // A copy, as the tools leave files of their own beside what they read.
        let (source, copy) = (root().join("examples").join(&example), folder.join(&example));
        copy_files(&source, &copy).with_context(|| format!("{example} could not be copied"))?;
        build(&copy, &folder.join(format!("{example}.wasm")))?;
    }
    Ok(folder)
}

fn build_javascript(example: &Path, output: &Path) -> Result<()> {
    let modules = example.join("node_modules");
    if !modules.exists() {
        std::os::unix::fs::symlink(peers::node_modules(example)?, &modules)?;
    }
    quietly("hello-javascript: building", Command::new("node").arg("build.mjs").current_dir(example))?;
    std::fs::rename(example.join("hello-javascript.wasm"), output)?;
    Ok(())
}

fn build_python(example: &Path, output: &Path) -> Result<()> {
    let packages = peers::python_packages("componentize-py", &example.join("requirements.txt"))?;
    let mut command = Command::new("python3");
    command.arg(packages.join("bin/componentize-py")).env("PYTHONPATH", packages).current_dir(example);
    command
        .args(["--quiet", "--wit-path", "handler.wit", "--world", "handler", "componentize", "hello", "--output"])
        .arg(output);
    quietly("hello-python: building", &mut command)?;
    Ok(())
}

fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_name().to_str() {
            Some("node_modules" | "__pycache__") => {}
            _ if path.is_dir() => copy_files(&path, &target)?,
            _ => drop(std::fs::copy(&path, &target)?),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(filter: Option<&str>, expected: Expect) {
        expected.assert_eq(&super::tests(filter).map_or_else(|error| error.to_string(), |tests| tests.join(" ")));
    }

    #[test]
    fn a_filter_leaves_some_of_them() {
        check(None, expect!["hello_javascript hello_python"]);
        check(Some("hello"), expect!["hello_javascript hello_python"]);
        check(Some("python"), expect!["hello_python"]);
        check(
            Some("zoo"),
            expect![[
                r#"--languages adds the tests hello_javascript and hello_python, and "zoo" is in neither name; leave one of the two out"#
            ]],
        );
    }
}
