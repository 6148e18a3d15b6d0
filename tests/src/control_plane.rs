//! A control plane of several members, each on a machine of its own.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Machine, Network, Printed, Server, eventually};

/// The members, by number: the cluster begins with member 0. Dropping it kills them.
pub struct ControlPlane {
    members: Vec<Member>,
}

/// A machine, what is kept there, and the process, if it runs.
struct Member {
    machine: Machine,
    advertised: Ipv4Addr,
    dir: PathBuf,
    server: Option<Server>,
}

impl ControlPlane {
    /// Starts members that reach each other directly, and waits until all vote.
    pub fn start(network: &mut Network, folder: &Path, count: u8) -> ControlPlane {
        let machines = (0..count).map(|_| network.machine());
        ControlPlane::start_on(machines.map(|machine| (machine.address(), machine)).collect(), folder)
    }

    /// Starts members on machines, each of which the others reach at the address beside it.
    pub fn start_on(machines: Vec<(Ipv4Addr, Machine)>, folder: &Path) -> ControlPlane {
        let places = machines.into_iter().enumerate();
        let members = places.map(|(number, (advertised, machine))| {
            let dir = machine.disk().unwrap_or(folder).join(name(number));
            Member { machine, advertised, dir, server: None }
        });
        let mut plane = ControlPlane { members: members.collect() };
        plane.restart(0);
        for number in 1..plane.members.len() {
            plane.join(number);
        }
        plane.settle();
        plane
    }

    /// How many members there are, running or not.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// A running member.
    pub fn server(&self, number: usize) -> &Server {
        self.members[number].server.as_ref().expect("the member runs")
    }

    /// Is the member's process there?
    pub fn runs(&self, number: usize) -> bool {
        self.members[number].server.is_some()
    }

    /// The machine of a member.
    pub fn machine(&self, number: usize) -> &Machine {
        &self.members[number].machine
    }

    /// What a member keeps.
    pub fn dir(&self, number: usize) -> PathBuf {
        self.members[number].dir_seen()
    }

    /// Kills a member's process as nothing else does.
    pub fn kill(&mut self, number: usize) {
        self.members[number].server = None;
    }

    /// Waits until a member ends by itself; gives its exit code.
    pub fn end(&mut self, number: usize) -> Option<i32> {
        self.members[number].server.take().and_then(|mut server| server.end())
    }

    /// Asks a member to stop, which lets another lead first; gives its exit code.
    pub fn terminate(&mut self, number: usize) -> Option<i32> {
        self.members[number].server.take().and_then(|mut server| server.terminate())
    }

    /// Starts a member that is stopped, and waits until it is ready.
    pub fn restart(&mut self, number: usize) {
        let member = &mut self.members[number];
        let mut command = member.machine.server(&member.dir, member.advertised);
        member.server = Some(Server::spawn(&member.dir_seen(), &mut command));
    }

    /// Makes a machine with an empty folder a member.
    pub fn join(&mut self, number: usize) {
        let invitation = self.invitation("server");
        let member = &mut self.members[number];
        let mut command = member.machine.server(&member.dir, member.advertised);
        command.args(["--join", &invitation, "--name", &name(number)]);
        member.server = Some(Server::spawn(&member.dir_seen(), &mut command));
    }

    /// Takes a member out of the group, and its folder away.
    pub fn remove(&mut self, number: usize) {
        self.kill(number);
        let name = self.names()[number].clone();
        eventually("the member is removed", || {
            let removed = self.wasmctl(&["member", "remove", &name]);
            // An answer may be lost.
            (removed.code == 0 || removed.stderr.contains("there is no member")).then_some(())
        });
        std::fs::remove_dir_all(self.dir(number)).expect("the folder was the member's");
    }

    /// A token for a machine of this role, with the address of a running member.
    pub fn invitation(&self, role: &str) -> String {
        let member = self.members.iter().find(|member| member.server.is_some()).expect("a member runs");
        let token = eventually("a token is made", || {
            let made = self.wasmctl(&["token", "create", "--role", role]);
            (made.code == 0).then_some(made.stdout)
        });
        format!("{}@{}:6443", token.trim(), member.advertised)
    }

    /// Runs `wasmctl` against a running member.
    pub fn wasmctl(&self, arguments: &[&str]) -> Printed {
        let server = self.members.iter().find_map(|member| member.server.as_ref());
        server.expect("a member runs").wasmctl(arguments)
    }

    /// Who leads, as somebody knows who is not out of date.
    pub fn leader(&self) -> usize {
        eventually("somebody leads", || {
            let leader = self.items()?.into_iter().find(|item| item["role"] == "leader")?;
            self.number_of(&leader).filter(|number| self.runs(*number))
        })
    }

    /// How many entries of the log a member lacks, as far as the leader knows.
    pub fn lag(&self, number: usize) -> Option<u64> {
        let items = eventually("the members are listed", || self.items());
        items.iter().find(|item| self.number_of(item) == Some(number))?["lag"].as_u64()
    }

    /// Waits until all vote, and nobody lacks anything.
    pub fn settle(&self) {
        eventually("all members have caught up", || {
            let items = self.items()?;
            let has_caught_up = |item: &Value| item["role"] == "leader" || item["role"] == "voter" && item["lag"] == 0;
            (items.len() == self.count() && items.iter().all(has_caught_up)).then_some(())
        });
    }

    /// The members' names, by number.
    pub fn names(&self) -> Vec<String> {
        let items = eventually("the members are listed", || self.items());
        let mut names = vec![String::new(); self.count()];
        for item in &items {
            if let Some(number) = self.number_of(item) {
                names[number] = item["name"].as_str().unwrap_or_default().to_owned();
            }
        }
        names
    }

    fn number_of(&self, item: &Value) -> Option<usize> {
        let (address, _) = item["address"].as_str()?.split_once(':')?;
        self.members.iter().position(|member| member.advertised.to_string() == address)
    }

    /// The list of members, from one that knows who leads.
    fn items(&self) -> Option<Vec<Value>> {
        self.members.iter().filter_map(|member| member.server.as_ref()).find_map(|server| {
            let listed = server.wasmctl(&["member", "list", "-o", "json"]);
            let mut list: Value = serde_json::from_str(&listed.stdout).ok()?;
            let items = list["items"].as_array_mut().map(std::mem::take)?;
            items.iter().any(|item| item["role"] == "leader").then_some(items)
        })
    }
}

impl Member {
    /// Its folder, as the tests see it.
    fn dir_seen(&self) -> PathBuf {
        self.machine.seen(&self.dir)
    }
}

fn name(number: usize) -> String {
    format!("server-{}", number + 1)
}
