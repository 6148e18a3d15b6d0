//! What to do next for one pod: `step(spec, observed, now)`, pure, and the transitions that its observed state goes through.
//!
//! Deliberately absent: I/O, the clock, and the API. The agent executes the commands and reports back what became of them.

pub mod environment;
pub mod parse;
pub mod template;

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::runtime::PodIdentity;
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
}

/// What is: everything the host knows of a pod it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// One for each container of the template, in order.
    pub containers: Vec<ContainerObserved>,
    /// The pod's address.
    pub ip: Option<Ipv4Addr>,
    /// When the host took it on.
    pub start_time: Timestamp,
    /// When the scheduler placed it.
    pub scheduled_at: Timestamp,
    /// Whether it is ready, and since when it is so.
    pub ready: (bool, Timestamp),
    /// The object is gone from the API: end the containers, then forget the pod.
    pub is_orphan: bool,
}

/// What is known of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerObserved {
    /// Where it stands.
    pub stage: Stage,
    /// How often it was started again.
    pub restarts: u32,
    /// How often in a row it was started again soon after its last start.
    pub crashes: u32,
    /// How often in a row it could not be started.
    pub failures: u32,
    /// How it ended before the present incarnation.
    pub last_exit: Option<Termination>,
    /// The image it last ran, as a reference by digest.
    pub image_id: String,
    /// The image it was started from, as written in the spec at that time.
    pub image: String,
    /// The present incarnation answers HTTP requests.
    pub is_handler: bool,
}

/// Where a container stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was tried yet.
    New,
    /// It is being pulled, compiled, linked or started.
    Starting,
    /// The last try failed.
    Failed(Failure),
    /// It runs.
    Running {
        /// Since when.
        since: Timestamp,
        /// It was taken out of the routes, because it is to end.
        draining_since: Option<Timestamp>,
        /// It was asked to end.
        is_stopping: bool,
    },
    /// It ended.
    Exited(Termination),
}

/// Why a container could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `ErrImagePull`, `CreateContainerConfigError`, …
    pub reason: String,
    /// For people.
    pub message: String,
    /// When.
    pub at: Timestamp,
    /// Trying again may help.
    pub is_transient: bool,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Termination {
    /// 0 is success.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, …
    pub reason: String,
    /// For people; may be empty.
    pub message: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Which incarnation it was.
    pub container_id: String,
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
    /// Take this handler out of the routes.
    Drain(usize),
    /// End this container.
    Stop(usize, SignedDuration),
    /// Everything ended: delete the object for good, if it is still there, and forget the pod.
    Finish,
}

/// The next thing to do for a pod.
pub fn step(spec: &Spec, observed: &Observed, now: Timestamp) -> Actions {
    let mut actions = Actions::default();
    if spec.deletion.is_some() || observed.is_orphan {
        let grace = spec.deletion.unwrap_or(SignedDuration::ZERO);
        let mut is_over = true;
        for (index, container) in observed.containers.iter().enumerate() {
            is_over &= end(index, container, grace, now, &mut actions);
        }
        if is_over {
            actions.commands.push(Command::Finish);
        }
        return actions;
    }
    for (index, (template, container)) in spec.template.containers.iter().zip(&observed.containers).enumerate() {
        advance(index, spec, template, container, now, &mut actions);
    }
    actions
}

/// Brings a container to its end; true when it is there.
fn end(
    index: usize,
    container: &ContainerObserved,
    grace: SignedDuration,
    now: Timestamp,
    actions: &mut Actions,
) -> bool {
    match &container.stage {
        Stage::New | Stage::Failed(_) | Stage::Exited(_) => true,
        // Its start is under way; what comes of it is ended then.
        Stage::Starting => false,
        Stage::Running { draining_since, is_stopping, .. } => {
            stop(index, container.is_handler, *draining_since, *is_stopping, grace, now, actions);
            false
        }
    }
}

fn stop(
    index: usize,
    is_handler: bool,
    draining_since: Option<Timestamp>,
    is_stopping: bool,
    grace: SignedDuration,
    now: Timestamp,
    actions: &mut Actions,
) {
    if is_stopping {
        return;
    }
    let needs_drain = is_handler && grace > SignedDuration::ZERO;
    match draining_since {
        None if needs_drain => {
            actions.commands.push(Command::Drain(index));
            actions.wake(now + DRAIN);
        }
        Some(since) if needs_drain && now < since + DRAIN => actions.wake(since + DRAIN),
        _ => actions.commands.push(Command::Stop(index, grace)),
    }
}

