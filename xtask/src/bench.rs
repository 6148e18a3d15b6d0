//! `cargo xtask bench NAME`: one promise of SPECIFICATION.md, measured beside its peer in one run. Prints a table and writes
//! `target/bench/NAME.json`.

use anyhow::Result;

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure
    name: String,
}

/// Measures.
pub(crate) fn run(args: &Args) -> Result<()> {
    anyhow::bail!("no benchmark is called `{}`", args.name)
}
