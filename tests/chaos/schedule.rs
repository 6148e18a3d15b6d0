//! Which faults happen, and when: all that a seed decides.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::MEMBERS;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is killed, and started again in the end.
    Kill,
    /// The process stands still.
    Pause,
    /// Nothing that the member sends arrives.
    Mute,
    /// Nothing arrives that is sent to the member.
    Deafen,
    /// Neither.
    Isolate,
    /// All that the member sends and is sent takes longer.
    Delay,
    /// Pieces of what the member sends and is sent are sent again late, and connections break.
    Lose,
    /// The member stops politely, lets another lead first, and is started again in the end.
    Stop,
    /// The member's clock is set some hours ahead, and right in the end.
    Advance,
    /// The member's clock is set some hours back, and right in the end.
    SetBack,
    /// There is no space left on the member's disk.
    Fill,
    /// The member's disk fails all syncs, which ends it; it is started again in the end.
    Break,
    /// The member loses its folder, is taken out of the group, and joins anew in the end.
    Replace,
}

/// Whom it happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    /// Whoever leads then.
    Leader,
    /// A member by its number.
    Member(usize),
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// From the beginning.
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
    pub(crate) victim: Victim,
    pub(crate) lasts: Duration,
}

const FAULTS: [Fault; 13] = [
    Fault::Kill,
    Fault::Pause,
    Fault::Mute,
    Fault::Deafen,
    Fault::Isolate,
    Fault::Delay,
    Fault::Lose,
    Fault::Stop,
    Fault::Advance,
    Fault::SetBack,
    Fault::Fill,
    Fault::Break,
    Fault::Replace,
];

/// Faults for so long, one every 5 to 10 s; each kind once before any comes again.
pub(crate) fn schedule(seed: u64, length: Duration) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut steps = Vec::new();
    let mut deck = Vec::new();
    let mut at = Duration::from_secs(2);
    while at < length {
        if deck.is_empty() {
            deck = FAULTS.to_vec();
            deck.shuffle(&mut random);
        }
        let fault = deck.pop().expect("invariant: the deck was filled");
        let victim = match random.random_range(0..2 * MEMBERS) {
            number if number < MEMBERS => Victim::Member(number),
            _ => Victim::Leader,
        };
        let lasts = Duration::from_millis(random.random_range(500..4_500));
        steps.push(Step { at, fault, victim, lasts });
        at += Duration::from_millis(random.random_range(5_000..10_000));
    }
    steps
}

#[test]
fn a_seed_makes_one_schedule() {
    let minutes = Duration::from_secs(120);
    assert_eq!(schedule(7, minutes), schedule(7, minutes));
    assert_ne!(schedule(7, minutes), schedule(8, minutes));
    let text: Vec<String> = schedule(7, Duration::from_secs(40)).iter().map(|step| format!("{step:?}")).collect();
    expect_test::expect![[r#"
        Step { at: 2s, fault: Kill, victim: Member(0), lasts: 742ms }
        Step { at: 10.259s, fault: Replace, victim: Leader, lasts: 1.589s }
        Step { at: 20.014s, fault: Fill, victim: Leader, lasts: 3.474s }
        Step { at: 27.364s, fault: SetBack, victim: Member(0), lasts: 3.393s }
        Step { at: 35.558s, fault: Advance, victim: Member(2), lasts: 872ms }"#]]
    .assert_eq(&text.join("\n"));
}

#[test]
fn every_fault_happens_twice_within_5_minutes() {
    for seed in 0..100 {
        let steps = schedule(seed, Duration::from_secs(300));
        let times = |fault| steps.iter().filter(|step| step.fault == fault).count();
        assert!(FAULTS.iter().all(|fault| times(*fault) >= 2), "seed {seed}");
    }
}
