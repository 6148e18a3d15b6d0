//! Whole groups in one thread, on a clock of their own: members that crash, disks that lose, tear, fail and fill up, a network that delays,
//! loses, repeats and is cut, leaders that hand over, members that come and go; all from a seed, to the bit.
//!
//! While faults last, clients and watchers must be told nothing wrong; once they are over, writes must be done again and all members be
//! equal. `CORACLE_SEED` and `CORACLE_SEEDS` say where to begin and how many to try; `cargo xtask simulate` sets them. Deliberately absent:
//! clocks that differ, as no rule of the store's asks for the time of day.

mod clients;
mod faults;
mod group;
mod history;
mod network;
mod trace;
mod watchers;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use coracle_store::testing::{Mutation, Random, mutate};
use coracle_store::{Member, Snapshot};
use openraft::AsyncRuntime as _;
use openraft_rt_sim::SimRuntime;
use parking_lot::Mutex;

use self::clients::{Clients, Tally};
use self::faults::{Fault, Faults, leader, start_all};
use self::group::Group;
use self::network::{Network, Weather};
use self::trace::{Trace, now};
use self::watchers::listed;

const CLIENTS: u64 = 4;
/// How long things go wrong.
const FAULTS_TIME: Duration = Duration::from_secs(15);
/// The longest time from the end of all faults until writes are done and all members are equal.
const HEAL_TIMEOUT: Duration = Duration::from_secs(20);
/// Seeds in which a mutation must be found.
const SEEDS: u64 = 300;

/// What a run was like.
#[derive(Debug, Default)]
struct Report {
    digest: u64,
    clients: Tally,
    faults: BTreeMap<Fault, u64>,
    changes: usize,
    starts: u64,
    installs: u64,
    last_term: u64,
    healed_in: Duration,
    /// What the scheduler did, if that was asked for.
    schedule: Vec<String>,
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn all_seeds_are_safe_and_heal() {
    let first = from_environment("CORACLE_SEED", 1);
    let count = from_environment("CORACLE_SEEDS", SEEDS);
    let reports = run_all(first, count, None).unwrap_or_else(|failure| panic!("{failure}"));
    let sum = |part: fn(&Report) -> u64| reports.iter().map(part).sum::<u64>();
    let faults = reports.iter().flat_map(|report| &report.faults).fold(
        BTreeMap::<Fault, u64>::new(),
        |mut sum, (fault, count)| {
            *sum.entry(*fault).or_default() += count;
            sum
        },
    );
    let (written, read) = (sum(|report| report.clients.written), sum(|report| report.clients.read));
    let (starts, installs) = (sum(|report| report.starts), sum(|report| report.installs));
    let (terms, unknown) = (sum(|report| report.last_term), sum(|report| report.clients.unknown));
    let changes = sum(|report| report.changes as u64);
    let slowest = reports.iter().map(|report| report.healed_in).max();
    println!(
        "{count} seeds: {written} writes and {read} reads answered, {unknown} not known, {changes} changes told, {starts} starts, \
         {installs} states sent, {terms} terms, {faults:?}, healed in {slowest:?} at most"
    );
    // A simulation in which nothing happens finds nothing.
    let is_lively = [written / 50, read / 20, changes / 50, starts / 4, installs, terms / 2, unknown];
    assert!(count < 100 || is_lively.iter().all(|times| *times >= count), "{is_lively:?}");
}

#[test]
fn a_seed_gives_the_same_events_twice() {
    for seed in from_environment("CORACLE_SEED", 1)..=3 {
        let run = || run(seed, true).unwrap_or_else(|failure| panic!("{failure}"));
        let (first, second) = (run(), run());
        let differs = first.schedule.iter().zip(&second.schedule).position(|(a, b)| a != b);
        if let Some(line) = differs {
            let around = |report: &Report| report.schedule[line.saturating_sub(5)..=line].join("\n");
            panic!("seed {seed} differs at event {line}:\n{}\n---\n{}", around(&first), around(&second));
        }
        assert_eq!(first.schedule.len(), second.schedule.len(), "seed {seed}");
        assert_eq!(first.digest, second.digest, "seed {seed}");
    }
}

/// Is an error in our own code found?
fn find(mutation: Mutation) {
    let failure = run_all(1, SEEDS, Some(mutation)).expect_err(&format!("{mutation:?} must be found"));
    println!("{mutation:?}: {failure}");
}

#[test]
fn entries_acknowledged_before_they_are_durable_are_found() {
    find(Mutation::AcknowledgeBeforeSync);
}

#[test]
fn a_log_purged_too_far_is_found() {
    find(Mutation::PurgeTooFar);
}

#[test]
fn entries_applied_twice_are_found() {
    find(Mutation::ApplyTwice);
}

#[test]
fn reads_that_ask_nobody_are_found() {
    find(Mutation::SkipReadIndex);
}

#[test]
fn forgotten_votes_are_found() {
    find(Mutation::ForgetVote);
}

/// Runs seeds on all processors; gives the first failure, if there is one.
fn run_all(first: u64, count: u64, mutation: Option<Mutation>) -> Result<Vec<Report>, String> {
    let next = AtomicU64::new(first);
    let is_over = AtomicBool::new(false);
    let (reports, failure) = (Mutex::new(Vec::new()), Mutex::new(None));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                mutate(mutation);
                while !is_over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    match run(seed, false) {
                        Ok(report) => reports.lock().push(report),
                        Err(reason) => {
                            is_over.store(true, Ordering::Relaxed);
                            failure.lock().get_or_insert(reason);
                        }
                    }
                }
            });
        }
    });
    failure.into_inner().map_or(Ok(reports.into_inner()), Err)
}

