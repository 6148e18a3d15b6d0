//! `wasmctl attach`: the standard streams of a running command.

use std::process::ExitCode;

use crate::context::{Global, Namespace};
use crate::failure::Result;
use crate::session::Session;

/// Show what a running command prints from now on, and write to its input
///
/// Examples:
///   wasmctl attach worker-7c9d4-0q2vx
///   wasmctl attach -i worker-7c9d4-0q2vx < data.csv
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
    /// Pass standard input on, to a container with `stdin: true`
    #[arg(short = 'i', long)]
    stdin: bool,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let client = global.client()?;
    let namespace = args.namespace.or_default(client.config());
    let pod = super::logs::first_pod(&client, &namespace, &args.what).await?;
    let Args { container, stdin, .. } = args;
    let session =
        Session { subresource: "attach", namespace: &namespace, pod: &pod, container, command: Vec::new(), stdin };
    session.run(&client).await
}
