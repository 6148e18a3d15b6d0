//! The store alone as a cluster: one member a machine, asked as etcd is.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use anyhow::{Context as _, Result, bail};
use coracle_tests::{Machine, Network};

use crate::store::{FOUNDER, READY, VERB};

const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

/// The members. Dropping it kills them.
pub(super) struct Stores {
    members: Vec<Child>,
    leader: SocketAddr,
    _machines: Vec<Machine>,
}

impl Stores {
    /// Starts a new group, and waits until all of it votes.
    pub(super) fn start(network: &mut Network, dir: &Path, count: u8) -> Result<Stores> {
        let machines: Vec<Machine> = (0..count).map(|_| network.machine()).collect();
        let at = |machine: &Machine, port: u16| SocketAddr::from((machine.address(), port));
        let mut by_peer: BTreeMap<String, &Machine> =
            machines.iter().map(|machine| (at(machine, PEER_PORT).to_string(), machine)).collect();
        let founder = machines.first().context("a group has members")?;
        let founder_peer = at(founder, PEER_PORT).to_string();
        by_peer.remove(&founder_peer);
        let mut members = Vec::new();
        let mut start = |machine: &Machine, id: u64, peers: &[&String]| -> Result<ChildStdout> {
            let mut command = machine.command(std::env::current_exe()?);
            command.arg(VERB).arg(at(machine, CLIENT_PORT).to_string()).arg(dir.join(id.to_string()));
            let mut process = command.arg(id.to_string()).args(peers).stdout(Stdio::piped()).spawn()?;
            let output = process.stdout.take().context("it is piped")?;
            members.push(process);
            Ok(output)
        };
        let addresses: Vec<&String> = std::iter::once(&founder_peer).chain(by_peer.keys()).collect();
        let mut is_ready = false;
        for line in BufReader::new(start(founder, FOUNDER, &addresses)?).lines() {
            let line = line?;
            if line == READY {
                is_ready = true;
                break;
            }
            let (id, address) = line.split_once(' ').context("a member's number and address")?;
            let machine = by_peer.get(address).context("one of the addresses given")?;
            start(machine, id.parse()?, &[&address.to_owned()])?;
        }
        let leader = at(founder, CLIENT_PORT);
        let stores = Stores { members, leader, _machines: machines };
        if !is_ready {
            bail!("the store that founds the group ended");
        }
        Ok(stores)
    }

    /// Where the leader takes calls.
    pub(super) fn leader(&self) -> SocketAddr {
        self.leader
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        for process in &mut self.members {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
