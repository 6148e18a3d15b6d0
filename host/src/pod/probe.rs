//! The probes and hooks of a container, as written.
//!
//! Deliberately absent: what came of them, which is observed.

use std::sync::Arc;

use jiff::SignedDuration;

use super::action::Action;
use crate::inspect::Kind;

/// What a container declares about its health: shared by all pods of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Checks {
    /// The probes, by [`ProbeKind::index`].
    pub probes: [Option<Probe>; 3],
    /// `lifecycle.postStart`.
    pub post_start: Option<Action>,
    /// `lifecycle.preStop`.
    pub pre_stop: Option<Action>,
}

/// One probe. Units and meaning are Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// What is done.
    pub action: Action,
    /// From the start of the container to the first try.
    pub initial_delay: SignedDuration,
    /// From one try to the next.
    pub period: SignedDuration,
    /// A try that takes longer has failed.
    pub timeout: SignedDuration,
    /// So many successes in a row count.
    pub success_threshold: u32,
    /// So many failures in a row count.
    pub failure_threshold: u32,
    /// Time to end in after this probe has failed; otherwise the pod's.
    pub grace: Option<SignedDuration>,
}

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProbeKind {
    /// Until it succeeds the others wait; when it fails the container is restarted.
    Startup,
    /// Whether the container is sent requests.
    Readiness,
    /// When it fails the container is restarted.
    Liveness,
}

impl ProbeKind {
    /// All three, by index.
    pub const ALL: [ProbeKind; 3] = [ProbeKind::Startup, ProbeKind::Readiness, ProbeKind::Liveness];

    /// Its place in [`Checks::probes`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The word that begins what is said of it.
    pub fn as_str(self) -> &'static str {
        match self {
            ProbeKind::Startup => "Startup",
            ProbeKind::Readiness => "Readiness",
            ProbeKind::Liveness => "Liveness",
        }
    }

    /// The field of the container.
    pub fn field(self) -> &'static str {
        match self {
            ProbeKind::Startup => "startupProbe",
            ProbeKind::Readiness => "readinessProbe",
            ProbeKind::Liveness => "livenessProbe",
        }
    }
}

impl Checks {
    /// The probe of a kind.
    pub fn probe(&self, kind: ProbeKind) -> Option<&Probe> {
        self.probes[kind.index()].as_ref()
    }

    /// Whether there is any probe.
    pub fn has_probes(&self) -> bool {
        self.probes.iter().any(Option::is_some)
    }

    /// Why a container of this kind can't have them: field, reason, way out.
    pub fn refuse_for(&self, kind: Kind) -> Option<String> {
        let probes = ProbeKind::ALL.into_iter().filter_map(|kind| Some((kind.field(), &self.probe(kind)?.action)));
        let hooks = [("lifecycle.postStart", &self.post_start), ("lifecycle.preStop", &self.pre_stop)];
        let hooks = hooks.into_iter().filter_map(|(field, hook)| Some((field, hook.as_ref()?)));
        probes
            .chain(hooks)
            .find_map(|(field, action)| action.refuse_for(kind).map(|why| format!("{field}.{}: {why}", action.field())))
    }
}

/// A container without probes and hooks has none of this.
pub type SharedChecks = Option<Arc<Checks>>;
