//! `wasmctl exec`: the component of a running command, once more, with other words.

use std::process::ExitCode;

use crate::context::{Global, Namespace};
use crate::failure::Result;
use crate::session::Session;

/// Run a pod's component once more beside it: other arguments, same environment and limits
///
/// Examples:
///   wasmctl exec worker-7c9d4-0q2vx -- worker --check
///   wasmctl exec -i deployment/worker -- worker import < data.csv
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// POD, or KIND/NAME for its first pod
    #[arg(value_name = "POD")]
    what: String,
    #[command(flatten)]
    namespace: Namespace,
    /// The container, where a pod has several
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Pass standard input on
    #[arg(short = 'i', long)]
    stdin: bool,
    /// The program's name, as it sees it, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let client = global.client()?;
    let namespace = args.namespace.or_default(client.config());
    let pod = super::logs::first_pod(&client, &namespace, &args.what).await?;
    let Args { container, command, stdin, .. } = args;
    let session = Session { subresource: "exec", namespace: &namespace, pod: &pod, container, command, stdin };
    session.run(&client).await
}
