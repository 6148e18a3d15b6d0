//! A watch as a stream of events.

use coracle_api::kind::Kind;
use coracle_api::status::Status;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Client, JSON, TABLE, collection_path};
use crate::error::Error;
use crate::lines::Lines;
use crate::options::WatchOptions;

/// One change.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// The object appeared, or began to match.
    Added(Value),
    /// The object changed.
    Modified(Value),
    /// The object went, or ceased to match; this is its last state.
    Deleted(Value),
    /// Nothing up to this revision is missing.
    Bookmark {
        /// Resume from here.
        revision: u64,
        /// Everything that existed at the start has been reported.
        is_initial_end: bool,
    },
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    change: String,
    object: Value,
}

impl Client {
    /// Changes to a kind's objects in `namespace`, or everywhere. The stream ends when the server ends it; a 410 comes as an error.
    pub async fn watch(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        options: &WatchOptions,
    ) -> Result<impl Stream<Item = Result<WatchEvent, Error>> + Send + Unpin + 'static + use<>, Error> {
        let path = collection_path(kind, namespace);
        let response = self.open(&path, &options.query(), if options.as_tables { TABLE } else { JSON }).await?;
        let state = State {
            server: self.server().to_string(),
            path,
            chunks: response.bytes_stream().boxed(),
            lines: Lines::default(),
            is_over: false,
        };
        Ok(Box::pin(futures::stream::unfold(state, next)))
    }
}

struct State {
    server: String,
    path: String,
    chunks: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    lines: Lines,
    is_over: bool,
}

async fn next(mut state: State) -> Option<(Result<WatchEvent, Error>, State)> {
    loop {
        if state.is_over {
            return None;
        }
        if let Some(line) = state.lines.next_line() {
            let event = decode(&line, &state.path);
            state.is_over = event.is_err();
            return Some((event, state));
        }
        match state.chunks.next().await? {
            Ok(chunk) => {
                if state.lines.push(&chunk).is_err() {
                    state.is_over = true;
                    let reason = "an event is longer than any object may be".to_owned();
                    return Some((Err(Error::Answer { request: format!("WATCH {}", state.path), reason }), state));
                }
            }
            Err(error) => {
                state.is_over = true;
                return Some((Err(Error::transport(&state.server, error)), state));
            }
        }
    }
}

fn decode(line: &[u8], path: &str) -> Result<WatchEvent, Error> {
    let unreadable = |reason: String| Error::Answer { request: format!("WATCH {path}"), reason };
    let Line { change, object } = serde_json::from_slice(line).map_err(|error| unreadable(error.to_string()))?;
    match change.as_str() {
        "ADDED" => Ok(WatchEvent::Added(object)),
        "MODIFIED" => Ok(WatchEvent::Modified(object)),
        "DELETED" => Ok(WatchEvent::Deleted(object)),
        "BOOKMARK" => Ok(WatchEvent::Bookmark {
            revision: coracle_api::object::resource_version(&object).unwrap_or(0),
            is_initial_end: object["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true",
        }),
        "ERROR" => {
            let status: Status = serde_json::from_value(object).map_err(|error| unreadable(error.to_string()))?;
            Err(Error::Status(Box::new(status)))
        }
        other => Err(unreadable(format!("unknown event type {other:?}"))),
    }
}
