//! What a pod may reach outside of the cluster: nothing but what its annotation `coracle.dev/egress` declares. Pure.
//!
//! Deliberately absent: Services and pods of the cluster, which every pod may call, as in Kubernetes.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Where a pod declares what it reaches: patterns, separated by commas.
pub const EGRESS_ANNOTATION: &str = "coracle.dev/egress";

/// What a pod declared. By default, nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Egress(Box<[Pattern]>);

/// One of `HOST`, `*.DOMAIN`, `*`, `ADDRESS` or `ADDRESS/BITS`, and maybe `:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pattern {
    host: Host,
    /// Every port, if none is given.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    Any,
    Name(Box<str>),
    /// The part behind `*`, with its dot.
    Below(Box<str>),
    Range {
        first: IpAddr,
        bits: u8,
    },
}

/// A text that declares nothing that could be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{pattern:?} is none of HOST, *.DOMAIN, *, ADDRESS and ADDRESS/BITS, each with or without :PORT (IPv6 in brackets)"
)]
pub struct EgressError {
    pattern: String,
}

/// What is not reached, and what would have to be declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    what: String,
    wanted: String,
    why: &'static str,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} was denied: {}; declare {} in the pod's annotation {EGRESS_ANNOTATION}",
            self.what, self.why, self.wanted
        )
    }
}

impl FromStr for Egress {
    type Err = EgressError;

    fn from_str(text: &str) -> Result<Egress, EgressError> {
        let patterns = text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
        let parse = |pattern: &str| Pattern::parse(pattern).ok_or_else(|| EgressError { pattern: pattern.to_owned() });
        Ok(Egress(patterns.map(parse).collect::<Result<_, _>>()?))
    }
}

impl Egress {
    /// Whether a host may be asked for by this name, or by this address in text.
    pub fn allow_host(&self, host: &str, port: u16) -> Result<(), Denial> {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return self.allow_address(address, port, None);
        }
        match self.patterns(port).any(|pattern| pattern.host.matches(&host)) {
            true => Ok(()),
            false => Err(Denial {
                what: format!("a connection to {host}:{port}"),
                wanted: format!("{host:?}"),
                why: "it is no Service, and the pod does not declare it",
            }),
        }
    }

    /// Nothing is declared.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a name may be looked up: if it may be asked for at some port.
    pub fn allow_name(&self, name: &str) -> Result<(), Denial> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        match self.0.iter().any(|pattern| pattern.host.matches(&name)) {
            true => Ok(()),
            false => Err(Denial {
                what: format!("the name {name}"),
                wanted: format!("{name:?}"),
                why: "the pod does not declare it",
            }),
        }
    }

    /// Whether an address may be connected to: where `name` was allowed, every one that it stands for but those of this machine and
    /// its link, which have to be declared themselves, as whoever answers for a name may make it stand for them.
    pub fn allow_address(&self, address: IpAddr, port: u16, name: Option<&str>) -> Result<(), Denial> {
        let address = address.to_canonical();
        let is_guarded = is_guarded(address);
        let matches = |pattern: &Pattern| match &pattern.host {
            Host::Any => !is_guarded,
            Host::Range { first, bits } => in_range(address, *first, *bits),
            Host::Name(_) | Host::Below(_) => false,
        };
        if (name.is_some() && !is_guarded) || self.patterns(port).any(matches) {
            return Ok(());
        }
        let what = match name {
            Some(name) => format!("a connection to {name}:{port}, which is {address},"),
            None => format!("a connection to {}", std::net::SocketAddr::new(address, port)),
        };
        let why = match is_guarded {
            true => "addresses of the machine and its link are reached only where they are declared as addresses",
            false => "the pod does not declare it",
        };
        Err(Denial { what, wanted: format!("\"{address}\""), why })
    }

    fn patterns(&self, port: u16) -> impl Iterator<Item = &Pattern> {
        self.0.iter().filter(move |pattern| pattern.port.is_none_or(|only| only == port))
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Pattern> {
        let (host, port) = match text.rsplit_once(':') {
            // An IPv6 address has colons of its own.
            Some((host, _)) if host.contains(':') && !host.ends_with(']') => (text, None),
            Some((host, port)) => (host, Some(port.parse().ok().filter(|port| *port > 0)?)),
            None => (text, None),
        };
        Some(Pattern { host: Host::parse(host)?, port })
    }
}

impl Host {
    fn matches(&self, name: &str) -> bool {
        match self {
            Host::Any => true,
            Host::Name(only) => **only == *name,
            Host::Below(domain) => name.len() > domain.len() && name.ends_with(&**domain),
            Host::Range { .. } => false,
        }
    }

    fn parse(text: &str) -> Option<Host> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(first) = bare.parse::<IpAddr>() {
            return Some(Host::Range { first, bits: if first.is_ipv4() { 32 } else { 128 } });
        }
        if let Some((first, bits)) = bare.split_once('/') {
            let (first, bits): (IpAddr, u8) = (first.parse().ok()?, bits.parse().ok()?);
            return (bits <= if first.is_ipv4() { 32 } else { 128 }).then_some(Host::Range { first, bits });
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        match name.strip_prefix('*') {
            Some("") => Some(Host::Any),
            Some(domain) => domain.strip_prefix('.').is_some_and(is_name).then(|| Host::Below(domain.into())),
            None => is_name(&name).then(|| Host::Name(name.into())),
        }
    }
}

fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(is_plain)
    };
    // All digits and dots would be an address, and this one is none.
    text.len() <= 253
        && text.split('.').all(is_label)
        && !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Addresses of this machine, and of what is on its own link, where clouds answer with the machine's credentials.
fn is_guarded(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.octets()[0] == 0
        }
        IpAddr::V6(v6) => {
            // fd00:ec2::254 and its like: metadata over IPv6.
            let metadata = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0);
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                || in_range(address, IpAddr::V6(metadata), 32)
        }
    }
}

fn in_range(address: IpAddr, first: IpAddr, bits: u8) -> bool {
    let same = |one: u128, two: u128, width: u8| bits == 0 || (one ^ two) >> (width - bits) == 0;
    match (address, first) {
        (IpAddr::V4(one), IpAddr::V4(two)) => same(u128::from(u32::from(one)), u128::from(u32::from(two)), 32),
        (IpAddr::V6(one), IpAddr::V6(two)) => same(one.into(), two.into(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
