//! The network between the members: slow, lossy, cut one way or both, and now and then what was sent comes twice.
//!
//! As over HTTP/2, the messages of one call arrive whole and in order, or the call breaks. A cut holds them up; after
//! `SILENCE_MAX` the connection is given up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coracle_store::testing::Random;
use coracle_store::{Call, Member, Messages, Peers, Store};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use openraft::AsyncRuntime as _;
use openraft_rt_sim::SimRuntime;
use parking_lot::Mutex;

use super::trace::{Trace, now};

/// A connection that is silent for so long is given up, as the real one's keep-alive has it.
const SILENCE_MAX: Duration = Duration::from_millis(1_500);
/// Time between two looks at a cut.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// The latest that a message comes for a second time.
const ECHO_DELAY_MS_MAX: u64 = 3_000;

/// Clones are the same network.
#[derive(Clone)]
pub(super) struct Network {
    wires: Arc<Mutex<Wires>>,
    pub(super) trace: Trace,
}

struct Wires {
    random: Random,
    weather: Weather,
    running: BTreeMap<String, Running>,
    processes: u64,
    /// From whom, to whom.
    cut: BTreeSet<(String, String)>,
    installs: u64,
}

/// A member's process.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) store: Store,
    /// No two processes have the same.
    pub(super) process: u64,
}

/// How the network treats messages; all once in so many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) delay_us_max: u64,
    pub(super) late_once_in: u64,
    pub(super) lost_once_in: u64,
    pub(super) echoed_once_in: u64,
}

impl Weather {
    pub(super) const CALM: Weather =
        Weather { delay_us_max: 2_000, late_once_in: u64::MAX, lost_once_in: u64::MAX, echoed_once_in: u64::MAX };

    pub(super) fn any(random: &mut Random) -> Weather {
        let mut once_in = |often: &[u64]| often[random.below(often.len() as u64) as usize];
        Weather {
            delay_us_max: once_in(&[1_000, 5_000, 40_000]),
            late_once_in: once_in(&[u64::MAX, 100, 20]),
            lost_once_in: once_in(&[u64::MAX, 400, 40]),
            echoed_once_in: once_in(&[u64::MAX, 200, 20]),
        }
    }
}

/// What becomes of a message.
struct Fate {
    delay: Duration,
    is_lost: bool,
    echo: Option<Duration>,
}

/// From one process to another.
#[derive(Clone)]
struct Way {
    from: (String, u64),
    to: (String, u64),
    call: Call,
}

impl Network {
    pub(super) fn new(random: Random, trace: Trace) -> Network {
        let wires = Wires {
            random,
            weather: Weather::CALM,
            running: BTreeMap::new(),
            processes: 0,
            cut: BTreeSet::new(),
            installs: 0,
        };
        Network { wires: Arc::new(Mutex::new(wires)), trace }
    }

    /// A process of the member called `name`, which is not reached yet.
    pub(super) fn begin(&self, name: &str) -> (u64, Arc<dyn Peers>) {
        let mut wires = self.wires.lock();
        wires.processes += 1;
        let process = wires.processes;
        (process, Arc::new(Line { network: self.clone(), from: (name.to_owned(), process) }))
    }

    /// A process can be reached from now on.
    pub(super) fn join(&self, name: &str, running: Running) {
        self.wires.lock().running.insert(name.to_owned(), running);
    }

    /// A process is gone: nothing that it sends or answers arrives any more.
    pub(super) fn leave(&self, name: &str) -> Option<Running> {
        self.wires.lock().running.remove(name)
    }

