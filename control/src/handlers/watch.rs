//! Watches: the objects there are, where asked for, then every change, as frames of JSON, one a line.
//!
//! Deliberately absent: WebSocket framing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use coracle_api::status::{self, Status};
use coracle_api::validation::FieldError;
use coracle_store::{Change, Event, Record, Revision, Snapshot, Watch, WatchError, WatchRequest};
use futures::future::BoxFuture;
use futures::stream;
use http::StatusCode;
use jiff::Timestamp;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::list::at_least;
use super::selection::Selection;
use super::{App, Call};
use crate::objects::read_failed;
use crate::request::{Address, Query};
use crate::respond;

mod definition;
mod frames;

use definition::Definition;
pub(crate) use frames::Frames;
use frames::{EventType, Renderer};

/// Time between two bookmarks.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// How long a watch lasts that doesn't say.
const DURATION_DEFAULT: Duration = Duration::from_secs(45 * 60);
/// How many changes are written at once at most.
const BATCH_MAX: usize = 128;

pub(super) async fn watch(call: &Call, address: &Address) -> Result<Response, Status> {
    let (kind, query) = (address.kind, &call.query);
    let accepted = respond::negotiate(&call.headers)?;
    let mut fields = query.fields(kind)?;
    if let Some(name) = &address.name {
        let term = coracle_api::selector::FieldSelector::parse(&format!("metadata.name={name}"));
        fields.terms.extend(term.map_err(|error| status::bad_request(error.to_string()))?.terms);
    }
    let selection = Selection::new(kind, query.labels()?, fields);
    let prefix = match selection.name().filter(|_| !kind.namespaced || address.namespace.is_some()) {
        Some(name) => kind.key(address.namespace(), name),
        None => kind.prefix(address.namespace()),
    };
    let renderer = Renderer::new(address, accepted.shape, call.include()?);
    let timeout = match query.number("timeoutSeconds")? {
        Some(seconds) if seconds > 0 => Duration::from_secs(seconds.unsigned_abs().min(24 * 60 * 60)),
        _ => DURATION_DEFAULT,
    };
    let start = match start(call).await {
        Ok(start) => start,
        Err(expired) if expired.code == 410 => return Ok(stream_of_error(&expired)),
        Err(other) => return Err(other),
    };
    let request = WatchRequest { prefix: prefix.clone(), tag: selection.tag(), after: start.after };
    let watch = match call.app.objects.store().watch(request) {
        Ok(watch) => watch,
        Err(too_old) => return Ok(stream_of_error(&status::expired(too_old.to_string()))),
    };
    let definition = match &address.custom {
        None => None,
        Some(custom) => Some(Definition::watch(&call.app, custom)?),
    };
    let initial = match &start.initial {
        None => VecDeque::new(),
        Some(snapshot) => initial(snapshot, &prefix, &selection),
    };
    call.app.metrics.watches.inc();
    let mut bookmarks = interval_at(Instant::now() + BOOKMARK_INTERVAL, BOOKMARK_INTERVAL);
    bookmarks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let state = State {
        app: Arc::clone(&call.app),
        watch,
        definition,
        selection,
        renderer,
        initial,
        initial_end: start.initial_end,
        sends_bookmarks: query.flag("allowWatchBookmarks"),
        bookmarks,
        end: end(Instant::now() + timeout, call.app.shutdown.clone()),
        is_over: false,
    };
    Ok(stream_of(Body::from_stream(stream::unfold(state, |mut state| async {
        let frames = state.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(frames), state))
    }))))
}

/// Where a watch begins.
struct Start {
    after: Revision,
    /// The objects to send first.
    initial: Option<Snapshot>,
    /// The revision of the bookmark that ends them, where it's asked for.
    initial_end: Option<Revision>,
}

