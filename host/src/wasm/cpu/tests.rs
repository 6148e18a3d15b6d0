use std::future::poll_fn;

use proptest::prelude::*;

use super::*;

const SLICE: Duration = TICK;

/// Containers that always have something to compute, on one thread: the turns that each gets of so many.
fn shares(weights: &[u64], turns: usize) -> Vec<usize> {
    let host = Turns::new(1);
    let accounts: Vec<_> = weights.iter().map(|weight| Account::new(host.clone(), *weight, None)).collect();
    let mut guests: Vec<_> = accounts.iter().map(|account| Turn::of(account)).collect();
    let mut had = vec![0; weights.len()];
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..turns {
        let ready: Vec<_> = (0..guests.len()).filter(|guest| guests[*guest].poll(&mut context).is_ready()).collect();
        assert_eq!(ready.len(), 1, "one at a time, and nobody waits for nothing");
        had[ready[0]] += 1;
        guests[ready[0]].go_on(SLICE, &context);
    }
    had
}

#[test]
fn turns_go_by_weight() {
    for (weights, expected) in [
        (vec![1, 3], vec![100, 300]),
        (vec![100, 100, 200], vec![100, 100, 200]),
        (vec![2, 1000], vec![1, 399]),
        (vec![5; 8], vec![50; 8]),
    ] {
        for (had, expected) in shares(&weights, 400).into_iter().zip(&expected) {
            assert!(had.abs_diff(*expected) <= 1 + expected / 50, "{weights:?}: {had} of {expected}");
        }
    }
}

#[test]
fn several_guests_of_a_container_share_its_weight() {
    let host = Turns::new(1);
    let (many, lone) = (Account::new(host.clone(), 100, None), Account::new(host.clone(), 100, None));
    let mut guests: Vec<_> = (0..10).map(|_| Turn::of(&many)).chain([Turn::of(&lone)]).collect();
    let mut context = Context::from_waker(Waker::noop());
    let (mut last, mut longest_wait) = (0, 0);
    for turn in 0..400 {
        let ready: Vec<_> = (0..guests.len()).filter(|guest| guests[*guest].poll(&mut context).is_ready()).collect();
        guests[ready[0]].go_on(SLICE, &context);
        if ready[0] == 10 {
            longest_wait = longest_wait.max(turn - last);
            last = turn;
        }
    }
    let (many, lone) = (many.used_ns(), lone.used_ns());
    assert!(lone.abs_diff(many) <= 12 * nanos(SLICE), "{lone} beside {many}");
    assert!(longest_wait <= 12, "it waited for {longest_wait} turns");
}

#[test]
fn who_was_idle_is_next_and_has_saved_nothing_up() {
    let host = Turns::new(1);
    let (busy, idle) = (Account::new(host.clone(), 1, None), Account::new(host.clone(), 1, None));
    let mut context = Context::from_waker(Waker::noop());
    let mut spinning = [Turn::of(&busy), Turn::of(&busy)];
    let mut spin = |context: &mut Context<'_>| {
        let ready = spinning.iter_mut().find_map(|guest| guest.poll(context).is_ready().then_some(guest));
        ready.map(|guest| guest.go_on(SLICE, context)).is_some()
    };
    (0..100).for_each(|_| assert!(spin(&mut context)));
    let mut woken = Turn::of(&idle);
    let mut waited = 0;
    while woken.poll(&mut context).is_pending() {
        assert!(spin(&mut context));
        waited += 1;
    }
    assert!(waited <= 2, "{waited}");
    // From here on it gets half, and no more.
    let mut had = [0, 0];
    for _ in 0..100 {
        if woken.poll(&mut context).is_ready() {
            woken.go_on(SLICE, &context);
            had[0] += 1;
        } else if spin(&mut context) {
            had[1] += 1;
        }
    }
    assert!(had[0] <= 55, "{had:?}");
}

#[tokio::test(start_paused = true)]
async fn a_limit_holds() {
    for millis in [50, 100, 500, 1500] {
        let host = Turns::new(4);
        let account = Account::new(host, 100, Some(millis));
        let began = Instant::now();
        let spin = async || {
            let mut turn = Turn::of(&account);
            while began.elapsed() < Duration::from_secs(20) {
                poll_fn(|context| turn.poll(context)).await;
                tokio::time::advance(SLICE).await;
                turn.go_on(SLICE, &Context::from_waker(Waker::noop()));
            }
        };
        spin().await;
        let used = account.used_ns() as f64 / began.elapsed().as_nanos() as f64;
        let expected = (millis as f64 / 1000.0).min(1.0);
        assert!((used / expected - 1.0).abs() < 0.1, "{millis}m: used {used:.3} of a core");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_used_is_kept_for_a_period_only() {
    let account = Account::new(Turns::new(1), 100, Some(100));
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(account.paused_until(), None);
    account.charge(Duration::from_millis(60));
    // 10 ms were kept; 50 ms are owed, which take half a second to earn.
    assert_eq!(account.paused_until(), Some(Instant::now() + Duration::from_millis(500)));
    tokio::time::advance(Duration::from_millis(500)).await;
    assert_eq!(account.paused_until(), None);
}

proptest! {
    /// Whatever guests do, and whenever they go, no turn is lost and none is had twice.
    #[test]
    fn turns_are_never_lost(max in 1usize..4, steps in proptest::collection::vec((0usize..6, 0u8..4), 1..200)) {
        let host = Turns::new(max);
        let accounts: Vec<_> = (0..6).map(|weight| Account::new(host.clone(), 1 + weight, None)).collect();
        let mut guests: Vec<_> = accounts.iter().map(|account| Turn::of(account)).collect();
        let mut context = Context::from_waker(Waker::noop());
        for (number, step) in steps {
            match step {
                0 | 1 => drop(guests[number].poll(&mut context)),
                2 if number % 2 == 0 => guests[number].end(SLICE),
                2 => guests[number].go_on(SLICE, &context),
                _ => guests[number] = Turn::of(&accounts[number]),
            }
            let running = guests.iter().filter(|guest| guest.is_taken).count();
            prop_assert!(running <= max, "{running} at once");
            prop_assert!(host.state.lock().taken <= max);
        }
        drop(guests);
        prop_assert_eq!(host.state.lock().taken, 0);
    }
}
