//! A `wasi:http` handler: a fresh instance for each request, on the thread the request arrived at, or one that answers several.
//!
//! Deliberately absent: anything that stays between requests. An idle handler is this struct and a shared component.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use coracle_net::{Body, Handler, RequestBody, RequestContext, RequestId, text_response};
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, header};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use wasmtime::Trap;

use super::access_log::AccessLog;
use super::background::{Execution, Movable, Steering, measured};
use super::body::{self, Answering, respond};
use super::component::{HandlerPre, Pre, PreparedComponent};
use super::cpu::Account;
use super::engine::{TICK, Wasm};
use super::failure::Failure;
use super::guest::{Guest, Surroundings, new_store};
use super::instances::{Call, Given, Instances, Reply};
use super::reused::{Life, call_02};
use super::slots::Slots;
use crate::console::Console;
use crate::inspect::Kind;
use crate::runtime::{
    Answer, Clock, Container, ContainerSpec, ExecError, Exit, ExitReason, RequestFailure, Start, Stats, Stream,
    Unanswered,
};

/// 128 + SIGKILL.
const EXIT_KILLED: i32 = 137;
/// A container that fails so many requests before it answered any counts as broken. One that has answered can't be brought down by requests.
const FIRST_FAILURES_MAX: u32 = 5;
/// A container whose last requests were this often too slow for the serving threads starts on the background threads.
const SLOWNESS_MAX: u32 = 4;
/// Requests that an instance of a 0.3 handler answers in its life, and at once, as with `wasmtime serve`.
const REUSE_DEFAULT_03: u32 = 128;
const AT_ONCE_MAX_03: u32 = 16;
/// Requests of all containers that may wait for a slot of the pool.
const POOL_QUEUE_MAX: u32 = 100_000;

/// What a container's requests share.
pub(crate) struct HandlerContainer {
    background: Handle,
    pub(super) prepared: Arc<PreparedComponent>,
    pub(super) surroundings: Arc<Surroundings>,
    /// `None` if each request has an instance of its own.
    pub(super) instances: Option<Instances>,
    access_log: Arc<AccessLog>,
    clock: Arc<dyn Clock>,
    started_at: Timestamp,
    exit: watch::Sender<Option<Exit>>,
    stopping: AtomicBool,
    /// The grace is over: what still runs ends.
    pub(super) killed: CancellationToken,
    gate: Slots,
    concurrency: u32,
    request_timeout: Duration,
    name: String,
    slowness: AtomicU32,
    pub(super) account: Arc<Account>,
    pub(super) counts: Counts,
}

#[derive(Default)]
pub(super) struct Counts {
    requests: AtomicU64,
    refused: AtomicU64,
    timeouts: AtomicU64,
    traps: AtomicU64,
    has_answered: AtomicBool,
    first_failures: AtomicU32,
}

/// What a handler is made of.
pub(crate) struct HandlerParts {
    pub(crate) background: Handle,
    pub(crate) prepared: Arc<PreparedComponent>,
    pub(crate) surroundings: Arc<Surroundings>,
    pub(crate) access_log: Arc<AccessLog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) account: Arc<Account>,
}

impl HandlerContainer {
    pub(crate) fn new(parts: HandlerParts, spec: &ContainerSpec) -> Arc<HandlerContainer> {
        let HandlerParts { background, prepared, surroundings, access_log, clock, account } = parts;
        let (reuse, at_once) = match (prepared.traits.kind, spec.instance_reuse) {
            (Kind::HttpHandler03, reuse) => (reuse.unwrap_or(REUSE_DEFAULT_03), AT_ONCE_MAX_03),
            (_, reuse) => (reuse.unwrap_or(1), 1),
        };
        let is_fresh = reuse == 1 && at_once == 1;
        Arc::new(HandlerContainer {
            instances: (!is_fresh).then(|| Instances::new(reuse, at_once)),
            started_at: clock.now(),
            exit: watch::Sender::new(None),
            stopping: AtomicBool::new(false),
            killed: CancellationToken::new(),
            gate: Slots::new(u32::MAX),
            concurrency: spec.concurrency.max(1),
            request_timeout: spec.request_timeout,
            name: format!("{}/{}/{}", spec.pod.namespace, spec.pod.name, spec.name),
            slowness: AtomicU32::new(0),
            counts: Counts::default(),
            background,
            prepared,
            surroundings,
            access_log,
            clock,
            account,
        })
    }

