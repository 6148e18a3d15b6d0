//! Histories that are known to be good or bad, and all small ones beside a search without any cleverness.

use proptest::prelude::*;

use super::*;

/// Operations, one a line: `called-answered ACTION -> OUTCOME`.
#[track_caller]
fn history(text: &str) -> Vec<Operation> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(operation).collect()
}

fn operation(line: &str) -> Operation {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (called, answered) = words[0].split_once('-').unwrap();
    let arrow = words.iter().position(|word| *word == "->").unwrap();
    let number = |word: &str| word.parse().unwrap();
    let action = match &words[1..arrow] {
        ["read"] => Action::Read,
        ["create", value] => Action::Create(number(value)),
        ["replace", value] => Action::Replace { expected: None, value: number(value) },
        ["replace", expected, value] => Action::Replace { expected: Some(number(expected)), value: number(value) },
        ["delete"] => Action::Delete { expected: None },
        ["delete", expected] => Action::Delete { expected: Some(number(expected)) },
        other => panic!("{other:?}"),
    };
    let outcome = match words[arrow + 1] {
        "nothing" => Outcome::Found(None),
        "done" => Outcome::Done,
        "missing" => Outcome::Missing,
        "conflict" => Outcome::Conflict,
        "?" => Outcome::Unknown,
        value => Outcome::Found(Some(number(value))),
    };
    Operation { action, outcome, called: number(called), answered: number(answered) }
}

#[track_caller]
fn good(text: &str) {
    assert_eq!(check(&history(text)), Ok(()));
}

#[track_caller]
fn bad(text: &str) {
    let violation = check(&history(text)).expect_err("the history is not linearizable");
    assert!(!violation.stuck.is_empty(), "{violation}");
}

#[test]
fn good_histories_pass() {
    good("");
    good("1-2 read -> nothing");
    good("1-2 delete 7 -> conflict\n 3-4 create 8 -> done\n 5-6 replace 7 9 -> conflict");
    good(
        "1-2 create 7 -> done\n 3-4 read -> 7\n 5-6 create 8 -> conflict\n 7-8 delete 7 -> done\n 9-10 read -> nothing",
    );
    // What overlaps may come in any order, but in one for all.
    good("1-9 create 7 -> done\n 2-3 read -> nothing\n 4-5 read -> 7\n 6-7 read -> 7");
    good(
        "1-9 create 7 -> done\n 1-9 replace 7 8 -> done\n 1-9 delete 8 -> done\n 1-9 create 9 -> done\n 10-11 read -> 9",
    );
    // A write without an answer may have been done, much later too, or never.
    good("1-2 create 7 -> ?\n 3-4 read -> nothing\n 5-6 read -> 7");
    good("1-2 create 7 -> ?\n 3-4 read -> nothing\n 5-6 create 8 -> done\n 7-8 read -> 8");
    good("1-2 create 7 -> done\n 3-4 replace 8 -> ?\n 5-6 replace 7 9 -> done\n 7-8 read -> 9\n 9-10 read -> 8");
}

#[test]
fn stale_reads_are_found() {
    bad("1-2 create 7 -> done\n 3-4 read -> nothing");
    bad("1-2 create 7 -> done\n 3-4 replace 7 8 -> done\n 5-6 read -> 7");
    bad("1-9 create 7 -> done\n 2-3 read -> 7\n 4-5 read -> nothing");
    // Seen once, an unknown write has been done.
    bad("1-2 create 7 -> ?\n 3-4 read -> 7\n 5-6 read -> nothing");
}

#[test]
fn lost_writes_are_found() {
    bad("1-2 create 7 -> done\n 3-4 create 8 -> done");
    bad("1-2 create 7 -> done\n 3-4 replace 7 8 -> done\n 5-6 delete 7 -> done");
    bad("1-2 create 7 -> done\n 3-4 delete -> missing");
}

#[test]
fn writes_done_twice_are_found() {
    bad("1-2 create 7 -> done\n 3-4 replace 7 8 -> done\n 5-6 replace 8 9 -> done\n 7-8 read -> 8");
    bad("1-2 create 7 -> ?\n 3-4 read -> 7\n 5-6 delete 7 -> done\n 7-8 read -> 7");
}

#[test]
fn preconditions_that_two_met_are_found() {
    bad("1-2 create 7 -> done\n 3-9 replace 7 8 -> done\n 3-9 replace 7 9 -> done");
    bad("1-9 create 7 -> done\n 1-9 create 8 -> done");
}

