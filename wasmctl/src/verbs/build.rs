//! `wasmctl build`: cargo for components, and what came of it.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::failure::Result;
use crate::images;
use crate::progress::{Progress, seconds};
use crate::project::{Built, Project};

/// Build the components of a Rust project, and say what they need
///
/// The same as `cargo build --release --target wasm32-wasip2`.
///
/// Examples:
///   wasmctl build
///   wasmctl build examples --package job --output json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The folder with its Cargo.toml
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Of a workspace, the package to build
    #[arg(short, long, value_name = "NAME")]
    package: Option<String>,
    /// Print the result as JSON, and no progress
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let project = Project::open(&args.folder, args.package)?;
    let is_quiet = args.output.is_some();
    let (built, took) = project.build(is_quiet).await?;
    if is_quiet {
        println!("{:#}", Value::from(built.iter().map(facts).collect::<Vec<_>>()));
        return Ok(());
    }
    let progress = Progress::new(false);
    for component in &built {
        say_built(component, &seconds(took), &progress);
        println!("{}", component.path.display());
    }
    Ok(())
}

/// Says in two lines what was built, and what it is and needs.
pub(super) fn say_built(component: &Built, took: &str, progress: &Progress) {
    let file = component.path.file_name().unwrap_or_default().display();
    progress.step("built", "").done(&format!("{file}  {}  {took}", images::size(component.bytes)), false);
    super::deploy::say_inspected(&component.inspection, progress);
}

fn facts(component: &Built) -> Value {
    json!({
        "package": component.package,
        "path": component.path,
        "bytes": component.bytes,
        "inspection": component.inspection,
    })
}
