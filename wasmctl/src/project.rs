//! A Rust project on this machine, and the components that cargo builds from it for `wasm32-wasip2`.
//!
//! Deliberately absent: other languages' builds; what they make is deployed as a file.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use coracle_host::inspect::Inspection;
use serde::Deserialize;
use tokio::process::Command;

use crate::failure::{Failure, Result};
use crate::files;

/// What components are built for.
const TARGET: &str = "wasm32-wasip2";

/// A folder with a `Cargo.toml`.
pub(crate) struct Project {
    folder: PathBuf,
    package: Option<String>,
}

/// A component that was built.
pub(crate) struct Built {
    /// The package that it is of.
    pub(crate) package: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Its size.
    pub(crate) bytes: u64,
    /// What it is and needs.
    pub(crate) inspection: Inspection,
}

impl Project {
    /// The project in a folder; of a workspace, one package if it is named.
    pub(crate) fn open(folder: &Path, package: Option<String>) -> Result<Project> {
        if !folder.join("Cargo.toml").is_file() {
            return Err(Failure::usage(format!("{}: no Cargo.toml is in this folder", folder.display()))
                .hint("`wasmctl new NAME` begins a project; a component that something else built is for `wasmctl deploy FILE`"));
        }
        Ok(Project { folder: folder.to_owned(), package })
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Builds it as released; cargo says on standard error what it does, unless `is_quiet`. Gives the components, in the order of their
    /// files, and the time that it took. Dropped, it ends cargo.
    pub(crate) async fn build(&self, is_quiet: bool) -> Result<(Vec<Built>, Duration)> {
        self.check_toolchain().await?;
        let started = Instant::now();
        let mut command = self.command("CARGO", "cargo");
        command.args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
        if let Some(package) = &self.package {
            command.args(["--package", package]);
        }
        if is_quiet {
            command.arg("--quiet");
        }
        let output =
            command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().map_err(|error| no_cargo(&error))?;
        let output = output.wait_with_output().await?;
        if !output.status.success() {
            return Err(Failure::new(format!("{}: cargo did not build it", self.folder.display()))
                .hint("what is wrong is above; nothing was deployed"));
        }
        let mut built = Vec::new();
        for (package, path) in components(&String::from_utf8_lossy(&output.stdout)) {
            let bytes = files::read_component(&path)?;
            let inspection = coracle_host::inspect::inspect(&bytes)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            built.push(Built { package, path, bytes: bytes.len() as u64, inspection });
        }
        if built.is_empty() {
            return Err(Failure::new(format!("{}: cargo built no component", self.folder.display()))
                .detail("expected a program (src/main.rs), or a library with `crate-type = [\"cdylib\"]`")
                .hint("add to Cargo.toml:  [lib]  crate-type = [\"cdylib\"]"));
        }
        built.sort_by(|one, other| one.path.cmp(&other.path));
        Ok((built, started.elapsed()))
    }

    /// Says what is missing before cargo says it in other words.
    async fn check_toolchain(&self) -> Result<()> {
        let mut command = self.command("RUSTC", "rustc");
        command.args(["--print", "target-libdir", "--target", TARGET]);
        let output = command.stderr(Stdio::piped()).output().await.map_err(|error| no_cargo(&error))?;
        let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() && Path::new(&folder).is_dir() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let mut failure = Failure::new(format!("Rust's standard library for {TARGET} is not installed"));
        if let Some(line) = said.lines().next() {
            failure = failure.detail(format!("rustc: {line}"));
        }
        Err(failure.hint(format!("`rustup target add {TARGET}`, then try again")))
    }

    /// A program of the toolchain, as the environment or the PATH names it; in the project's folder, so that its settings hold.
    fn command(&self, variable: &str, program: &str) -> Command {
        let mut command = Command::new(std::env::var_os(variable).unwrap_or_else(|| program.into()));
        command.current_dir(&self.folder).stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

fn no_cargo(error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new("Rust is not installed: cargo is not on the PATH")
            .hint("https://rustup.rs installs it; then `rustup target add wasm32-wasip2`"),
        _ => Failure::new(format!("cannot run cargo: {error}")),
    }
}

/// One of cargo's messages, as far as it matters here. (<https://doc.rust-lang.org/cargo/reference/external-tools.html#json-messages>)
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The packages and files of the components among what cargo says that it has made.
fn components(messages: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for line in messages.lines() {
        let Ok(message) = serde_json::from_str::<Message>(line) else { continue };
        if message.reason != "compiler-artifact" {
            continue;
        }
        let package = package_name(&message.package_id);
        let wasm = message.filenames.into_iter().filter(|file| file.extension().is_some_and(|it| it == "wasm"));
        found.extend(wasm.map(|file| (package.clone(), file)));
    }
    found
}

/// `path+file:///work/shop#0.1.0` and `path+file:///work/x#shop@0.1.0` are ids of the package `shop`.
/// (<https://doc.rust-lang.org/cargo/reference/pkgid-spec.html>)
fn package_name(id: &str) -> String {
    let (place, rest) = id.rsplit_once('#').unwrap_or((id, ""));
    match rest.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => place.rsplit('/').next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn components_are_what_cargo_says() {
        let messages = r#"
            {"reason":"compiler-artifact","package_id":"registry+https://example.com/index#wstd@0.6.8","target":{"kind":["lib"]},"filenames":["/t/libwstd.rlib"]}
            {"reason":"compiler-artifact","package_id":"path+file:///work/shop#0.1.0","target":{"kind":["cdylib"]},"filenames":["/t/release/shop.wasm"],"fresh":true}
            {"reason":"compiler-artifact","package_id":"path+file:///work/apps#my-job@0.1.0","filenames":["/t/release/my-job.wasm"]}
            what a build script printed
            {"reason":"build-finished","success":true}
        "#;
        expect![[r#"
            [
                (
                    "shop",
                    "/t/release/shop.wasm",
                ),
                (
                    "my-job",
                    "/t/release/my-job.wasm",
                ),
            ]
        "#]]
        .assert_debug_eq(&components(messages));
    }

    #[test]
    fn a_folder_without_a_manifest_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let Err(refused) = Project::open(dir.path(), None) else { panic!("it is no project") };
        assert!(refused.to_string().contains("no Cargo.toml is in this folder"), "{refused}");
    }
}
