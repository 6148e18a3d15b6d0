//! The arithmetic of rollouts: how many pods each replica set of a deployment should have next.
//!
//! Deliberately absent: objects. Numbers go in, numbers come out.

use crate::driver::view::IntOrPercent;

/// What a deployment allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many pods are wanted.
    pub replicas: i64,
    /// How many more there may be during a rollout.
    pub max_surge: i64,
    /// How many fewer may be available during a rollout.
    pub max_unavailable: i64,
}

impl Limits {
    /// The limits of a rolling update: percentages are rounded up for the surge and down for what is unavailable, and
    /// at least one of both is not zero, so that the rollout can go on.
    pub fn rolling(replicas: i64, max_surge: &IntOrPercent, max_unavailable: &IntOrPercent) -> Limits {
        let max_surge = max_surge.of(replicas, true);
        let max_unavailable = match max_unavailable.of(replicas, false) {
            0 if max_surge == 0 => 1,
            number => number,
        };
        Limits { replicas, max_surge, max_unavailable: max_unavailable.min(replicas) }
    }

    /// The limits of a deployment that replaces all pods at once.
    pub fn recreate(replicas: i64) -> Limits {
        Limits { replicas, max_surge: 0, max_unavailable: 0 }
    }

    /// The most pods there may be.
    pub fn total_max(&self) -> i64 {
        self.replicas + self.max_surge
    }

    /// The fewest pods that must stay available.
    pub fn available_min(&self) -> i64 {
        self.replicas - self.max_unavailable
    }
}

/// A replica set, as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// How many pods it is asked to have.
    pub replicas: i64,
    /// How many of them are available.
    pub available: i64,
    /// How many pods the deployment allowed when the set was last scaled; 0 when nobody wrote that down.
    pub total_max: i64,
}

impl Set {
    /// How many pods would still be available after what was asked so far has happened.
    fn available(&self) -> i64 {
        self.available.min(self.replicas)
    }
}

/// How many pods the newest replica set should have, given the sum over all sets.
pub fn grow_new(limits: &Limits, new: i64, total: i64) -> i64 {
    let room = (limits.total_max() - total).max(0);
    if new >= limits.replicas { limits.replicas } else { new + room.min(limits.replicas - new) }
}

/// How many pods the old replica sets should keep, oldest first, in a rolling update: pods that aren't available go
/// first, then as many as can be spared.
pub fn shrink_old(limits: &Limits, new: Set, old: &[Set]) -> Vec<i64> {
    let mut kept: Vec<i64> = old.iter().map(|set| set.replicas).collect();
    let total: i64 = new.replicas + kept.iter().sum::<i64>();
    let new_unavailable = (new.replicas - new.available()).max(0);
    let mut spare = total - limits.available_min() - new_unavailable;
    for (kept, set) in kept.iter_mut().zip(old) {
        let unavailable = *kept - set.available();
        let removed = unavailable.min(spare).max(0);
        *kept -= removed;
        spare -= removed;
    }
    let available: i64 = new.available() + old.iter().map(Set::available).sum::<i64>();
    let mut spare = spare.min(available - limits.available_min());
    for kept in &mut kept {
        let removed = (*kept).min(spare).max(0);
        *kept -= removed;
        spare -= removed;
    }
    kept
}

/// How many pods each of several replica sets should have when the deployment is scaled in the middle of a rollout:
/// each gets its share. `sets` is in the order that decides who gets what is left over by rounding.
pub fn scale_in_proportion(limits: &Limits, sets: &[Set]) -> Vec<i64> {
    let allowed = if limits.replicas > 0 { limits.total_max() } else { 0 };
    let total: i64 = sets.iter().map(|set| set.replicas).sum();
    let change = allowed - total;
    let mut left = change;
    let mut scaled: Vec<i64> = sets
        .iter()
        .map(|set| {
            let share = share(limits, set);
            let share = if change > 0 { share.clamp(0, left) } else { share.clamp(left, 0) };
            left -= share;
            (set.replicas + share).max(0)
        })
        .collect();
    if let Some(first) = scaled.first_mut() {
        *first = (*first + left).max(0);
    }
    scaled
}

