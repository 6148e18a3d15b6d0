//! What to do next for one pod: `step(spec, observed, now)`, pure, and the transitions that its observed state goes through.
//!
//! Deliberately absent: I/O, the clock, and the API. The agent executes the commands and reports back what became of them.

pub mod action;
pub mod environment;
pub mod failure;
pub mod observed;
pub mod parse;
pub mod probe;
pub mod run;
pub mod template;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::runtime::PodIdentity;
pub use failure::PodFailure;
pub use observed::{ContainerObserved, Failure, Observed, Stage, Termination};
pub use probe::ProbeKind;
pub use run::{Cause, Health, HookKind, Run};
use run::{Ending, Hook};
pub use template::{ContainerTemplate, PullPolicy, Qos, RestartPolicy, Template};

/// Time between taking a handler out of the routes and stopping it: requests on their way still find it.
pub const DRAIN: SignedDuration = SignedDuration::from_millis(250);
/// A container that ran so long starts over with its back-off.
const BACK_OFF_RESET: SignedDuration = SignedDuration::from_mins(10);
const BACK_OFF_MAX: SignedDuration = SignedDuration::from_mins(5);
const CRASH_BACK_OFF_FIRST: SignedDuration = SignedDuration::from_secs(10);
const FAILURE_BACK_OFF_FIRST: SignedDuration = SignedDuration::from_secs(1);

/// What is wanted: the pod as written, as far as the host cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Who it is; the address is filled in by the agent.
    pub identity: PodIdentity,
    /// What it is made of; equal pods share it.
    pub template: Arc<Template>,
    /// Someone deleted it, with so much grace.
    pub deletion: Option<SignedDuration>,
    /// How long it may be on this host: `spec.activeDeadlineSeconds`.
    pub active_max: Option<SignedDuration>,
}

/// What the agent is to do now, and when to ask again at the latest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// In order.
    pub commands: Vec<Command>,
    /// Ask again then.
    pub wake_at: Option<Timestamp>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Pull, prepare and start this container.
    Start(usize),
    /// Call this container's postStart hook.
    PostStart(usize),
    /// This container is to end, for this reason. Ask again at once.
    End(usize, Cause),
    /// Call this container's preStop hook; it has so long.
    PreStop(usize, SignedDuration),
    /// Take this handler out of the routes.
    Drain(usize),
    /// Ask this container to end, and kill it after so long.
    Stop(usize, SignedDuration),
    /// The pod has failed for good. Ask again at once.
    Fail(PodFailure),
    /// Everything ended: delete the object for good, if it is still there, and forget the pod.
    Finish,
}

/// The next thing to do for a pod.
pub fn step(spec: &Spec, observed: &Observed, now: Timestamp) -> Actions {
    let mut actions = Actions::default();
    if spec.deletion.is_some() || observed.is_orphan {
        let grace = spec.deletion.unwrap_or(SignedDuration::ZERO);
        if end_all(spec, observed, Cause::Deleted, grace, now, &mut actions) {
            actions.commands.push(Command::Finish);
        }
        return actions;
    }
    if let Some(failure) = &observed.failure {
        let grace = failure.grace(spec.template.grace);
        end_all(spec, observed, Cause::PodFailed, grace, now, &mut actions);
        return actions;
    }
    match spec.active_max.map(|longest| observed.start_time + longest) {
        Some(deadline) if deadline <= now => {
            actions.commands.push(Command::Fail(PodFailure::DeadlineExceeded));
            return actions;
        }
        Some(deadline) => actions.wake(deadline),
        None => {}
    }
    if let Some(index) = observed.holding_up(&spec.template) {
        let (template, container) = (&spec.template.containers[index], &observed.containers[index]);
        advance(index, spec, template, container, Some(&[]), now, &mut actions);
        return actions;
    }
    let libraries = observed.libraries(&spec.template);
    for (index, (template, container)) in spec.template.containers.iter().zip(&observed.containers).enumerate() {
        if spec.template.is_library(index) {
            fetch(index, spec, observed, now, &mut actions);
        } else if spec.template.is_main(index) {
            advance(index, spec, template, container, libraries.as_deref(), now, &mut actions);
        }
    }
    actions
}

/// Has a library come to this host, where there is a container that may need it. It stays for as long as its pod.
fn fetch(index: usize, spec: &Spec, observed: &Observed, now: Timestamp, actions: &mut Actions) {
    let (template, library) = (&spec.template.containers[index], &observed.containers[index]);
    let is_replaced = !library.image.is_empty() && library.image != template.image;
    let start_at = match &library.stage {
        Stage::New => Some(now),
        Stage::Running(_) | Stage::Failed(_) if is_replaced => Some(now),
        Stage::Failed(failure) if failure.is_transient => Some(failure.at + failure_delay(library.failures)),
        Stage::Starting | Stage::Running(_) | Stage::Failed(_) | Stage::Exited(_) => None,
    };
    let is_over = |container: &ContainerObserved| match &container.stage {
        Stage::Exited(exit) => !is_restarted(spec.template.restart_policy, exit),
        _ => false,
    };
    if !observed.main(&spec.template).all(is_over) {
        actions.start(index, start_at, now);
    }
}

/// Brings all containers to their end; true when they are there.
fn end_all(
    spec: &Spec,
    observed: &Observed,
    cause: Cause,
    grace: SignedDuration,
    now: Timestamp,
    actions: &mut Actions,
) -> bool {
    let mut is_over = true;
    for (index, container) in observed.containers.iter().enumerate() {
        is_over &= match &container.stage {
            Stage::Running(_) if spec.template.is_library(index) => true,
            _ => end(index, container, cause, grace, now, actions),
        };
    }
    is_over
}

