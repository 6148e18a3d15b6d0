//! Several members of one group, on a network that can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use coracle_store::testing::SeededDisk;
use coracle_store::{
    Call, Member, MembershipError, Messages, Options, Outcome, Peers, Precondition, ReadError, Store, WatchRequest,
    WriteError,
};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use openraft::AsyncRuntime as _;
use openraft_rt_sim::SimRuntime;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::{options, put, write};

const PATIENCE: Duration = Duration::from_secs(30);

/// All members by address, and which of them can't be reached.
#[derive(Clone, Default)]
struct Network(Arc<Mutex<Wires>>);

#[derive(Default)]
struct Wires {
    stores: BTreeMap<String, Store>,
    disks: BTreeMap<String, SeededDisk>,
    /// From whom, to whom.
    cut: BTreeSet<(String, String)>,
    /// Messages of installed states still to be carried, if the transfer is to break off.
    installs_left: Option<usize>,
    installed: usize,
    /// Changes when all that is answered ends, as it does at a member that stops in order.
    hang_ups: watch::Sender<u64>,
}

impl Network {
    fn is_cut(&self, from: &str, to: &str) -> bool {
        self.0.lock().cut.contains(&(from.to_owned(), to.to_owned()))
    }

    /// Cuts a member off from all others, or joins it again.
    fn isolate(&self, name: &str, is_cut: bool) {
        let mut wires = self.0.lock();
        let others: Vec<String> = wires.stores.keys().filter(|other| *other != name).cloned().collect();
        for other in others {
            for wire in [(name.to_owned(), other.clone()), (other, name.to_owned())] {
                if is_cut {
                    wires.cut.insert(wire);
                } else {
                    wires.cut.remove(&wire);
                }
            }
        }
    }

    fn takes_install(&self, call: Call) -> bool {
        let mut wires = self.0.lock();
        if call != Call::Install {
            return true;
        }
        wires.installed += 1;
        match &mut wires.installs_left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

/// One member's side of it.
struct Line {
    network: Network,
    from: String,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.from)
    }
}

impl Peers for Line {
    fn call(
        &self,
        member: &Member,
        call: Call,
        messages: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'static, io::Result<Messages>> {
        let (network, from, to) = (self.network.clone(), self.from.clone(), member.address.clone());
        Box::pin(async move {
            let lost = || io::Error::other("the wire is cut");
            let store = network.0.lock().stores.get(&to).cloned().ok_or_else(lost)?;
            if network.is_cut(&from, &to) {
                return Err(lost());
            }
            let (there, back) = (network.clone(), network);
            let wire = (from.clone(), to.clone());
            let messages = messages.map(move |message| {
                let arrives = !there.is_cut(&wire.0, &wire.1) && there.takes_install(call);
                if arrives { Ok(message) } else { Err(io::Error::other("the wire is cut")) }
            });
            let mut hang_ups = back.0.lock().hang_ups.subscribe();
            let answers = store.answer(call, carried(messages.boxed()));
            let answers = answers.map(move |answer| if back.is_cut(&to, &from) { Err(lost()) } else { answer });
            Ok(answers.take_until(async move { drop(hang_ups.changed().await) }).boxed())
        })
    }
}

/// As HTTP/2 has it: what is sent is taken from its sender until that ends, whether somebody still wants it or not.
fn carried(mut messages: Messages) -> Messages {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            let _ = sender.send(message);
        }
    });
    stream::poll_fn(move |context| receiver.poll_recv(context)).boxed()
}

fn of_member(network: &Network, name: &str) -> Options {
    let peers = Arc::new(Line { network: network.clone(), from: name.to_owned() });
    Options {
        member: Member { id: 1, name: name.to_owned(), address: name.to_owned() },
        peers,
        ..options(std::path::Path::new("/store"))
    }
}

/// A group whose founder is `a`, of members with these names.
async fn group(names: &[&str]) -> (Network, Vec<Store>) {
    let network = Network::default();
    let founder = Store::open(of_member(&network, names[0]), Arc::new(SeededDisk::new(1)))
        .await
        .expect("the founder's store opens");
    network.0.lock().stores.insert(names[0].to_owned(), founder.clone());
    let mut stores = vec![founder];
    for name in &names[1..] {
        let member = stores[0].add_member(name, name).await.expect("a member is added");
        stores.push(join(&network, member).await);
        until(|| voters(&stores[0]) == stores.len()).await;
    }
    (network, stores)
}

/// A member whose log lacks the writes that made its state, of a hundred objects: who joins is sent the state.
async fn one_that_lost_its_log() -> (Network, Store) {
    let (network, mut stores) = group(&["a"]).await;
    let store = stores.remove(0);
    let value = "x".repeat(20_000);
    for round in 0..3 {
        for number in 0..100 {
            write(&store, put(&format!("pods/a/{number:03}"), &format!("{value}{round}"), Precondition::None)).await;
        }
    }
    until(|| store.status().log_bytes < 2 << 20).await;
    (network, store)
}

