//! What the host knows of a pod it runs, and the transitions that this goes through.
//!
//! Deliberately absent: what to do about it, which [`step`](super::step) decides.

use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

use super::failure::PodFailure;
use super::probe::Checks;
use super::run::{Cause, Ending, Health, Hook, HookKind, Run};
use super::{BACK_OFF_RESET, ContainerTemplate, RestartPolicy, Template};

/// 128 + SIGTERM, as with a program that it ends.
const EXIT_TERMINATED: i32 = 143;

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
    /// It has failed for good: end the containers.
    pub failure: Option<PodFailure>,
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
    /// The libraries that it was started with, as references by digest, in order.
    pub linked: Vec<String>,
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
    Running(Run),
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
            failure: None,
        }
    }

    /// The pod's libraries as references by digest, in order; `None` until all of them are here.
    pub fn libraries(&self, template: &Template) -> Option<Vec<String>> {
        let library = |index: &usize| {
            let library = &self.containers[*index];
            library.run().map(|_| library.image_id.clone())
        };
        template.libraries.iter().map(library).collect()
    }

    /// The containers that run by themselves for as long as the pod.
    pub fn main<'a>(&'a self, template: &'a Template) -> impl Iterator<Item = &'a ContainerObserved> {
        let containers = self.containers.iter().enumerate();
        containers.filter(|(index, _)| template.is_main(*index)).map(|(_, container)| container)
    }

    /// The container that has to run to its end before others start.
    pub fn holding_up(&self, template: &Template) -> Option<usize> {
        let is_done =
            |container: &ContainerObserved| matches!(&container.stage, Stage::Exited(exit) if exit.exit_code == 0);
        self.containers[..template.init_count].iter().position(|container| !is_done(container))
    }

    /// Whether a container runs, or is about to; libraries only lie there.
    pub fn is_running(&self, template: &Template) -> bool {
        let is_running = |stage: &Stage| matches!(stage, Stage::Starting | Stage::Running(_));
        let mut containers = self.containers.iter().enumerate();
        containers.any(|(index, container)| !template.is_library(index) && is_running(&container.stage))
    }

    /// Whether every container that does not end before the others runs and is not on its way out.
    pub fn is_ready(&self, template: &Template) -> bool {
        let containers = &self.containers[template.init_count..];
        !containers.is_empty() && containers.iter().all(ContainerObserved::is_ready)
    }

    /// Notes the time at which readiness changed, if it did.
    pub fn note_ready(&mut self, template: &Template, is_deleted: bool, now: Timestamp) {
        let is_ready = self.is_ready(template) && !is_deleted;
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
            linked: Vec::new(),
            is_handler: false,
        }
    }

    /// It runs, is not on its way out, and its probes have nothing against it.
    pub fn is_ready(&self) -> bool {
        self.run().is_some_and(Run::is_ready)
    }

    /// It, while it runs.
    pub fn run(&self) -> Option<&Run> {
        match &self.stage {
            Stage::Running(run) => Some(run),
            _ => None,
        }
    }

    fn run_mut(&mut self) -> Option<&mut Run> {
        match &mut self.stage {
            Stage::Running(run) => Some(run),
            _ => None,
        }
    }

    /// A start begins, with these libraries; a container that had ended counts as restarted.
    pub fn begin(&mut self, template: &ContainerTemplate, linked: Vec<String>) {
        let stage = std::mem::replace(&mut self.stage, Stage::Starting);
        if let Stage::Exited(exit) = stage {
            let ran = exit.started_at.duration_until(exit.finished_at);
            self.crashes = if ran >= BACK_OFF_RESET { 1 } else { self.crashes.saturating_add(1) };
            self.restarts += 1;
            self.last_exit = Some(exit);
        }
        self.image.clone_from(&template.image);
        self.linked = linked;
    }

    /// The start worked.
    pub fn started(&mut self, checks: Option<&Checks>, image_id: String, is_handler: bool, now: Timestamp) {
        self.failures = 0;
        self.image_id = image_id;
        self.is_handler = is_handler;
        self.stage = Stage::Running(Run::new(checks, now));
    }

    /// A hook of it was called.
    pub fn hook_called(&mut self, kind: HookKind) {
        self.set_hook(kind, Hook::UnderWay);
    }

    /// A hook of it came back. A container whose postStart hook failed can't go on.
    pub fn hook_ended(&mut self, kind: HookKind, is_ok: bool) {
        self.set_hook(kind, Hook::Over);
        if let Some(run) = self.run_mut().filter(|_| kind == HookKind::PostStart && !is_ok) {
            run.trouble = Some(Cause::PostStart);
        }
    }

    fn set_hook(&mut self, kind: HookKind, hook: Hook) {
        match (kind, self.run_mut()) {
            (HookKind::PostStart, Some(run)) => run.post_start = hook,
            (HookKind::PreStop, Some(Run { ending: Some(ending), .. })) => ending.pre_stop = hook,
            _ => {}
        }
    }

    /// Its probes say so now; true if that is news.
    pub fn probed(&mut self, health: Health) -> bool {
        let Some(run) = self.run_mut().filter(|run| run.health != health) else { return false };
        run.health = health;
        run.trouble = health.failed.map(Cause::Probe).or(run.trouble);
        true
    }

    /// Its end begins.
    pub fn ending(&mut self, cause: Cause, checks: Option<&Checks>, now: Timestamp) {
        if let Some(run) = self.run_mut() {
            run.ending = Some(Ending::new(cause, checks, now));
        }
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
        if let Some(Run { ending: Some(ending), .. }) = self.run_mut() {
            ending.drained_at = Some(now);
        }
    }

    /// It was asked to end within this grace.
    pub fn stopping(&mut self, grace: SignedDuration, now: Timestamp) {
        if let Some(Run { ending: Some(ending), .. }) = self.run_mut() {
            ending.stop_by = Some(now + grace);
        }
    }

    /// It ended. Where its host ended it because something was wrong, that is how it ended, whatever it says itself.
    pub fn exited(&mut self, mut exit: Termination, name: &str) {
        let cause = self.run().and_then(|run| run.ending.as_ref()).map(|ending| ending.cause);
        if let Some(cause) = cause.filter(|cause| cause.is_failure() && exit.exit_code == 0) {
            exit.exit_code = EXIT_TERMINATED;
            exit.reason = "Error".to_owned();
            if cause != Cause::PodFailed {
                exit.message = cause.message(name, false);
            }
        }
        self.is_handler = false;
        self.stage = Stage::Exited(exit);
    }
}
