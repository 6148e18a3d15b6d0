//! What goes wrong, one thing after the other, as the seed says.

use std::collections::BTreeMap;
use std::time::Duration;

use coracle_store::testing::{Failure, Random};
use coracle_store::{MembershipError, Store};
use openraft::AsyncRuntime as _;
use openraft_rt_sim::SimRuntime;

use super::group::{End, Group};
use super::network::{Running, Weather};

/// Operations of a disk in which its failure falls.
const OPERATIONS: u64 = 80;
/// The names that members may have.
pub(super) const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// The longest wait for a change of the members.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(8);

/// Something that goes wrong, or is done at a bad time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// A member's process ends, and starts again.
    Restart,
    /// All machines lose their power at once.
    PowerCutOfAll,
    /// A member is cut off: it hears nobody, is heard by nobody, or both.
    Isolate,
    /// Some pairs can't reach each other, one way or both.
    Cut,
    /// The network is whole again.
    Mend,
    /// The network gets better or worse.
    Weather,
    /// A disk fails after some operations.
    Disk,
    /// A disk is full for a while.
    Full,
    /// The leader hands over.
    HandOver,
    /// A member is added, or one removed.
    Membership,
}

const FAULTS: [Fault; 14] = [
    Fault::Restart,
    Fault::Restart,
    Fault::Restart,
    Fault::PowerCutOfAll,
    Fault::Isolate,
    Fault::Isolate,
    Fault::Cut,
    Fault::Mend,
    Fault::Weather,
    Fault::Disk,
    Fault::Full,
    Fault::HandOver,
    Fault::Membership,
    Fault::Membership,
];

pub(super) struct Faults {
    random: Random,
    /// How often each happened.
    pub(super) counts: BTreeMap<Fault, u64>,
}

impl Faults {
    pub(super) fn new(random: Random) -> Faults {
        Faults { random, counts: BTreeMap::new() }
    }

    async fn pause(&mut self, milliseconds_max: u64) {
        SimRuntime::sleep(Duration::from_millis(self.random.below(milliseconds_max))).await;
    }

    /// One of the running members.
    fn any(&mut self, group: &Group) -> Option<String> {
        let running = group.network.running();
        running.get(self.random.below(running.len() as u64) as usize).map(|(name, _)| name.clone())
    }

    /// Something goes wrong.
    pub(super) async fn strike(&mut self, group: &mut Group) {
        let fault = FAULTS[self.random.below(FAULTS.len() as u64) as usize];
        *self.counts.entry(fault).or_default() += 1;
        group.network.trace.note(format_args!("{fault:?}"));
        match fault {
            Fault::Restart => self.restart(group).await,
            Fault::PowerCutOfAll => {
                for (name, _) in group.network.running() {
                    group.stop(&name, End::PowerCut).await;
                }
                self.pause(300).await;
                start_all(group).await;
            }
            Fault::Isolate => self.isolate(group),
            Fault::Cut => {
                for _ in 0..1 + self.random.below(3) {
                    let (Some(from), Some(to)) = (self.any(group), self.any(group)) else { return };
                    group.network.cut(&from, &to);
                    if self.random.once_in(2) {
                        group.network.cut(&to, &from);
                    }
                }
            }
            Fault::Mend => group.network.mend(),
            Fault::Weather => group.network.set_weather(Weather::any(&mut self.random)),
            Fault::Disk => {
                let failure = [Failure::PowerCut, Failure::Error, Failure::Sync][self.random.below(3) as usize];
                let operations = self.random.below(OPERATIONS);
                if let Some(disk) = self.any(group).as_deref().and_then(|name| group.disk(name)) {
                    disk.fail_after(operations, failure);
                }
            }
            Fault::Full => {
                if let Some(disk) = self.any(group).as_deref().and_then(|name| group.disk(name)) {
                    disk.set_capacity(Some(disk.used_bytes() + self.random.below(10_000)));
                }
            }
            Fault::HandOver => {
                if let Some(leader) = leader(group) {
                    drop(SimRuntime::spawn(async move { leader.store.hand_over().await }));
                }
            }
            Fault::Membership => self.change_members(group).await,
        }
    }

    /// Members whose disk has failed are started again by whoever looks after them, sooner or later; so is whoever is down.
    pub(super) async fn repair(&mut self, group: &mut Group) {
        for (name, running) in group.network.running() {
            let has_no_power = group.disk(&name).is_some_and(coracle_store::testing::SeededDisk::is_crashed);
            if has_no_power || (running.store.status().failure.is_some() && self.random.once_in(2)) {
                let end = if has_no_power || self.random.once_in(2) { End::PowerCut } else { End::Kill };
                group.stop(&name, end).await;
            }
        }
        if self.random.once_in(3) {
            for name in group.names() {
                group.disk(&name).expect("a member has a disk").set_capacity(None);
            }
        }
        start_all(group).await;
    }

    async fn restart(&mut self, group: &mut Group) {
        let Some(name) = self.any(group) else { return };
        group.stop(&name, End::any(&mut self.random)).await;
        self.pause(2_500).await;
        group.start(&name).await;
    }

    fn isolate(&mut self, group: &Group) {
        let chosen = if self.random.once_in(2) { self.any(group) } else { leader_name(group) };
        let Some(name) = chosen else { return };
        let ways = self.random.below(3);
        for other in NAMES.iter().filter(|other| **other != name) {
            if ways != 0 {
                group.network.cut(&name, other);
            }
            if ways != 1 {
                group.network.cut(other, &name);
            }
        }
    }

    async fn change_members(&mut self, group: &mut Group) {
        let Some(leader) = leader(group) else { return };
        let voters = leader.store.members().iter().filter(|member| member.is_voter).count();
        let absent = NAMES.iter().find(|name| group.number(name).is_none());
        let changed = match absent {
            Some(name) if voters <= 3 || self.random.once_in(2) => add(group, &leader.store, name).await,
            _ if voters > 3 => {
                let names = group.names();
                let name = names[self.random.below(names.len() as u64) as usize].clone();
                remove(group, &leader.store, &name).await
            }
            _ => return,
        };
        group.network.trace.note(format_args!("members: {changed:?}"));
    }
}

pub(super) async fn start_all(group: &mut Group) {
    for name in group.names() {
        group.start(&name).await;
    }
}

fn leader_name(group: &Group) -> Option<String> {
    group.network.running().into_iter().find(|(_, running)| running.store.is_leader()).map(|(name, _)| name)
}

pub(super) fn leader(group: &Group) -> Option<Running> {
    leader_name(group).and_then(|name| group.network.get(&name))
}

/// Adds a member and starts its process, if the group says that it did.
async fn add(group: &mut Group, leader: &Store, name: &str) -> Result<String, String> {
    let adding = leader.add_member(name, name);
    let member = SimRuntime::timeout(CHANGE_TIMEOUT, adding).await.map_err(|error| error.to_string())?;
    let member = member.map_err(|error| error.to_string())?;
    let shown = format!("{member} with number {}", member.id);
    group.add(member, false);
    group.start(name).await;
    Ok(shown)
}

/// Removes a member and ends its process, if the group says that it did. Otherwise it may be a member still.
async fn remove(group: &mut Group, leader: &Store, name: &str) -> Result<String, String> {
    let removing = leader.remove_member(name);
    match SimRuntime::timeout(CHANGE_TIMEOUT, removing).await.map_err(|error| error.to_string())? {
        Ok(_) => {
            group.remove(name).await;
            Ok(format!("{name} removed"))
        }
        Err(MembershipError::Unknown(_)) => Ok(format!("{name} is none")),
        Err(error) => Err(error.to_string()),
    }
}
