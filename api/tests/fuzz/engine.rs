//! Runs a target: input after input, each reproducible from the seed, each under a time limit.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rustix::time::{ClockId, clock_gettime};

/// How much of a processor's time one input may take, in a build without optimization.
const INPUT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long one input may take, on a machine that is busy with other things.
const INPUT_TIMEOUT: Duration = Duration::from_secs(120);
/// Inputs that would be longer are not tried.
const INPUT_BYTES_MAX: usize = 16 * 1024;
/// How many inputs a plain test run tries.
const INPUTS_DEFAULT: u64 = 300;
/// How many accepted inputs are kept for further mutation.
const KEPT_MAX: usize = 200;

/// Changes an input; the others are there to take parts from.
type Mutate = fn(&mut StdRng, &[u8], &[Vec<u8>]) -> Vec<u8>;

/// What is fuzzed.
pub(crate) struct Target {
    /// The test's name.
    pub(crate) name: &'static str,
    /// Inputs to start from.
    pub(crate) seeds: fn(&mut StdRng) -> Vec<Vec<u8>>,
    /// How inputs are changed.
    pub(crate) mutate: Mutate,
    /// Panics where what must hold doesn't; says whether the input was accepted.
    pub(crate) check: fn(&[u8]) -> bool,
}

/// Tries inputs for `CORACLE_FUZZ_MINUTES` of a processor's time, from `CORACLE_FUZZ_SEED`.
pub(crate) fn run(target: &Target) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("CORACLE_FUZZ_SEED").unwrap_or(0);
    let end = number("CORACLE_FUZZ_MINUTES").map(|minutes| processor_time() + Duration::from_secs(60 * minutes));
    let (started, timed) = channel();
    let watchdog = std::thread::spawn(move || watch(seed, &timed));
    let (mut inputs, mut accepted) = (0, 0);
    let mut random = StdRng::seed_from_u64(seed);
    let seeds = (target.seeds)(&mut random);
    let mut kept = seeds.clone();
    for seed_input in &seeds {
        try_input(target, seed, seed_input, &started);
    }
    while end.map_or(inputs < INPUTS_DEFAULT, |end| processor_time() < end) {
        let mut input = kept.choose(&mut random).unwrap().clone();
        for _ in 0..random.random_range(1..=4) {
            input = (target.mutate)(&mut random, &input, &kept);
        }
        if input.len() > INPUT_BYTES_MAX {
            continue;
        }
        inputs += 1;
        if try_input(target, seed, &input, &started) {
            accepted += 1;
            if kept.len() < seeds.len() + KEPT_MAX {
                kept.push(input);
            } else {
                let index = random.random_range(seeds.len()..kept.len());
                kept[index] = input;
            }
        }
    }
    drop(started);
    watchdog.join().unwrap();
    println!("{}: seed {seed}, {inputs} inputs, {accepted} accepted", target.name);
    assert!(accepted * 100 >= inputs, "{}: hardly an input is accepted, so hardly anything is tested", target.name);
}

fn try_input(target: &Target, seed: u64, input: &[u8], started: &Sender<Option<Vec<u8>>>) -> bool {
    started.send(Some(input.to_vec())).unwrap();
    let before = processor_time();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let is_accepted = (target.check)(input);
        let took = processor_time() - before;
        assert!(took < INPUT_TIME_MAX, "it took {took:?} of processor time");
        is_accepted
    }));
    started.send(None).unwrap();
    result.unwrap_or_else(|panic| {
        eprintln!("{}: seed {seed}, input:\nb\"{}\"", target.name, input.escape_ascii());
        resume_unwind(panic)
    })
}

/// The time that a processor spent on this thread: what others do on the machine neither shortens a run nor fails an input.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// Ends the process when an input takes too long: nothing else stops a loop.
fn watch(seed: u64, timed: &Receiver<Option<Vec<u8>>>) {
    while let Ok(message) = timed.recv() {
        let Some(input) = message else { continue };
        if timed.recv_timeout(INPUT_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            eprintln!("seed {seed}: still busy after {INPUT_TIMEOUT:?}, input:\nb\"{}\"", input.escape_ascii());
            std::process::exit(1);
        }
    }
}
