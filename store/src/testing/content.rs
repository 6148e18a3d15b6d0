//! A file as the disk has it and as the system shows it, and what a power cut makes of it.

use super::Random;

#[derive(Debug, Default)]
pub(super) struct Content {
    /// What no power cut can take.
    durable: Vec<u8>,
    /// What reads find.
    pub(super) current: Vec<u8>,
    unsynced: Vec<Unsynced>,
}

#[derive(Clone, Debug)]
pub(super) enum Unsynced {
    Write { offset: u64, data: Vec<u8> },
    SetLen(u64),
}

impl Content {
    /// A file whose bytes are all durable.
    pub(super) fn durable(bytes: Vec<u8>) -> Content {
        Content { durable: bytes.clone(), current: bytes, unsynced: Vec::new() }
    }

    pub(super) fn change(&mut self, change: Unsynced) {
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// As systems do: some of it is on the disk, none of it will be tried again, and reads find all of it.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        self.durable = self.after_power_cut(random);
        self.unsynced.clear();
    }

    /// What a power cut leaves: of what was not synced, some is there, some is not, one write is torn.
    pub(super) fn after_power_cut(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        // A journal orders changes of the length; bytes beyond the length that is left are lost with it.
        let lengths_kept = usize::try_from(random.below(self.unsynced.len() as u64 + 1)).expect("a count");
        let length =
            self.unsynced[..lengths_kept].iter().fold(bytes.len(), |length, change| change.length_after(length));
        let mut kept: Vec<Unsynced> = Vec::new();
        for (index, change) in self.unsynced.iter().enumerate() {
            let is_kept = match change {
                Unsynced::SetLen(_) => index < lengths_kept,
                Unsynced::Write { .. } => random.once_in(2),
            };
            if is_kept {
                kept.push(change.clone());
            }
        }
        if let Some(Unsynced::Write { data, .. }) = kept.last_mut() {
            data.truncate(usize::try_from(random.below(data.len() as u64 + 1)).expect("a length"));
        }
        for change in &kept {
            change.apply(&mut bytes);
        }
        bytes.resize(length, 0);
        bytes
    }
}

impl Unsynced {
    fn length_after(&self, length: usize) -> usize {
        match self {
            Unsynced::SetLen(length) => usize::try_from(*length).expect("a length"),
            Unsynced::Write { offset, data } => length.max(usize::try_from(*offset).expect("an offset") + data.len()),
        }
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Unsynced::SetLen(length) => bytes.resize(usize::try_from(*length).expect("a length"), 0),
            Unsynced::Write { offset, data } => {
                let start = usize::try_from(*offset).expect("an offset");
                if bytes.len() < start + data.len() {
                    bytes.resize(start + data.len(), 0);
                }
                bytes[start..start + data.len()].copy_from_slice(data);
            }
        }
    }
}