    pub(super) fn running(&self) -> Vec<(String, Running)> {
        self.wires.lock().running.iter().map(|(name, running)| (name.clone(), running.clone())).collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<Running> {
        self.wires.lock().running.get(name).cloned()
    }

    pub(super) fn is_running(&self, process: u64) -> bool {
        self.wires.lock().running.values().any(|running| running.process == process)
    }

    pub(super) fn set_weather(&self, weather: Weather) {
        self.wires.lock().weather = weather;
    }

    pub(super) fn cut(&self, from: &str, to: &str) {
        self.wires.lock().cut.insert((from.to_owned(), to.to_owned()));
    }

    pub(super) fn mend(&self) {
        self.wires.lock().cut.clear();
    }

    /// States that were sent whole.
    pub(super) fn installs(&self) -> u64 {
        self.wires.lock().installs
    }

    fn fate(&self) -> Fate {
        let mut wires = self.wires.lock();
        let weather = wires.weather;
        let random = &mut wires.random;
        let mut delay = Duration::from_micros(random.below(weather.delay_us_max));
        if random.once_in(weather.late_once_in) {
            delay += Duration::from_millis(random.below(600));
        }
        let is_lost = random.once_in(weather.lost_once_in);
        let is_echoed = random.once_in(weather.echoed_once_in);
        let echo = is_echoed.then(|| Duration::from_millis(random.below(ECHO_DELAY_MS_MAX)));
        Fate { delay, is_lost, echo }
    }

    /// Both processes run.
    fn is_alive(&self, way: &Way) -> bool {
        let wires = self.wires.lock();
        let runs = |(name, process): &(String, u64)| {
            wires.running.get(name).is_some_and(|running| running.process == *process)
        };
        runs(&way.to) && runs(&way.from)
    }

    fn is_cut(&self, way: &Way) -> bool {
        self.wires.lock().cut.contains(&(way.from.0.clone(), way.to.0.clone()))
    }

    /// Takes a message from one to the other.
    async fn carry(&self, way: &Way, message: &Bytes, fate: &Fate) -> io::Result<()> {
        SimRuntime::sleep(fate.delay).await;
        let since = now();
        while self.is_cut(way) {
            if now() - since > SILENCE_MAX {
                return Err(io::Error::other("the connection is silent"));
            }
            SimRuntime::sleep(LOOK_INTERVAL).await;
        }
        let arrives = !fate.is_lost && self.is_alive(way);
        self.trace.note(format_args!(
            "{}>{} {:?} {} bytes {:08x}{}",
            way.from.0,
            way.to.0,
            way.call,
            message.len(),
            crc32fast::hash(message),
            if arrives { "" } else { " lost" }
        ));
        if arrives { Ok(()) } else { Err(io::Error::other("the connection is broken")) }
    }

    /// Delivers a message once more, later, to whoever has the address then.
    fn echo(&self, way: &Way, member: &Member, message: Bytes, delay: Duration) {
        let (network, way, member) = (self.clone(), way.clone(), member.clone());
        drop(SimRuntime::spawn(async move {
            SimRuntime::sleep(delay).await;
            let Some(there) = network.get(&way.to.0).filter(|there| is_for(&there.store, &member)) else { return };
            network.trace.note(format_args!("{}>{} {:?} again", way.from.0, way.to.0, way.call));
            let mut answers = there.store.answer(way.call, stream::once(async { Ok(message) }).boxed());
            while answers.next().await.is_some() {}
        }));
    }
}

/// A process refuses calls for another member, one that had its address before.
fn is_for(store: &Store, member: &Member) -> bool {
    store.status().member.id == member.id
}

/// May it come twice? A state's pieces belong to their call.
fn may_echo(call: Call) -> bool {
    matches!(call, Call::Append | Call::Vote | Call::PreVote | Call::Lead)
}

/// One process's side of the network.
struct Line {
    network: Network,
    from: (String, u64),
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.from.0)
    }
}

impl Peers for Line {
    fn call(
        &self,
        member: &Member,
        call: Call,
        messages: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'static, io::Result<Messages>> {
        let (network, from, member) = (self.network.clone(), self.from.clone(), member.clone());
        Box::pin(async move {
            let there = network.get(&member.address).filter(|there| is_for(&there.store, &member));
            let there = there.ok_or_else(|| io::Error::other(format!("{member} is not there")))?;
            let way = Way { from, to: (member.address.clone(), there.process), call };
            let back = Way { from: way.to.clone(), to: way.from.clone(), call };
            if call == Call::Install {
                network.wires.lock().installs += 1;
            }
            let carrier = network.clone();
            let messages = messages.then(move |message| {
                let (network, way, member) = (carrier.clone(), way.clone(), member.clone());
                async move {
                    let fate = network.fate();
                    if let Some(delay) = fate.echo.filter(|_| may_echo(call)) {
                        network.echo(&way, &member, message.clone(), delay);
                    }
                    network.carry(&way, &message, &fate).await.map(|()| message)
                }
            });
            let answers = there.store.answer(call, messages.boxed()).then(move |answer| {
                let (network, back) = (network.clone(), back.clone());
                async move {
                    let answer = answer?;
                    network.carry(&back, &answer, &network.fate()).await.map(|()| answer)
                }
            });
            Ok(answers.boxed())
        })
    }
}
