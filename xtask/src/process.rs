//! Running other programs with a line of progress for each, and finding our own folders.

use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    // As cargo says now: a target folder that several clones share may hold what was built in another one.
    let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&own).parent().expect("xtask is a folder of the workspace").to_owned()
}

/// Where what is set up once is kept: `$XDG_CACHE_HOME/coracle`.
pub(crate) fn cache_dir() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(&std::env::var_os("HOME").context("$HOME is not set")?).join(".cache"),
    };
    let dir = base.join("coracle");
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// The folder that cargo builds into.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Builds the `wasmctl` that tests run, and says where it is.
pub(crate) fn wasmctl_for_tests() -> Result<PathBuf> {
    stage("wasmctl for the tests", cargo().args(["build", "--quiet", "--workspace", "--bin", "wasmctl"]))?;
    Ok(target_dir().join("debug/wasmctl"))
}

/// A seed by chance.
pub(crate) fn any_seed() -> u64 {
    RandomState::new().hash_one(())
}

/// Runs a stage whose own output is shown, and says how long it took.
pub(crate) fn stage(name: &str, command: &mut Command) -> Result<Duration> {
    eprintln!("── {name}");
    let started = Instant::now();
    let status = command.status().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let took = started.elapsed();
    if !status.success() {
        bail!("{name} failed ({status}): {command:?}");
    }
    eprintln!("── {name}: {:.1} min", took.as_secs_f64() / 60.0);
    Ok(took)
}

/// Runs a step of set-up whose output matters only if it fails, behind a progress display.
pub(crate) fn quietly(what: &str, command: &mut Command) -> Result<Vec<u8>> {
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("   {spinner} {msg} ({elapsed})").expect("the template is well formed"));
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    if bar.is_hidden() {
        eprintln!("   {what}");
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{what}: cannot run {}", command.get_program().display()))?;
    bar.finish_and_clear();
    if !output.status.success() {
        bail!(
            "{what} failed ({}): {command:?}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output.stdout)
}

/// Is this program on the PATH?
pub(crate) fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // What cargo said of this program would be taken for a change: build scripts look at it, and half of the tree would be built anew.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_")) {
            command.env_remove(name);
        }
    }
    command
}
