//! The store behind `etcdserverpb.KV/Put`, as a process of its own: what a benchmark needs of a server and nothing else.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use coracle_store::{Member, Operation, Options, Outcome, Precondition, RealDisk, Store, Write};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::rpc;
use super::wire::{self, Wire};
use crate::http2::{Connection, Message};

/// The word that starts the server instead of a benchmark.
pub(crate) const VERB: &str = "serve-store";
/// What the founder of a group says once all members vote.
pub(crate) const READY: &str = "ready";
/// The number of the member that founds a group.
pub(crate) const FOUNDER: u64 = 1;
/// Time between two looks at who votes.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Serves a store for ever: `ADDR DIR` alone, `ADDR DIR ID PEER_ADDR` as a member of a group. Its founder is told the others' peer addresses too:
/// it prints `ID PEER_ADDR` of each when it has been taken in, which then can be started, and [`READY`].
pub(crate) fn serve(words: &[String]) -> Result<()> {
    let [addr, dir, member @ ..] = words else { anyhow::bail!("{VERB} ADDR DIR [ID PEER_ADDR [PEER_ADDR...]]") };
    let addr: SocketAddr = addr.parse()?;
    let mut options = Options::new(Path::new(dir));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(addr).await?;
        let store = match member {
            [] => Store::open(options, Arc::new(RealDisk)).await?,
            [id, peer_addr, others @ ..] => {
                let id = id.parse()?;
                options.member = Member { id, name: peer_addr.clone(), address: peer_addr.clone() };
                options.is_founder = id == FOUNDER;
                options.peers = Arc::new(Wire);
                let store = Store::open(options, Arc::new(RealDisk)).await?;
                tokio::spawn(wire::answer(store.clone(), peer_addr.parse()?));
                if id == FOUNDER {
                    take_in(&store, others).await?;
                }
                store
            }
            [_] => anyhow::bail!("a member has an ID and a PEER_ADDR"),
        };
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(converse(store.clone(), stream));
        }
    })
}

/// Makes a group of this member and others.
async fn take_in(store: &Store, others: &[String]) -> Result<()> {
    while !store.members().iter().any(|member| member.is_leader) {
        sleep(LOOK_INTERVAL).await;
    }
    for (number, address) in others.iter().enumerate() {
        let member = store.add_member(address, address).await?;
        println!("{} {address}", member.id);
        while store.members().iter().filter(|member| member.is_voter).count() < number + 2 {
            sleep(LOOK_INTERVAL).await;
        }
    }
    let leader = store.members().into_iter().find(|member| member.is_leader).context("nobody leads")?;
    ensure!(leader.member.id == FOUNDER, "{} leads, and the benchmark asks the founder", leader.member);
    println!("{READY}");
    Ok(())
}

/// Serves one connection, a request after the other, until it is closed.
async fn converse(store: Store, stream: TcpStream) -> Result<()> {
    let mut connection = Connection::accept(stream).await?;
    loop {
        let request = connection.message().await?;
        let status = put(&store, &request).await?;
        let headers = [(":status", "200"), ("content-type", "application/grpc")];
        connection.answer(request.stream, &headers, &rpc::message(&[]), &[("grpc-status", status)]).await?;
    }
}

/// Carries out a put; gives the status of gRPC.
async fn put(store: &Store, request: &Message) -> Result<&'static str> {
    if request.header(":path") != Some(rpc::PUT.as_bytes()) {
        return Ok("12"); // UNIMPLEMENTED
    }
    let (key, value) = rpc::parse_put(&request.body).context("not a PutRequest")?;
    let operation = Operation::Put { json: Bytes::copy_from_slice(value), splice_offset: 0, tags: Arc::default() };
    let write = Write { key: key.into(), operation, precondition: Precondition::None, frees_space: false };
    let outcome = store.write(vec![write]).await?.pop();
    // RESOURCE_EXHAUSTED (8) is what etcd answers when it has no space.
    Ok(if matches!(outcome, Some(Outcome::Written(_))) { "0" } else { "8" })
}
