//! `wasmctl completion`: the shell's completion script.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::failure::Result;

/// Print the completion script of a shell
///
/// Examples:
///   source <(wasmctl completion bash)
///   wasmctl completion fish > ~/.config/fish/completions/wasmctl.fish
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    clap_complete::generate(args.shell, &mut super::Cli::command(), "wasmctl", &mut std::io::stdout());
    Ok(())
}