async fn join(network: &Network, member: Member) -> Store {
    let name = member.name.clone();
    let options = Options { member, is_founder: false, ..of_member(network, &name) };
    let disk = SeededDisk::new(2);
    network.0.lock().disks.insert(name.clone(), disk.clone());
    let store = Store::open(options, Arc::new(disk)).await.expect("the member's store opens");
    network.0.lock().stores.insert(name, store.clone());
    store
}

fn voters(store: &Store) -> usize {
    store.members().iter().filter(|member| member.is_voter).count()
}

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it comes true");
}

/// Waits until one of the stores leads, and gives its place.
async fn leader_of(stores: &[Store]) -> usize {
    let wait = async {
        loop {
            for (place, store) in stores.iter().enumerate() {
                if matches!(store.leader().await, Ok(None)) {
                    return place;
                }
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("one of them leads")
}

async fn put_one(store: &Store, key: &str) -> u64 {
    let outcome = write(store, put(key, "x", Precondition::None)).await;
    let Outcome::Written(record) = outcome else { panic!("{outcome:?}") };
    record.revision
}

fn dump(store: &Store) -> Vec<(String, u64)> {
    store.snapshot().range("", None).map(|record| (record.key.to_string(), record.revision)).collect()
}

#[tokio::test]
async fn what_one_acknowledges_all_can_read_and_watch() {
    let (_, stores) = group(&["a", "b", "c"]).await;
    let mut revisions = Vec::new();
    let follower = &stores[1];
    let after = follower.read().await.unwrap().revision();
    let mut watch = follower.watch(WatchRequest { prefix: "pods/".into(), tag: None, after }).unwrap();
    for number in 0..20 {
        let revision = put_one(&stores[0], &format!("pods/a/{number:02}")).await;
        let seen = stores[1 + number % 2].read().await.unwrap();
        assert_eq!(seen.get(&format!("pods/a/{number:02}")).map(|record| record.revision), Some(revision));
        assert!(seen.revision() >= revision);
        revisions.push(revision);
    }
    for revision in revisions {
        assert_eq!(watch.next().await.unwrap().record.revision, revision);
    }
    let refused = follower.write(vec![put("pods/a/x", "x", Precondition::None)]).await.unwrap_err();
    assert!(matches!(refused, WriteError::NotLeader { leader: Some(1) }), "{refused}");
    assert_eq!(follower.leader().await.unwrap().map(|leader| leader.name), Some("a".to_owned()));
}

#[tokio::test]
async fn what_is_written_as_calls_end_comes_to_all_without_another_write() {
    let (network, stores) = group(&["a", "b", "c"]).await;
    for number in 0..20 {
        network.0.lock().hang_ups.send_modify(|count| *count += 1);
        put_one(&stores[0], &format!("pods/a/{number:02}")).await;
        for store in &stores {
            store.read().await.unwrap();
        }
    }
}

#[tokio::test]
async fn another_leads_when_the_leader_is_gone_and_revisions_go_on() {
    let (network, stores) = group(&["a", "b", "c"]).await;
    put_one(&stores[0], "pods/a/kept").await;
    let leased = put_one(&stores[0], "leases/h1").await;
    network.isolate("a", true);
    let rest = &stores[1..];
    let next = &rest[leader_of(rest).await];
    assert!(next.read().await.unwrap().get("pods/a/kept").is_some());
    assert!(next.snapshot().get("leases/h1").is_none(), "what the old leader kept in memory is not known");
    assert!(next.watch(WatchRequest { prefix: "leases/".into(), tag: None, after: leased }).is_err());
    assert!(put_one(next, "pods/a/new").await > leased);
    // The old leader can confirm nothing any more.
    let (read, written) =
        tokio::join!(stores[0].read(), stores[0].write(vec![put("pods/a/lost", "x", Precondition::None)]));
    assert!(matches!(read, Err(ReadError::NoQuorum(_))), "{read:?}");
    assert!(matches!(written, Err(WriteError::NoQuorum { .. } | WriteError::NotLeader { .. })), "{written:?}");
    network.isolate("a", false);
    let seen = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Ok(seen) = stores[0].read().await {
                return seen;
            }
        }
    });
    let seen = seen.await.expect("it follows the new leader");
    assert!(seen.get("pods/a/new").is_some() && seen.get("pods/a/lost").is_none() && seen.get("leases/h1").is_none());
    assert_eq!(dump(&stores[0]), dump(next));
}

#[tokio::test]
async fn a_member_that_is_far_behind_takes_over_the_state_and_goes_on_where_it_broke_off() {
    let (network, first) = one_that_lost_its_log().await;
    put_one(&first, "leases/h1").await;
    network.0.lock().installs_left = Some(4);
    let member = first.add_member("b", "b").await.unwrap();
    let second = join(&network, member).await;
    until(|| network.0.lock().installed > 5).await;
    network.0.lock().installs_left = None;
    until(|| voters(&first) == 2).await;
    second.read().await.unwrap();
    let durable: Vec<_> = dump(&first).into_iter().filter(|(key, _)| !key.starts_with("leases/")).collect();
    assert_eq!(dump(&second), durable);
    assert_eq!(durable.len(), 100);
}

