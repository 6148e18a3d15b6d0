//! Debian's etcd as a cluster: one member a machine.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result};
use coracle_tests::{Machine, Network, eventually};

const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

/// The members. Dropping it kills them.
pub(super) struct Etcd {
    members: Vec<(Machine, Child)>,
}

impl Etcd {
    /// Starts a new cluster, and waits until somebody leads.
    pub(super) fn start(network: &mut Network, dir: &Path, count: u8) -> Result<Etcd> {
        let machines: Vec<Machine> = (0..count).map(|_| network.machine()).collect();
        let url = |machine: &Machine, port: u16| format!("http://{}:{port}", machine.address());
        let names =
            machines.iter().enumerate().map(|(number, machine)| format!("m{number}={}", url(machine, PEER_PORT)));
        let group = names.collect::<Vec<_>>().join(",");
        let mut members = Vec::new();
        for (number, machine) in machines.into_iter().enumerate() {
            let (client_url, peer_url) = (url(&machine, CLIENT_PORT), url(&machine, PEER_PORT));
            let mut command = machine.command("etcd");
            command.arg("--data-dir").arg(dir.join(number.to_string())).args(["--name", &format!("m{number}")]);
            command.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
            command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
            command.args(["--initial-cluster", &group, "--log-level", "error"]);
            let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("etcd cannot be run")?;
            members.push((machine, process));
        }
        let etcd = Etcd { members };
        eventually("an etcd leads", || etcd.leader().ok());
        Ok(etcd)
    }

    /// Where the leader takes calls.
    pub(super) fn leader(&self) -> Result<SocketAddr> {
        let addresses = self.members.iter().map(|(machine, _)| SocketAddr::from((machine.address(), CLIENT_PORT)));
        let leads =
            |address: &SocketAddr| metrics(*address).is_ok_and(|text| text.contains("\netcd_server_is_leader 1"));
        addresses.into_iter().find(leads).context("no etcd leads")
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for (_, process) in &mut self.members {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn metrics(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
