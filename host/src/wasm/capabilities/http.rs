//! `wasi:http` from a component outwards: to the cluster's Services and pods, and outside of it to what its pod declares.
//!
//! Deliberately absent: retries of what was sent, redirects and proxies, which are the component's own to deal with.

mod answer;
mod outside;

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use coracle_net::{CallError, Destination, Outgoing, RequestBody};
use http::uri::Scheme;
use http::{HeaderName, Request, Response};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error as HttpError, RequestOptions, WasiBody, WasiHttpHooks};

use self::answer::AnswerBody;
use self::outside::{Outside, OutsideError};
use super::super::guest::Surroundings;
use super::reach::Reach;

/// Requests that one container may have under way.
const CALLS_MAX: usize = 256;
/// Longest times, unless a component asks for shorter ones.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// The requests of one container.
pub(crate) struct Calls {
    permits: Arc<Semaphore>,
    outside: Outside,
    sent: AtomicU64,
}

impl Reach {
    /// Requests sent so far.
    pub(in crate::wasm) fn calls_sent(&self) -> u64 {
        self.calls.get().map_or(0, |calls| calls.sent.load(Relaxed))
    }

    fn calls(&self) -> &Calls {
        self.calls.get_or_init(|| {
            let permits = Arc::new(Semaphore::new(CALLS_MAX));
            Box::new(Calls { permits, outside: Outside::new(self.egress.clone()), sent: AtomicU64::new(0) })
        })
    }

    fn denied(&self, why: impl Display, error: HttpError) -> HttpError {
        self.deny(why);
        error
    }

    /// Decides where a request goes, before anything is waited for.
    fn begin(&self, request: Request<WasiBody>, options: RequestOptions) -> Result<Call, HttpError> {
        let calls = self.calls();
        let Ok(permit) = calls.permits.clone().try_acquire_owned() else {
            let why = format!("a request was denied: the container has {CALLS_MAX} under way");
            return Err(self.denied(why, HttpError::ConnectionLimitReached));
        };
        let is_https = request.uri().scheme() == Some(&Scheme::HTTPS);
        let host = request.uri().host().ok_or(HttpError::HttpRequestUriInvalid)?;
        let port = request.uri().port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let found = self.cluster.as_ref().map_or(Ok(None), |cluster| cluster.find(&self.namespace, host, port));
        let within = found.map_err(|why| {
            let error = HttpError::DnsError { rcode: Some("NXDOMAIN".to_owned()), info_code: None };
            self.denied(format_args!("a request to {host}:{port} was denied: {why}"), error)
        })?;
        match within {
            Some(_) if is_https => {
                let why = format!(
                    "a request to https://{host} was denied: pods answer plain HTTP, which hosts encrypt between them; ask for http://{host}"
                );
                return Err(self.denied(why, HttpError::TlsProtocolError));
            }
            Some(_) => {}
            None => {
                let allowed = self.egress.allow_host(host, port);
                allowed.map_err(|denial| self.denied(denial, HttpError::HttpRequestDenied))?;
            }
        }
        calls.sent.fetch_add(1, Relaxed);
        let within = within.zip(self.cluster.clone());
        Ok(Call { request, within, options, permit })
    }

    async fn send(&self, call: Call) -> Result<Response<WasiBody>, HttpError> {
        let Call { request, within, options, permit } = call;
        let bounded = |given: Option<Duration>, max: Duration| given.map_or(max, |given| given.min(max));
        let connect_timeout = bounded(options.connect_timeout, CONNECT_TIMEOUT_MAX);
        let answering = async {
            match within {
                Some((destination, cluster)) => self.send_within(&cluster, &destination, request).await,
                None => self.send_outside(request, connect_timeout).await,
            }
        };
        let answer = tokio::time::timeout(bounded(options.first_byte_timeout, ANSWER_TIMEOUT_MAX), answering).await;
        let answer = answer.unwrap_or(Err(HttpError::ConnectionReadTimeout))?;
        let pause_max = bounded(options.between_bytes_timeout, ANSWER_TIMEOUT_MAX);
        Ok(answer.map(|body| AnswerBody::new(body, pause_max, permit).boxed_unsync()))
    }

    /// To a pod of the cluster.
    async fn send_within(
        &self,
        cluster: &Arc<Outgoing>,
        destination: &Destination,
        request: Request<WasiBody>,
    ) -> Result<Response<WasiBody>, HttpError> {
        let request = request.map(|body| RequestBody::from_pod(body.map_err(Into::into).boxed_unsync()));
        match cluster.send(destination, request, self.address).await {
            Ok(answer) => Ok(answer.map(|body| body.map_err(answer::broken_off).boxed_unsync())),
            Err(error @ CallError::Unreachable(_)) => {
                tracing::debug!(namespace = self.namespace, %error, "a pod's request did not reach another");
                Err(HttpError::DestinationUnavailable)
            }
            Err(CallError::Lost) => Err(HttpError::ConnectionTerminated),
            Err(CallError::Unfit(_)) => Err(HttpError::HttpRequestUriInvalid),
        }
    }

    /// To a host that the pod declares.
    async fn send_outside(
        &self,
        request: Request<WasiBody>,
        connect_timeout: Duration,
    ) -> Result<Response<WasiBody>, HttpError> {
        match self.calls().outside.send(request, connect_timeout).await {
            Ok(answer) => Ok(answer),
            Err(OutsideError::Denied(denial)) => Err(self.denied(denial, HttpError::DestinationIpProhibited)),
            Err(OutsideError::NoRoots(why)) => {
                Err(self.denied(format_args!("a request over TLS failed: {why}"), HttpError::TlsCertificateError))
            }
            Err(OutsideError::Failed(error)) => Err(error),
        }
    }
}

/// A request that may be sent.
struct Call {
    request: Request<WasiBody>,
    /// Whom it is for, if that is a pod of the cluster.
    within: Option<(Destination, Arc<Outgoing>)>,
    options: RequestOptions,
    permit: OwnedSemaphorePermit,
}

/// What `wasi:http` asks its host for.
pub(crate) struct Hooks(pub(crate) Arc<Surroundings>);

type Io = Box<dyn Future<Output = Result<(), HttpError>> + Send>;
type Sent = Box<dyn Future<Output = Result<(Response<WasiBody>, Io), HttpError>> + Send>;

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        static FORBIDDEN: [HeaderName; 9] = DEFAULT_FORBIDDEN_HEADERS;
        FORBIDDEN.contains(name)
    }

    fn send_request(&mut self, request: Request<WasiBody>, options: Option<RequestOptions>, _: Io) -> Sent {
        let surroundings = self.0.clone();
        let call = surroundings.reach.begin(request, options.unwrap_or_default());
        Box::new(async move {
            let answer = surroundings.reach.send(call?).await?;
            // Whoever reads the body drives the connection; nothing else is left to do.
            Ok((answer, Box::new(std::future::ready(Ok(()))) as Io))
        })
    }
}

#[cfg(test)]
mod tests;
