//! `wasmctl snapshot`: a whole cluster as one file, taken, looked at, and made a cluster again.

mod contents;
mod inspect;
mod restore;
mod save;

use clap::Subcommand;

use crate::context::Global;
use crate::failure::Result;

/// Back up a cluster to a file, and restore one from it
///
/// The file holds the cluster's keys: keep it as secret as the cluster itself.
///
/// Examples:
///   wasmctl snapshot save monday.coracle
///   wasmctl snapshot restore monday.coracle --data-dir ./restored
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Save(save::Args),
    Inspect(inspect::Args),
    Restore(restore::Args),
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    match args.action {
        Action::Save(args) => save::run(args, global).await,
        Action::Inspect(args) => inspect::run(&args),
        Action::Restore(args) => restore::run(args).await,
    }
}
