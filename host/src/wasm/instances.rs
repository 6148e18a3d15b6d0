//! A container's instances that answer more than one request: who has room, who is given no more, and who ends.
//!
//! Deliberately absent: running them. An instance belongs to the task that runs it, which hears of requests through its inbox.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::ThreadId;
use std::time::Duration;

use coracle_net::{RequestBody, RequestContext};
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use wasmtime_wasi_http::WasiBody;

use super::background::Steering;
use super::handler::Permit;

/// An instance that is asked nothing for so long ends.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// A request on its way to a guest.
pub(crate) struct Call {
    pub(crate) request: Request<RequestBody>,
    pub(crate) context: RequestContext,
    pub(crate) deadline: std::time::Instant,
}

/// What a guest says to a request.
pub(crate) enum Reply {
    Response(Response<WasiBody>),
    /// A `wasi:http` error code, in words.
    Error(String),
    /// The instance ended before it began with the request.
    NotBegun(Box<Call>),
}

/// A request that an instance was given.
pub(crate) struct Job {
    pub(crate) call: Box<Call>,
    pub(crate) place: Arc<Place>,
}

/// A request that an instance was given, to whoever waits for the answer.
pub(crate) struct Given {
    pub(crate) place: Arc<Place>,
    pub(crate) reply: oneshot::Receiver<Reply>,
}

/// The instances of one container that take requests.
pub(crate) struct Instances {
    /// Requests that an instance answers in its life.
    reuse: u32,
    /// Requests that an instance answers at once.
    pub(crate) at_once: u32,
    open: Mutex<Vec<Arc<Instance>>>,
    live: AtomicU32,
}

impl Instances {
    pub(crate) fn new(reuse: u32, at_once: u32) -> Instances {
        Instances { reuse, at_once: at_once.min(reuse), open: Mutex::default(), live: AtomicU32::new(0) }
    }

    /// Gives a request to an instance with room: one that runs where it should, or any if there may not be more than `live_max`.
    pub(crate) fn offer(
        &self,
        in_background: bool,
        live_max: u32,
        permit: Permit,
        call: Box<Call>,
    ) -> Result<Given, (Permit, Box<Call>)> {
        let mut open = self.open.lock();
        let here = std::thread::current().id();
        let is_right = |instance: &Instance| match instance.steering.is_in_background() {
            true => in_background,
            false => !in_background && instance.thread == here,
        };
        let may_be_any = self.live.load(Relaxed) >= live_max;
        let mut offered = (permit, call);
        for index in 0..open.len() {
            let instance = &open[index];
            if !is_right(instance) && !may_be_any {
                continue;
            }
            match instance.give(self, offered) {
                Ok(given) => {
                    if instance.is_closed() {
                        open.swap_remove(index);
                    }
                    return Ok(given);
                }
                Err(again) => offered = again,
            }
        }
        Err(offered)
    }

    /// A new instance.
    pub(crate) fn start(&self) -> (Arc<Instance>, mpsc::UnboundedReceiver<Job>) {
        let (inbox, jobs) = mpsc::unbounded_channel();
        let state = State { inbox: Some(inbox), taken: 0, in_flight: 0, given_up: 0, waiting: HashMap::new() };
        let (thread, steering) = (std::thread::current().id(), Arc::new(Steering::default()));
        let instance = Arc::new(Instance { thread, steering, state: Mutex::new(state) });
        self.live.fetch_add(1, Relaxed);
        (instance, jobs)
    }

    /// Gives a new instance its first request, then lets others find it.
    pub(crate) fn open(&self, instance: &Arc<Instance>, permit: Permit, call: Box<Call>) -> Option<Given> {
        let mut open = self.open.lock();
        let given = instance.give(self, (permit, call)).ok();
        if !instance.is_closed() {
            open.push(instance.clone());
        }
        given
    }

    /// The instance gets no more requests.
    pub(crate) fn retire(&self, instance: &Arc<Instance>) {
        let mut open = self.open.lock();
        open.retain(|other| !Arc::ptr_eq(other, instance));
        instance.close();
    }

    /// As above, if it has none.
    fn retire_idle(&self, instance: &Arc<Instance>) {
        let mut open = self.open.lock();
        if instance.state.lock().in_flight == 0 {
            open.retain(|other| !Arc::ptr_eq(other, instance));
            instance.close();
        }
    }

    /// No instance gets any more requests.
    pub(crate) fn retire_all(&self) {
        self.open.lock().drain(..).for_each(|instance| instance.close());
    }

