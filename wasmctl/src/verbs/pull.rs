//! `wasmctl pull`: a component from a registry into a file.

use std::path::PathBuf;

use crate::context::Global;
use crate::failure::{Failure, Result};
use crate::images;

/// Pull a component from a registry into a file
///
/// Examples:
///   wasmctl pull registry.coracle.internal/shop:latest
///   wasmctl pull registry.example.com/shop:1.2 --file shop.wasm
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// An OCI reference
    reference: String,
    /// The file to write [default: the repository's last word and `.wasm`]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let (bytes, digest) = images::pull(&args.reference, global).await?;
    let file = args.file.unwrap_or_else(|| PathBuf::from(format!("{}.wasm", images::stem(&args.reference))));
    std::fs::write(&file, &bytes).map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
    println!("{}  {}  {digest}", file.display(), images::size(bytes.len() as u64));
    Ok(())
}
