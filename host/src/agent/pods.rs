//! The pods of this host: takes what the API wants and what containers did, and carries out what `pod::step` decides.

mod checks;
mod usage;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::InformerEvent;
use coracle_net::addresses::Addresses;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use super::report::{Answer, Note, Report};
use super::start::{self, Order, Outcome, Shared, Started};
use super::{Message, PodHandlers, Totals};
use crate::logs::LogKey;
use crate::pod::{self, Command, HookKind, Observed, PodFailure, Spec, Stage, Template, Termination, parse};
use crate::probes::Probes;
use crate::runtime::{Container, Exit, Kept};
use crate::status;
use crate::usage::Rate;

/// A pod that is still starting after so long is reported as such; faster ones are reported once they run.
const ANNOUNCE_AFTER: SignedDuration = SignedDuration::from_millis(100);
/// Likewise for pods taken over from before a restart of the host, which the API knows as running.
const ANNOUNCE_ADOPTED_AFTER: SignedDuration = SignedDuration::from_secs(2);
const PORTS_DEFAULT: &[u16] = &[8080];
/// A postStart hook that takes longer has failed; Kubernetes waits for ever.
const HOOK_MAX: Duration = Duration::from_hours(1);

/// One pod.
struct Pod {
    spec: Spec,
    observed: Observed,
    running: Vec<Option<Arc<dyn Container>>>,
    /// Its entry in the timers.
    wake_at: Option<Timestamp>,
    /// Reported as starting at this time, unless it has got further by then.
    announce_at: Option<Timestamp>,
    /// It is over for good: nothing is started any more.
    is_over: bool,
    /// Its deletion was confirmed.
    is_finishing: bool,
    /// How fast its containers use the processor; empty until one has.
    rates: Vec<Rate>,
    /// Ends what others hold open to the pod when it is forgotten; made for the first of them.
    gone: Option<DropGuard>,
}

/// A container's end.
pub(super) struct ExitNotice {
    uid: Arc<str>,
    index: usize,
    incarnation: u32,
    exit: Option<Exit>,
}

/// What the agent waits for besides messages.
pub(super) enum News {
    Exit(ExitNotice),
    Answer(Answer),
}

/// A pod that somebody asked for.
#[derive(Clone)]
pub(crate) struct FoundPod {
    /// Its uid.
    pub(crate) uid: Arc<str>,
    /// Its containers.
    pub(crate) containers: Vec<FoundContainer>,
    /// Ends with the pod.
    pub(crate) gone: CancellationToken,
}

/// A container of it.
#[derive(Clone)]
pub(crate) struct FoundContainer {
    /// Its name.
    pub(crate) name: String,
    /// The present or last incarnation.
    pub(crate) incarnation: u32,
    /// It was started at least once; otherwise why not.
    pub(crate) started: Result<(), String>,
    /// It, while it runs.
    pub(crate) running: Option<Arc<dyn Container>>,
}

pub(crate) use checks::HookEnded;
use usage::MachineUse;

pub(super) struct Pods {
    shared: Arc<Shared>,
    pods: HashMap<Arc<str>, Pod>,
    /// With what is on disk for their containers: it stays as long as there are pods of the template.
    templates: HashMap<Arc<Template>, Vec<Kept>>,
    addresses: Addresses,
    handlers: Arc<PodHandlers>,
    are_handlers_changed: bool,
    timers: BTreeSet<(Timestamp, Arc<str>)>,
    exits: FuturesUnordered<BoxFuture<'static, ExitNotice>>,
    probes: Probes,
    /// Hooks under way, by pod and container.
    hooks: HashMap<(Arc<str>, usize), AbortOnDropHandle<()>>,
    messages: mpsc::UnboundedSender<Message>,
    report: Report,
    /// The first list was taken: logs of pods not in it are gone.
    is_listed: bool,
    machine: MachineUse,
}