/// Which options go together, as Kubernetes' `ValidateListOptions` has it.
fn check_options(query: &Query) -> Result<(), Status> {
    const MATCH: &str = "resourceVersionMatch";
    let (found, sends_initial) = (query.get(MATCH), query.get("sendInitialEvents").is_some());
    let mut errors = Vec::new();
    if sends_initial && found != Some("NotOlderThan") {
        let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(FieldError::forbidden(MATCH, detail));
    }
    if let Some(found) = found {
        if !sends_initial {
            let detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(FieldError::forbidden(MATCH, detail));
        }
        if found != "NotOlderThan" {
            errors.push(FieldError::not_supported(MATCH, found, &["NotOlderThan"]));
        }
        if query.get("continue").is_some() {
            let detail = "resourceVersionMatch is forbidden when continue is provided";
            errors.push(FieldError::forbidden(MATCH, detail));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(status::invalid_options("meta.k8s.io", "ListOptions", "", &errors)) }
}

async fn start(call: &Call) -> Result<Start, Status> {
    let (query, store) = (&call.query, call.app.objects.store());
    let revision = query.revision()?;
    let sends_initial = query.get("sendInitialEvents").map(|_| query.flag("sendInitialEvents"));
    check_options(query)?;
    query.number("limit")?;
    let is_listed_first = sends_initial.unwrap_or(matches!(revision, None | Some(0)));
    if is_listed_first {
        let snapshot = match revision {
            None => store.read().await.map_err(read_failed)?,
            Some(0) => store.snapshot(),
            Some(revision) => at_least(call, revision).await?,
        };
        let after = snapshot.revision();
        let initial_end = (sends_initial == Some(true) && query.flag("allowWatchBookmarks")).then_some(after);
        return Ok(Start { after, initial: Some(snapshot), initial_end });
    }
    let after = match revision {
        None | Some(0) => store.snapshot().revision(),
        Some(revision) => {
            at_least(call, revision).await?;
            revision
        }
    };
    Ok(Start { after, initial: None, initial_end: None })
}

fn initial(snapshot: &Snapshot, prefix: &str, selection: &Selection) -> VecDeque<Arc<Record>> {
    if prefix.ends_with('/') {
        snapshot.range(prefix, None).filter(|record| selection.matches(record)).cloned().collect()
    } else {
        snapshot.get(prefix).filter(|record| selection.matches(record)).into_iter().collect()
    }
}

struct State {
    app: Arc<App>,
    watch: Watch,
    /// Of a kind that users define, which may change or go.
    definition: Option<Definition>,
    selection: Selection,
    renderer: Renderer,
    initial: VecDeque<Arc<Record>>,
    initial_end: Option<Revision>,
    sends_bookmarks: bool,
    bookmarks: Interval,
    /// One timer and one place in the queue for the shutdown as long as the watch lasts, not anew with every change.
    end: BoxFuture<'static, ()>,
    is_over: bool,
}

/// Waits for the end of a watch: its time is over, or the server stops.
fn end(deadline: Instant, shutdown: CancellationToken) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let _ = tokio::time::timeout_at(deadline, shutdown.cancelled()).await;
    })
}

impl Drop for State {
    fn drop(&mut self) {
        self.app.metrics.watches.dec();
    }
}