thread_local! {
    /// The panics of a simulation on this thread: the runtime keeps those of tasks to itself.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

fn note_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // The runtime may be locked: nothing is asked of it here.
            let is_simulated =
                PANICS.with_borrow_mut(|panics| panics.as_mut().map(|panics| panics.push(panic.to_string())).is_some());
            if !is_simulated {
                before(panic);
            }
        }));
    });
    PANICS.set(Some(Vec::new()));
}

/// One simulation; says what went wrong, what led there, and how to see it again.
fn run(seed: u64, with_schedule: bool) -> Result<Report, String> {
    note_panics();
    let trace = Trace::default();
    let result = catch_unwind(AssertUnwindSafe(|| -> Result<Report, String> {
        let mut runtime = SimRuntime::with_seed(seed);
        runtime.record_trace(with_schedule);
        let report = runtime.block_on(simulate(seed, trace.clone()))?;
        Ok(Report { schedule: runtime.take_trace(), digest: trace.digest(), ..report })
    }));
    let panics = PANICS.take().unwrap_or_default();
    let broken = match result {
        Ok(Ok(report)) if panics.is_empty() => return Ok(report),
        Ok(Err(reason)) => format!("{reason}\n{}", panics.join("\n")),
        Ok(Ok(_)) | Err(_) => panics.join("\n"),
    };
    Err(format!("{}\nseed {seed}: {broken}\nagain: cargo xtask simulate --seed {seed} --seeds 1", trace.tail()))
}

async fn simulate(seed: u64, trace: Trace) -> Result<Report, String> {
    let mut random = Random::new(seed);
    let mut part = || Random::new(random.number());
    let network = Network::new(part(), trace.clone());
    let mut group = Group::new(network.clone(), part());
    let clients = Clients::new(network.clone());
    let mut faults = Faults::new(part());
    let members = if seed.is_multiple_of(4) { 5 } else { 3 };
    found(&mut group, members).await?;
    for number in 0..CLIENTS {
        clients.start(number, part());
    }
    network.set_weather(Weather::any(&mut part()));
    let mut pauses = part();
    let is_broken = || {
        trace.violation().is_some()
            || PANICS.with_borrow(|panics| panics.as_ref().is_some_and(|panics| !panics.is_empty()))
    };
    while now() < FAULTS_TIME && !is_broken() {
        SimRuntime::sleep(Duration::from_millis(100 + pauses.below(1_200))).await;
        faults.strike(&mut group).await;
        faults.repair(&mut group).await;
    }
    if is_broken() {
        return Err(trace.violation().unwrap_or_else(|| "a task panicked".to_owned()));
    }
    let begun = now();
    heal(&mut group).await;
    let healing = SimRuntime::timeout(HEAL_TIMEOUT, settle(&mut group, &clients)).await;
    let healed_in = now() - begun;
    trace.violation().map_or(Ok(()), Err)?;
    healing
        .map_err(|_| format!("{HEAL_TIMEOUT:?} after the last fault the group has not healed: {}", shown(&group)))?;
    group.told.check()?;
    clients.check()?;
    let running = network.running();
    let last_term = running.iter().map(|(_, running)| running.store.status().term).max();
    // The stores know the network, and it them: else all would stay in memory.
    running.iter().for_each(|(name, _)| drop(network.leave(name)));
    Ok(Report {
        clients: clients.tally(),
        faults: faults.counts,
        changes: group.told.changes(),
        starts: group.starts,
        installs: network.installs(),
        last_term: last_term.unwrap_or_default(),
        healed_in,
        ..Report::default()
    })
}

