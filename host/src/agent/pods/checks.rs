//! The probes and hooks of this host's pods: when they begin and end, and what is learned from them.
//!
//! Deliberately absent: what follows from that, which [`step`](crate::pod::step) decides.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use super::{ANNOUNCE_AFTER, Message, Note, Pods};
use crate::pod::action::Action;
use crate::pod::{Cause, HookKind, ProbeKind, RestartPolicy};
use crate::probes::News;
use crate::probes::act::{self, Target};

/// A hook came back.
pub(crate) struct HookEnded {
    uid: Arc<str>,
    index: usize,
    incarnation: u32,
    kind: HookKind,
    result: Result<(), String>,
}

impl Pods {
    /// Tries the probes of a container that has started and is past its postStart hook.
    pub(super) fn watch_probes(&self, uid: &Arc<str>, index: usize) {
        let Some(pod) = self.pods.get(uid) else { return };
        let Some(checks) = pod.spec.template.containers[index].checks.clone().filter(|checks| checks.has_probes())
        else {
            return;
        };
        let observed = &pod.observed.containers[index];
        let Some(run) = observed.run().filter(|run| run.is_settled() && run.ending.is_none()) else { return };
        if let Some(target) = self.target(uid, index) {
            self.probes.watch((uid.clone(), index), observed.restarts, checks, Arc::new(target), run.since);
        }
    }

    fn target(&self, uid: &Arc<str>, index: usize) -> Option<Target> {
        let pod = self.pods.get(uid)?;
        let container = pod.running[index].clone()?;
        let ip = pod.spec.identity.ip.clone();
        Some(Target { uid: uid.clone(), ip, container, handlers: self.handlers.clone() })
    }

    /// Whether a probe that decides on readiness is tried this very moment: what it says is worth a short wait.
    pub(super) fn is_probed_at_once(&self, uid: &Arc<str>, index: usize) -> bool {
        let Some(pod) = self.pods.get(uid) else { return false };
        let Some(checks) = &pod.spec.template.containers[index].checks else { return false };
        let decisive = checks.probe(ProbeKind::Startup).or(checks.probe(ProbeKind::Readiness));
        let is_settled = pod.observed.containers[index].run().is_some_and(|run| run.is_settled());
        is_settled && decisive.is_some_and(|probe| probe.initial_delay.is_zero())
    }

    /// The pod is reported soon, unless something better to say comes up before.
    pub(super) fn announce_later(&mut self, uid: &Arc<str>, now: Timestamp) {
        if let Some(pod) = self.pods.get_mut(uid) {
            pod.announce_at = pod.announce_at.or(Some(now + ANNOUNCE_AFTER));
        }
    }

    /// Takes what the probes of a container say.
    pub(super) fn probed(&mut self, news: News) {
        let News { uid, index, incarnation, health, event } = news;
        let Some(pod) = self.pods.get_mut(&uid) else { return };
        let observed = &mut pod.observed.containers[index];
        let is_about_this = observed.restarts == incarnation && observed.run().is_some_and(|run| run.ending.is_none());
        if !is_about_this {
            return;
        }
        let is_news = health.is_some_and(|health| observed.probed(health));
        if let Some((reason, message)) = event {
            self.note(&Note { uid: uid.clone(), container: Some(index), is_warning: true, reason, message });
        }
        if is_news {
            self.changed(&uid);
        }
    }

    /// Calls a hook of a container, and gives it up after `time_max`.
    pub(super) fn call_hook(&mut self, uid: &Arc<str>, index: usize, kind: HookKind, time_max: Duration) {
        let Some(target) = self.target(uid, index) else { return };
        let Some(pod) = self.pods.get_mut(uid) else { return };
        let Some(checks) = pod.spec.template.containers[index].checks.clone() else { return };
        let observed = &mut pod.observed.containers[index];
        observed.hook_called(kind);
        let (incarnation, messages) = (observed.restarts, self.messages.clone());
        let key = (uid.clone(), index);
        let task = tokio::spawn(async move {
            let hook: Option<&Action> = match kind {
                HookKind::PostStart => checks.post_start.as_ref(),
                HookKind::PreStop => checks.pre_stop.as_ref(),
            };
            let result = match hook {
                Some(hook) => act::call(hook, &target, time_max).await,
                None => Ok(()),
            };
            let ended = HookEnded { uid: target.uid, index, incarnation, kind, result };
            // The agent is gone only when the host shuts down.
            let _ = messages.send(Message::Hooked(ended));
        });
        self.hooks.insert(key, AbortOnDropHandle::new(task));
    }

    /// Takes what became of a hook.
    pub(super) fn hook_ended(&mut self, ended: HookEnded) {
        let HookEnded { uid, index, incarnation, kind, result } = ended;
        let Some(pod) = self.pods.get_mut(&uid) else { return };
        let observed = &mut pod.observed.containers[index];
        if observed.restarts != incarnation {
            return;
        }
        let is_over = observed.run().is_none_or(|run| kind == HookKind::PostStart && run.ending.is_some());
        if is_over {
            return;
        }
        observed.hook_ended(kind, result.is_ok());
        self.hooks.remove(&(uid.clone(), index));
        if let Err(why) = result {
            let (reason, hook) = match kind {
                HookKind::PostStart => ("FailedPostStartHook", "PostStartHook"),
                HookKind::PreStop => ("FailedPreStopHook", "PreStopHook"),
            };
            let message = format!("{hook} failed: {why}");
            self.note(&Note { uid: uid.clone(), container: Some(index), is_warning: true, reason, message });
        } else if kind == HookKind::PostStart {
            self.watch_probes(&uid, index);
        }
        self.changed(&uid);
    }

    /// A container is to end: it counts as not ready from now on, and nothing is asked of it any more but its last hook.
    pub(super) fn begin_end(&mut self, uid: &Arc<str>, index: usize, cause: Cause, now: Timestamp) {
        self.hooks.remove(&(uid.clone(), index));
        self.probes.forget((uid.clone(), index));
        let Some(pod) = self.pods.get_mut(uid) else { return };
        let template = &pod.spec.template.containers[index];
        pod.observed.containers[index].ending(cause, template.checks.as_deref(), now);
        let is_restarted = pod.spec.template.restart_policy != RestartPolicy::Never;
        let message = cause.message(&template.name, is_restarted);
        if pod.spec.deletion.is_none() && !pod.observed.is_orphan {
            self.report.status(uid);
        }
        self.note(&Note { uid: uid.clone(), container: Some(index), is_warning: false, reason: "Killing", message });
    }
}