    /// How many requests may run at once: what was asked for, and no more than the memory holds.
    fn concurrency_now(&self) -> u32 {
        let at_once = self.instances.as_ref().map_or(1, |instances| instances.at_once);
        self.concurrency.min(self.instances_max().saturating_mul(at_once))
    }

    /// How many instances the memory holds.
    fn instances_max(&self) -> u32 {
        let memory = &self.surroundings.memory;
        let instance = memory.instance_peak().max(self.prepared.initial_memory_bytes);
        match memory.bytes_max.checked_div(instance) {
            Some(fit) => u32::try_from(fit).unwrap_or(u32::MAX).max(1),
            None => u32::MAX,
        }
    }

    async fn answer(self: Arc<Self>, request: Request<RequestBody>, context: RequestContext) -> Response<Body> {
        let started = Instant::now();
        let method = request.method().clone();
        let path = request.uri().path_and_query().cloned();
        let answer = self.serve(request, context, started, Origin::Client).await;
        let response = answer.unwrap_or_else(|gap| {
            self.counts.note(&gap);
            gap.into_response()
        });
        self.counts.requests.fetch_add(1, Relaxed);
        let path = path.as_ref().map_or("/", |path| path.as_str());
        self.access_log.note(&method, path, response.status().as_u16(), started.elapsed());
        response
    }

    async fn serve(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        context: RequestContext,
        started: Instant,
        origin: Origin,
    ) -> Result<Response<Body>, Gap> {
        let deadline = started + self.request_timeout;
        let request_id = context.request_id.clone();
        let mut call = Call { request, context, deadline };
        loop {
            let permit = self.admit(deadline).await?;
            let given = match &self.instances {
                None => self.start_own(permit, call, origin, &request_id).await,
                Some(instances) => self.give(instances, permit, call, &request_id).await,
            };
            let (mut answering, reply) = given?;
            return match tokio::time::timeout_at(deadline.into(), reply).await {
                Ok(Ok(Reply::Response(response))) if response.status().is_informational() => {
                    answering.has_answered();
                    let status = response.status().as_u16();
                    Err(Gap::bad(format!("the component answered with status {status}")))
                }
                Ok(Ok(Reply::Response(response))) => Ok(respond(response, answering, deadline)),
                Ok(Ok(Reply::Error(code))) => {
                    answering.has_answered();
                    Err(Gap::bad(format!("the component answered with an error: {code}")))
                }
                Ok(Ok(Reply::NotBegun(again))) => {
                    answering.let_it_finish();
                    call = *again;
                    continue;
                }
                Ok(Err(_)) => Err(self.no_response(answering.failure(), &request_id)),
                Err(_) => {
                    let gap = self.timed_out();
                    self.surroundings.logs.failed(RequestFailure::DeadlineExceeded, &gap.reason);
                    Err(gap)
                }
            };
        }
    }

    /// Starts an instance for this request alone.
    async fn start_own(
        self: &Arc<Self>,
        permit: Permit,
        call: Call,
        origin: Origin,
        request_id: &RequestId,
    ) -> Result<(Answering, oneshot::Receiver<Reply>), Gap> {
        let pre = self.pre(call.deadline).await?;
        let slots = self.take_slots(call.deadline).await?;
        let steering = Arc::new(Steering::default());
        let (sender, reply) = oneshot::channel();
        let own = Own { call, origin, permit, pre, slots, sender };
        self.run(&steering, self.clone().execute(own, steering.clone()), request_id);
        Ok((Answering::new(body::Guest::Own(steering)), reply))
    }

    /// Gives the request to an instance that takes more, or to a new one.
    async fn give(
        self: &Arc<Self>,
        instances: &Instances,
        permit: Permit,
        call: Call,
        request_id: &RequestId,
    ) -> Result<(Answering, oneshot::Receiver<Reply>), Gap> {
        let answering = |given: Given| (Answering::new(body::Guest::Shared(given.place)), given.reply);
        let (permit, call) = match instances.offer(self.is_slow(), self.instances_max(), permit, Box::new(call)) {
            Ok(given) => return Ok(answering(given)),
            Err(again) => again,
        };
        let pre = self.pre(call.deadline).await?;
        let slots = self.take_slots(call.deadline).await?;
        let life = Life::begin(self.clone(), instances, pre, slots);
        let instance = life.instance.clone();
        let given = instances.open(&instance, permit, call).expect("a new instance has room");
        self.run(&instance.steering, life.run(), request_id);
        Ok(answering(given))
    }

