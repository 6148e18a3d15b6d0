//! `wasmctl`: the whole of Coracle in one binary. This file picks the verb and turns its failure into an exit code.
//! No verb's logic is here.

mod allocator;
mod apply;
mod cluster_file;
mod context;
mod controller_flags;
mod daemon;
mod data_dir;
mod demo;
mod drain;
mod duration;
mod failure;
mod files;
mod host;
mod host_flags;
mod images;
mod ingress;
mod joiner;
mod logging;
mod output;
mod progress;
mod project;
mod resources;
mod rollout;
mod server;
mod session;
mod sources;
mod template;
mod up;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // A server that symbolises a backtrace for each guest's trap spends more on the trap than on the guest.
    if std::env::var_os("RUST_BACKTRACE").is_some() && std::env::var_os("CORACLE_BACKTRACE").is_none() {
        // SAFETY: this is the first statement of the process; no other thread reads the environment yet.
        unsafe { std::env::set_var("RUST_BACKTRACE", "0") };
    }
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    if let Some((verb, arguments)) = arguments.split_first()
        && verb == "internal-compile"
    {
        return coracle_host::wasm::compile_child_main(arguments);
    }
    let cli = match verbs::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let is_help = !error.use_stderr();
            return if is_help { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    rustls::crypto::ring::default_provider().install_default().expect("installed once, before any TLS is used");
    match cli.run() {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
