//! The members of a simulated group: their processes, which come and go, and their disks, which stay.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_store::testing::{Random, SeededDisk};
use coracle_store::{EphemeralKeys, Member, Options, Store};
use openraft::AsyncRuntime as _;
use openraft_rt_sim::SimRuntime;

use super::network::{Network, Running};
use super::watchers::Told;

/// Longer than any sound store takes to open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(40);

/// How a process ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// In order.
    Shutdown,
    /// At once; what it had written is there, synced or not.
    Kill,
    /// With its machine: what was not synced is lost, or torn.
    PowerCut,
}

impl End {
    pub(super) fn any(random: &mut Random) -> End {
        [End::Shutdown, End::Kill, End::PowerCut, End::PowerCut][random.below(4) as usize]
    }
}

/// A member, whether its process runs or not.
struct Place {
    member: Member,
    is_founder: bool,
    disk: SeededDisk,
}

/// All members that there are, and those that are to be.
pub(super) struct Group {
    pub(super) network: Network,
    pub(super) told: Told,
    random: Random,
    places: BTreeMap<String, Place>,
    pub(super) starts: u64,
}

fn options(member: Member) -> Options {
    Options {
        member,
        ephemeral: EphemeralKeys::under("leases/"),
        history_events_max: 60,
        segment_bytes: 8 << 10,
        checkpoint_interval_ms: 100,
        checkpoint_slack_bytes: 16 << 10,
        ..Options::new("/store")
    }
}

impl Group {
    pub(super) fn new(network: Network, random: Random) -> Group {
        Group { network, told: Told::default(), random, places: BTreeMap::new(), starts: 0 }
    }

    /// A member that has no process yet, with an empty disk.
    pub(super) fn add(&mut self, member: Member, is_founder: bool) {
        let disk = SeededDisk::new(self.random.number());
        self.places.insert(member.name.clone(), Place { member, is_founder, disk });
    }

    /// Its disk is gone too.
    pub(super) async fn remove(&mut self, name: &str) {
        self.stop(name, End::Kill).await;
        self.places.remove(name);
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.places.get(name).map(|place| place.member.id)
    }

    pub(super) fn disk(&self, name: &str) -> Option<&SeededDisk> {
        self.places.get(name).map(|place| &place.disk)
    }

    /// Starts a member's process, unless it runs.
    pub(super) async fn start(&mut self, name: &str) {
        let Some(place) = self.places.get(name).filter(|_| self.network.get(name).is_none()) else { return };
        let (process, peers) = self.network.begin(name);
        let options = Options { peers, is_founder: place.is_founder, ..options(place.member.clone()) };
        let opening = Store::open(options, Arc::new(place.disk.clone()));
        let trace = &self.network.trace;
        let store = match SimRuntime::timeout(OPEN_TIMEOUT, opening).await {
            Ok(Ok(store)) => store,
            Ok(Err(error)) => return trace.break_rule(format_args!("{name} does not open: {error}")),
            Err(_) => return trace.break_rule(format_args!("{name} does not open in time")),
        };
        trace.note(format_args!("{name} starts at revision {}", store.snapshot().revision()));
        let running = Running { store, process };
        self.network.join(name, running.clone());
        self.told.watch(name, running, &self.network, Random::new(self.random.number()));
        self.starts += 1;
    }

    /// Ends a member's process. Nobody hears of it any more; what is left of it ends by and by.
    pub(super) async fn stop(&mut self, name: &str, end: End) {
        let Some(place) = self.places.get_mut(name) else { return };
        let Some(running) = self.network.get(name) else { return };
        self.network.trace.note(format_args!("{name} stops: {end:?}"));
        if matches!(end, End::Shutdown) {
            running.store.hand_over().await;
            let stopping = running.store.shutdown();
            if SimRuntime::timeout(OPEN_TIMEOUT, stopping).await.is_err() {
                self.network.trace.break_rule(format_args!("{name} does not shut down in time"));
            }
        }
        self.network.leave(name);
        place.disk = if matches!(end, End::PowerCut) { place.disk.restart() } else { place.disk.reopen() };
        drop(SimRuntime::spawn(async move { running.store.shutdown().await }));
    }
}
