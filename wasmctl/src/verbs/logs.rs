//! `wasmctl logs`: what pods printed, of one pod or of all that a Deployment, ReplicaSet or Service selects.

use std::io::Write as _;

use coracle_api::{kinds, object};
use coracle_client::{Client, ListOptions, LogOptions};
use futures::StreamExt as _;
use tokio::sync::mpsc;

use crate::context::{Global, Namespace};
use crate::failure::{Failure, Result};
use crate::resources::KnownKinds;
use crate::rollout::selector_of;

/// Show what a pod printed, or all pods of a Deployment, ReplicaSet or Service
///
/// Examples:
///   wasmctl logs web-7c9d4-0q2vx --tail 20
///   wasmctl logs deployment/web -f
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// POD, or KIND/NAME
    #[arg(value_name = "POD")]
    what: String,
    #[command(flatten)]
    namespace: Namespace,
    /// The container, where a pod has several
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Go on with what is printed from now on
    #[arg(short, long)]
    follow: bool,
    /// Only so many of the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<u64>,
    /// Only what is younger than this many seconds
    #[arg(long, value_name = "SECONDS")]
    since: Option<u64>,
    /// The log of the container's previous run
    #[arg(short, long)]
    previous: bool,
    /// With the time of each line
    #[arg(long)]
    timestamps: bool,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let client = global.client()?;
    let namespace = args.namespace.or_default(client.config());
    let pods = pods(&client, &namespace, &args.what).await?;
    let options = LogOptions {
        container: args.container,
        follow: args.follow,
        previous: args.previous,
        timestamps: args.timestamps,
        tail_lines: args.tail,
        since_seconds: args.since,
        ..LogOptions::default()
    };
    if let [pod] = pods.as_slice() {
        return copy_one(&client, &namespace, pod, &options).await;
    }
    copy_all(&client, &namespace, &pods, &options).await
}

/// The names of the pods that a word on the command line means.
async fn pods(client: &Client, namespace: &str, what: &str) -> Result<Vec<String>> {
    if !what.contains('/') {
        return Ok(vec![what.to_owned()]);
    }
    let selection = KnownKinds::new(client).parse_pair(what).await?;
    let name = &selection.names[0];
    if selection.kind.kind == "Pod" {
        return Ok(vec![name.clone()]);
    }
    let owner = client.get(selection.kind, Some(namespace), name).await?;
    let selector = selector_of(&owner);
    if selector.is_empty() {
        return Err(Failure::usage(format!("{what} selects no pods, so it has no logs")));
    }
    let pod_kind = kinds::by_any_name("pods").expect("pods are built in");
    let pods = client.list(pod_kind, Some(namespace), &ListOptions::labels(selector)).await?.items;
    if pods.is_empty() {
        return Err(Failure::new(format!("{what} has no pods")).hint(format!("`wasmctl describe {what}` says why")));
    }
    Ok(pods.iter().map(|pod| object::name(pod).to_owned()).collect())
}

/// The first of them.
pub(super) async fn first_pod(client: &Client, namespace: &str, what: &str) -> Result<String> {
    let pods = pods(client, namespace, what).await?;
    Ok(pods.into_iter().next().expect("invariant: a word that means no pod is a failure"))
}

async fn copy_one(client: &Client, namespace: &str, pod: &str, options: &LogOptions) -> Result<()> {
    let mut chunks = client.logs(namespace, pod, options).await?;
    let mut stdout = std::io::stdout();
    while let Some(chunk) = chunks.next().await {
        if stdout.write_all(&chunk?).and_then(|()| stdout.flush()).is_err() {
            return Ok(()); // the reader went away, as in `logs | head`
        }
    }
    Ok(())
}

async fn copy_all(client: &Client, namespace: &str, pods: &[String], options: &LogOptions) -> Result<()> {
    let (lines, mut merged) = mpsc::channel::<String>(1024);
    for pod in pods {
        let mut chunks = client.logs(namespace, pod, options).await?;
        let (lines, pod) = (lines.clone(), pod.clone());
        tokio::spawn(async move {
            let mut rest = Vec::new();
            while let Some(Ok(chunk)) = chunks.next().await {
                rest.extend_from_slice(&chunk);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    if lines.send(format!("{pod}  {}", String::from_utf8_lossy(&line))).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
    drop(lines);
    let mut stdout = std::io::stdout();
    while let Some(line) = merged.recv().await {
        if stdout.write_all(line.as_bytes()).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