    /// The instance's next request; `None` when there won't be any.
    pub(crate) async fn next(&self, instance: &Arc<Instance>, jobs: &mut mpsc::UnboundedReceiver<Job>) -> Option<Job> {
        if let Ok(job) = jobs.try_recv() {
            return Some(job);
        }
        loop {
            match tokio::time::timeout(IDLE_MAX, jobs.recv()).await {
                Ok(job) => return job,
                Err(_) => self.retire_idle(instance),
            }
        }
    }

    /// The instance has ended: those who wait for it are told, and requests that it did not begin with go back.
    pub(crate) fn end(&self, instance: &Arc<Instance>, jobs: &mut mpsc::UnboundedReceiver<Job>) {
        self.retire(instance);
        while let Ok(job) = jobs.try_recv() {
            instance.reply(&job.place, Reply::NotBegun(job.call));
        }
        let waiting = std::mem::take(&mut instance.state.lock().waiting);
        drop(waiting);
        self.live.fetch_sub(1, Relaxed);
    }
}

/// An instance, as those see it who give it requests.
pub(crate) struct Instance {
    /// Where it began; it may have moved to the background since.
    thread: ThreadId,
    pub(crate) steering: Arc<Steering>,
    state: Mutex<State>,
}

struct State {
    /// `None` when it gets no more requests.
    inbox: Option<mpsc::UnboundedSender<Job>>,
    /// Requests it was ever given.
    taken: u32,
    /// Requests it has now.
    in_flight: u32,
    /// Those of them that nobody waits for any more.
    given_up: u32,
    waiting: HashMap<u32, oneshot::Sender<Reply>>,
}

impl Instance {
    /// Puts a request into the inbox, if there is room.
    fn give(self: &Arc<Self>, limits: &Instances, offered: (Permit, Box<Call>)) -> Result<Given, (Permit, Box<Call>)> {
        let mut state = self.state.lock();
        let State { inbox: Some(inbox), .. } = &*state else { return Err(offered) };
        if state.in_flight >= limits.at_once {
            return Err(offered);
        }
        let inbox = inbox.clone();
        let (sender, reply) = oneshot::channel();
        state.taken += 1;
        state.in_flight += 1;
        let id = state.taken;
        state.waiting.insert(id, sender);
        if state.taken == limits.reuse {
            state.inbox = None;
        }
        let (permit, call) = offered;
        let is_given_up = AtomicBool::new(false);
        let place = Arc::new(Place { instance: self.clone(), id, is_given_up, _permit: permit });
        // It reads its inbox as long as this is open.
        let _ = inbox.send(Job { call, place: place.clone() });
        Ok(Given { place, reply })
    }

    fn is_closed(&self) -> bool {
        self.state.lock().inbox.is_none()
    }

    /// Answers a request, unless nobody waits for that any more.
    pub(crate) fn reply(&self, place: &Place, reply: Reply) {
        let waiting = self.state.lock().waiting.remove(&place.id);
        if let Some(sender) = waiting {
            let _ = sender.send(reply);
        }
    }

    /// The request will not be answered.
    pub(crate) fn forget(&self, place: &Place) {
        let waiting = self.state.lock().waiting.remove(&place.id);
        drop(waiting);
    }

    fn close(&self) {
        self.state.lock().inbox = None;
    }
}

/// A request's place in its instance, as long as either the guest or the client is busy with it.
pub(crate) struct Place {
    instance: Arc<Instance>,
    id: u32,
    is_given_up: AtomicBool,
    /// Its place among the container's requests.
    _permit: Permit,
}

impl Place {
    pub(crate) fn steering(&self) -> &Steering {
        &self.instance.steering
    }

    /// Nobody waits for this request any more. What the guest does for it can't be stopped without the others, so the instance gets no
    /// more requests, and ends with the last that somebody waits for.
    pub(crate) fn give_up(&self) {
        let is_over = {
            let mut state = self.instance.state.lock();
            self.is_given_up.store(true, Relaxed);
            state.given_up += 1;
            state.inbox = None;
            state.in_flight <= state.given_up
        };
        if is_over {
            self.instance.steering.cancel();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let is_over = {
            let mut state = self.instance.state.lock();
            state.in_flight -= 1;
            state.given_up -= u32::from(self.is_given_up.load(Relaxed));
            state.given_up > 0 && state.in_flight <= state.given_up
        };
        if is_over {
            self.instance.steering.cancel();
        }
    }
}
