//! Why a pod is ended by its host for good, whatever its containers do and their restart policy says.
//!
//! Deliberately absent: noticing it. A deadline passes by the clock, which [`step`](super::step) is told; the size of volumes is measured.

use jiff::SignedDuration;

/// What an evicted pod has to end in: kubelet's, for pods that use more than they may.
const EVICTION_GRACE: SignedDuration = SignedDuration::from_secs(1);

/// Why a pod has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodFailure {
    /// It was on this host for longer than `spec.activeDeadlineSeconds`.
    DeadlineExceeded,
    /// It uses more of the host than it may; says what.
    Evicted(String),
}

impl PodFailure {
    /// `status.reason`, and that of the event; Kubernetes' words, as below.
    pub fn reason(&self) -> &'static str {
        match self {
            PodFailure::DeadlineExceeded => "DeadlineExceeded",
            PodFailure::Evicted(_) => "Evicted",
        }
    }

    /// For people.
    pub fn message(&self) -> &str {
        match self {
            PodFailure::DeadlineExceeded => "Pod was active on the node longer than the specified deadline",
            PodFailure::Evicted(message) => message,
        }
    }

    /// What its containers have to end in, of what the pod asks for.
    pub fn grace(&self, wanted: SignedDuration) -> SignedDuration {
        match self {
            PodFailure::DeadlineExceeded => wanted,
            PodFailure::Evicted(_) => wanted.min(EVICTION_GRACE),
        }
    }
}
