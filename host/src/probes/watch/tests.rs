use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::pod::action::Action;

const HALF: Phase = Phase(1 << 31);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn probe(initial_delay: i64, period: i64, success_threshold: u32, failure_threshold: u32) -> Probe {
    Probe {
        action: Action::TcpSocket { port: 1 },
        initial_delay: SignedDuration::from_secs(initial_delay),
        period: SignedDuration::from_secs(period),
        timeout: SignedDuration::from_secs(1),
        success_threshold,
        failure_threshold,
        grace: None,
    }
}

fn checks(startup: Option<Probe>, readiness: Option<Probe>, liveness: Option<Probe>) -> Checks {
    Checks { probes: [startup, readiness, liveness], ..Checks::default() }
}

/// Tries what is due when it is, and says what came of it; the results of a probe are used up from the left, the last one stays.
fn check(checks: &Checks, results: [&str; 3], until: i64, expected: Expect) {
    let mut watch = Watch::new(checks, at(100), HALF);
    let mut lines = vec![format!("{:?}", watch.health())];
    let mut left = results;
    while let Some(now) = watch.due_at().filter(|due| *due <= at(until)) {
        let kind = watch.take_due(now).unwrap();
        let results = &mut left[kind.index()];
        let (result, rest) = results.split_at(1);
        if !rest.is_empty() {
            *results = rest;
        }
        let outcome = match result {
            "+" => Outcome::Success,
            "-" => Outcome::Failure("no".to_owned()),
            _ => Outcome::Unknown("why".to_owned()),
        };
        let health = watch.learn(checks, kind, &outcome, now, HALF);
        let news = health.map(|health| {
            format!(" started {} ready {} failed {:?}", health.is_started, health.is_ready, health.failed)
        });
        let seconds = now.duration_since(at(100)).as_secs_f64();
        lines.push(format!("{seconds:>4} {kind:?} {result}{}", news.unwrap_or_default()));
    }
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn readiness_is_tried_at_once_and_then_in_its_own_phase() {
    check(
        &checks(None, Some(probe(0, 10, 1, 3)), None),
        ["+", "-+", "+"],
        130,
        expect![[r#"
        Health { is_started: true, is_ready: false, failed: None }
           0 Readiness -
         7.5 Readiness + started true ready true failed None
        17.5 Readiness +
        27.5 Readiness +"#]],
    );
    check(
        &checks(None, Some(probe(7, 10, 2, 2)), None),
        ["+", "+-++--+", "+"],
        170,
        expect![[r#"
        Health { is_started: true, is_ready: false, failed: None }
           7 Readiness +
        14.5 Readiness -
        24.5 Readiness +
        34.5 Readiness + started true ready true failed None
        44.5 Readiness -
        54.5 Readiness - started true ready false failed None
        64.5 Readiness +"#]],
    );
}

#[test]
fn liveness_begins_in_its_own_phase_and_ends_with_the_container() {
    check(
        &checks(None, None, Some(probe(5, 10, 1, 3))),
        ["+", "+", "+--?-+"],
        300,
        expect![[r#"
        Health { is_started: true, is_ready: true, failed: None }
          10 Liveness +
          20 Liveness -
          30 Liveness -
          40 Liveness ?
          50 Liveness - started true ready true failed Some(Liveness)"#]],
    );
}

#[test]
fn startup_holds_up_the_others_until_it_succeeds() {
    let all = checks(Some(probe(1, 2, 1, 3)), Some(probe(0, 4, 1, 1)), Some(probe(9, 4, 1, 1)));
    check(
        &all,
        ["--+", "+", "+"],
        115,
        expect![[r#"
        Health { is_started: false, is_ready: false, failed: None }
           1 Startup -
         2.5 Startup -
         4.5 Startup + started true ready false failed None
         4.5 Readiness + started true ready true failed None
         7.5 Readiness +
          11 Liveness +
        11.5 Readiness +
          15 Liveness +"#]],
    );
    check(
        &all,
        ["-", "+", "+"],
        999,
        expect![[r#"
        Health { is_started: false, is_ready: false, failed: None }
           1 Startup -
         2.5 Startup -
         4.5 Startup - started false ready false failed Some(Startup)"#]],
    );
}

#[test]
fn what_was_missed_is_left_out() {
    let checks = checks(None, None, Some(probe(0, 10, 1, 3)));
    let mut watch = Watch::new(&checks, at(0), Phase(0));
    assert_eq!(watch.take_due(at(0)), Some(ProbeKind::Liveness));
    assert_eq!((watch.take_due(at(50)), watch.due_at()), (None, None));
    watch.learn(&checks, ProbeKind::Liveness, &Outcome::Success, at(34), Phase(0));
    assert_eq!(watch.due_at(), Some(at(40)));
    // A result that nobody waits for changes nothing.
    assert_eq!(watch.learn(&checks, ProbeKind::Liveness, &Outcome::Success, at(35), Phase(0)), None);
    assert_eq!(watch.due_at(), Some(at(40)));
}

/// Whether the last run of equal results that was long enough was one of successes.
fn is_ready_after(results: &[bool], success_threshold: u32, failure_threshold: u32) -> bool {
    (0..results.len())
        .rev()
        .find_map(|end| {
            let last = results[end];
            let length = results[..=end].iter().rev().take_while(|result| **result == last).count();
            let threshold = if last { success_threshold } else { failure_threshold };
            (length >= threshold as usize).then_some(last)
        })
        .unwrap_or(false)
}

proptest! {
    #[test]
    fn readiness_follows_the_last_run_that_counts(
        results in prop::collection::vec(any::<bool>(), 1..60),
        success_threshold in 1u32..4,
        failure_threshold in 1u32..4,
        period in 1i64..20,
        phase in any::<u32>(),
    ) {
        let checks = checks(None, Some(probe(0, period, success_threshold, failure_threshold)), None);
        let mut watch = Watch::new(&checks, at(0), Phase(phase));
        let mut last = None;
        for (index, is_ok) in results.iter().enumerate() {
            let now = watch.due_at().unwrap();
            if let Some(last) = last {
                let gap = now.duration_since(last);
                let least = SignedDuration::from_secs(period) / if index == 1 { 2 } else { 1 };
                prop_assert!(least <= gap && gap <= SignedDuration::from_secs(period), "{gap:?}");
            }
            last = Some(now);
            prop_assert_eq!(watch.take_due(now), Some(ProbeKind::Readiness));
            let outcome = if *is_ok { Outcome::Success } else { Outcome::Failure(String::new()) };
            watch.learn(&checks, ProbeKind::Readiness, &outcome, now, Phase(phase));
            let expected = is_ready_after(&results[..=index], success_threshold, failure_threshold);
            prop_assert_eq!(watch.health().is_ready, expected);
        }
    }

    #[test]
    fn nothing_is_tried_before_startup_or_after_the_end(
        results in prop::collection::vec(any::<(bool, u8)>(), 1..100),
        failures in 1u32..4,
        phase in any::<u32>(),
    ) {
        let checks = checks(Some(probe(0, 3, 1, failures)), Some(probe(2, 5, 1, 2)), Some(probe(1, 4, 1, failures)));
        let mut watch = Watch::new(&checks, at(0), Phase(phase));
        for (is_ok, late_seconds) in results {
            let before = watch.health();
            let Some(due) = watch.due_at() else {
                prop_assert!(before.failed.is_some());
                break;
            };
            let kind = watch.take_due(due).unwrap();
            prop_assert_eq!(before.is_started, kind != ProbeKind::Startup);
            prop_assert!(before.failed.is_none());
            let outcome = if is_ok { Outcome::Success } else { Outcome::Failure(String::new()) };
            let now = due + SignedDuration::from_secs(i64::from(late_seconds));
            let news = watch.learn(&checks, kind, &outcome, now, Phase(phase));
            prop_assert_eq!(news.is_some(), watch.health() != before);
            // Others may be due at the same time, or begin right then.
            prop_assert!(watch.due_at().is_none_or(|next| next >= due));
            prop_assert!(watch.tracks[kind.index()].due_at.is_none_or(|next| next > due));
            prop_assert!(!watch.health().is_ready || watch.health().is_started);
        }
    }
}
