//! Clients that read and write all the time, and check what they are told against what anybody was told before they asked.

use std::sync::Arc;
use std::time::Duration;

use coracle_store::testing::Random;
use coracle_store::{Outcome, Precondition, Record, Revision, Snapshot, Write, WriteError};
use openraft::AsyncRuntime as _;
use openraft_rt_sim::SimRuntime;
use parking_lot::Mutex;

use super::history::{Action, Answer, Begun, History};
use super::network::{Network, Running};
use super::watchers::{PREFIX, value};
use crate::{delete, put};

const KEYS: u64 = 5;
const PAUSE_MS_MAX: u64 = 120;

/// What all clients know together. Clones are the same.
#[derive(Clone)]
pub(super) struct Clients {
    network: Network,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    history: History,
    /// The highest revision that anybody was told.
    revision: Revision,
    /// No two writes write the same.
    values: u64,
    is_over: bool,
    written: u64,
    read: u64,
    unknown: u64,
}

/// What clients got done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) written: u64,
    pub(super) read: u64,
    pub(super) unknown: u64,
}

impl Clients {
    pub(super) fn new(network: Network) -> Clients {
        Clients { network, shared: Arc::default() }
    }

    pub(super) fn tally(&self) -> Tally {
        let shared = self.shared.lock();
        Tally { written: shared.written, read: shared.read, unknown: shared.unknown }
    }

    /// Begins a client.
    pub(super) fn start(&self, number: u64, mut random: Random) {
        let clients = self.clone();
        drop(SimRuntime::spawn(async move {
            // A client keeps to its key's last known revision, as those do that update what they have read.
            let mut known: Vec<Option<Revision>> = vec![None; KEYS as usize];
            loop {
                SimRuntime::sleep(Duration::from_millis(random.below(PAUSE_MS_MAX))).await;
                if clients.shared.lock().is_over {
                    return;
                }
                let Some(running) = clients.choose(&mut random) else { continue };
                match random.below(10) {
                    0..3 => drop(clients.read(number, &running).await),
                    3 => clients.renew(number, &running).await,
                    _ => clients.write(number, &running, &mut random, &mut known).await,
                }
            }
        }));
    }

    /// From now on nothing new begins.
    pub(super) fn end(&self) {
        self.shared.lock().is_over = true;
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.shared.lock().history.check()
    }

    /// The leader, or, now and then, any member.
    fn choose(&self, random: &mut Random) -> Option<Running> {
        let running = self.network.running();
        let leader = running.iter().find(|(_, running)| running.store.is_leader());
        let any = running.get(random.below(running.len() as u64) as usize);
        let chosen = if random.once_in(3) { any } else { leader.or(any) };
        chosen.map(|(_, running)| running.clone())
    }

    /// Asks for one record under each key; gives what was found.
    pub(super) async fn read(&self, number: u64, running: &Running) -> Option<Snapshot> {
        let keys: Vec<String> = (0..KEYS).map(key).collect();
        let (floor, begun) = {
            let mut shared = self.shared.lock();
            let begun: Vec<Begun> = keys.iter().map(|key| shared.history.begin(key, Action::Read)).collect();
            (shared.revision, begun)
        };
        let found = running.store.read().await;
        // What a process that is gone would have said, nobody hears.
        let snapshot = found.ok().filter(|_| self.network.is_running(running.process))?;
        self.network.trace.note(format_args!("client {number} read at {}", snapshot.revision()));
        if snapshot.revision() < floor {
            self.network.trace.break_rule(format_args!(
                "client {number} read at revision {}, after {floor} had been told",
                snapshot.revision()
            ));
        }
        let mut shared = self.shared.lock();
        shared.read += 1;
        shared.revision = shared.revision.max(snapshot.revision());
        for (key, begun) in keys.iter().zip(&begun) {
            shared.history.end(begun, Answer::Found(snapshot.get(key).as_deref().map(held)));
        }
        Some(snapshot)
    }

