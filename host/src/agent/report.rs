//! What the host tells the API: statuses, deletions and events, in batches. A batch is what came together while the one before was under way.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use coracle_api::object;
use coracle_api::status::Status;
use coracle_client::{Backoff, BatchItem, Client, DeleteOptions, Error};
use jiff::Timestamp;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::recorder::{Event, Recorder};
use crate::runtime::PodIdentity;

/// Writes of one batch.
const BATCH_ITEMS_MAX: usize = 500;
/// Events kept while the API cannot be reached; older ones are dropped.
const EVENTS_MAX: usize = 20_000;

/// Something worth an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) uid: Arc<str>,
    pub(crate) container: Option<usize>,
    pub(crate) is_warning: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// What one item of a batch was for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    Status(Arc<str>),
    Delete(Arc<str>),
    Event(Event),
}

impl fmt::Display for Purpose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Purpose::Status(uid) => write!(formatter, "the status of pod {uid}"),
            Purpose::Delete(uid) => write!(formatter, "the deletion of pod {uid}"),
            Purpose::Event(event) => write!(formatter, "event {}", object::name(&event.object)),
        }
    }
}

/// The answer to a batch.
pub(crate) struct Answer {
    pub(crate) purposes: Vec<Purpose>,
    pub(crate) result: Result<Vec<Result<Value, Box<Status>>>, Error>,
}

/// What is to be told.
pub(crate) struct Report {
    client: Client,
    recorder: Recorder,
    /// Pods whose status is to be written, in the order in which they changed.
    dirty: VecDeque<Arc<str>>,
    is_dirty: HashSet<Arc<str>>,
    deletions: VecDeque<Arc<str>>,
    events: VecDeque<Event>,
    in_flight: Option<JoinHandle<Answer>>,
    backoff: Backoff,
    /// After a failure, nothing is sent before.
    pub(crate) not_before: Option<Timestamp>,
}

impl Report {
    pub(crate) fn new(client: Client, node_name: String) -> Report {
        Report {
            client,
            recorder: Recorder::new(node_name),
            dirty: VecDeque::new(),
            is_dirty: HashSet::new(),
            deletions: VecDeque::new(),
            events: VecDeque::new(),
            in_flight: None,
            backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(5)),
            not_before: None,
        }
    }

    /// The pod's status changed.
    pub(crate) fn status(&mut self, uid: &Arc<str>) {
        if self.is_dirty.insert(uid.clone()) {
            self.dirty.push_back(uid.clone());
        }
    }

    /// The pod ended and its object is to go.
    pub(crate) fn delete(&mut self, uid: &Arc<str>) {
        self.deletions.push_back(uid.clone());
    }

    /// Something happened to a pod.
    pub(crate) fn event(&mut self, pod: &PodIdentity, container: Option<&str>, note: &Note, now: Timestamp) {
        let Some(event) = self.recorder.record(pod, container, note, now) else { return };
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Sends the next batch, if there is something to send and nothing under way. `describe` makes the objects: a pod's
    /// with its status, or without one, to delete it; `None` when there is nothing to say of it any more.
    pub(crate) fn flush(&mut self, now: Timestamp, mut describe: impl FnMut(&str, bool) -> Option<Value>) {
        let is_waiting = self.not_before.is_some_and(|at| now < at);
        if self.in_flight.is_some() || is_waiting {
            return;
        }
        self.not_before = None;
        let (mut items, mut purposes) = (Vec::new(), Vec::new());
        while items.len() < BATCH_ITEMS_MAX {
            let (item, purpose) = if let Some(uid) = self.dirty.pop_front() {
                self.is_dirty.remove(&uid);
                let Some(object) = describe(&uid, true) else { continue };
                (BatchItem::update_status(object), Purpose::Status(uid))
            } else if let Some(uid) = self.deletions.pop_front() {
                let Some(object) = describe(&uid, false) else { continue };
                (BatchItem::delete(object, DeleteOptions::now(&uid)), Purpose::Delete(uid))
            } else if let Some(event) = self.events.pop_front() {
                let object = event.object.clone();
                let item = if event.is_new { BatchItem::create(object) } else { BatchItem::update(object) };
                (item, Purpose::Event(event))
            } else {
                break;
            };
            items.push(item);
            purposes.push(purpose);
        }
        if items.is_empty() {
            return;
        }
        let client = self.client.clone();
        self.in_flight = Some(tokio::spawn(async move { Answer { result: client.batch(items).await, purposes } }));
    }

    /// The answer to the batch under way; never, if there is none.
    pub(crate) async fn answered(&mut self) -> Answer {
        match &mut self.in_flight {
            None => std::future::pending().await,
            Some(task) => {
                let answer = task.await.expect("sending a batch does not panic, and is never cancelled");
                self.in_flight = None;
                answer
            }
        }
    }

    /// Deals with what failed: what may work later is told again.
    pub(crate) fn settle(&mut self, answer: Answer, now: Timestamp) {
        let mut is_failing = false;
        match answer.result {
            Err(error) => {
                is_failing = true;
                tracing::warn!(items = answer.purposes.len(), %error, "statuses and events could not be written; trying again");
                answer.purposes.into_iter().for_each(|purpose| self.again(purpose));
            }
            Ok(results) => {
                for (purpose, result) in answer.purposes.into_iter().zip(results) {
                    let Err(status) = result else { continue };
                    if let (Purpose::Event(event @ Event { is_new: false, .. }), 404) = (&purpose, status.code) {
                        // It was too old and is gone: it is told anew.
                        self.again(Purpose::Event(Event { is_new: true, ..event.clone() }));
                        continue;
                    }
                    if status.code >= 500 || status.code == 429 {
                        is_failing = true;
                        self.again(purpose);
                    } else if !matches!((&purpose, status.code), (_, 404 | 409)) {
                        // Not found and conflict: the object is gone, which the watch tells.
                        tracing::warn!(write = %purpose, reason = status.message, "a write was refused");
                    }
                }
            }
        }
        if is_failing {
            let delay = self.backoff.next_delay();
            self.not_before = now.checked_add(delay).ok();
        } else {
            self.backoff.reset();
        }
    }

    fn again(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Status(uid) => self.status(&uid),
            Purpose::Delete(uid) => self.deletions.push_back(uid),
            Purpose::Event(event) if self.events.len() < EVENTS_MAX => self.events.push_back(event),
            Purpose::Event(_) => {}
        }
    }
}
