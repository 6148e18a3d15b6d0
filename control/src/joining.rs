//! What machines are told and given that join the cluster, and how often they may fail to.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::pki::Pki;

/// What machines are told and given.
#[derive(Clone)]
pub struct Joining {
    /// Signs their certificates.
    pub pki: Arc<Pki>,
}

/// How often one address may fail within a minute.
const FAILURES_MAX: u32 = 10;
/// How many addresses are told apart; beyond that, strangers wait for the next minute.
const ADDRESSES_MAX: usize = 10_000;

/// Who failed to join, and how often, within the current minute.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    number: i64,
    by_address: HashMap<IpAddr, u32>,
}

impl Failures {
    /// Whether the address may try again.
    pub(crate) fn allow(&self, address: IpAddr, now: Timestamp) -> bool {
        let minute = &mut *self.0.lock();
        minute.begin(now);
        match minute.by_address.get(&address) {
            Some(failures) => *failures < FAILURES_MAX,
            None => minute.by_address.len() < ADDRESSES_MAX,
        }
    }

    /// Notes that the address failed.
    pub(crate) fn note(&self, address: IpAddr, now: Timestamp) {
        let minute = &mut *self.0.lock();
        minute.begin(now);
        *minute.by_address.entry(address).or_default() += 1;
    }
}

impl Minute {
    fn begin(&mut self, now: Timestamp) {
        let number = now.as_second() / 60;
        if self.number != number {
            *self = Minute { number, by_address: HashMap::new() };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn who_failed_often_waits_for_the_next_minute() {
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let failures = Failures::default();
        for _ in 0..FAILURES_MAX {
            assert!(failures.allow(one, at(60)));
            failures.note(one, at(60));
        }
        assert!(!failures.allow(one, at(119)) && failures.allow(other, at(119)));
        assert!(failures.allow(one, at(120)));
    }

    #[test]
    fn strangers_in_great_number_are_not_told_apart() {
        let failures = Failures::default();
        let address = |number: usize| IpAddr::from(Ipv4Addr::from(u32::try_from(number).unwrap()));
        (0..ADDRESSES_MAX).for_each(|number| failures.note(address(number), at(0)));
        assert!(failures.allow(address(0), at(1)) && !failures.allow(address(ADDRESSES_MAX), at(1)));
    }
}