fn advance(
    index: usize,
    spec: &Spec,
    template: &ContainerTemplate,
    container: &ContainerObserved,
    now: Timestamp,
    actions: &mut Actions,
) {
    let is_replaced = !container.image.is_empty() && container.image != template.image;
    let start_at = match &container.stage {
        Stage::New => Some(now),
        Stage::Starting => None,
        Stage::Failed(_) if is_replaced => Some(now),
        Stage::Failed(failure) if failure.is_transient => Some(failure.at + failure_delay(container.failures)),
        Stage::Failed(_) => None,
        Stage::Running { draining_since, is_stopping, .. } => {
            if is_replaced {
                stop(index, container.is_handler, *draining_since, *is_stopping, spec.template.grace, now, actions);
            }
            None
        }
        Stage::Exited(_) if is_replaced => Some(now),
        Stage::Exited(exit) => {
            is_restarted(spec.template.restart_policy, exit).then(|| exit.finished_at + crash_delay(container, exit))
        }
    };
    match start_at {
        Some(at) if at <= now => actions.commands.push(Command::Start(index)),
        Some(at) => actions.wake(at),
        None => {}
    }
}

impl Actions {
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
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

impl Observed {
    /// A pod just taken on.
    pub fn new(template: &Template, start_time: Timestamp) -> Observed {
        Observed {
            containers: template.containers.iter().map(ContainerObserved::new).collect(),
            ip: None,
            start_time,
            scheduled_at: start_time,
            ready: (false, start_time),
            is_orphan: false,
        }
    }

    /// Whether every container runs and is not on its way out.
    pub fn is_ready(&self) -> bool {
        !self.containers.is_empty() && self.containers.iter().all(ContainerObserved::is_ready)
    }

    /// Notes the time at which readiness changed, if it did.
    pub fn note_ready(&mut self, is_deleted: bool, now: Timestamp) {
        let is_ready = self.is_ready() && !is_deleted;
        if self.ready.0 != is_ready {
            self.ready = (is_ready, now);
        }
    }
}

impl ContainerObserved {
    /// Nothing is known yet.
    pub fn new(template: &ContainerTemplate) -> ContainerObserved {
        let stage = match &template.refusal {
            None => Stage::New,
            Some(refusal) => Stage::Failed(Failure {
                reason: refusal.reason.to_owned(),
                message: refusal.message.clone(),
                at: Timestamp::UNIX_EPOCH,
                is_transient: false,
            }),
        };
        ContainerObserved {
            stage,
            restarts: 0,
            crashes: 0,
            failures: 0,
            last_exit: None,
            image_id: String::new(),
            image: String::new(),
            is_handler: false,
        }
    }

    /// It runs and is not on its way out.
    pub fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Running { draining_since: None, is_stopping: false, .. })
    }

    /// A start begins; a container that had ended counts as restarted.
    pub fn begin(&mut self, template: &ContainerTemplate) {
        let stage = std::mem::replace(&mut self.stage, Stage::Starting);
        if let Stage::Exited(exit) = stage {
            let ran = exit.started_at.duration_until(exit.finished_at);
            self.crashes = if ran >= BACK_OFF_RESET { 1 } else { self.crashes.saturating_add(1) };
            self.restarts += 1;
            self.last_exit = Some(exit);
        }
        self.image.clone_from(&template.image);
    }

    /// The start worked.
    pub fn started(&mut self, image_id: String, is_handler: bool, now: Timestamp) {
        self.failures = 0;
        self.image_id = image_id;
        self.is_handler = is_handler;
        self.stage = Stage::Running { since: now, draining_since: None, is_stopping: false };
    }

    /// The start failed.
    pub fn failed(&mut self, failure: Failure, policy: RestartPolicy, container_id: String) {
        self.failures = self.failures.saturating_add(1);
        // As with Kubernetes: what could not be run at all is over where nothing may be started twice.
        if failure.reason == "RunContainerError" && policy == RestartPolicy::Never {
            self.stage = Stage::Exited(Termination {
                exit_code: 128,
                reason: "StartError".to_owned(),
                message: failure.message,
                started_at: failure.at,
                finished_at: failure.at,
                container_id,
            });
        } else {
            self.stage = Stage::Failed(failure);
        }
    }

    /// It was taken out of the routes.
    pub fn drained(&mut self, now: Timestamp) {
        if let Stage::Running { draining_since, .. } = &mut self.stage {
            *draining_since = Some(now);
        }
    }

    /// It was asked to end.
    pub fn stopping(&mut self) {
        if let Stage::Running { is_stopping, .. } = &mut self.stage {
            *is_stopping = true;
        }
    }

    /// It ended.
    pub fn exited(&mut self, exit: Termination) {
        self.is_handler = false;
        self.stage = Stage::Exited(exit);
    }
}

#[cfg(test)]
mod tests;
