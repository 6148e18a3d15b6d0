//! `wasmctl inspect`: what a component is, needs and offers.

use std::path::Path;

use coracle_host::inspect::{Inspection, Kind};

use crate::context::Global;
use crate::failure::{Failure, Result};
use crate::{files, images};

/// Say what a component is, what it needs and what it offers
///
/// Examples:
///   wasmctl inspect shop.wasm
///   wasmctl inspect registry.example.com/shop:1.2 --output json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// A component file, or an OCI reference
    #[arg(value_name = "FILE|REFERENCE")]
    what: String,
    /// Print as JSON
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let path = Path::new(&args.what);
    let bytes = if files::is_component(path) || path.exists() {
        files::read_component(path)?
    } else {
        images::pull(&args.what, global).await?.0
    };
    let inspection = inspect(&args.what, &bytes)?;
    if args.output.is_some() {
        println!("{:#}", serde_json::to_value(&inspection).expect("an inspection is plain data"));
        return Ok(());
    }
    println!("{}  {}, {}", args.what, describe(inspection.kind), images::size(bytes.len() as u64));
    for (title, names) in
        [("imports", &inspection.imports), ("exports", &inspection.exports), ("missing here", &inspection.unknown)]
    {
        if !names.is_empty() {
            println!("{title}");
            names.iter().for_each(|name| println!("  {name}"));
        }
    }
    Ok(())
}

/// Inspects, with `what` named in the error.
pub(crate) fn inspect(what: &str, bytes: &[u8]) -> Result<Inspection> {
    coracle_host::inspect::inspect(bytes).map_err(|error| Failure::new(format!("{what}: {error}")))
}

/// A component's kind in words.
pub(crate) fn describe(kind: Kind) -> &'static str {
    match kind {
        Kind::Library => "library: it has no entry point of its own",
        kind => kind.describe(),
    }
}