#[test]
fn refusals_without_a_reason_are_found() {
    bad("1-2 create 7 -> conflict");
    bad("1-2 create 7 -> done\n 3-4 delete 7 -> done\n 5-6 create 8 -> conflict");
    bad("1-2 create 7 -> done\n 3-4 replace 7 8 -> conflict");
}

/// The second replacement changes nothing where it would fit first, and is needed later.
#[test]
fn what_changes_nothing_at_first_may_be_needed_later() {
    good("12-13 replace 1 -> done\n 13-14 create 3 -> done\n 13-16 replace 3 -> done\n 18-18 replace 3 1 -> done");
}

#[test]
fn values_from_nowhere_are_found() {
    bad("1-2 read -> 7");
    bad("1-2 create 7 -> done\n 3-4 replace 7 8 -> conflict\n 5-6 read -> 8");
}

/// Long histories with many unknown writes are searched soon.
#[test]
fn unknown_writes_do_not_make_the_search_long() {
    let mut history = vec![operation("0-1 create 1000 -> done")];
    for round in 0..100 {
        let (value, at) = (1_000 + round, 10 * round);
        let expected = Some(value);
        let action = Action::Replace { expected, value: value + 1 };
        history.push(Operation { action, outcome: Outcome::Done, called: at + 5, answered: at + 6 });
        let action = Action::Replace { expected, value: 5_000 + round };
        history.push(Operation { action, outcome: Outcome::Unknown, called: at + 4, answered: at + 7 });
        if round % 4 == 0 {
            let action = Action::Replace { expected: None, value: 9_000 + round };
            history.push(Operation { action, outcome: Outcome::Unknown, called: at + 4, answered: at + 7 });
        }
    }
    assert_eq!(check(&history), Ok(()));
    history.push(operation("90000-90001 read -> 1007"));
    assert!(check(&history).is_err());
}

/// Tries every order of the operations; of those without an answer, with each or without it.
fn check_slowly(left: &[Operation], state: Option<Value>) -> bool {
    if left.iter().all(|operation| operation.outcome == Outcome::Unknown) {
        return true;
    }
    (0..left.len()).any(|index| {
        let operation = left[index];
        let mut rest = left.to_vec();
        rest.remove(index);
        let (after, _) = operation.action.on(state);
        let fits = operation.outcome == Outcome::Unknown || operation.action.is_answered(state, operation.outcome);
        fits && rest.iter().all(|other| other.end() >= operation.called) && check_slowly(&rest, after)
    })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Read),
        (1..4u64).prop_map(Action::Create),
        (proptest::option::of(1..4u64), 1..4u64).prop_map(|(expected, value)| Action::Replace { expected, value }),
        proptest::option::of(1..4u64).prop_map(|expected| Action::Delete { expected }),
    ]
}

/// Operations as one copy of the key would do them, each at its moment; the moments of calls and answers lie around it.
fn done_at_moments() -> impl Strategy<Value = Vec<Operation>> {
    let operation = (action(), 0..6u64, 0..6u64, proptest::bool::weighted(0.2), proptest::bool::ANY);
    proptest::collection::vec(operation, 1..7).prop_map(|steps| {
        let mut state = None;
        let mut history = Vec::new();
        for (moment, (action, before, after, is_lost, is_done)) in steps.into_iter().enumerate() {
            let at = 2 * moment as u64 + 10;
            let (next, mut outcome) = action.on(state);
            if is_lost && action != Action::Read {
                outcome = Outcome::Unknown;
            }
            if outcome != Outcome::Unknown || is_done {
                state = next;
            }
            history.push(Operation { action, outcome, called: at - before, answered: at + after });
        }
        history
    })
}

proptest! {
    #[test]
    fn what_one_copy_did_is_linearizable(history in done_at_moments()) {
        prop_assert_eq!(check(&history), Ok(()));
    }

    /// One outcome is changed, which may make the history a bad one.
    #[test]
    fn the_search_agrees_with_one_that_tries_everything(
        mut history in done_at_moments(),
        place in any::<proptest::sample::Index>(),
        value in 1..4u64,
    ) {
        let changed = place.get_mut(&mut history);
        changed.outcome = match changed.outcome {
            Outcome::Found(Some(_)) => Outcome::Found(None),
            Outcome::Found(None) => Outcome::Found(Some(value)),
            Outcome::Done => Outcome::Conflict,
            Outcome::Conflict | Outcome::Missing | Outcome::Unknown => Outcome::Done,
        };
        prop_assert_eq!(check(&history).is_ok(), check_slowly(&history, None), "{:?}", history);
    }
}
