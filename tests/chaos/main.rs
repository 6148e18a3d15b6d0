//! Chaos: three members on machines of their own, a fault every few seconds, clients that read and write through all members meanwhile, and
//! watchers; and visitors of pods, on hosts that nothing befalls. What the clients saw must be linearizable, what the watchers were told must be
//! all there was, in order and once, and visitors must always be answered.
//!
//! A test runs 5 minutes; `cargo xtask chaos` as long as wanted. The seed makes the schedule of faults; when threads and packets run is up to
//! the machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clients;
mod faults;
mod operator;
mod proxy;
mod schedule;
mod visitors;
mod watchers;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::time::Duration;

use clients::{Clients, Servers};
use coracle_tests::linearizability::{self, Outcome};
use coracle_tests::{ControlPlane, Machine, Network};
use faults::Faults;
use operator::Operator;
use proxy::Lines;
use visitors::Visitors;
use watchers::Watchers;

const MEMBERS: usize = 3;
const DISK_MEGABYTES: u32 = 128;
/// How long faults happen, unless it is said.
const SECONDS: u64 = 300;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|error| panic!("${name}: {error}")))
}

/// A machine with a disk and a clock that are its own.
fn machine(network: &mut Network, folder: &Path, number: usize) -> Machine {
    let mut machine = network.machine();
    machine.set_disk(&folder.join(format!("disk-{number}")), DISK_MEGABYTES);
    machine.set_clock(&folder.join(format!("clock-{number}")));
    machine
}

#[test]
fn whatever_fails_nothing_acknowledged_is_lost_and_all_see_the_same() {
    let seconds = from_environment("CORACLE_CHAOS_SECONDS").unwrap_or(SECONDS);
    let seed = from_environment("CORACLE_CHAOS_SEED").unwrap_or_else(|| RandomState::new().hash_one(()));
    println!("{seconds} s of chaos; again: cargo xtask chaos --minutes {} --seed {seed}", seconds.div_ceil(60));
    let folder = tempfile::tempdir().unwrap();
    let mut network = Network::start();
    let machines: Vec<_> = (0..MEMBERS).map(|number| machine(&mut network, folder.path(), number)).collect();
    let addresses: Vec<_> = (0..MEMBERS as u8).map(|number| network.own_address(number)).collect();
    let lines = Lines::start(&machines, &addresses, seed);
    let mut plane = ControlPlane::start_on(addresses.into_iter().zip(machines).collect(), folder.path());

    let visitors = Visitors::start(&mut network, &plane, folder.path());
    let (servers, operator) = (Servers::of(&plane), Operator::of(&plane));
    let watchers = Watchers::start(&servers);
    let clients = Clients::start(&servers, seed);
    let mut faults = Faults { plane: &mut plane, lines: &lines, operator: &operator };
    faults.happen(&schedule::schedule(seed, Duration::from_secs(seconds)));
    plane.settle();
    let history = clients.end();
    let last = servers.write_last();
    let watched = watchers.end(last);
    let visited = visitors.end();

    let writes = history.iter().filter(|record| record.operation.outcome == Outcome::Done).count();
    let unknown = history.iter().filter(|record| record.operation.outcome == Outcome::Unknown).count();
    let told: usize = watched.iter().map(|watched| watched.told.len()).sum();
    println!("{} operations, {writes} writes done, {unknown} without an answer; {told} changes watched", history.len());
    println!("{} answers of pods", visited.answered);
    assert!(writes as u64 > seconds, "hardly anything was written, so nothing was tested");
    assert!(visited.answered > seconds, "hardly a pod was asked, so nothing was tested");

    let mut written: Vec<_> = history.iter().filter_map(clients::Record::written).collect();
    written.push((last, clients::LAST.to_owned(), 0));
    let mut complaints = watchers::complaints(&watched, &written);
    complaints.extend(visited.complaints);
    let mut keys: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for record in &history {
        keys.entry(&record.key).or_default().push(record.operation);
    }
    for (key, operations) in keys {
        if let Err(violation) = linearizability::check(&operations) {
            complaints.push(format!("{key} is not linearizable: {violation}"));
        }
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos-history.txt");
    let lines: Vec<String> = history.iter().map(|record| format!("{record:?}")).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    assert!(
        complaints.is_empty(),
        "seed {seed}: see what the clients saw in {}\n{}",
        file.display(),
        complaints.join("\n")
    );
}