    async fn write(&self, number: u64, running: &Running, random: &mut Random, known: &mut [Option<Revision>]) {
        let count = 1 + random.below(2);
        let first = random.below(KEYS);
        let (mut writes, mut begun, floor) = (Vec::new(), Vec::new(), self.shared.lock().revision);
        for place in (first..first + count).map(|place| place % KEYS) {
            let precondition = match (random.below(8), known[place as usize]) {
                (0, _) => Precondition::Absent,
                (1, _) => Precondition::Present,
                (2..5, Some(revision)) => Precondition::Revision(revision),
                _ => Precondition::None,
            };
            let mut shared = self.shared.lock();
            shared.values += 1;
            let (action, write) = if random.once_in(5) {
                (Action::Delete(precondition), delete(&key(place), precondition))
            } else {
                let filler = "x".repeat(random.below(300) as usize);
                let value = format!("{}-{filler}", shared.values);
                (Action::Put(shared.values, precondition), put(&key(place), &value, precondition))
            };
            begun.push((place, shared.history.begin(&key(place), action)));
            writes.push(write);
        }
        let Some(outcomes) = self.ask(number, running, writes, &begun).await else { return };
        let mut shared = self.shared.lock();
        for ((place, begun), outcome) in begun.iter().zip(&outcomes) {
            known[*place as usize] = match outcome {
                Outcome::Written(record) => Some(record.revision),
                Outcome::Conflict { current } => current.as_ref().map(|record| record.revision),
                _ => None,
            };
            if outcome.revision().is_some_and(|revision| revision <= floor) {
                self.network.trace.break_rule(format_args!("{outcome:?} after {floor} had been told"));
            }
            shared.revision = shared.revision.max(outcome.revision().unwrap_or_default());
            shared.written += 1;
            match outcome {
                Outcome::Written(record) => shared.history.end(begun, Answer::Written(record.revision)),
                Outcome::Deleted { revision, .. } => shared.history.end(begun, Answer::Deleted(*revision)),
                Outcome::Conflict { current } => {
                    shared.history.end(begun, Answer::Conflict(current.as_deref().map(held)));
                }
                Outcome::NoSpace => shared.history.void(begun),
            }
        }
    }

    /// Has writes done; what is not known stays open in the history.
    async fn ask(
        &self,
        number: u64,
        running: &Running,
        writes: Vec<Write>,
        begun: &[(u64, Begun)],
    ) -> Option<Vec<Outcome>> {
        let answer = running.store.write(writes).await;
        if !self.network.is_running(running.process) {
            self.shared.lock().unknown += 1;
            return None;
        }
        let trace = &self.network.trace;
        match answer {
            Ok(outcomes) => {
                let shown: Vec<_> = outcomes.iter().map(shown).collect();
                trace.note(format_args!("client {number} wrote {}", shown.join(", ")));
                Some(outcomes)
            }
            Err(WriteError::NotLeader { .. }) => {
                let mut shared = self.shared.lock();
                begun.iter().for_each(|(_, begun)| shared.history.void(begun));
                None
            }
            Err(error) => {
                trace.note(format_args!("client {number} does not know: {error}"));
                self.shared.lock().unknown += 1;
                None
            }
        }
    }

    /// Writes an ephemeral key, whose revision counts too.
    async fn renew(&self, number: u64, running: &Running) {
        let floor = self.shared.lock().revision;
        let renewed = running.store.write(vec![put(&format!("leases/{number}"), "renewed", Precondition::None)]).await;
        let Some(outcome) =
            renewed.ok().filter(|_| self.network.is_running(running.process)).map(|mut all| all.remove(0))
        else {
            return;
        };
        let revision = outcome.revision().unwrap_or_default();
        self.network.trace.note(format_args!("client {number} renewed at {revision}"));
        if revision <= floor {
            self.network.trace.break_rule(format_args!("a lease at revision {revision}, after {floor} had been told"));
        }
        let mut shared = self.shared.lock();
        shared.revision = shared.revision.max(revision);
    }

    /// Writes until it is done, or the time is over.
    pub(super) async fn write_at_last(&self, running: &Running) -> bool {
        let mut known = vec![None; KEYS as usize];
        let written = self.tally().written;
        self.write(99, running, &mut Random::new(written), &mut known).await;
        self.tally().written > written
    }
}

fn key(number: u64) -> String {
    format!("{PREFIX}{number}")
}

fn held(record: &Record) -> (u64, Revision) {
    (value(record), record.revision)
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Written(record) => format!("{} at {}", record.key, record.revision),
        Outcome::Deleted { last, revision } => format!("{} gone at {revision}", last.key),
        Outcome::Conflict { current } => format!("conflict with {:?}", current.as_deref().map(held)),
        Outcome::NoSpace => "no space".to_owned(),
    }
}
