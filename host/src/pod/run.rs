//! What is known of a container that runs: its hooks, what its probes say, and how far its end has come.

use jiff::{SignedDuration, Timestamp};

use super::probe::{Checks, ProbeKind};

/// The least time to end in, where there is any: what a hook left of a longer one may be less.
const GRACE_MIN: SignedDuration = SignedDuration::from_secs(2);

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Since when.
    pub since: Timestamp,
    /// Its postStart hook; until that is over the container counts as being created.
    pub post_start: Hook,
    /// What its probes say.
    pub health: Health,
    /// Why it can't go on.
    pub trouble: Option<Cause>,
    /// It is to end.
    pub ending: Option<Ending>,
}

/// How far a hook has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// It is still to be called.
    Due,
    /// It was called and has not come back.
    UnderWay,
    /// It came back, was given up, or there is none.
    Over,
}

/// Which hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// `lifecycle.postStart`
    PostStart,
    /// `lifecycle.preStop`
    PreStop,
}

/// What the probes of a container say, all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Its startup probe succeeded, or it has none.
    pub is_started: bool,
    /// It may be sent requests, as far as its probes know.
    pub is_ready: bool,
    /// The probe for which it is to be restarted.
    pub failed: Option<ProbeKind>,
}

/// Why a container is ended by its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its pod was deleted.
    Deleted,
    /// It runs another image than the pod's object names now.
    Replaced,
    /// This probe failed as often as it may.
    Probe(ProbeKind),
    /// Its postStart hook failed.
    PostStart,
    /// Its pod has failed for good.
    PodFailed,
}

/// How far the end of a container has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub cause: Cause,
    /// Since when. The grace runs from here.
    pub since: Timestamp,
    /// Its preStop hook.
    pub pre_stop: Hook,
    /// It was taken out of the routes.
    pub drained_at: Option<Timestamp>,
    /// It was asked to end by then.
    pub stop_by: Option<Timestamp>,
}

impl Run {
    /// Just started.
    pub fn new(checks: Option<&Checks>, since: Timestamp) -> Run {
        Run {
            since,
            post_start: Hook::of(checks.is_some_and(|checks| checks.post_start.is_some())),
            health: Health::at_start(checks),
            trouble: None,
            ending: None,
        }
    }

    /// Nothing keeps requests from it.
    pub fn is_ready(&self) -> bool {
        self.is_settled() && self.health.is_ready && self.ending.is_none()
    }

    /// It is past its postStart hook.
    pub fn is_settled(&self) -> bool {
        self.post_start == Hook::Over
    }
}

impl Hook {
    /// At the beginning.
    pub(crate) fn of(is_declared: bool) -> Hook {
        if is_declared { Hook::Due } else { Hook::Over }
    }
}

impl Health {
    /// Before any probe was tried: nothing is ready that has a probe to say so.
    pub fn at_start(checks: Option<&Checks>) -> Health {
        let has = |kind| checks.is_some_and(|checks| checks.probe(kind).is_some());
        let is_started = !has(ProbeKind::Startup);
        Health { is_started, is_ready: is_started && !has(ProbeKind::Readiness), failed: None }
    }
}

impl Cause {
    /// Kubernetes' words for the event that says so.
    pub fn message(self, container: &str, is_restarted: bool) -> String {
        let then = if is_restarted { ", will be restarted" } else { "" };
        match self {
            Cause::Deleted | Cause::PodFailed => format!("Stopping container {container}"),
            Cause::Replaced => format!("Container {container} definition changed, will be restarted"),
            Cause::Probe(kind) => {
                format!("Container {container} failed {} probe{then}", kind.as_str().to_ascii_lowercase())
            }
            Cause::PostStart => "FailedPostStartHook".to_owned(),
        }
    }

    /// The container did not end of its own will, and not because nobody wants it.
    pub fn is_failure(self) -> bool {
        matches!(self, Cause::Probe(_) | Cause::PostStart | Cause::PodFailed)
    }
}

impl Ending {
    /// It begins.
    pub fn new(cause: Cause, checks: Option<&Checks>, since: Timestamp) -> Ending {
        let pre_stop = Hook::of(checks.is_some_and(|checks| checks.pre_stop.is_some()));
        Ending { cause, since, pre_stop, drained_at: None, stop_by: None }
    }

    /// What is left of the grace, and at least [`GRACE_MIN`] of it.
    pub(crate) fn left(&self, grace: SignedDuration, now: Timestamp) -> SignedDuration {
        (self.since + grace).duration_since(now).max(grace.min(GRACE_MIN))
    }
}
