//! `wasmctl host`: this machine as a worker of a cluster that is elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use coracle_client::join::Invitation;

use crate::context::{Global, default_data_dir, now};
use crate::daemon::{self, Advertised, renewal_share, say, stop_signal, until_ready};
use crate::data_dir::DataDir;
use crate::failure::{Failure, Result};
use crate::host::{self, Host, Membership, MembershipFile, machine};
use crate::host_flags::HostFlags;
use crate::joiner;
use crate::logging;
use crate::progress::seconds;
use crate::verbs::server::name;

/// Run pods on this machine for a cluster that it joins, until Ctrl-C
///
/// The first start takes a token of `wasmctl token create`; later ones need none.
///
/// Examples:
///   wasmctl host --join TOKEN@10.0.0.1:6443
///   wasmctl host --data-dir ./worker --ingress-addr 127.0.0.1:0
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Where everything is kept [default: $XDG_DATA_HOME/coracle]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Join a cluster first: a token, and the address of a server. Who has joined it stays in it
    #[arg(long, value_name = "TOKEN@HOST:PORT")]
    join: Option<String>,
    /// The node's name, which it keeps [default: the machine's]
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// The address or name under which other machines reach this one, which it keeps [default: the one it reaches the server from]
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// Where HTTP requests to your components arrive; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    ingress_addr: SocketAddr,
    #[command(flatten)]
    flags: HostFlags,
}

pub(crate) fn run(args: Args, global: &Global) -> Result<ExitCode> {
    logging::start(global.log_json);
    daemon::run(work(args, Instant::now()))
}

async fn work(args: Args, started: Instant) -> Result<()> {
    let mut stop = std::pin::pin!(stop_signal());
    let data_dir = DataDir::open(&args.data_dir.clone().unwrap_or_else(default_data_dir))?;
    let invitation = joiner::invitation(args.join.as_deref())?;
    if invitation.is_some() {
        // What can't be had is to cost no token.
        drop(daemon::bind("--ingress-addr", args.ingress_addr)?);
    }
    let membership = membership(&data_dir, invitation.as_ref(), args.name, args.advertise.as_deref()).await?;
    let (version, path) = (env!("CARGO_PKG_VERSION"), data_dir.path().display());
    say!("coracle {version}  data {path}  host \"{}\"", membership.node);
    let server = membership.servers.first().ok_or_else(|| Failure::new("the cluster named none of its servers"))?;
    let (server, node) = (server.clone(), membership.node.clone());
    let host = Host::start(host::Options {
        node_name: node.clone(),
        data_dir: data_dir.join("host"),
        flags: args.flags,
        api_urls: membership.api_urls(),
        identity: membership.identity(renewal_share())?,
        address: membership.address,
        ingress_addr: args.ingress_addr,
        file: Some(MembershipFile::new(data_dir, membership)),
        pushed: None,
    })?;
    say!("  control plane   https://{server}");
    say!("  ingress         http://{}", host.ingress_addr());
    say!("  host            {node:<30} {}", machine());
    let announce = async {
        until_ready("the cluster", || host.ready()).await;
        say!("ready in {}", seconds(started.elapsed()));
        say!("Ctrl-C stops the host; its pods go on elsewhere.");
        std::future::pending().await
    };
    let result = tokio::select! {
        result = announce => result,
        failure = host.ended() => Err(failure),
        () = &mut stop => Ok(()),
    };
    say!("stopping");
    host.stop().await;
    result
}

/// What this machine is: a host already, or one by joining now.
async fn membership(
    data_dir: &DataDir,
    invitation: Option<&Invitation>,
    name: Option<String>,
    advertise: Option<&str>,
) -> Result<Membership> {
    let path = data_dir.path().display();
    if data_dir.join("cluster.json").exists() {
        return Err(Failure::new(format!("{path} is the data directory of a cluster"))
            .hint("start it with `wasmctl up`, or name another folder with --data-dir"));
    }
    let joined = Membership::load(data_dir)?;
    if let (Some(joined), None) = (&joined, invitation)
        && let until = joined.identity(1.0)?.certificate.validity().not_after
        && until < now()
    {
        let node = &joined.node;
        let message = format!("host {node} was away for too long: its certificate in {path} expired at {until}");
        return Err(Failure::new(message).hint(host::JOIN_AGAIN));
    }
    match (joined, invitation) {
        (Some(membership), None) => stay(membership, name.as_deref(), advertise),
        (None, Some(invitation)) => host::join(data_dir, invitation, name, advertise).await,
        (Some(membership), Some(invitation)) if is_over(&membership).await? => {
            host::join(data_dir, invitation, name.or(Some(membership.node)), advertise).await
        }
        (Some(membership), Some(invitation)) if membership.ca_hash()? != invitation.token.ca_hash => {
            let (node, servers) = (membership.node, membership.servers.join(", "));
            let message =
                format!("{path} has joined another cluster than the token's: as host {node} the one at {servers}");
            Err(Failure::new(message)
                .hint("start without --join; to join another cluster, name another folder with --data-dir"))
        }
        (Some(membership), Some(_)) => stay(membership, name.as_deref(), advertise),
        (None, None) => Err(Failure::usage(format!("{path} has not joined a cluster so far"))
            .hint("make a token with `wasmctl token create`, and start with --join TOKEN@HOST:PORT")),
    }
}

/// A host that has joined, unless it is to be another one now.
fn stay(membership: Membership, name: Option<&str>, advertise: Option<&str>) -> Result<Membership> {
    let node = &membership.node;
    if let Some(name) = name.filter(|name| name != node) {
        return Err(Failure::usage(format!("--name {name}: this host is called {node}, and keeps that name"))
            .hint("leave --name out, or name another folder with --data-dir"));
    }
    if let Some(advertise) = advertise
        && Advertised::look_up(advertise)?.ip != membership.address
    {
        let message = format!(
            "--advertise {advertise}: host {node} is known at {}, and its certificate is for that",
            membership.address
        );
        return Err(Failure::usage(message).hint(format!(
            "to have it at another address, delete it with `wasmctl delete node {node}`, then {}",
            host::JOIN_AGAIN
        )));
    }
    Ok(membership)
}

/// Whether the host's certificate is good for nothing more: its time is over, or its Node was deleted.
async fn is_over(membership: &Membership) -> Result<bool> {
    let until = membership.identity(1.0)?.certificate.validity().not_after;
    Ok(until < now() || host::was_deleted(membership).await?)
}
