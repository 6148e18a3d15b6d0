//! Pod addresses: which of a range are taken, and the next free one.
//!
//! Deliberately absent: binding. Whether the machine routes the range to itself is the host's business.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A range of IPv4 addresses, such as `127.1.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    first: u32,
    prefix: u8,
}

/// A text that is no range of addresses.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not `A.B.C.D/N`.
    #[error("`{0}` is not a range of IPv4 addresses: write it as 127.1.0.0/16")]
    Malformed(String),
    /// Too large to keep a bitmap of, or too small to hold a pod.
    #[error("`/{0}` is no size for a range of pod addresses: between /8 and /30, please")]
    Size(u8),
    /// Bits are set behind the prefix.
    #[error("`{given}` does not start its range: write {expected}")]
    NotAligned {
        /// What was given.
        given: String,
        /// The range that holds it.
        expected: Cidr,
    },
}

impl Cidr {
    /// The range of `prefix` leading bits that starts at `first`.
    pub fn new(first: Ipv4Addr, prefix: u8) -> Result<Cidr, CidrError> {
        if !(8..=30).contains(&prefix) {
            return Err(CidrError::Size(prefix));
        }
        let aligned = u32::from(first) & (u32::MAX << (32 - prefix));
        if aligned != u32::from(first) {
            let expected = Cidr { first: aligned, prefix };
            return Err(CidrError::NotAligned { given: format!("{first}/{prefix}"), expected });
        }
        Ok(Cidr { first: aligned, prefix })
    }

    /// How many addresses it has, the first and the last included.
    pub fn size(self) -> u32 {
        1 << (32 - self.prefix)
    }

    /// Whether it holds the address.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        self.offset(address).is_some()
    }

    /// Whether some address is in both.
    pub fn overlaps(self, other: Cidr) -> bool {
        self.offset(Ipv4Addr::from(other.first)).is_some() || other.offset(Ipv4Addr::from(self.first)).is_some()
    }

    /// The ranges of `prefix` leading bits that it is made of, from the lowest on; none where it is smaller itself.
    pub fn split(self, prefix: u8) -> impl Iterator<Item = Cidr> {
        let is_divisible = (self.prefix..=30).contains(&prefix);
        let count = if is_divisible { 1u32 << (prefix - self.prefix) } else { 0 };
        (0..count).map(move |index| Cidr { first: self.first + (index << (32 - prefix)), prefix })
    }

    fn offset(self, address: Ipv4Addr) -> Option<u32> {
        u32::from(address).checked_sub(self.first).filter(|offset| *offset < self.size())
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        let malformed = || CidrError::Malformed(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(malformed)?;
        Cidr::new(address.parse().map_err(|_| malformed())?, prefix.parse().map_err(|_| malformed())?)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.prefix)
    }
}

/// The addresses of a range and which are taken. The first and the last are never given out.
#[derive(Clone, Debug)]
pub struct Addresses {
    cidr: Cidr,
    taken: Vec<u64>,
    taken_count: u32,
    next: u32,
}

impl Addresses {
    /// All of the range free.
    pub fn new(cidr: Cidr) -> Addresses {
        let mut addresses =
            Addresses { cidr, taken: vec![0; cidr.size().div_ceil(64) as usize], taken_count: 0, next: 0 };
        addresses.set(0);
        addresses.set(cidr.size() - 1);
        addresses
    }

    /// The next free address, going round, so that one just released is not given out again at once; `None` when all are taken.
    pub fn allocate(&mut self) -> Option<Ipv4Addr> {
        let words = self.taken.len();
        let start = (self.next / 64) as usize;
        // The word where the search starts is looked at twice: its upper bits first, all of it last.
        for step in 0..=words {
            let word = (start + step) % words;
            let behind = if step == 0 { (1u64 << (self.next % 64)) - 1 } else { 0 };
            let outside = if self.cidr.size() < 64 { u64::MAX << self.cidr.size() } else { 0 };
            let free = !(self.taken[word] | behind | outside);
            if free != 0 {
                let offset = word as u32 * 64 + free.trailing_zeros();
                self.set(offset);
                self.next = (offset + 1) % self.cidr.size();
                return Some(Ipv4Addr::from(self.cidr.first + offset));
            }
        }
        None
    }

    /// Takes this very address (a pod's, after a restart); false if it is taken already or not of the range.
    pub fn reserve(&mut self, address: Ipv4Addr) -> bool {
        match self.cidr.offset(address) {
            Some(offset) if !self.is_set(offset) => {
                self.set(offset);
                true
            }
            _ => false,
        }
    }

    /// Gives an address back; false if it was not taken.
    pub fn release(&mut self, address: Ipv4Addr) -> bool {
        let last = self.cidr.size() - 1;
        match self.cidr.offset(address) {
            Some(offset) if offset != 0 && offset != last && self.is_set(offset) => {
                self.taken[(offset / 64) as usize] &= !(1 << (offset % 64));
                self.taken_count -= 1;
                true
            }
            _ => false,
        }
    }

    /// How many are free.
    pub fn free_count(&self) -> u32 {
        self.cidr.size() - self.taken_count
    }

    fn is_set(&self, offset: u32) -> bool {
        self.taken[(offset / 64) as usize] & (1 << (offset % 64)) != 0
    }

    fn set(&mut self, offset: u32) {
        self.taken[(offset / 64) as usize] |= 1 << (offset % 64);
        self.taken_count += 1;
    }
}

#[cfg(test)]
mod tests;