impl Pods {
    pub(super) fn new(
        shared: Arc<Shared>,
        addresses: Addresses,
        handlers: Arc<PodHandlers>,
        messages: mpsc::UnboundedSender<Message>,
    ) -> Pods {
        let report = Report::new(shared.client.clone(), shared.node_name.clone());
        let inbox = messages.clone();
        let probes = Probes::start(shared.clock.clone(), move |news| {
            // The agent is gone only when the host shuts down.
            let _ = inbox.send(Message::Probed(news));
        });
        Pods {
            shared,
            pods: HashMap::new(),
            templates: HashMap::new(),
            addresses,
            handlers,
            are_handlers_changed: false,
            timers: BTreeSet::new(),
            exits: FuturesUnordered::new(),
            probes,
            hooks: HashMap::new(),
            messages,
            report,
            is_listed: false,
            machine: MachineUse::default(),
        }
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Takes what the API says.
    pub(super) fn take(&mut self, event: InformerEvent) {
        match event {
            InformerEvent::Restarted(pods) => self.restarted(&pods),
            InformerEvent::Applied(pod) => self.applied(&pod),
            InformerEvent::Deleted(pod) => {
                let uid: Arc<str> = coracle_api::object::uid(&pod).into();
                self.orphan(&uid);
            }
        }
    }

    fn restarted(&mut self, pods: &[Value]) {
        let present: HashSet<&str> = pods.iter().map(coracle_api::object::uid).collect();
        let gone: Vec<Arc<str>> = self.pods.keys().filter(|uid| !present.contains(&***uid)).cloned().collect();
        gone.iter().for_each(|uid| self.orphan(uid));
        // Those that have an address keep it, so they come first.
        let (with_address, without): (Vec<&Value>, Vec<&Value>) =
            pods.iter().partition(|pod| pod["status"]["podIP"].is_string());
        with_address.into_iter().chain(without).for_each(|pod| self.applied(pod));
        if !self.is_listed {
            self.is_listed = true;
            let kept = self.pods.iter().filter(|(_, pod)| !pod.is_over).map(|(uid, _)| uid.clone());
            self.shared.volumes.retain(&kept.collect());
            for uid in self.shared.logs.known_uids().unwrap_or_default() {
                if !self.pods.contains_key(uid.as_str()) {
                    self.shared.logs.forget(&uid);
                }
            }
        }
    }

    fn applied(&mut self, object: &Value) {
        let mut spec = parse::spec(object);
        let uid: Arc<str> = spec.identity.uid.as_str().into();
        if let Some(pod) = self.pods.get_mut(&uid) {
            spec.identity.ip.clone_from(&pod.spec.identity.ip);
            let is_same_shape = spec.template.containers.len() == pod.spec.template.containers.len();
            if spec == pod.spec || !is_same_shape {
                return;
            }
            // What runs by itself is settled when the pod is taken on.
            if spec.template.libraries != pod.spec.template.libraries {
                Arc::make_mut(&mut spec.template).libraries.clone_from(&pod.spec.template.libraries);
            }
            spec.template = intern(&mut self.templates, spec.template);
            pod.spec = spec;
            if !pod.is_over {
                self.shared.volumes.take(&uid, &pod.spec.identity, &pod.spec.template);
            }
        } else {
            self.adopt(&uid, spec, object);
        }
        self.advance(&uid);
    }

    fn adopt(&mut self, uid: &Arc<str>, mut spec: Spec, object: &Value) {
        let now = self.now();
        spec.template = intern(&mut self.templates, spec.template);
        let mut observed = parse::adopt(object, &spec, now);
        let is_known = object["status"]["containerStatuses"].is_array();
        observed.ip = observed.ip.filter(|ip| self.addresses.reserve(*ip)).or_else(|| self.addresses.allocate());
        spec.identity.ip = observed.ip.as_ref().map(Ipv4Addr::to_string).unwrap_or_default();
        let is_refused = observed.containers.iter().any(|container| matches!(container.stage, Stage::Failed(_)));
        let is_settled = observed.main(&spec.template).all(|container| matches!(container.stage, Stage::Exited(_)));
        let after = if is_known { ANNOUNCE_ADOPTED_AFTER } else { ANNOUNCE_AFTER };
        let running = spec.template.containers.iter().map(|_| None).collect();
        let is_over = parse::is_over(object);
        let announce_at = (!is_over).then(|| now + after);
        if !is_over {
            self.shared.volumes.take(uid, &spec.identity, &spec.template);
        }
        let pod = Pod {
            spec,
            observed,
            running,
            wake_at: None,
            announce_at,
            is_over,
            is_finishing: false,
            rates: Vec::new(),
            gone: None,
        };
        self.pods.insert(uid.clone(), pod);
        if !is_over && (is_refused || is_settled) {
            self.report.status(uid);
        }
        if !is_over && is_refused {
            self.note_refusals(uid);
        }
    }

    /// Says why containers cannot be run as written.
    fn note_refusals(&mut self, uid: &Arc<str>) {
        let Some(pod) = self.pods.get(uid) else { return };
        let template = pod.spec.template.clone();
        for (index, container) in template.containers.iter().enumerate() {
            if let Some(refusal) = &container.refusal {
                let message = format!("Error: {}: {}", refusal.reason, refusal.message);
                let note =
                    Note { uid: uid.clone(), container: Some(index), is_warning: true, reason: "Failed", message };
                self.note(&note);
            }
        }
    }

    /// The object is gone: end what runs, then forget the pod.
    fn orphan(&mut self, uid: &Arc<str>) {
        if let Some(pod) = self.pods.get_mut(uid) {
            pod.observed.is_orphan = true;
            pod.is_finishing = false;
            self.advance(uid);
        }
    }

    /// Takes what a task or the server says.
    pub(super) fn receive(&mut self, message: Message) {
        match message {
            Message::Started(outcome) => self.started(outcome),
            Message::Note(note) => self.note(&note),
            Message::VolumesChanged { uid, failures } => {
                failures.into_iter().for_each(|failure| self.note(&start::mount_note(&uid, failure)));
                self.mount_again(&uid);
            }
            Message::VolumeOverfull { uid, message } => {
                self.fail(&uid, PodFailure::Evicted(message));
                self.advance(&uid);
            }
            Message::Probed(news) => self.probed(news),
            Message::Hooked(ended) => self.hook_ended(ended),
            Message::Find { namespace, name, reply } => {
                // Whoever asked may have gone away; so below.
                let _ = reply.send(self.find(&namespace, &name));
            }
            Message::Totals { reply } => {
                let _ = reply.send(self.totals());
            }
            Message::Usage { reply } => {
                let _ = reply.send(self.usage());
            }
        }
    }

    fn started(&mut self, outcome: Outcome) {
        let now = self.now();
        outcome.notes.iter().for_each(|note| self.note(note));
        let (uid, index) = (outcome.uid, outcome.index);
        let Some(pod) = self.pods.get_mut(&uid) else { return };
        let template = &pod.spec.template.containers[index];
        let observed = &mut pod.observed.containers[index];
        match outcome.result {
            Ok(Started { container: None, image_id, kept }) => {
                keep(&mut self.templates, &pod.spec.template, kept);
                observed.started(None, image_id, false, now);
            }
            Ok(Started { container: Some(container), image_id, kept }) => {
                keep(&mut self.templates, &pod.spec.template, kept);
                let container: Arc<dyn Container> = container.into();
                let ports = if template.ports.is_empty() { PORTS_DEFAULT } else { &template.ports };
                let is_handler = self.handlers.insert(&uid, pod.observed.ip, index, ports, &container);
                self.are_handlers_changed |= is_handler;
                observed.started(template.checks.as_deref(), image_id, is_handler, now);
                self.exits.push(watch_exit(uid.clone(), index, observed.restarts, container.as_ref()));
                pod.running[index] = Some(container);
                self.watch_probes(&uid, index);
                if self.is_probed_at_once(&uid, index) {
                    self.announce_later(&uid, now);
                    return self.advance(&uid);
                }
            }
            Err(failure) => {
                let is_pull = failure.reason == "ErrImagePull";
                let id = status::container_id(&uid, &template.name, observed.restarts);
                observed.failed(failure, pod.spec.template.restart_policy, id);
                if is_pull && observed.failures > 1 {
                    let message = format!("Back-off pulling image {:?}", template.image);
                    let note = Note {
                        uid: uid.clone(),
                        container: Some(index),
                        is_warning: false,
                        reason: "BackOff",
                        message,
                    };
                    self.note(&note);
                }
            }
        }
        self.changed(&uid);
    }

    /// Volumes may be there now that were not: containers that wait for them needn't any longer.
    fn mount_again(&mut self, uid: &Arc<str>) {
        let Some(pod) = self.pods.get_mut(uid) else { return };
        for container in &mut pod.observed.containers {
            if matches!(&container.stage, Stage::Failed(failure) if failure.reason == start::MOUNTING) {
                container.stage = Stage::New;
            }
        }
        self.advance(uid);
    }

    /// The next container to end, or answer to a batch.
    pub(super) async fn news(&mut self) -> News {
        tokio::select! {
            Some(exit) = self.exits.next() => News::Exit(exit),
            answer = self.report.answered() => News::Answer(answer),
        }
    }

    /// Takes what was waited for.
    pub(super) fn learn(&mut self, news: News) {
        match news {
            News::Exit(exit) => self.exited(exit),
            News::Answer(answer) => {
                let now = self.now();
                self.report.settle(answer, now);
            }
        }
    }

    fn exited(&mut self, notice: ExitNotice) {
        let now = self.now();
        let ExitNotice { uid, index, incarnation, exit } = notice;
        let Some(pod) = self.pods.get_mut(&uid) else { return };
        let observed = &mut pod.observed.containers[index];
        let Some(since) = observed.run().map(|run| run.since) else { return };
        if observed.restarts != incarnation {
            return;
        }
        let name = &pod.spec.template.containers[index].name;
        let container_id = status::container_id(&uid, name, incarnation);
        observed.exited(termination(exit, container_id, since, now), name);
        pod.running[index] = None;
        self.hooks.remove(&(uid.clone(), index));
        self.probes.forget((uid.clone(), index));
        self.are_handlers_changed |= self.handlers.remove(&uid, index);
        self.shared.logs.finish(&LogKey { uid: uid.clone(), container: name.as_str().into() });
        self.note_back_off(&uid, index);
        self.changed(&uid);
    }

    fn note_back_off(&mut self, uid: &Arc<str>, index: usize) {
        let Some(pod) = self.pods.get(uid) else { return };
        let (template, container) = (&pod.spec.template.containers[index], &pod.observed.containers[index]);
        let Stage::Exited(exit) = &container.stage else { return };
        let policy = pod::restart_policy(&pod.spec, &pod.observed, index);
        if !pod::is_restarted(policy, exit) || pod::crash_delay(container, exit).is_zero() {
            return;
        }
        let identity = &pod.spec.identity;
        let message = format!(
            "Back-off restarting failed container {} in pod {}_{}({})",
            template.name, identity.name, identity.namespace, identity.uid
        );
        let note = Note { uid: uid.clone(), container: Some(index), is_warning: true, reason: "BackOff", message };
        self.note(&note);
    }

    /// The pod is in another state: decide anew, and tell.
    fn changed(&mut self, uid: &Arc<str>) {
        if let Some(pod) = self.pods.get_mut(uid) {
            pod.announce_at = None;
            if pod.spec.deletion.is_none() && !pod.observed.is_orphan {
                self.report.status(uid);
            }
        }
        self.advance(uid);
    }

    /// Decides what to do for the pod, and does it.
    fn advance(&mut self, uid: &Arc<str>) {
        let now = self.now();
        let Some(pod) = self.pods.get_mut(uid) else { return };
        let is_ending = pod.spec.deletion.is_some() || pod.observed.is_orphan;
        if pod.is_finishing || (pod.is_over && !is_ending) {
            return;
        }
        let actions = pod::step(&pod.spec, &pod.observed, now);
        if !is_ending && actions.commands.is_empty() && status::is_over(&pod.spec, &pod.observed) {
            pod.is_over = true;
            self.shared.volumes.release(uid);
        }
        let wake_at = actions.wake_at.into_iter().chain(pod.announce_at).min();
        self.set_wake(uid, wake_at);
        let mut is_ending = false;
        for command in actions.commands {
            is_ending |= matches!(command, Command::End(..) | Command::Fail(_));
            self.execute(uid, command, now);
        }
        if is_ending {
            self.advance(uid);
        }
    }

    fn set_wake(&mut self, uid: &Arc<str>, wake_at: Option<Timestamp>) {
        let Some(pod) = self.pods.get_mut(uid) else { return };
        if let Some(before) = std::mem::replace(&mut pod.wake_at, wake_at) {
            self.timers.remove(&(before, uid.clone()));
        }
        if let Some(at) = wake_at {
            self.timers.insert((at, uid.clone()));
        }
    }

    fn execute(&mut self, uid: &Arc<str>, command: Command, now: Timestamp) {
        let Some(pod) = self.pods.get_mut(uid) else { return };
        match command {
            Command::Start(index) => {
                let libraries = match pod.spec.template.is_main(index) {
                    false => Vec::new(),
                    true => pod.observed.libraries(&pod.spec.template).unwrap_or_default(),
                };
                let observed = &mut pod.observed.containers[index];
                observed.begin(&pod.spec.template.containers[index], libraries.clone());
                let order = Order {
                    uid: uid.clone(),
                    index,
                    identity: pod.spec.identity.clone(),
                    template: pod.spec.template.clone(),
                    incarnation: observed.restarts,
                    libraries,
                };
                tokio::spawn(start::start(self.shared.clone(), order, self.messages.clone()));
            }
            Command::PostStart(index) => self.call_hook(uid, index, HookKind::PostStart, HOOK_MAX),
            Command::PreStop(index, grace) => self.call_hook(uid, index, HookKind::PreStop, start::grace(grace)),
            Command::End(index, cause) => self.begin_end(uid, index, cause, now),
            Command::Drain(index) => {
                pod.observed.containers[index].drained(now);
                self.are_handlers_changed |= self.handlers.remove(uid, index);
            }
            Command::Stop(index, grace) => {
                pod.observed.containers[index].stopping(grace, now);
                self.are_handlers_changed |= self.handlers.remove(uid, index);
                if let Some(container) = &pod.running[index] {
                    container.stop(start::grace(grace));
                }
            }
            Command::Fail(failure) => self.fail(uid, failure),
            Command::Finish => {
                if pod.observed.is_orphan {
                    self.forget(uid);
                } else {
                    pod.is_finishing = true;
                    self.set_wake(uid, None);
                    self.report.delete(uid);
                }
            }
        }
    }

    /// The pod is ended for good; not one that ends already.
    fn fail(&mut self, uid: &Arc<str>, failure: PodFailure) {
        let Some(pod) = self.pods.get_mut(uid) else { return };
        if pod.is_over || pod.spec.deletion.is_some() || pod.observed.is_orphan || pod.observed.failure.is_some() {
            return;
        }
        let (reason, message) = (failure.reason(), failure.message().to_owned());
        let is_warning = matches!(failure, PodFailure::Evicted(_));
        pod.observed.failure = Some(failure);
        self.report.status(uid);
        self.note(&Note { uid: uid.clone(), container: None, is_warning, reason, message });
    }

    fn forget(&mut self, uid: &Arc<str>) {
        self.set_wake(uid, None);
        let Some(pod) = self.pods.remove(uid) else { return };
        if let Some(ip) = pod.observed.ip {
            self.addresses.release(ip);
        }
        self.shared.logs.forget(uid);
        self.shared.volumes.release(uid);
        let template = pod.spec.template;
        // This one and the interned one.
        if Arc::strong_count(&template) == 2 {
            self.templates.remove(&template);
        }
    }

    fn note(&mut self, note: &Note) {
        let now = self.now();
        let Some(pod) = self.pods.get(&note.uid) else { return };
        let template = &pod.spec.template;
        let container = note.container.map(|index| {
            let list = if template.is_init(index) { "initContainers" } else { "containers" };
            format!("spec.{list}{{{}}}", template.containers[index].name)
        });
        self.report.event(&pod.spec.identity, container.as_deref(), note, now);
    }

    /// How long until something is to be done without being asked.
    pub(super) fn until_next_wake(&self) -> Option<Duration> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let at = timer.into_iter().chain(self.report.not_before).min()?;
        let left = self.now().duration_until(at);
        // Timers go by milliseconds; waking early would only mean looking twice.
        Some(Duration::try_from(left).unwrap_or(Duration::ZERO) + Duration::from_millis(1))
    }

