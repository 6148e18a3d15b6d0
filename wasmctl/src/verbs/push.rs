//! `wasmctl push`: a component file into the cluster's registry.

use std::path::PathBuf;

use crate::context::Global;
use crate::failure::Result;
use crate::{files, images};

/// Push a component to the cluster's registry
///
/// Examples:
///   wasmctl push shop.wasm
///   wasmctl push shop.wasm shop:1.2
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// A `.wasm` or `.wat` file
    file: PathBuf,
    /// NAME[:TAG] in the cluster's registry [default: the file's stem]
    reference: Option<String>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let bytes = files::read_component(&args.file)?;
    let stem = args.file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let name = args.reference.as_deref().unwrap_or(stem);
    let inspection = super::inspect::inspect(&args.file.display().to_string(), &bytes)?;
    let image = images::push(name, bytes, &inspection, global).await?;
    println!("{image}");
    Ok(())
}
