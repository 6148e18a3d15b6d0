//! IP addresses and CIDR blocks.
//!
//! As in Kubernetes, addresses with zones and IPv4 addresses within IPv6 are none.

use std::fmt;
use std::net::IpAddr;

use super::{Function, global, member, mismatch};
use crate::cel::EvaluationError;
use crate::cel::check::Type;
use crate::cel::value::{Evaluated, Value};

/// A block of addresses, with the address it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cel) struct Cidr {
    address: IpAddr,
    prefix: u8,
}

pub(super) const FUNCTIONS: &[Function] = &[
    global("cidr", 1..=1, Type::Cidr, |_, arguments| match &arguments[0] {
        Value::String(text) => Cidr::parse(text)
            .map(Value::Cidr)
            .ok_or_else(|| EvaluationError::failed(format!("network address parse error: {text:?}"))),
        _ => Err(mismatch("cidr", arguments)),
    }),
    global("ip", 1..=1, Type::Ip, |_, arguments| match &arguments[0] {
        Value::String(text) => address(text).map(Value::Ip),
        _ => Err(mismatch("ip", arguments)),
    }),
    global("ip.isCanonical", 1..=1, Type::Bool, |_, arguments| match &arguments[0] {
        Value::String(text) => address(text).map(|address| Value::Bool(address.to_string() == **text)),
        _ => Err(mismatch("ip.isCanonical", arguments)),
    }),
    global("isCIDR", 1..=1, Type::Bool, |_, arguments| match &arguments[0] {
        Value::String(text) => Ok(Value::Bool(Cidr::parse(text).is_some())),
        _ => Err(mismatch("isCIDR", arguments)),
    }),
    global("isIP", 1..=1, Type::Bool, |_, arguments| match &arguments[0] {
        Value::String(text) => Ok(Value::Bool(address(text).is_ok())),
        _ => Err(mismatch("isIP", arguments)),
    }),
    member("containsCIDR", 2..=2, Type::Bool, |_, arguments| match arguments {
        [Value::Cidr(block), Value::Cidr(other)] => Ok(Value::Bool(block.contains_block(*other))),
        [Value::Cidr(block), Value::String(text)] => {
            let other = Cidr::parse(text);
            let other =
                other.ok_or_else(|| EvaluationError::failed(format!("network address parse error: {text:?}")))?;
            Ok(Value::Bool(block.contains_block(other)))
        }
        _ => Err(mismatch("containsCIDR", arguments)),
    }),
    member("containsIP", 2..=2, Type::Bool, |_, arguments| match arguments {
        [Value::Cidr(block), Value::Ip(address)] => Ok(Value::Bool(block.contains(*address))),
        [Value::Cidr(block), Value::String(text)] => Ok(Value::Bool(block.contains(address(text)?))),
        _ => Err(mismatch("containsIP", arguments)),
    }),
    member("family", 1..=1, Type::Int, |_, arguments| match &arguments[0] {
        Value::Ip(address) => Ok(Value::Int(if address.is_ipv4() { 4 } else { 6 })),
        _ => Err(mismatch("family", arguments)),
    }),
    member("ip", 1..=1, Type::Ip, |_, arguments| match &arguments[0] {
        Value::Cidr(block) => Ok(Value::Ip(block.address)),
        _ => Err(mismatch("ip", arguments)),
    }),
    member("isGlobalUnicast", 1..=1, Type::Bool, |_, arguments| {
        test("isGlobalUnicast", arguments, |address| {
            let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
            let is_special =
                address.is_unspecified() || address.is_loopback() || address.is_multicast() || is_broadcast;
            !is_special && !is_link_local(address)
        })
    }),
    member("isLinkLocalMulticast", 1..=1, Type::Bool, |_, arguments| {
        test("isLinkLocalMulticast", arguments, |address| match address {
            IpAddr::V4(address) => address.octets()[..3] == [224, 0, 0],
            IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
        })
    }),
    member("isLinkLocalUnicast", 1..=1, Type::Bool, |_, arguments| {
        test("isLinkLocalUnicast", arguments, is_link_local)
    }),
    member("isLoopback", 1..=1, Type::Bool, |_, arguments| {
        test("isLoopback", arguments, |address| address.is_loopback())
    }),
    member("isUnspecified", 1..=1, Type::Bool, |_, arguments| {
        test("isUnspecified", arguments, |address| address.is_unspecified())
    }),
    member("masked", 1..=1, Type::Cidr, |_, arguments| match &arguments[0] {
        Value::Cidr(block) => Ok(Value::Cidr(block.masked())),
        _ => Err(mismatch("masked", arguments)),
    }),
    member("prefixLength", 1..=1, Type::Int, |_, arguments| match &arguments[0] {
        Value::Cidr(block) => Ok(Value::Int(block.prefix.into())),
        _ => Err(mismatch("prefixLength", arguments)),
    }),
];

fn address(text: &str) -> Result<IpAddr, EvaluationError> {
    let is_mapped = |address: &IpAddr| matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    let address = text.parse::<IpAddr>().ok().filter(|address| !is_mapped(address));
    address.ok_or_else(|| {
        EvaluationError::failed(format!("IP Address {text:?} parse error during conversion from string"))
    })
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn test<'a>(name: &str, arguments: &[Value<'a>], test: fn(IpAddr) -> bool) -> Evaluated<'a> {
    match &arguments[0] {
        Value::Ip(address) => Ok(Value::Bool(test(*address))),
        _ => Err(mismatch(name, arguments)),
    }
}

impl Cidr {
    fn parse(text: &str) -> Option<Cidr> {
        let (address_text, prefix) = text.split_once('/')?;
        let address = address(address_text).ok()?;
        let is_number = prefix.bytes().all(|byte| byte.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
        let prefix = prefix.parse().ok().filter(|prefix| is_number && *prefix <= width(address))?;
        Some(Cidr { address, prefix })
    }

    fn contains(self, address: IpAddr) -> bool {
        let is_same_family = address.is_ipv4() == self.address.is_ipv4();
        is_same_family && Cidr { address, prefix: self.prefix }.masked() == self.masked()
    }

    fn contains_block(self, other: Cidr) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    /// With the block's first address.
    fn masked(self) -> Cidr {
        let kept = u32::from(self.prefix);
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - kept).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - kept).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        };
        Cidr { address, prefix: self.prefix }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}
