//! `wasmctl delete`: objects by name, label or manifest, and waits until they are gone.

use std::path::PathBuf;
use std::time::Duration;

use coracle_api::{kind::Kind, object};
use coracle_client::{Client, DeleteOptions, ListOptions, Propagation, WatchEvent, WatchOptions};
use futures::StreamExt as _;

use crate::context::{Global, Namespace};
use crate::failure::{Failure, Result};
use crate::resources::KnownKinds;
use crate::{files, output};

/// Delete objects, and wait until they are gone
///
/// Examples:
///   wasmctl delete deployment web
///   wasmctl delete -f shop.yaml
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// KIND NAME…, or KIND/NAME…
    #[arg(value_name = "WHAT", required_unless_present = "filename")]
    what: Vec<String>,
    /// Delete the objects of this manifest file, folder or `-`
    #[arg(short, long, value_name = "FILE", conflicts_with = "what")]
    filename: Vec<PathBuf>,
    #[command(flatten)]
    namespace: Namespace,
    /// Delete the objects with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Delete every object of the kind in the namespace
    #[arg(long, conflicts_with = "selector")]
    all: bool,
    /// Seconds that pods get to end [default: their own]
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<i64>,
    /// Do not complain about what is not there
    #[arg(long)]
    ignore_not_found: bool,
    /// Do not wait until the objects are gone
    #[arg(long)]
    no_wait: bool,
    /// Give up waiting after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

struct Target {
    kind: &'static Kind,
    namespace: Option<String>,
    name: String,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let client = global.client()?;
    let targets = targets(&args, &client).await?;
    let options = DeleteOptions {
        grace_period_seconds: args.grace_period,
        propagation: Some(Propagation::Background),
        ..DeleteOptions::default()
    };
    let mut deleted = Vec::new();
    for target in targets {
        match client.delete(target.kind, target.namespace.as_deref(), &target.name, &options).await {
            Ok(_) => {
                println!("{}/{} deleted", output::resource(target.kind), target.name);
                deleted.push(target);
            }
            Err(error) if error.is_not_found() && args.ignore_not_found => {}
            Err(error) => return Err(error.into()),
        }
    }
    if args.no_wait {
        return Ok(());
    }
    let waiting = async {
        for target in &deleted {
            wait_until_gone(&client, target).await?;
        }
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(args.timeout), waiting).await.unwrap_or_else(|_| {
        Err(Failure::timed_out(format!("not everything is gone after {} s; it goes on", args.timeout))
            .hint("an object with finalizers stays until their owner has removed them: see `metadata.finalizers`"))
    })
}

async fn targets(args: &Args, client: &Client) -> Result<Vec<Target>> {
    let namespace = args.namespace.or_default(client.config());
    let scope = |kind: &Kind, own: Option<&str>| kind.namespaced.then(|| own.unwrap_or(&namespace).to_owned());
    let kinds = KnownKinds::new(client);
    let mut targets = Vec::new();
    for file in &args.filename {
        for files::Manifest { origin, object } in files::read_manifests(file)? {
            let kind = kinds.of(&object).await.map_err(|failure| failure.within(&origin))?;
            let name = object::name(&object).to_owned();
            targets.push(Target { kind, namespace: scope(kind, object::namespace(&object)), name });
        }
    }
    if args.what.is_empty() {
        return Ok(targets);
    }
    for selection in kinds.parse(&args.what).await? {
        let kind = selection.kind;
        let mut names = selection.names;
        if args.all || args.selector.is_some() {
            let list = ListOptions { label_selector: args.selector.clone(), ..ListOptions::default() };
            let items = client.list(kind, scope(kind, None).as_deref(), &list).await?.items;
            names.extend(items.iter().map(|item| object::name(item).to_owned()));
        } else if names.is_empty() {
            return Err(Failure::usage(format!("which {}? give names, --selector or --all", kind.plural)));
        }
        targets.extend(names.into_iter().map(|name| Target { kind, namespace: scope(kind, None), name }));
    }
    Ok(targets)
}

async fn wait_until_gone(client: &Client, target: &Target) -> Result<()> {
    let namespace = target.namespace.as_deref();
    let fields = format!("metadata.name={}", target.name);
    loop {
        let list = client.list(target.kind, namespace, &ListOptions::fields(&fields)).await?;
        if list.items.is_empty() {
            return Ok(());
        }
        let options = WatchOptions {
            field_selector: Some(fields.clone()),
            revision: Some(list.revision),
            ..WatchOptions::default()
        };
        let mut events = client.watch(target.kind, namespace, &options).await?;
        while let Some(event) = events.next().await {
            match event {
                Ok(WatchEvent::Deleted(_)) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.is_expired() => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
