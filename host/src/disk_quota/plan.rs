//! Which things are to go, so that there is room for others.
//!
//! Deliberately absent: a shortest age (kubelet's `imageMinimumGCAge`). What is about to be used is held, so that none is needed.

use std::collections::HashMap;

use jiff::Timestamp;

/// One is evicted down to this mark and not just as far as need be, so that the next pull finds room: kubelet's
/// `imageGCLowThresholdPercent` of its `imageGCHighThresholdPercent`.
const LOW_MARK: (u64, u64) = (80, 85);

/// A file or folder; things that have one of the same name share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// A thing that is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    pub(crate) used_at: Timestamp,
    pub(crate) is_held: bool,
    pub(crate) parts: &'a [Part],
}

/// The bytes of all these together.
pub(crate) fn bytes<'a>(items: impl Iterator<Item = &'a [Part]>) -> u64 {
    let parts: HashMap<&str, u64> = items.flatten().map(|part| (part.name.as_str(), part.bytes)).collect();
    parts.values().sum()
}

fn low_mark(bytes_max: u64) -> u64 {
    let (low, high) = LOW_MARK;
    // In two parts, as the product of the whole may be too much.
    bytes_max / high * low + bytes_max % high * low / high
}

/// Which of `items`, the ones used longest ago first, are to go so that `needed` bytes fit beside the others.
///
/// # Errors
/// They do not fit, whatever goes: the bytes of what is held.
pub(crate) fn plan(items: &[Item<'_>], bytes_max: u64, needed: u64) -> Result<Vec<usize>, u64> {
    let mut users: HashMap<&str, (u64, usize)> = HashMap::new();
    for part in items.iter().flat_map(|item| item.parts) {
        users.entry(&part.name).or_insert((part.bytes, 0)).1 += 1;
    }
    let mut bytes: u64 = users.values().map(|(bytes, _)| bytes).sum();
    let fits = |bytes: u64, mark: u64| bytes.saturating_add(needed) <= mark;
    if fits(bytes, bytes_max) {
        return Ok(Vec::new());
    }
    let held = self::bytes(items.iter().filter(|item| item.is_held).map(|item| item.parts));
    if !fits(held, bytes_max) {
        return Err(held);
    }
    let low_mark = low_mark(bytes_max);
    let mut evicted = Vec::new();
    for (index, item) in items.iter().enumerate().filter(|(_, item)| !item.is_held) {
        if fits(bytes, low_mark) {
            break;
        }
        for part in item.parts {
            let (size, count) = users.get_mut(part.name.as_str()).expect("the parts of all items were counted");
            *count -= 1;
            if *count == 0 {
                bytes -= *size;
            }
        }
        evicted.push(index);
    }
    Ok(evicted)
}

#[cfg(test)]
mod tests;
