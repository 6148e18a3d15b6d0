//! Container logs as a stream of bytes.

use bytes::Bytes;
use futures::Stream;
use futures::TryStreamExt;

use crate::client::Client;
use crate::error::Error;
use crate::options::{Query, push};

/// Which part of a container's log is wanted.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// The container; may be left out where the pod has one only.
    pub container: Option<String>,
    /// Go on with what is written from now on.
    pub follow: bool,
    /// The incarnation before the present one.
    pub previous: bool,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// The last so many lines only.
    pub tail_lines: Option<u64>,
    /// Lines of the last so many seconds only.
    pub since_seconds: Option<u64>,
    /// Lines after this RFC 3339 time only.
    pub since_time: Option<String>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
}

impl LogOptions {
    fn query(&self) -> Query {
        let mut query = Query::new();
        push(&mut query, "container", self.container.as_ref());
        for (name, flag) in [("follow", self.follow), ("previous", self.previous), ("timestamps", self.timestamps)] {
            if flag {
                query.push((name, "true".to_owned()));
            }
        }
        push(&mut query, "tailLines", self.tail_lines.as_ref());
        push(&mut query, "sinceSeconds", self.since_seconds.as_ref());
        push(&mut query, "sinceTime", self.since_time.as_ref());
        push(&mut query, "limitBytes", self.limit_bytes.as_ref());
        query
    }
}

impl Client {
    /// A container's log; with `follow` it ends when the container does.
    pub async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        options: &LogOptions,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + Unpin + 'static + use<>, Error> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log");
        let response = self.open(&path, &options.query(), "*/*").await?;
        let server = self.server();
        Ok(Box::pin(response.bytes_stream().map_err(move |error| Error::transport(&server, error))))
    }
}