fn share(limits: &Limits, set: &Set) -> i64 {
    if limits.replicas == 0 {
        return -set.replicas;
    }
    if set.replicas == 0 || set.total_max <= 0 {
        return 0;
    }
    // Rounded to the nearest, halves away from zero.
    let scaled = (2 * set.replicas * limits.total_max() + set.total_max) / (2 * set.total_max);
    scaled - set.replicas
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn percent(text: &str) -> IntOrPercent {
        IntOrPercent::Percent(text.to_owned())
    }

    #[test]
    fn percentages_round_towards_availability() {
        let quarter = percent("25%");
        let limits = |replicas| Limits::rolling(replicas, &quarter, &quarter);
        assert_eq!((limits(1).max_surge, limits(1).max_unavailable), (1, 0));
        assert_eq!((limits(10).max_surge, limits(10).max_unavailable), (3, 2));
        let none = Limits::rolling(3, &IntOrPercent::Int(0), &percent("10%"));
        assert_eq!((none.max_surge, none.max_unavailable), (0, 1));
    }

    #[test]
    fn a_rollout_of_ten_step_by_step() {
        let limits = Limits { replicas: 10, max_surge: 3, max_unavailable: 2 };
        let set = |replicas, available| Set { replicas, available, total_max: 13 };
        assert_eq!(grow_new(&limits, 0, 10), 3);
        assert_eq!(shrink_old(&limits, set(3, 0), &[set(10, 10)]), [8]);
        assert_eq!(grow_new(&limits, 3, 11), 5);
        assert_eq!(shrink_old(&limits, set(5, 3), &[set(8, 8)]), [5]);
        // What was asked of the old set has not happened yet: nothing more is spared.
        assert_eq!(shrink_old(&limits, set(5, 3), &[set(5, 8)]), [5]);
        assert_eq!(shrink_old(&limits, set(10, 10), &[set(0, 0), set(2, 2)]), [0, 0]);
        // Broken old pods go first.
        assert_eq!(shrink_old(&limits, set(3, 0), &[set(6, 6), set(4, 2)]), [6, 2]);
    }

    #[test]
    fn scaling_in_the_middle_of_a_rollout_keeps_proportions() {
        let set = |replicas| Set { replicas, available: replicas, total_max: 13 };
        let limits = Limits { replicas: 20, max_surge: 5, max_unavailable: 5 };
        assert_eq!(scale_in_proportion(&limits, &[set(8), set(5)]), [15, 10]);
        let limits = Limits { replicas: 0, max_surge: 0, max_unavailable: 0 };
        assert_eq!(scale_in_proportion(&limits, &[set(8), set(5)]), [0, 0]);
    }

    fn sets() -> impl Strategy<Value = Vec<Set>> {
        let set = (0i64..20, 0i64..20, 0i64..30).prop_map(|(replicas, available, total_max)| Set {
            replicas,
            available,
            total_max,
        });
        prop::collection::vec(set, 1..5)
    }

    fn limits() -> impl Strategy<Value = Limits> {
        (0i64..30, 0i64..8, 0i64..8).prop_map(|(replicas, surge, unavailable)| {
            Limits::rolling(replicas, &IntOrPercent::Int(surge), &IntOrPercent::Int(unavailable))
        })
    }

    proptest! {
        #[test]
        fn shrinking_never_costs_needed_pods(limits in limits(), sets in sets()) {
            let (new, old) = sets.split_first().unwrap();
            let kept = shrink_old(&limits, *new, old);
            let before: i64 = sets.iter().map(Set::available).sum();
            // Whichever pods go, at most those beyond `kept` of each set's available ones do.
            let after: i64 = new.available() + old.iter().zip(&kept).map(|(set, kept)| set.available().min(*kept)).sum::<i64>();
            prop_assert!(after >= limits.available_min().min(before), "{kept:?}");
            prop_assert!(old.iter().zip(&kept).all(|(set, kept)| (0..=set.replicas).contains(kept)));
        }

        #[test]
        fn growing_never_passes_the_surge(limits in limits(), new in 0i64..30, others in 0i64..30) {
            let grown = grow_new(&limits, new, new + others);
            prop_assert!(grown <= limits.replicas);
            prop_assert!(grown <= new || grown + others <= limits.total_max());
        }

        #[test]
        fn proportional_scaling_meets_the_total(limits in limits(), sets in sets()) {
            let scaled = scale_in_proportion(&limits, &sets);
            prop_assert!(scaled.iter().all(|replicas| *replicas >= 0));
            let allowed = if limits.replicas > 0 { limits.total_max() } else { 0 };
            prop_assert!(scaled.iter().sum::<i64>() >= allowed);
            let total: i64 = sets.iter().map(|set| set.replicas).sum();
            if allowed >= total {
                prop_assert_eq!(scaled.iter().sum::<i64>(), allowed);
            }
        }
    }
}