impl State {
    /// The next frames; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let now = self.app.objects.clock().now();
        if !self.initial.is_empty() {
            let count = self.initial.len().min(BATCH_MAX);
            let records: Vec<_> = self.initial.drain(..count).collect();
            let frames = records.iter().map(|record| self.render(EventType::Added, record, now));
            return Some(concatenate(frames.collect()));
        }
        if let Some(revision) = self.initial_end.take() {
            return Some(self.renderer.bookmark(revision, true));
        }
        loop {
            let app = Arc::clone(&self.app);
            let event = tokio::select! {
                biased;
                event = self.watch.next() => event,
                () = Definition::changed(self.definition.as_mut(), &app) => {
                    self.is_over = true;
                    return Some(self.rest());
                }
                _ = self.bookmarks.tick(), if self.sends_bookmarks => return Some(self.bookmark().await),
                () = &mut self.end => return None,
            };
            let mut frames = Vec::new();
            self.take(event, &mut frames);
            while frames.len() < BATCH_MAX
                && !self.is_over
                && let Some(event) = self.watch.try_next()
            {
                self.take(event, &mut frames);
            }
            if !frames.is_empty() || self.is_over {
                return Some(concatenate(frames));
            }
        }
    }

    /// What happened before the watch ends.
    fn rest(&mut self) -> Bytes {
        let mut frames = Vec::new();
        while let Some(event) = self.watch.try_next() {
            self.take(event, &mut frames);
        }
        concatenate(frames)
    }

    /// The frame of one change; the watch ends with one that can't be shown.
    fn render(&mut self, event_type: EventType, record: &Arc<Record>, now: Timestamp) -> Bytes {
        match self.app.objects.open(record) {
            Ok(record) => self.renderer.render(&self.app.frames, event_type, &record, now),
            Err(status) => {
                self.is_over = true;
                error_frame(&status)
            }
        }
    }

    /// A bookmark, after everything up to its revision.
    async fn bookmark(&mut self) -> Bytes {
        let store = self.app.objects.store();
        let revision = store.snapshot().revision();
        // A revision is waited for until its changes have reached the watches.
        let is_settled = store.wait_for(revision).await.is_ok();
        let mut frames = Vec::new();
        while !self.is_over
            && let Some(event) = self.watch.try_next()
        {
            self.take(event, &mut frames);
        }
        if is_settled && !self.is_over {
            frames.push(self.renderer.bookmark(revision, false));
        }
        concatenate(frames)
    }

    fn take(&mut self, event: Result<Arc<Event>, WatchError>, frames: &mut Vec<Bytes>) {
        match event {
            Ok(event) => {
                if let Some((event_type, record)) = transition(&self.selection, &event) {
                    let now = self.app.objects.clock().now();
                    frames.push(self.render(event_type, &record, now));
                }
            }
            Err(WatchError::TooSlow) => {
                frames.push(error_frame(&status::expired("too old resource version: the watch fell behind")));
                self.is_over = true;
            }
            Err(WatchError::Closed) => self.is_over = true,
        }
    }
}

/// What a change means to someone who sees only the selected objects.
fn transition(selection: &Selection, event: &Event) -> Option<(EventType, Arc<Record>)> {
    let record = &event.record;
    if event.change == Change::Delete {
        let last = event.previous.as_ref().unwrap_or(record);
        return selection.matches(last).then(|| (EventType::Deleted, Arc::clone(record)));
    }
    let was_selected = event.previous.as_ref().filter(|previous| selection.matches(previous));
    match (was_selected, selection.matches(record)) {
        (None, true) => Some((EventType::Added, Arc::clone(record))),
        (Some(_), true) => Some((EventType::Modified, Arc::clone(record))),
        // The object is still there, and was last seen as it was before, under the revision of the change.
        (Some(previous), false) => {
            let mut last = Record::clone(previous);
            last.revision = record.revision;
            Some((EventType::Deleted, Arc::new(last)))
        }
        (None, false) => None,
    }
}

fn concatenate(mut frames: Vec<Bytes>) -> Bytes {
    if frames.len() == 1 {
        return frames.remove(0);
    }
    Bytes::from(frames.concat())
}

fn error_frame(error: &Status) -> Bytes {
    let body = String::from_utf8(error.to_json()).expect("invariant: JSON is UTF-8");
    Bytes::from(format!("{{\"type\":\"ERROR\",\"object\":{body}}}\n"))
}

/// A watch that can't begin is answered as one that fails at once.
fn stream_of_error(error: &Status) -> Response {
    stream_of(Body::from(error_frame(error)))
}

fn stream_of(body: Body) -> Response {
    respond::respond(StatusCode::OK, "application/json", body)
}
