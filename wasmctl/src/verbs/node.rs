//! `wasmctl node`: the cluster's nodes, and taking them out of service and back.

use std::time::Duration;

use clap::Subcommand;
use coracle_api::{kinds, object};
use coracle_client::{Client, PatchKind, WriteOptions};
use serde_json::{Value, json};

use super::get;
use crate::context::Global;
use crate::drain::{Drain, Permissions};
use crate::duration::duration;
use crate::failure::{Failure, Result};
use crate::output::Format;

/// List the nodes, take them out of service for maintenance, and back
///
/// Examples:
///   wasmctl node list
///   wasmctl node drain worker-1 --ignore-daemonsets --timeout 5m
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the nodes
    ///
    /// Examples:
    ///   wasmctl node list
    ///   wasmctl node list -o name
    #[command(verbatim_doc_comment)]
    List {
        /// How to print
        #[arg(short, long, default_value = "wide")]
        output: Format,
    },
    /// Let no new pods onto nodes; those that are there stay
    ///
    /// Examples:
    ///   wasmctl node cordon worker-1
    ///   wasmctl node cordon worker-1 worker-2
    #[command(verbatim_doc_comment)]
    Cordon {
        /// The nodes' names
        #[arg(value_name = "NAME", required = true, value_parser = node_name)]
        names: Vec<String>,
    },
    /// Let new pods onto nodes again
    ///
    /// Examples:
    ///   wasmctl node uncordon worker-1
    ///   wasmctl node uncordon worker-1 worker-2
    #[command(verbatim_doc_comment)]
    Uncordon {
        /// The nodes' names
        #[arg(value_name = "NAME", required = true, value_parser = node_name)]
        names: Vec<String>,
    },
    Drain(DrainArgs),
}

/// Cordon a node and evict its pods, as their disruption budgets allow
///
/// Examples:
///   wasmctl node drain worker-1
///   wasmctl node drain worker-1 --ignore-daemonsets --force --timeout 5m
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct DrainArgs {
    /// The node's name
    #[arg(value_name = "NAME", value_parser = node_name)]
    name: String,
    /// Seconds that pods get to end; -1 is their own
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = -1, value_parser = clap::value_parser!(i64).range(-1..=i64::from(u32::MAX)))]
    grace_period: i64,
    /// Give up after this time, in seconds or for example 5m; 0 is never
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0")]
    timeout: Duration,
    #[command(flatten)]
    permissions: Permissions,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    match args.action {
        Action::List { output } => get::run(get::Args::of_kind("nodes", output), global).await,
        Action::Cordon { names } => mark(&global.client()?, &names, true, false).await,
        Action::Uncordon { names } => mark(&global.client()?, &names, false, false).await,
        Action::Drain(args) => drain(&args, &global.client()?).await,
    }
}

async fn drain(args: &DrainArgs, client: &Client) -> Result<()> {
    mark(client, std::slice::from_ref(&args.name), true, args.dry_run).await?;
    let drain = Drain {
        node: &args.name,
        permissions: &args.permissions,
        grace_period_seconds: u32::try_from(args.grace_period).ok(),
        timeout: Some(args.timeout).filter(|timeout| !timeout.is_zero()),
        dry_run: args.dry_run,
    };
    drain.run(client).await
}

/// Cordons or uncordons nodes; none of them if any is unknown.
async fn mark(client: &Client, names: &[String], is_cordon: bool, dry_run: bool) -> Result<()> {
    let mut nodes = Vec::new();
    for name in names {
        let node = client.get(&kinds::NODE, None, name).await.map_err(|error| match error.is_not_found() {
            true => Failure::from(error).hint("`wasmctl node list` shows the nodes there are"),
            false => error.into(),
        })?;
        nodes.push(node);
    }
    let result = if is_cordon { "cordoned" } else { "uncordoned" };
    for node in &nodes {
        let name = object::name(node);
        if object::bool_at(node, &["spec", "unschedulable"]).unwrap_or(false) == is_cordon {
            println!("{}", done(name, &format!("already {result}"), dry_run));
            continue;
        }
        let unschedulable = if is_cordon { json!(true) } else { Value::Null };
        let patch = json!({ "spec": { "unschedulable": unschedulable } });
        let options = WriteOptions { dry_run, ..WriteOptions::default() };
        client.patch(&kinds::NODE, None, name, PatchKind::Merge, &patch, &options).await?;
        println!("{}", done(name, result, dry_run));
    }
    Ok(())
}

fn done(name: &str, result: &str, dry_run: bool) -> String {
    format!("node/{name} {result}{}", if dry_run { " (dry run)" } else { "" })
}

/// A node's name, or what `-o name` prints of it.
fn node_name(word: &str) -> std::result::Result<String, &'static str> {
    match word.strip_prefix("node/").unwrap_or(word) {
        name if name.is_empty() || name.contains('/') => Err("this is not a node's name"),
        name => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn names_are_taken_as_they_are_printed() {
        let read =
            ["h1", "node/h1", "pod/h1", "h1/status", "node/"].map(|word| format!("{word} {:?}\n", node_name(word)));
        expect![[r#"
            h1 Ok("h1")
            node/h1 Ok("h1")
            pod/h1 Err("this is not a node's name")
            h1/status Err("this is not a node's name")
            node/ Err("this is not a node's name")
        "#]]
        .assert_eq(&read.concat());
    }
}
