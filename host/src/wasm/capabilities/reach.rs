//! What a container may reach beyond itself, and what it was told of what it may not.
//!
//! Deliberately absent: how it is reached; `http.rs` and `sockets.rs` do that.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use coracle_net::Outgoing;
use parking_lot::Mutex;

use super::http::Calls;
use super::sockets::stands_for;
use crate::egress::Egress;
use crate::runtime::{ContainerSpec, LogSink, PodIdentity};

/// Different denials told of one container.
pub(super) const DENIALS_TOLD_MAX: usize = 16;
/// Characters of a denial, whose names a component chooses.
pub(super) const DENIAL_LENGTH_MAX: usize = 400;
/// Names that a program has looked up, kept to know their addresses again.
const NAMES_MAX: usize = 256;

/// Senders of datagrams that may be answered.
const SENDERS_MAX: usize = 4_096;
/// How long after its last datagram, as Linux' connection tracking has it (`nf_conntrack_udp_timeout`).
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// The network as a container may use it.
pub(crate) struct Reach {
    pub(super) namespace: String,
    /// The pod's own.
    pub(super) address: IpAddr,
    pub(super) egress: Egress,
    pub(super) cluster: Option<Arc<Outgoing>>,
    /// It may listen at its pod's address.
    listens: bool,
    logs: Arc<dyn LogSink>,
    told: Mutex<Vec<String>>,
    looked_up: Mutex<BTreeSet<Box<str>>>,
    /// Who sent datagrams of late, and when.
    senders: Mutex<BTreeMap<SocketAddr, Instant>>,
    /// Made with the first request.
    pub(super) calls: OnceLock<Box<Calls>>,
}

impl Reach {
    /// That of a container, by way of `cluster` if there is one. Commands may listen.
    pub(crate) fn new(
        spec: &ContainerSpec,
        listens: bool,
        cluster: Option<Arc<Outgoing>>,
        logs: Arc<dyn LogSink>,
    ) -> Reach {
        Reach { listens, cluster, egress: spec.egress.clone(), ..Reach::none(&spec.pod, logs) }
    }

    /// Nothing.
    pub(crate) fn none(pod: &PodIdentity, logs: Arc<dyn LogSink>) -> Reach {
        Reach {
            namespace: pod.namespace.clone(),
            address: pod.ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            egress: Egress::default(),
            cluster: None,
            listens: false,
            logs,
            told: Mutex::default(),
            looked_up: Mutex::default(),
            senders: Mutex::default(),
            calls: OnceLock::new(),
        }
    }

    /// The same for another program of the container.
    pub(crate) fn for_another(&self, logs: Arc<dyn LogSink>) -> Reach {
        Reach {
            namespace: self.namespace.clone(),
            address: self.address,
            egress: self.egress.clone(),
            cluster: self.cluster.clone(),
            listens: self.listens,
            ..Reach::none(&PodIdentity::default(), logs)
        }
    }

    /// Whether it may have sockets at all.
    pub(in crate::wasm) fn has_sockets(&self) -> bool {
        self.listens || !self.egress.is_empty()
    }

    /// Says once for all why something was not done.
    pub(super) fn deny(&self, why: impl std::fmt::Display) {
        let why: String = why.to_string().chars().filter(|char| !char.is_control()).take(DENIAL_LENGTH_MAX).collect();
        let mut told = self.told.lock();
        if told.len() < DENIALS_TOLD_MAX && !told.contains(&why) {
            self.logs.denied(&why);
            told.push(why);
        }
    }

    /// Says why a program gets no sockets, if it gets none.
    pub(super) fn tell_of_sockets(&self) {
        if !self.has_sockets() {
            self.deny(format_args!(
                "a socket was denied: a component that answers requests has them only to reach what the pod's annotation {} declares",
                crate::egress::EGRESS_ANNOTATION
            ));
        }
    }

    /// Whether it may listen here.
    pub(super) fn allow_listener(&self, address: SocketAddr) -> bool {
        if self.listens && address.ip() == self.address {
            return true;
        }
        let own = self.address;
        match self.listens {
            true => self.deny(format_args!(
                "a listener at {address} was denied: the pod's address is {own}; bind to that, or to 0.0.0.0"
            )),
            false => self.deny(format_args!(
                "a listener at {address} was denied: a component that answers requests listens to nothing else"
            )),
        }
        false
    }

    /// Whether it may connect, or send, to an address: another pod of this host, one that the pod declares, or one that a declared
    /// name stands for which the program has looked up.
    pub(super) async fn allow_connection(&self, address: SocketAddr) -> bool {
        let (ip, port) = (address.ip(), address.port());
        if ip == self.address || self.cluster.as_ref().is_some_and(|cluster| cluster.is_pod_here(ip)) {
            return true;
        }
        let denial = match self.egress.allow_address(ip, port, None) {
            Ok(()) => return true,
            Err(denial) => denial,
        };
        let names: Vec<Box<str>> = self.looked_up.lock().iter().cloned().collect();
        for name in names {
            let is_allowed =
                self.egress.allow_host(&name, port).is_ok() && self.egress.allow_address(ip, port, Some(&name)).is_ok();
            if is_allowed && stands_for(&name, ip).await {
                return true;
            }
        }
        self.deny(denial);
        false
    }

    /// Notes who sent a datagram, so that it can be answered.
    pub(super) fn hear(&self, sender: SocketAddr, now: Instant) {
        let mut senders = self.senders.lock();
        if senders.len() >= SENDERS_MAX && !senders.contains_key(&sender) {
            senders.retain(|_, heard_at| now.duration_since(*heard_at) < ANSWER_TIME);
            if senders.len() >= SENDERS_MAX {
                return;
            }
        }
        senders.insert(sender, now);
    }

    /// Whether a datagram to an address answers one from there.
    pub(super) fn is_answer(&self, address: SocketAddr, now: Instant) -> bool {
        self.senders.lock().get(&address).is_some_and(|heard_at| now.duration_since(*heard_at) < ANSWER_TIME)
    }

    /// What to look up for a name: the name, where it is declared for some port, or the address of a pod of this host, where it is the
    /// name of a Service of programs that listen themselves.
    pub(super) fn allow_lookup(&self, name: &str) -> Option<String> {
        if name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            return Some(name.to_owned());
        }
        if let Some(address) = self.cluster.as_ref().and_then(|cluster| cluster.listener(&self.namespace, name)) {
            return Some(address.to_string());
        }
        if let Err(denial) = self.egress.allow_name(name) {
            self.deny(denial);
            return None;
        }
        let mut names = self.looked_up.lock();
        if names.len() < NAMES_MAX {
            names.insert(name.into());
        }
        Some(name.to_owned())
    }
}

#[cfg(test)]
pub(super) mod tests;
