//! `wasmctl token`: the tokens that let machines join the cluster.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use coracle_api::join::{self, Token};
use coracle_api::{kinds, object};
use coracle_client::join::ca_hash;
use coracle_client::{Client, DeleteOptions, WriteOptions};
use jiff::Timestamp;
use serde_json::json;

use super::get;
use crate::context::{Global, now};
use crate::duration::duration;
use crate::failure::{Failure, Result};
use crate::output::Format;

/// Make, list and delete the tokens that let machines join the cluster
///
/// Examples:
///   wasmctl token create --ttl 1h
///   wasmctl token list
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token that lets one machine join, once, and print it
    ///
    /// Whoever has the token can join: keep it as you would keep a password. It is shown only now.
    ///
    /// Examples:
    ///   wasmctl token create
    ///   wasmctl token create --role host --ttl 1h
    #[command(verbatim_doc_comment)]
    Create {
        /// What the machine becomes
        #[arg(long, default_value = "host")]
        role: Role,
        /// How long the token is good for, in seconds or for example 24h
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "24h")]
        ttl: Duration,
    },
    /// List the tokens, and who has used them
    ///
    /// Examples:
    ///   wasmctl token list
    ///   wasmctl token list -o name
    #[command(verbatim_doc_comment)]
    List {
        /// How to print
        #[arg(short, long, default_value = "wide")]
        output: Format,
    },
    /// Delete tokens, so that nobody can use them any more
    ///
    /// Examples:
    ///   wasmctl token delete 4f1c2a9b7d
    ///   wasmctl token delete 4f1c2a9b7d 80d1e6c335
    #[command(verbatim_doc_comment)]
    Delete {
        /// The tokens' names, as `wasmctl token list` shows them
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// It runs pods
    Host,
    /// It is a member of the control plane
    Server,
}

impl From<Role> for join::Role {
    fn from(role: Role) -> join::Role {
        match role {
            Role::Host => join::Role::Host,
            Role::Server => join::Role::Server,
        }
    }
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    match args.action {
        Action::Create { role, ttl } => create(&global.client()?, role.into(), ttl).await,
        Action::List { output } => get::run(get::Args::of_kind(kinds::JOIN_TOKEN.plural, output), global).await,
        Action::Delete { names } => delete(&global.client()?, &names).await,
    }
}

/// With less time, no machine could join.
const TTL_MIN: Duration = Duration::from_secs(1);

async fn create(client: &Client, role: join::Role, ttl: Duration) -> Result<()> {
    if ttl < TTL_MIN {
        return Err(Failure::usage(format!("--ttl is less than {TTL_MIN:?}: nobody could use the token in time"))
            .hint(format!("give at least {TTL_MIN:?}")));
    }
    let token = Token {
        role,
        id: format!("{:010x}", rand::random::<u64>() >> 24),
        secret: format!("{:032x}", rand::random::<u128>()),
        ca_hash: ca_hash(&client.config().ca_pem)?,
    };
    let object = |expiration: Timestamp| {
        json!({
            "apiVersion": kinds::JOIN_TOKEN.api_version(),
            "kind": kinds::JOIN_TOKEN.kind,
            "metadata": { "name": token.id },
            "spec": {
                "role": role,
                "expirationTimestamp": object::timestamp(expiration),
                "secretHash": join::hash(token.secret.as_bytes()),
            },
        })
    };
    let after = |time: Timestamp| time.checked_add(ttl).map_err(|_| Failure::usage("--ttl is too long"));
    // The server's clock counts, and this machine's may be another.
    let tried = WriteOptions { dry_run: true, ..WriteOptions::default() };
    let tried = client.create(&kinds::JOIN_TOKEN, None, &object(after(now())?), &tried).await?;
    let server_now = object::creation_timestamp(&tried).unwrap_or_else(now);
    client.create(&kinds::JOIN_TOKEN, None, &object(after(server_now)?), &WriteOptions::default()).await?;
    println!("{token}");
    let server = client.config().server.trim_start_matches("https://");
    let advertise = if role == join::Role::Server { " --advertise ADDRESS" } else { "" };
    eprintln!("on the machine that joins:   wasmctl {role} --data-dir DIR{advertise} --join TOKEN@{server}");
    Ok(())
}

async fn delete(client: &Client, names: &[String]) -> Result<()> {
    for name in names {
        client.delete(&kinds::JOIN_TOKEN, None, name, &DeleteOptions::default()).await.map_err(|error| match error
            .is_not_found()
        {
            true => Failure::from(error).hint("`wasmctl token list` shows the tokens that there are"),
            false => error.into(),
        })?;
        println!("token {name} deleted");
    }
    Ok(())
}
