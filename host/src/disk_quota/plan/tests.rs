use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

/// `name` of 10 bytes, or `name:bytes`, several with `+`; `!` before one that is held.
fn check(items: &str, bytes_max: u64, needed: u64, expected: Expect) {
    let parts: Vec<(bool, Vec<Part>)> = items
        .split_whitespace()
        .map(|item| {
            let parts = item.trim_start_matches('!').split('+').map(|part| {
                let (name, bytes) = part.split_once(':').unwrap_or((part, "10"));
                Part { name: name.to_owned(), bytes: bytes.parse().unwrap() }
            });
            (item.starts_with('!'), parts.collect())
        })
        .collect();
    let items: Vec<Item<'_>> = parts
        .iter()
        .map(|(is_held, parts)| Item { used_at: Timestamp::UNIX_EPOCH, is_held: *is_held, parts })
        .collect();
    let found = match plan(&items, bytes_max, needed) {
        Ok(evicted) => evicted.iter().map(|index| parts[*index].1[0].name.as_str()).collect::<Vec<_>>().join(" "),
        Err(held) => format!("no room beside {held}"),
    };
    expected.assert_eq(&found);
}

#[test]
fn the_first_go_down_to_the_low_mark_and_what_is_held_stays() {
    check("a b c", 40, 10, expect![[""]]);
    check("a b c", 30, 10, expect!["a b"]);
    check("!a b c", 30, 10, expect!["b c"]);
    check("!a !b c", 30, 20, expect!["no room beside 20"]);
    check("!a !b c", 30, 10, expect!["c"]);
    check("a b c d e f g h i", 85, 0, expect!["a"]);
    check("a b c d e f g h", 85, 5, expect![[""]]);
    check("a b c d e f g h", 85, 6, expect!["a"]);
    check("", 85, 86, expect!["no room beside 0"]);
}

#[test]
fn what_is_shared_counts_once_and_goes_with_the_last() {
    check("a+base:50 b+base:50 c", 85, 0, expect![[""]]);
    check("a+base:50 b+base:50 c", 85, 20, expect!["a b"]);
    check("!a+base:50 b+base:50 c", 85, 20, expect!["b c"]);
    check("!a+base:50 b+base:50 c", 85, 26, expect!["no room beside 60"]);
}

proptest! {
    #[test]
    fn there_is_room_afterwards_unless_what_is_held_leaves_none(
        items in prop::collection::vec((any::<bool>(), prop::collection::vec(0_usize..12, 0..4)), 0..12),
        bytes_max in 0_u64..400,
        needed in 0_u64..200,
    ) {
        let parts: Vec<Vec<Part>> = items
            .iter()
            .map(|(_, parts)| parts.iter().map(|part| Part { name: part.to_string(), bytes: 1 << (part % 7) }).collect())
            .collect();
        let all: Vec<Item<'_>> = items
            .iter()
            .zip(&parts)
            .map(|((is_held, _), parts)| Item { used_at: Timestamp::UNIX_EPOCH, is_held: *is_held, parts })
            .collect();
        let held = bytes(all.iter().filter(|item| item.is_held).map(|item| item.parts));
        match plan(&all, bytes_max, needed) {
            Err(found) => {
                prop_assert_eq!(found, held);
                prop_assert!(held + needed > bytes_max);
            }
            Ok(evicted) => {
                let gone: BTreeSet<usize> = evicted.iter().copied().collect();
                prop_assert_eq!(gone.len(), evicted.len());
                prop_assert!(evicted.is_sorted());
                prop_assert!(evicted.iter().all(|index| !all[*index].is_held));
                let left = bytes(all.iter().enumerate().filter(|(index, _)| !gone.contains(index)).map(|(_, item)| item.parts));
                prop_assert!(left + needed <= bytes_max);
                // Nothing that was used later goes while something that was used before stays.
                if let Some(last) = evicted.last() {
                    prop_assert!(all[..*last].iter().enumerate().all(|(index, item)| item.is_held || gone.contains(&index)));
                    let before = bytes(all.iter().enumerate().filter(|(index, _)| !gone.contains(index) || index == last).map(|(_, item)| item.parts));
                    prop_assert!(before + needed > low_mark(bytes_max));
                }
            }
        }
    }
}
