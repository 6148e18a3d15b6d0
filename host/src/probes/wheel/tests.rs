use super::*;
use crate::probes::act::tests::{Answers, target};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn checks(more: serde_json::Value) -> Arc<Checks> {
    crate::pod::parse::spec(&serde_json::json!({"metadata": {"name": "p"}, "spec": {"containers": [more]}}))
        .template
        .containers[0]
        .checks
        .clone()
        .unwrap()
}

fn liveness() -> Arc<Checks> {
    checks(serde_json::json!({"name": "c", "livenessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 10}}))
}

fn key(number: usize) -> Key {
    (format!("uid-{number}").into(), 0)
}

fn wheel(count: usize, checks: &Arc<Checks>) -> Wheel {
    let (mut wheel, target) = (Wheel::default(), Arc::new(target(Answers::default())));
    for number in 0..count {
        wheel.watch(key(number), 1, checks.clone(), target.clone(), at(0));
    }
    wheel
}

#[test]
fn the_probes_of_many_pods_are_spread_over_their_period() {
    let mut wheel = wheel(10_000, &liveness());
    let mut tenths = [0; 100];
    let mut now = at(0);
    for _ in 0..10_000 {
        now = wheel.due_at().unwrap().max(now);
        let next = wheel.take_due(now).unwrap();
        tenths[usize::try_from(now.as_millisecond() / 100).unwrap()] += 1;
        wheel.settle(&next.key, 1, next.kind, next.lane, Some(&Outcome::Success), now);
    }
    assert!(now < at(10), "{now}");
    assert!(tenths.iter().all(|count| (50..150).contains(count)), "{tenths:?}");
    // Then they come again, each a period later.
    assert!(wheel.due_at().unwrap() >= at(10));
}

#[test]
fn those_that_hang_leave_room_for_others() {
    let mut wheel = wheel(2_000, &liveness());
    let mut now = at(10);
    let mut hanging: Vec<Try> = std::iter::from_fn(|| wheel.take_due(now)).collect();
    assert_eq!((hanging.len(), wheel.due_at()), (512, None));
    // All of them time out, and hang again in the next period.
    let mut rounds = 0;
    while rounds < 2_000 {
        for next in hanging.drain(..) {
            rounds += 1;
            wheel.settle(&next.key, 1, next.kind, next.lane, Some(&Outcome::TimedOut(String::new())), now);
        }
        hanging = std::iter::from_fn(|| wheel.take_due(now)).collect();
    }
    now = at(30);
    hanging.extend(std::iter::from_fn(|| wheel.take_due(now)));
    assert!(hanging.iter().all(|next| next.lane == Lane::Slow));
    assert_eq!(hanging.len(), 64);
    let target = Arc::new(target(Answers::default()));
    wheel.watch(key(9_999), 1, liveness(), target, at(0));
    assert_eq!(wheel.take_due(now).unwrap().key, key(9_999));
}

#[test]
fn what_is_forgotten_is_given_up_and_what_is_old_is_ignored() {
    let checks = checks(serde_json::json!({"name": "c", "readinessProbe": {"tcpSocket": {"port": 80}}}));
    let mut wheel = wheel(1, &checks);
    let next = wheel.take_due(at(0)).unwrap();
    let (handle, _) = AbortHandle::new_pair();
    wheel.under_way(&next.key, next.kind, handle.clone());
    wheel.watch(key(0), 2, checks, next.target.clone(), at(5));
    assert!(handle.is_aborted());
    assert_eq!(wheel.settle(&next.key, 1, next.kind, next.lane, Some(&Outcome::Success), at(6)), None);
    assert_eq!(wheel.due_at(), Some(at(5)));
    let next = wheel.take_due(at(6)).unwrap();
    let health = wheel.settle(&next.key, 2, next.kind, next.lane, Some(&Outcome::Success), at(6));
    assert!(health.is_some_and(|health| health.is_ready));
    wheel.forget(&key(0));
    assert_eq!((wheel.due_at(), wheel.under_way), (None, [0, 0]));
}