    /// Runs a guest on this thread until it takes long, or in the background from the start if these guests do.
    fn run(
        self: &Arc<Self>,
        steering: &Arc<Steering>,
        execution: impl Future<Output = ()> + Send + 'static,
        request_id: &RequestId,
    ) {
        let execution = self.in_span(request_id, execution);
        if self.is_slow() {
            steering.starts_in_background();
            steering.goes_on_as(self.background.spawn(execution).abort_handle());
        } else {
            let (background, movable) = (self.background.clone(), steering.clone());
            let task = tokio::spawn(Movable { execution: Some(execution), steering: movable, background });
            steering.starts_as(task.abort_handle());
        }
    }

    /// Whether its guests start on the background threads: they are slow, or have to wait for their turn.
    fn is_slow(&self) -> bool {
        self.slowness.load(Relaxed) >= SLOWNESS_MAX || self.account.paused_until().is_some()
    }

    /// Boxes an execution, within a span where somebody looks at them.
    fn in_span(&self, request_id: &RequestId, execution: impl Future<Output = ()> + Send + 'static) -> Execution {
        let span = tracing::debug_span!("guest", container = self.name, %request_id);
        if span.is_disabled() { Box::pin(execution) } else { Box::pin(execution.instrument(span)) }
    }

    /// Takes a place among the container's requests.
    async fn admit(self: &Arc<Self>, deadline: Instant) -> Result<Permit, Gap> {
        if self.stopping.load(Relaxed) {
            return Err(Gap::busy("this container is stopping", Counted::Nothing));
        }
        if !self.gate.try_acquire(1, self.concurrency_now()) {
            let wait = self.gate.acquire(1, || self.concurrency_now(), self.concurrency);
            match tokio::time::timeout_at(deadline.into(), wait).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => {
                    return Err(Gap::busy("too many requests are waiting for this container", Counted::Refused));
                }
                Err(_) => return Err(self.timed_out()),
            }
        }
        let permit = Permit(self.clone());
        if self.stopping.load(Relaxed) && self.has_ended() {
            // It waited for those that were killed.
            return Err(Gap::busy("this container ended before it answered", Counted::Nothing));
        }
        Ok(permit)
    }

    /// What instances are made of, which may have left memory since the last request.
    async fn pre(&self, deadline: Instant) -> Result<Arc<Pre>, Gap> {
        if let Some(pre) = self.prepared.pre_in_memory() {
            return Ok(pre);
        }
        match tokio::time::timeout_at(deadline.into(), self.prepared.pre()).await {
            Ok(Ok(pre)) => Ok(pre),
            Ok(Err(error)) => Err(Gap::busy(&format!("the component could not be loaded: {error}"), Counted::Nothing)),
            Err(_) => Err(self.timed_out()),
        }
    }

    /// Takes slots of the pool for an instance.
    async fn take_slots(&self, deadline: Instant) -> Result<PoolPermit, Gap> {
        let (wasm, slots) = (&self.prepared.traits.wasm, self.prepared.traits.slots);
        if !wasm.slots.try_acquire(slots, u32::MAX) {
            let wait = wasm.slots.acquire(slots, || u32::MAX, POOL_QUEUE_MAX);
            match tokio::time::timeout_at(deadline.into(), wait).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Gap::busy("too many requests are waiting on this host", Counted::Nothing)),
                Err(_) => return Err(self.timed_out()),
            }
        }
        Ok(PoolPermit(wasm.clone(), slots))
    }

    /// The guest's whole life: its store is dropped before its permits.
    async fn execute(self: Arc<Self>, own: Own, steering: Arc<Steering>) {
        let Own { call, origin, permit, pre, slots, sender } = own;
        let engine = &self.prepared.traits.wasm.engine;
        let mut store = new_store(engine, self.surroundings.clone(), steering.clone(), Some(call.deadline));
        let (result, cpu) = {
            let guest = std::pin::pin!(self.call_guest(&pre, &mut store, call, sender));
            tokio::select! {
                // The guest first: most are through at the first poll.
                biased;
                done = measured(guest, &steering, &self.account) => done,
                () = self.killed.cancelled() => (Err(Trap::Interrupt.into()), Duration::ZERO),
            }
        };
        match result {
            Ok(()) => self.succeeded(cpu),
            Err(error) => {
                let failure = Failure::of(&error);
                self.note_failure(&failure, origin);
                steering.failed(failure);
                self.note_slowness(cpu >= TICK);
            }
        }
        drop(store);
        drop((permit, slots));
    }

    async fn call_guest(
        &self,
        pre: &Pre,
        store: &mut wasmtime::Store<Guest>,
        call: Call,
        sender: oneshot::Sender<Reply>,
    ) -> wasmtime::Result<()> {
        let Pre::Handler(HandlerPre::V02(pre)) = pre else {
            return Err(wasmtime::Error::msg("the component is not a handler of 0.2"));
        };
        let proxy = pre.instantiate_async(&mut *store).await?;
        call_02(store, &proxy, call, move |reply| drop(sender.send(reply))).await
    }

    /// A guest did what it was asked, in so much processor time.
    pub(super) fn succeeded(&self, cpu: Duration) {
        if !self.counts.has_answered.load(Relaxed) {
            self.counts.has_answered.store(true, Relaxed);
        }
        self.note_slowness(cpu >= TICK);
    }

    /// Keeps score of how often a whole epoch tick was not enough.
    fn note_slowness(&self, was_slow: bool) {
        let before = self.slowness.load(Relaxed);
        let after = if was_slow { (before + 2).min(2 * SLOWNESS_MAX) } else { before.saturating_sub(1) };
        if after != before {
            self.slowness.store(after, Relaxed);
        }
    }

    pub(super) fn note_failure(&self, failure: &Failure, origin: Origin) {
        if *failure == Failure::Interrupted {
            return;
        }
        self.counts.traps.fetch_add(1, Relaxed);
        let line = format!("the component failed: {}", failure.text());
        self.surroundings.logs.write(Stream::Stderr, line.as_bytes());
        if origin == Origin::Host {
            // Probes have thresholds of their own.
            return;
        }
        let why = match failure {
            Failure::Memory(_) => RequestFailure::OomKilled,
            _ => RequestFailure::Trapped,
        };
        self.surroundings.logs.failed(why, &failure.text());
        if self.counts.has_answered.load(Relaxed) {
            return;
        }
        let failures = self.counts.first_failures.fetch_add(1, Relaxed) + 1;
        if failures >= FIRST_FAILURES_MAX && !self.stopping.swap(true, Relaxed) {
            let (code, reason) = match why {
                RequestFailure::OomKilled => (EXIT_KILLED, ExitReason::OomKilled),
                _ => (1, ExitReason::NeverAnswered),
            };
            self.end(code, reason, format!("its first {failures} requests failed: {}", failure.text()));
        }
    }

    fn has_ended(&self) -> bool {
        self.exit.borrow().is_some()
    }

    fn end(&self, code: i32, reason: ExitReason, message: String) {
        self.access_log.flush();
        let finished_at = self.clock.now();
        let started_at = self.started_at;
        self.exit.send_if_modified(|exit| {
            let first = exit.is_none();
            exit.get_or_insert(Exit { code, reason, message, started_at, finished_at });
            first
        });
    }

    fn no_response(&self, failure: Option<&Failure>, request_id: &RequestId) -> Gap {
        match failure {
            None => Gap::bad("the component returned without a response".to_owned()),
            Some(Failure::Interrupted) if self.has_ended() => {
                Gap::busy("this container ended before it answered", Counted::Nothing)
            }
            Some(Failure::Interrupted) => self.timed_out(),
            Some(failure) => {
                tracing::debug!(container = self.name, %request_id, reason = failure.text(), "request failed");
                let reason = format!("the component failed: {} (request {request_id})", failure.text());
                Gap { status: StatusCode::INTERNAL_SERVER_ERROR, reason, counted: Counted::Nothing }
            }
        }
    }

    fn timed_out(&self) -> Gap {
        let reason = format!("no response within {} s", self.request_timeout.as_secs_f64());
        Gap { status: StatusCode::GATEWAY_TIMEOUT, reason, counted: Counted::Timeout }
    }
}