#[tokio::test]
async fn a_member_without_room_for_the_state_takes_it_over_when_it_has_some() {
    let (network, first) = one_that_lost_its_log().await;
    network.0.lock().installs_left = Some(0);
    let member = first.add_member("b", "b").await.unwrap();
    let second = join(&network, member).await;
    let disk = network.0.lock().disks.get("b").cloned().expect("its disk");
    disk.set_capacity(Some(disk.used_bytes()));
    network.0.lock().installs_left = None;
    // It is offered the state more than once: it refused it, and lives.
    let whole = network.0.lock().installed;
    until(|| network.0.lock().installed > whole + 30).await;
    assert_eq!(voters(&first), 1);
    disk.set_capacity(None);
    until(|| voters(&first) == 2).await;
    second.read().await.unwrap();
    assert_eq!(dump(&second), dump(&first));
}

#[tokio::test]
async fn members_are_added_once_hand_over_and_leave() {
    let (network, stores) = group(&["a", "b", "c"]).await;
    let twice = stores[0].add_member("b", "elsewhere").await.unwrap_err();
    assert!(matches!(&twice, MembershipError::Exists(member) if member.address == "b"), "{twice}");
    stores[0].hand_over().await;
    let leader = leader_of(&stores[1..]).await + 1;
    put_one(&stores[leader], "pods/a/1").await;
    let refused = stores[0].remove_member("a").await.unwrap_err();
    assert!(matches!(refused, MembershipError::NotLeader { .. }), "{refused}");
    let gone = stores[leader].remove_member("a").await.unwrap();
    assert_eq!((gone.id, voters(&stores[leader])), (1, 2));
    network.isolate("a", true);
    put_one(&stores[leader], "pods/a/2").await;
    // Under its old name it gets another number.
    let again = stores[leader].add_member("a", "a").await.unwrap();
    let known: Vec<u64> = stores[leader].members().iter().map(|member| member.member.id).collect();
    assert!(again.id > 3 && known.iter().filter(|id| **id == again.id).count() == 1, "{again:?} among {known:?}");
    let unknown = stores[leader].remove_member("z").await.unwrap_err();
    assert!(matches!(unknown, MembershipError::Unknown(_)), "{unknown}");
}

#[tokio::test]
async fn the_last_voter_stays() {
    let (_, stores) = group(&["a"]).await;
    let refused = stores[0].remove_member("a").await.unwrap_err();
    assert!(matches!(refused, MembershipError::LastVoter(_)), "{refused}");
}

/// Refuses every call at once, as a machine does whose member is down.
#[derive(Debug, Default)]
struct Refusal(AtomicU64);

impl Peers for Refusal {
    fn call(&self, _: &Member, _: Call, _: BoxStream<'static, Bytes>) -> BoxFuture<'static, io::Result<Messages>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }
}

#[test]
fn a_member_that_refuses_is_asked_again_after_a_pause() {
    let peers = Arc::new(Refusal::default());
    let options = Options { peers: peers.clone(), ..options(std::path::Path::new("/store")) };
    SimRuntime::with_seed(1).block_on(async {
        let store = Store::open(options, Arc::new(SeededDisk::new(1))).await.expect("the store opens");
        store.add_member("b", "b").await.expect("a member is added");
        SimRuntime::sleep(Duration::from_secs(10)).await;
    });
    // A heartbeat each tenth of a second, and entries after longer and longer pauses.
    let calls = peers.0.load(Ordering::Relaxed);
    assert!((50..200).contains(&calls), "{calls} calls in 10 s");
}

#[tokio::test]
async fn a_member_that_moved_is_found_again() {
    let (network, stores) = group(&["a", "b", "c"]).await;
    let moved = Options {
        member: Member { id: stores[1].status().member.id, name: "b".to_owned(), address: "b2".to_owned() },
        is_founder: false,
        ..of_member(&network, "b2")
    };
    stores[1].shutdown().await.expect("it stops");
    network.0.lock().stores.remove("b");
    // Its folder went with it: the same member, elsewhere.
    let disk = network.0.lock().disks.get("b").cloned().expect("its disk");
    let again = Store::open(moved, Arc::new(disk.restart())).await.expect("the store opens");
    network.0.lock().stores.insert("b2".to_owned(), again.clone());
    put_one(&stores[0], "pods/a/1").await;
    until(|| again.snapshot().get("pods/a/1").is_some()).await;
    let addresses: Vec<String> = stores[0].members().into_iter().map(|member| member.member.address).collect();
    assert_eq!(addresses, ["a", "b2", "c"]);
}