/// Brings a container to its end; true when it is there.
fn end(
    index: usize,
    container: &ContainerObserved,
    cause: Cause,
    grace: SignedDuration,
    now: Timestamp,
    actions: &mut Actions,
) -> bool {
    match &container.stage {
        Stage::New | Stage::Failed(_) | Stage::Exited(_) => true,
        // Its start is under way; what comes of it is ended then.
        Stage::Starting => false,
        Stage::Running(Run { ending: None, .. }) => {
            actions.commands.push(Command::End(index, cause));
            false
        }
        Stage::Running(Run { ending: Some(ending), .. }) => {
            stop(index, container.is_handler, ending, grace, now, actions);
            false
        }
    }
}

/// Goes on with the end of a container: its hook, while it still answers; then out of the routes; then it.
fn stop(index: usize, is_handler: bool, ending: &Ending, grace: SignedDuration, now: Timestamp, actions: &mut Actions) {
    let deadline = ending.since + grace;
    match ending.pre_stop {
        Hook::Due if now < deadline => return actions.commands.push(Command::PreStop(index, ending.left(grace, now))),
        Hook::UnderWay if now < deadline => return actions.wake(deadline),
        _ => {}
    }
    let needs_drain = is_handler && !grace.is_zero();
    match ending.drained_at {
        None if needs_drain => {
            actions.commands.push(Command::Drain(index));
            return actions.wake(now + DRAIN);
        }
        Some(at) if needs_drain && now < at + DRAIN => return actions.wake(at + DRAIN),
        _ => {}
    }
    // Again, where the grace has become shorter since.
    let left = ending.left(grace, now);
    if ending.stop_by.is_none_or(|by| now + left < by) {
        actions.commands.push(Command::Stop(index, left));
    }
}

fn advance(
    index: usize,
    spec: &Spec,
    template: &ContainerTemplate,
    container: &ContainerObserved,
    libraries: Option<&[String]>,
    now: Timestamp,
    actions: &mut Actions,
) {
    let is_linked_anew = libraries.is_some_and(|libraries| libraries != container.linked);
    let is_replaced = !container.image.is_empty() && (container.image != template.image || is_linked_anew);
    let start_at = match &container.stage {
        Stage::New => Some(now),
        Stage::Starting => None,
        Stage::Failed(_) if is_replaced => Some(now),
        Stage::Failed(failure) if failure.is_transient => Some(failure.at + failure_delay(container.failures)),
        Stage::Failed(_) => None,
        Stage::Running(Run { ending: Some(ending), .. }) => {
            stop(index, container.is_handler, ending, grace(spec, template, ending.cause), now, actions);
            None
        }
        Stage::Running(run) => {
            match run.trouble {
                _ if is_replaced => actions.commands.push(Command::End(index, Cause::Replaced)),
                Some(cause) => actions.commands.push(Command::End(index, cause)),
                None if run.post_start == Hook::Due => actions.commands.push(Command::PostStart(index)),
                None => {}
            }
            None
        }
        Stage::Exited(_) if is_replaced => Some(now),
        Stage::Exited(exit) => {
            let policy = spec.template.restart_policy_of(index);
            is_restarted(policy, exit).then(|| exit.finished_at + crash_delay(container, exit))
        }
    };
    // Without its libraries it can't start; when they come, this is asked again.
    actions.start(index, start_at.filter(|_| libraries.is_some()), now);
}

/// The time that a container has to end in while its pod lives on.
fn grace(spec: &Spec, template: &ContainerTemplate, cause: Cause) -> SignedDuration {
    let of_probe = match (cause, &template.checks) {
        (Cause::Probe(kind), Some(checks)) => checks.probe(kind).and_then(|probe| probe.grace),
        _ => None,
    };
    of_probe.unwrap_or(spec.template.grace)
}

impl Actions {
    fn start(&mut self, index: usize, at: Option<Timestamp>, now: Timestamp) {
        match at {
            Some(at) if at <= now => self.commands.push(Command::Start(index)),
            Some(at) => self.wake(at),
            None => {}
        }
    }

    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// What becomes of a container of this pod that ends: nothing more, where the pod itself is to end.
pub fn restart_policy(spec: &Spec, observed: &Observed, index: usize) -> RestartPolicy {
    match spec.deletion.is_some() || observed.failure.is_some() {
        true => RestartPolicy::Never,
        false => spec.template.restart_policy_of(index),
    }
}

/// Whether a container that ended so is started again.
pub fn is_restarted(policy: RestartPolicy, exit: &Termination) -> bool {
    match policy {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => exit.exit_code != 0,
        RestartPolicy::Never => false,
    }
}

/// How long to wait before a container that ended is started again: not at all the first time, then 10 s, doubling to 5 minutes.
pub fn crash_delay(container: &ContainerObserved, exit: &Termination) -> SignedDuration {
    let ran = exit.started_at.duration_until(exit.finished_at);
    match container.crashes {
        _ if ran >= BACK_OFF_RESET => SignedDuration::ZERO,
        0 => SignedDuration::ZERO,
        crashes => doubled(CRASH_BACK_OFF_FIRST, crashes - 1),
    }
}

/// How long to wait before a failed start is tried again: 1 s, doubling to 5 minutes.
fn failure_delay(failures: u32) -> SignedDuration {
    doubled(FAILURE_BACK_OFF_FIRST, failures.saturating_sub(1))
}

fn doubled(first: SignedDuration, times: u32) -> SignedDuration {
    first.saturating_mul(1 << times.min(16)).min(BACK_OFF_MAX)
}

#[cfg(test)]
mod tests;
