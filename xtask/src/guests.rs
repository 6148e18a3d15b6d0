//! Builds the example components, and runs the tests that they have of their own. The Rust ones need the `wasm32-wasip2` target: rustup's if it
//! can be added, else a toolchain made once by `guest-toolchain.sh`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{cache_dir, is_on_path, quietly, root, stage};

const TARGET: &str = "wasm32-wasip2";

/// Builds all of them and gives the folder that they are in.
pub(crate) fn build() -> Result<PathBuf> {
    let mut command = cargo()?;
    command.args(["build", "--quiet", "--release", "--target", TARGET]);
    stage("example components", &mut command)?;
    Ok(target_dir().join(TARGET).join("release"))
}

/// Runs the tests in those that are written with the SDK, as their authors would: on this machine's own target.
pub(crate) fn test() -> Result<()> {
    let packages = ["hello-sdk", "image-resizer", "job-sdk", "streaming", "worker"];
    let mut command = cargo()?;
    command.args(["test", "--quiet"]).args(packages.iter().flat_map(|package| ["--package", package]));
    stage("tests of the examples", &mut command)?;
    Ok(())
}

/// Where they are built.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => PathBuf::from(dir).join("guests"),
        None => root().join("examples/target"),
    }
}

/// The cargo that can build for components, in the examples' workspace.
fn cargo() -> Result<Command> {
    let mut command = Command::new("cargo");
    if let Some(rustc) = rustc()? {
        // The toolchain's cargo and rustc belong together; rustup's settings would override them.
        command = Command::new(rustc.with_file_name("cargo"));
        command.env("RUSTC", &rustc);
        for name in ["RUSTUP_TOOLCHAIN", "CARGO", "LD_LIBRARY_PATH"] {
            command.env_remove(name);
        }
    }
    command.current_dir(root().join("examples")).env("CARGO_TARGET_DIR", target_dir());
    Ok(command)
}

/// The rustc that has the target; `None` is the ordinary one.
pub(crate) fn rustc() -> Result<Option<PathBuf>> {
    if has_target(Command::new("rustc").arg("--print").arg("sysroot"))? {
        return Ok(None);
    }
    if is_on_path("rustup")
        && Command::new("rustup").args(["target", "add", TARGET]).output().is_ok_and(|output| output.status.success())
    {
        return Ok(None);
    }
    let dir = cache_dir()?.join("guest-toolchain");
    let script = root().join("xtask/guest-toolchain.sh");
    quietly("guest toolchain: made once, 3-4 minutes", Command::new("bash").arg(script).arg(&dir))
        .context("the wasm32-wasip2 target could neither be added by rustup nor made here")?;
    let rustc = dir.join("bin/rustc");
    if !rustc.exists() {
        bail!("{} is missing; remove {} and try again", rustc.display(), dir.display());
    }
    Ok(Some(rustc))
}

fn has_target(sysroot: &mut Command) -> Result<bool> {
    let output = sysroot.output().context("cannot run rustc")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir())
}