/// The first members, in fair weather.
async fn found(group: &mut Group, count: usize) -> Result<(), String> {
    let founder = Member { id: 1, name: "a".to_owned(), address: "a".to_owned() };
    group.add(founder, true);
    group.start("a").await;
    let founder = group.network.get("a").ok_or("the founder does not start")?;
    for name in &faults::NAMES[1..count] {
        let member = founder.store.add_member(name, name).await.map_err(|error| error.to_string())?;
        group.add(member, false);
        group.start(name).await;
    }
    while founder.store.members().iter().filter(|member| member.is_voter).count() < count {
        SimRuntime::sleep(Duration::from_millis(50)).await;
        if now() > HEAL_TIMEOUT {
            return Err("the first members don't get to vote".to_owned());
        }
    }
    Ok(())
}

/// Nothing goes wrong any more.
async fn heal(group: &mut Group) {
    group.network.trace.note("all faults are over");
    group.network.mend();
    group.network.set_weather(Weather::CALM);
    for name in group.names() {
        let disk = group.disk(&name).expect("a member has a disk");
        disk.set_capacity(None);
        disk.fail_never();
    }
    start_failed(group).await;
}

/// Starts again whose disk has failed, and whoever is down.
async fn start_failed(group: &mut Group) {
    for (name, running) in group.network.running() {
        let is_crashed = group.disk(&name).expect("a member has a disk").is_crashed();
        if is_crashed || running.store.status().failure.is_some() {
            group.stop(&name, group::End::PowerCut).await;
        }
    }
    start_all(group).await;
}

/// Waits until all members can be read, then until a write is done and all are equal, and lets the clients end.
async fn settle(group: &mut Group, clients: &Clients) {
    clients.end();
    // Nobody has to write for that: what was under way as a connection broke must come to all.
    while read_all(group, clients).await.is_none() || leader(group).is_none() {
        SimRuntime::sleep(Duration::from_millis(200)).await;
        // The last failure may show only now.
        start_failed(group).await;
        meet(group).await;
    }
    let is_written = async |group: &Group| match leader(group) {
        Some(leader) => clients.write_at_last(&leader).await,
        None => false,
    };
    while !is_written(group).await {
        SimRuntime::sleep(Duration::from_millis(100)).await;
        start_failed(group).await;
    }
    while !is_equal(group, clients).await {
        SimRuntime::sleep(Duration::from_millis(200)).await;
        meet(group).await;
    }
}

/// Has exactly those run who are members: of some it was not known whether they were added or removed.
async fn meet(group: &mut Group) {
    let Some(leader) = leader(group) else { return };
    let members: BTreeMap<String, Member> =
        leader.store.members().into_iter().map(|status| (status.member.name.clone(), status.member)).collect();
    for name in group.names() {
        if members.get(&name).map(|member| member.id) != group.number(&name) {
            group.remove(&name).await;
        }
    }
    for (name, member) in members {
        if group.number(&name).is_none() {
            group.add(member, false);
            group.start(&name).await;
        }
    }
}

/// What each member holds, if all answer reads.
async fn read_all(group: &Group, clients: &Clients) -> Option<Vec<Snapshot>> {
    let mut snapshots = Vec::new();
    for (number, (_, running)) in group.network.running().iter().enumerate() {
        snapshots.push(clients.read(100 + number as u64, running).await?);
    }
    Some(snapshots)
}

/// All members answer reads, and hold the same; all vote.
async fn is_equal(group: &Group, clients: &Clients) -> bool {
    let Some(snapshots) = read_all(group, clients).await else { return false };
    let running = group.network.running();
    if running.iter().flat_map(|(_, running)| running.store.members()).any(|member| !member.is_voter) {
        return false;
    }
    let lists: Vec<_> = snapshots.iter().map(listed).collect();
    let count = leader(group).map(|leader| leader.store.members().len());
    count == Some(lists.len()) && lists.windows(2).all(|pair| pair[0] == pair[1])
}

fn shown(group: &Group) -> String {
    let running = group.network.running();
    let shown = running
        .iter()
        .map(|(name, running)| format!("\n  {name}: {:?}, {:?}", running.store.status(), running.store.members()));
    shown.collect()
}