/// Who a request is from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Client,
    /// A probe's or a hook's.
    Host,
}

/// Why there is no answer of the component's own.
struct Gap {
    status: StatusCode,
    reason: String,
    counted: Counted,
}

/// As what a client's request without an answer is counted.
#[derive(Clone, Copy)]
enum Counted {
    Refused,
    Timeout,
    Nothing,
}

impl Gap {
    fn bad(reason: String) -> Gap {
        Gap { status: StatusCode::BAD_GATEWAY, reason, counted: Counted::Nothing }
    }

    fn busy(reason: &str, counted: Counted) -> Gap {
        Gap { status: StatusCode::SERVICE_UNAVAILABLE, reason: reason.to_owned(), counted }
    }

    fn into_response(self) -> Response<Body> {
        let mut response = text_response(self.status, self.reason);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl Counts {
    fn note(&self, gap: &Gap) {
        match gap.counted {
            Counted::Refused => self.refused.fetch_add(1, Relaxed),
            Counted::Timeout => self.timeouts.fetch_add(1, Relaxed),
            Counted::Nothing => 0,
        };
    }
}

/// A request with what its own instance needs.
struct Own {
    call: Call,
    origin: Origin,
    permit: Permit,
    pre: Arc<Pre>,
    slots: PoolPermit,
    sender: oneshot::Sender<Reply>,
}

/// A place among the container's requests.
pub(super) struct Permit(Arc<HandlerContainer>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.gate.release(1);
    }
}

/// Slots of the pool.
pub(super) struct PoolPermit(Arc<Wasm>, u32);

impl Drop for PoolPermit {
    fn drop(&mut self) {
        self.0.slots.release(self.1);
    }
}

/// The container as the node agent and the ingress see it.
pub(crate) struct HandlerRef(pub(crate) Arc<HandlerContainer>);

impl Handler for HandlerRef {
    fn handle(&self, request: Request<RequestBody>, context: RequestContext) -> BoxFuture<'static, Response<Body>> {
        Box::pin(self.0.clone().answer(request, context))
    }
}