    /// Does what is due, and tells what changed.
    pub(super) fn turn(&mut self) {
        let now = self.now();
        while let Some((at, uid)) = self.timers.first().cloned() {
            if at > now {
                break;
            }
            self.set_wake(&uid, None);
            if let Some(pod) = self.pods.get_mut(&uid)
                && pod.announce_at.is_some_and(|at| at <= now)
            {
                pod.announce_at = None;
                if pod.spec.deletion.is_none() {
                    self.report.status(&uid);
                }
            }
            self.advance(&uid);
        }
        // Routes first: a pod is told to be ready once it is reachable.
        if std::mem::take(&mut self.are_handlers_changed) {
            self.handlers.announce();
        }
        let (pods, host_ip) = (&mut self.pods, &self.shared.host_ip);
        self.report.flush(now, |uid, with_status| describe(pods.get_mut(uid)?, host_ip, with_status, now));
    }

    fn find(&mut self, namespace: &str, name: &str) -> Option<FoundPod> {
        let (uid, pod) = self
            .pods
            .iter_mut()
            .find(|(_, pod)| pod.spec.identity.name == name && pod.spec.identity.namespace == namespace)?;
        let containers = pod.spec.template.containers.iter().zip(&pod.observed.containers).zip(&pod.running);
        let containers = containers.enumerate().map(|(index, ((template, observed), running))| FoundContainer {
            name: template.name.clone(),
            incarnation: observed.restarts,
            started: match &observed.stage {
                Stage::Running(_) if pod.spec.template.is_library(index) => Err("LibraryOfOtherContainers".to_owned()),
                Stage::Running(_) | Stage::Exited(_) => Ok(()),
                _ if observed.restarts > 0 => Ok(()),
                Stage::Failed(failure) => Err(failure.reason.clone()),
                Stage::New | Stage::Starting => Err("ContainerCreating".to_owned()),
            },
            running: running.clone(),
        });
        let containers = containers.collect();
        let gone = pod.gone.get_or_insert_with(|| CancellationToken::new().drop_guard());
        // A child, so that whoever asked can't end what others hold open.
        Some(FoundPod { uid: uid.clone(), containers, gone: gone.token().child_token() })
    }

