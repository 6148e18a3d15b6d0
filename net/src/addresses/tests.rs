use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn check(text: &str, expected: Expect) {
    match text.parse::<Cidr>() {
        Ok(cidr) => expected.assert_eq(&format!("{cidr}, {} addresses", cidr.size())),
        Err(error) => expected.assert_eq(&error.to_string()),
    }
}

#[test]
fn ranges_are_read_or_refused_with_the_reason() {
    check("127.1.0.0/16", expect!["127.1.0.0/16, 65536 addresses"]);
    check("10.42.1.0/24", expect!["10.42.1.0/24, 256 addresses"]);
    check("10.42.1.0", expect!["`10.42.1.0` is not a range of IPv4 addresses: write it as 127.1.0.0/16"]);
    check("10.42.1/24", expect!["`10.42.1/24` is not a range of IPv4 addresses: write it as 127.1.0.0/16"]);
    check("10.42.1.7/24", expect!["`10.42.1.7/24` does not start its range: write 10.42.1.0/24"]);
    check("10.42.1.0/31", expect!["`/31` is no size for a range of pod addresses: between /8 and /30, please"]);
    check("10.0.0.0/4", expect!["`/4` is no size for a range of pod addresses: between /8 and /30, please"]);
}

#[test]
fn a_range_is_split_into_smaller_ones() {
    let check = |text: &str, prefix, expected: Expect| {
        let ranges: Vec<_> = text.parse::<Cidr>().unwrap().split(prefix).map(|range| range.to_string()).collect();
        expected.assert_eq(&ranges.join(" "));
    };
    check("127.1.0.0/16", 17, expect!["127.1.0.0/17 127.1.128.0/17"]);
    check("127.1.0.0/16", 16, expect!["127.1.0.0/16"]);
    check("127.1.0.0/16", 15, expect![""]);
    check("127.1.0.0/29", 31, expect![""]);
}

#[test]
fn ranges_overlap_where_one_holds_the_other() {
    let overlap = |one: &str, two: &str| {
        let (one, two) = (one.parse::<Cidr>().unwrap(), two.parse().unwrap());
        assert_eq!(one.overlaps(two), two.overlaps(one));
        one.overlaps(two)
    };
    assert!(overlap("10.0.0.0/16", "10.0.0.0/16") && overlap("10.0.0.0/16", "10.0.255.0/24"));
    assert!(!overlap("10.0.0.0/24", "10.0.1.0/24"));
}

#[test]
fn a_released_address_is_the_last_to_come_back() {
    let mut addresses = Addresses::new("10.0.0.0/29".parse().unwrap());
    let mut given: Vec<_> = (0..3).map(|_| addresses.allocate().unwrap().octets()[3]).collect();
    assert!(addresses.release([10, 0, 0, 2].into()) && !addresses.release([10, 0, 0, 2].into()));
    given.extend(std::iter::from_fn(|| addresses.allocate()).map(|address| address.octets()[3]));
    assert_eq!(given, [1, 2, 3, 4, 5, 6, 2]);
    assert_eq!(addresses.free_count(), 0);
}

#[test]
fn the_ends_and_strangers_can_be_neither_reserved_nor_released() {
    let mut addresses = Addresses::new("10.0.0.0/29".parse().unwrap());
    for address in [[10, 0, 0, 0], [10, 0, 0, 7], [10, 0, 0, 8], [9, 0, 0, 1]] {
        assert!(!addresses.reserve(address.into()) && !addresses.release(address.into()), "{address:?}");
    }
    assert!(addresses.reserve([10, 0, 0, 1].into()) && !addresses.reserve([10, 0, 0, 1].into()));
    assert_eq!(addresses.allocate(), Some([10, 0, 0, 2].into()));
}

proptest! {
    /// Against a set: no address is given twice, none outside, and it is exhausted only when all are out.
    #[test]
    fn allocates_like_a_set(prefix in 22u8..=30, steps in prop::collection::vec((any::<bool>(), any::<u32>()), 0..600)) {
        let cidr = Cidr::new([10, 0, 0, 0].into(), prefix).unwrap();
        let (mut addresses, mut model) = (Addresses::new(cidr), BTreeSet::new());
        for (take, pick) in steps {
            if take {
                match addresses.allocate() {
                    Some(address) => prop_assert!(cidr.contains(address) && model.insert(address)),
                    None => prop_assert_eq!(model.len() as u32, cidr.size() - 2),
                }
            } else if let Some(address) = model.iter().nth(pick as usize % model.len().max(1)).copied() {
                prop_assert!(addresses.release(address));
                model.remove(&address);
            }
            prop_assert_eq!(addresses.free_count(), cidr.size() - 2 - model.len() as u32);
        }
    }
}