impl Container for HandlerRef {
    fn exited(&self) -> watch::Receiver<Option<Exit>> {
        self.0.exit.subscribe()
    }

    /// Turns new requests away, waits for those in flight, and ends what is left of them after `grace`.
    fn stop(&self, grace: Duration) {
        self.0.stopping.store(true, Relaxed);
        self.0.surroundings.termination.cancel();
        let container = self.0.clone();
        self.0.background.spawn(async move {
            match tokio::time::timeout(grace, container.gate.drained()).await {
                Ok(()) => container.end(0, ExitReason::Completed, String::new()),
                Err(_) => {
                    let message = format!("{} requests were still running", container.gate.used());
                    container.end(EXIT_KILLED, ExitReason::Killed, message);
                    container.killed.cancel();
                }
            }
            container.instances.iter().for_each(Instances::retire_all);
        });
    }

    fn handler(&self) -> Option<Arc<dyn Handler>> {
        Some(Arc::new(HandlerRef(self.0.clone())))
    }

    fn ask(&self, request: Request<RequestBody>, context: RequestContext) -> Option<Answer> {
        let container = self.0.clone();
        Some(Box::pin(async move {
            let answer = container.serve(request, context, Instant::now(), Origin::Host).await;
            answer.map_err(|gap| Unanswered(gap.reason))
        }))
    }

    fn console(&self) -> Option<Arc<Console>> {
        None
    }

    fn exec(&self, _: Vec<String>, _: Arc<Console>) -> Result<Start, ExecError> {
        Err(ExecError::NotACommand)
    }

    fn stats(&self) -> Stats {
        let counts = &self.0.counts;
        Stats {
            requests: counts.requests.load(Relaxed),
            requests_active: u64::from(self.0.gate.used()),
            requests_refused: counts.refused.load(Relaxed),
            timeouts: counts.timeouts.load(Relaxed),
            traps: counts.traps.load(Relaxed),
            memory_bytes: self.0.surroundings.memory.used(),
            cpu_ns: self.0.account.used_ns(),
            calls: self.0.surroundings.reach.calls_sent(),
        }
    }
}
