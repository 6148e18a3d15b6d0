//! The command line: one variant and one file a verb. Doc comments here are the help texts.

pub(crate) use member::MEMBERS;

mod apply;
mod attach;
mod build;
mod completion;
mod delete;
pub(crate) mod deploy;
mod describe;
mod dev;
mod events;
pub(crate) use events::{last_seen, order as event_order};
mod exec;
mod get;
mod host;
mod inspect;
mod logs;
mod member;
mod new;
mod node;
mod port_forward;
mod pull;
mod push;
mod run;
mod secrets;
mod server;
mod snapshot;
mod status;
mod token;
mod top;
mod up;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::context::{Global, block_on};
use crate::failure::{Failure, Result};

/// Coracle: a WebAssembly-native workload orchestrator in one binary.
///
/// Start a cluster with `wasmctl up`, run a component on it with `wasmctl deploy FILE`.
#[derive(Debug, Parser)]
#[command(name = "wasmctl", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Up(up::Args),
    Server(server::Args),
    Host(host::Args),
    New(new::Args),
    Build(build::Args),
    Dev(dev::Args),
    Deploy(deploy::Args),
    Get(get::Args),
    Describe(describe::Args),
    Logs(logs::Args),
    Exec(exec::Args),
    Attach(attach::Args),
    PortForward(port_forward::Args),
    Events(events::Args),
    Top(top::Args),
    Delete(delete::Args),
    Apply(apply::Args),
    Push(push::Args),
    Pull(pull::Args),
    Inspect(inspect::Args),
    Run(run::Args),
    Status(status::Args),
    Member(member::Args),
    Node(node::Args),
    Token(token::Args),
    Secrets(secrets::Args),
    Snapshot(snapshot::Args),
    Version(version::Args),
    Completion(completion::Args),
}

impl Cli {
    /// Runs the verb that was asked for.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let global = &self.global;
        // Who asked for an answer and reads no more of it, as `head` does, ends the verb in silence; what serves goes on.
        if !matches!(self.verb, Verb::Up(_) | Verb::Server(_) | Verb::Host(_) | Verb::Run(_)) {
            sigpipe::reset();
        }
        if global.kubeconfig.is_some() && matches!(self.verb, Verb::Up(_) | Verb::Server(_) | Verb::Host(_)) {
            return Err(Failure::usage("--kubeconfig says which cluster a verb asks, and this one asks none")
                .hint("a server writes one into its --data-dir; a host finds its cluster by --join"));
        }
        let done = match self.verb {
            Verb::Up(args) => return up::run(args, global),
            Verb::Server(args) => return server::run(args, global),
            Verb::Host(args) => return host::run(args, global),
            Verb::Run(args) => return run::run(&args, global),
            Verb::Exec(args) => return block_on(exec::run(args, global)),
            Verb::Attach(args) => return block_on(attach::run(args, global)),
            Verb::New(args) => new::run(&args),
            Verb::Build(args) => block_on(build::run(args)),
            Verb::Dev(args) => block_on(dev::run(args, global)),
            Verb::Deploy(args) => block_on(deploy::run(args, global)),
            Verb::Get(args) => block_on(get::run(args, global)),
            Verb::Describe(args) => block_on(describe::run(args, global)),
            Verb::Logs(args) => block_on(logs::run(args, global)),
            Verb::PortForward(args) => block_on(port_forward::run(args, global)),
            Verb::Events(args) => block_on(events::run(args, global)),
            Verb::Top(args) => block_on(top::run(args, global)),
            Verb::Delete(args) => block_on(delete::run(args, global)),
            Verb::Apply(args) => block_on(apply::run(args, global)),
            Verb::Push(args) => block_on(push::run(args, global)),
            Verb::Pull(args) => block_on(pull::run(args, global)),
            Verb::Inspect(args) => block_on(inspect::run(args, global)),
            Verb::Secrets(args) => block_on(secrets::run(args, global)),
            Verb::Member(args) => block_on(member::run(args, global)),
            Verb::Node(args) => block_on(node::run(args, global)),
            Verb::Token(args) => block_on(token::run(args, global)),
            Verb::Snapshot(args) => block_on(snapshot::run(args, global)),
            Verb::Status(args) => block_on(status::run(args, global)),
            Verb::Version(args) => block_on(version::run(args, global)),
            Verb::Completion(args) => completion::run(&args),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}