    fn totals(&self) -> Totals {
        let runtime = &self.shared.runtime;
        let (compilations, components_in_memory) = (runtime.compilations(), runtime.components_in_memory());
        let mut totals = Totals { compilations, components_in_memory, ..Totals::default() };
        for pod in self.pods.values() {
            let phase = status::phase(&pod.spec, &pod.observed);
            if let Some(index) = Totals::PHASES.iter().position(|known| *known == phase) {
                totals.pods[index] += 1;
            }
            pod.running.iter().flatten().for_each(|container| totals.add(container.stats()));
        }
        totals
    }

    /// The host ends: everything that runs does.
    pub(super) fn stop_all(&mut self) {
        for container in self.pods.values().flat_map(|pod| pod.running.iter().flatten()) {
            container.stop(Duration::ZERO);
        }
    }
}

/// The pod's object for a batch: with its status, or only its identity.
fn describe(pod: &mut Pod, host_ip: &str, with_status: bool, now: Timestamp) -> Option<Value> {
    let is_deleted = pod.spec.deletion.is_some();
    if pod.observed.is_orphan || (with_status && is_deleted) {
        return None;
    }
    let identity = &pod.spec.identity;
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "namespace": identity.namespace, "name": identity.name, "uid": identity.uid },
    });
    if with_status {
        pod.observed.note_ready(&pod.spec.template, is_deleted, now);
        object["status"] = status::pod_status(&pod.spec, &pod.observed, host_ip, now);
    }
    Some(object)
}

