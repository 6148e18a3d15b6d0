//! `wasmctl new`: a folder with a project that builds, is tested and can be deployed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::template::{TemplateName, Values, name_problem, template};

/// Begin a project for a component in Rust
///
/// The template for HTTP is on the crate `wstd`, the one for jobs on Rust's own library.
/// With --sdk both are on `coracle-sdk`, from a clone of Coracle: it isn't on crates.io yet.
///
/// Examples:
///   wasmctl new shop
///   wasmctl new report --template job --sdk ../coracle/sdk
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The folder to make; its last word is the project's name
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// What kind of component
    #[arg(long, value_enum, default_value = "http")]
    template: TemplateName,
    /// Use the SDK in this folder
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let name = args.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if let Some(reason) = name_problem(name) {
        return Err(Failure::usage(format!("`{name}` cannot be a project's name: {reason}"))
            .hint("lower-case letters, digits and `-`, beginning with a letter: `wasmctl new my-shop`"));
    }
    let sdk = args.sdk.as_deref().map(sdk_folder).transpose()?;
    refuse_used(&args.folder)?;
    let values = Values { name, sdk: sdk.as_deref().unwrap_or_default() };
    for (path, text) in template(args.template, sdk.is_some()).render(&values) {
        let file = args.folder.join(path);
        let folder = file.parent().expect("each file is in the project's folder");
        fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
        fs::write(&file, text).map_err(|error| Failure::file(&file, &error))?;
    }
    println!("made {}; next:", args.folder.display());
    println!("  cd {}", args.folder.display());
    println!("  cargo test");
    match args.template {
        TemplateName::Http => println!("  wasmctl dev        # in a cluster of `wasmctl up`"),
        TemplateName::Job => println!("  wasmctl build      # its README.md says how to run it"),
    }
    Ok(())
}

/// Refuses a folder in which something is.
fn refuse_used(folder: &Path) -> Result<()> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(format!("{}: the folder exists and isn't empty", folder.display()))
            .detail("nothing was changed")
            .hint("choose another name, or empty it first")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            Err(Failure::new(format!("{}: a file has this name", folder.display())).hint("choose another name"))
        }
        Err(error) => Err(Failure::file(folder, &error)),
    }
}

/// The SDK's folder as a manifest names it: absolute, so that the project can be moved.
fn sdk_folder(folder: &Path) -> Result<String> {
    let manifest = folder.join("Cargo.toml");
    let is_sdk = fs::read_to_string(&manifest).is_ok_and(|text| text.contains("name = \"coracle-sdk\""));
    if !is_sdk {
        return Err(Failure::usage(format!("--sdk {}: the crate coracle-sdk is not in this folder", folder.display()))
            .hint("it is the folder `sdk` of a clone of Coracle; without --sdk the template needs none"));
    }
    let folder = fs::canonicalize(folder).map_err(|error| Failure::file(folder, &error))?;
    match folder.to_str() {
        Some(text) if !text.contains(['"', '\\']) => Ok(text.to_owned()),
        _ => Err(Failure::usage(format!("--sdk {}: no manifest can name this folder", folder.display()))
            .hint("rename it, without quotes and backslashes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(folder: PathBuf, sdk: Option<&str>) -> Result<()> {
        run(&Args { folder, template: TemplateName::Http, sdk: sdk.map(PathBuf::from) })
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let shop = dir.path().join("shop");
        new(shop.clone(), None).unwrap();
        fs::write(shop.join("src/lib.rs"), "mine").unwrap();
        let refused = new(shop.clone(), None).unwrap_err().to_string();
        assert!(refused.contains("exists and isn't empty"), "{refused}");
        assert_eq!(fs::read_to_string(shop.join("src/lib.rs")).unwrap(), "mine");
        fs::write(dir.path().join("file"), "").unwrap();
        let refused = new(dir.path().join("file"), None).unwrap_err().to_string();
        assert!(refused.contains("a file has this name"), "{refused}");
        let empty = dir.path().join("empty");
        fs::create_dir(&empty).unwrap();
        new(empty.clone(), None).unwrap();
        assert!(empty.join("Cargo.toml").is_file());
    }

    #[test]
    fn what_can_not_be_is_refused_before_anything_is_made() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["My_Shop", "test", ".."] {
            new(dir.path().join(name), None).unwrap_err();
        }
        let refused = new(dir.path().join("shop"), Some("/nowhere")).unwrap_err().to_string();
        assert!(refused.contains("the crate coracle-sdk is not in this folder"), "{refused}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let sdk = format!("{}/../sdk", env!("CARGO_MANIFEST_DIR"));
        new(dir.path().join("shop"), Some(&sdk)).unwrap();
        let manifest = fs::read_to_string(dir.path().join("shop/Cargo.toml")).unwrap();
        assert!(manifest.contains("coracle-sdk = { path = \"/"), "{manifest}");
    }
}