/// Equal templates are kept once.
fn intern(templates: &mut HashMap<Arc<Template>, Vec<Kept>>, template: Arc<Template>) -> Arc<Template> {
    if let Some((known, _)) = templates.get_key_value(&template) {
        return known.clone();
    }
    templates.insert(template.clone(), Vec::new());
    template
}

/// What all pods of a template are made from is kept once.
fn keep(templates: &mut HashMap<Arc<Template>, Vec<Kept>>, template: &Arc<Template>, kept: Vec<Kept>) {
    let known = templates.entry(template.clone()).or_default();
    for kept in kept {
        if !known.iter().any(|known| Arc::ptr_eq(known, &kept)) {
            known.push(kept);
        }
    }
}

fn watch_exit(
    uid: Arc<str>,
    index: usize,
    incarnation: u32,
    container: &dyn Container,
) -> BoxFuture<'static, ExitNotice> {
    let mut exited = container.exited();
    Box::pin(async move {
        let exit = exited.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        ExitNotice { uid, index, incarnation, exit }
    })
}

fn termination(exit: Option<Exit>, container_id: String, started_at: Timestamp, now: Timestamp) -> Termination {
    match exit {
        Some(exit) => Termination {
            exit_code: exit.code,
            reason: exit.reason.as_str().to_owned(),
            message: exit.message,
            started_at: exit.started_at,
            finished_at: exit.finished_at,
            container_id,
        },
        None => Termination {
            exit_code: 137,
            reason: "Error".to_owned(),
            message: "the runtime lost the container".to_owned(),
            started_at,
            finished_at: now,
            container_id,
        },
    }
}
