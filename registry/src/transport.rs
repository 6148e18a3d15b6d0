//! Requests to a registry: its scheme, its challenges, its redirects, and limits on what it may send back.
//!
//! Credentials go to the registry they are for and to the token server it names, never to where it redirects.

use std::error::Error as _;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::{Client, Response, Url};

mod challenge;

use challenge::Challenge;

const REDIRECTS_MAX: usize = 5;
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);
const TOKEN_BYTES_MAX: usize = 256 * 1024;
const ERROR_BYTES_MAX: usize = 16 * 1024;
const ERROR_TEXT_MAX: usize = 300;

/// A registry's user.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password or token.
    pub password: String,
}

impl Credentials {
    pub(crate) fn basic(&self) -> HeaderValue {
        let text = format!("Basic {}", BASE64.encode(format!("{}:{}", self.user, self.password)));
        let mut value = HeaderValue::try_from(text).expect("invariant: Base64 is a header value");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Why a registry did not give or take what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection, or it broke.
    #[error("registry {registry} cannot be reached ({cause}): check the name, that it runs, and the network")]
    Unreachable {
        /// Host and port.
        registry: String,
        /// The innermost cause.
        cause: String,
    },
    /// It took too long.
    #[error("registry {registry} did not answer in time: try again, or check that it is well")]
    TimedOut {
        /// Host and port.
        registry: String,
    },
    /// No way to verify certificates.
    #[error("no HTTPS on this machine ({cause}): install the system's CA certificates (package `ca-certificates`)")]
    NoTls {
        /// What the TLS library says.
        cause: String,
    },
    /// It wants other credentials, or some.
    #[error("registry {registry} wants {}", if *.with_credentials { "other credentials than those given" } else { "credentials, and none are given for it (a repository that does not exist may answer so too)" })]
    Unauthorized {
        /// Host and port.
        registry: String,
        /// Whether credentials were sent.
        with_credentials: bool,
    },
    /// The credentials are not enough.
    #[error("registry {registry} forbids this ({message})")]
    Forbidden {
        /// Host and port.
        registry: String,
        /// What it says.
        message: String,
    },
    /// It does not have it.
    #[error("registry {registry} has no such {what}: check the name and the tag")]
    NotFound {
        /// Host and port.
        registry: String,
        /// What was asked for.
        what: String,
    },
    /// Too many requests.
    #[error("registry {registry} limits the rate of pulls and wants a pause{}", .retry_after.as_ref().map(|s| format!(" of {s} s")).unwrap_or_default())]
    RateLimited {
        /// Host and port.
        registry: String,
        /// Its `Retry-After`.
        retry_after: Option<String>,
    },
    /// Any other refusal.
    #[error("registry {registry} answered {status} ({message})")]
    Refused {
        /// Host and port.
        registry: String,
        /// The status code.
        status: u16,
        /// What it says.
        message: String,
    },
    /// Redirects that cannot be followed.
    #[error("registry {registry} redirects {problem}")]
    Redirect {
        /// Host and port.
        registry: String,
        /// What is wrong with them.
        problem: String,
    },
    /// A challenge that isn't understood, or a token server that gives no token.
    #[error("registry {registry} asks for authentication in a way that does not work: {problem}")]
    Challenge {
        /// Host and port.
        registry: String,
        /// What is wrong with it.
        problem: String,
    },
    /// More bytes than anything of the kind may have.
    #[error("registry {registry} sends a {what} of more than {limit} bytes")]
    TooLarge {
        /// Host and port.
        registry: String,
        /// What was asked for.
        what: String,
        /// The most taken.
        limit: u64,
    },
}

impl TransportError {
    /// Whether it only says that a registry is not there.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, TransportError::Unreachable { .. } | TransportError::TimedOut { .. })
    }
}

/// How long to wait for a registry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) idle: Duration,
    pub(crate) total: Duration,
}

/// The HTTP clients; connections are kept between pulls.
pub(crate) struct Transport {
    plain: OnceLock<Result<Client, String>>,
    secure: OnceLock<Result<Client, String>>,
    cluster: OnceLock<Result<Client, String>>,
    timeouts: Timeouts,
    cluster_tls: Option<rustls::ClientConfig>,
}

impl Transport {
    /// `cluster_tls` is how the cluster's own registries are spoken to where their addresses are `https`.
    pub(crate) fn new(timeouts: Timeouts, cluster_tls: Option<rustls::ClientConfig>) -> Transport {
        let [plain, secure, cluster] = std::array::from_fn(|_| OnceLock::new());
        Transport { plain, secure, cluster, timeouts, cluster_tls }
    }

    fn client(&self, url: &Url, is_cluster: bool) -> Result<&Client, TransportError> {
        let made = if url.scheme() == "http" {
            // Plain HTTP is for this machine and the cluster: no proxy stands between. An empty list of certificates because
            // the system's would be loaded, in vain, and may not be there.
            self.plain.get_or_init(|| build(self.builder().no_proxy().tls_certs_only([])))
        } else if let Some(tls) = self.cluster_tls.as_ref().filter(|_| is_cluster) {
            self.cluster.get_or_init(|| {
                let builder = self.builder().no_proxy().tls_backend_preconfigured(tls.clone());
                // A member that vanished is noticed before any of the times is up.
                let builder = builder.http2_prior_knowledge().http2_adaptive_window(true);
                build(
                    builder.http2_keep_alive_interval(KEEP_ALIVE_INTERVAL).http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT),
                )
            })
        } else {
            self.secure.get_or_init(|| build(self.builder()))
        };
        made.as_ref().map_err(|cause| TransportError::NoTls { cause: cause.clone() })
    }

    fn builder(&self) -> reqwest::ClientBuilder {
        // The process's TLS provider, if nobody chose one yet; losing a race to one who did is as good.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        Client::builder()
            .user_agent(concat!("coracle/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.timeouts.connect)
            .read_timeout(self.timeouts.idle)
            .timeout(self.timeouts.total)
    }
}

fn build(builder: reqwest::ClientBuilder) -> Result<Client, String> {
    builder.build().map_err(|error| innermost(&error))
}

pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// A request to send.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// What it is about, for errors: "manifest `1.2`".
    pub(crate) what: &'a str,
}

/// One conversation with one repository of a registry.
pub(crate) struct Session<'a> {
    transport: &'a Transport,
    base: Url,
    is_cluster: bool,
    repository: String,
    credentials: Option<Credentials>,
    actions: &'static str,
    authorization: Mutex<Option<HeaderValue>>,
}

impl<'a> Session<'a> {
    /// `actions` are those asked for with a token: `pull` or `pull,push`.
    pub(crate) fn new(
        transport: &'a Transport,
        base: Url,
        repository: &str,
        credentials: Option<Credentials>,
        actions: &'static str,
    ) -> Session<'a> {
        let repository = repository.to_owned();
        let authorization = Mutex::new(None);
        Session { transport, base, is_cluster: false, repository, credentials, actions, authorization }
    }

    /// The same with the registry of a cluster, which may be shown a token.
    pub(crate) fn in_cluster(self, token: Option<&str>) -> Session<'a> {
        let mut bearer = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        if let Some(bearer) = &mut bearer {
            bearer.set_sensitive(true);
        }
        Session { is_cluster: true, authorization: Mutex::new(bearer), ..self }
    }

    /// The registry, for errors: host and port.
    pub(crate) fn registry(&self) -> String {
        authority(&self.base)
    }

    /// The address of something in the repository.
    pub(crate) fn url(&self, rest: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{}/{rest}", self.repository));
        url
    }

    /// Sends a request, answers a challenge, follows redirects. The answer is a success.
    pub(crate) async fn send(&self, ask: Ask<'_>) -> Result<Response, TransportError> {
        let mut response = self.follow(&ask).await?;
        let is_first = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        if response.status() == StatusCode::UNAUTHORIZED && is_first {
            let Some(authorization) = self.answer_challenge(response.headers()).await? else {
                return Err(TransportError::Unauthorized { registry: self.registry(), with_credentials: false });
            };
            *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(authorization);
            response = self.follow(&ask).await?;
        }
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response, ask.what).await) }
    }

    async fn follow(&self, ask: &Ask<'_>) -> Result<Response, TransportError> {
        let mut url = ask.url.clone();
        let redirect =
            |problem: &str| TransportError::Redirect { registry: self.registry(), problem: problem.to_owned() };
        for _ in 0..=REDIRECTS_MAX {
            let client = self.transport.client(&url, self.is_cluster && url.origin() == self.base.origin())?;
            let mut request = client.request(ask.method.clone(), url.clone()).headers(ask.headers.clone());
            if let Some(body) = &ask.body {
                request = request.body(body.clone());
            }
            let authorization = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(authorization) = authorization.filter(|_| url.origin() == self.base.origin()) {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let response = request.send().await.map_err(|error| self.failure(&url, &error))?;
            let is_read = matches!(ask.method, Method::GET | Method::HEAD);
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            if !is_read {
                return Err(redirect("an upload, which is not followed"));
            }
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok()).ok_or_else(|| redirect("to nowhere"))?;
            match (url.scheme(), next.scheme()) {
                (_, "https") | ("http", "http") => url = next,
                (from, to) => return Err(redirect(&format!("from {from} to {to}, which is not followed"))),
            }
        }
        Err(redirect("more than 5 times"))
    }

    async fn answer_challenge(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, TransportError> {
        let problem =
            |problem: &str| TransportError::Challenge { registry: self.registry(), problem: problem.to_owned() };
        let values = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        match Challenge::choose(values) {
            Some(Challenge::Basic) => Ok(self.credentials.as_ref().map(Credentials::basic)),
            Some(Challenge::Bearer { realm, service }) => {
                let mut url = Url::parse(&realm).map_err(|_| problem("its token server has no valid address"))?;
                if self.base.scheme() == "https" && url.scheme() != "https" {
                    return Err(problem("its token server is not on https"));
                }
                let scope = format!("repository:{}:{}", self.repository, self.actions);
                url.query_pairs_mut().append_pair("scope", &scope);
                if let Some(service) = service {
                    url.query_pairs_mut().append_pair("service", &service);
                }
                self.token(url).await
            }
            None => Err(problem("its 401 has no Basic or Bearer challenge")),
        }
    }

    async fn token(&self, url: Url) -> Result<Option<HeaderValue>, TransportError> {
        let problem =
            |problem: &str| TransportError::Challenge { registry: self.registry(), problem: problem.to_owned() };
        let mut request = self.transport.client(&url, false)?.get(url.clone());
        if let Some(credentials) = &self.credentials {
            request = request.header(header::AUTHORIZATION, credentials.basic());
        }
        let response = request.send().await.map_err(|error| self.failure(&url, &error))?;
        if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let with_credentials = self.credentials.is_some();
            return Err(TransportError::Unauthorized { registry: self.registry(), with_credentials });
        }
        if !response.status().is_success() {
            return Err(problem(&format!("its token server answered {}", response.status().as_u16())));
        }
        let bytes = self.read(response, TOKEN_BYTES_MAX, "token").await?;
        #[derive(serde::Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
        }
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| problem("its token server gives no JSON"))?;
        let token = answer.token.or(answer.access_token).ok_or_else(|| problem("its token server gives no token"))?;
        let mut value =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| problem("its token is no text"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Reads a body of at most `limit` bytes.
    pub(crate) async fn read(&self, mut response: Response, limit: usize, what: &str) -> Result<Bytes, TransportError> {
        let too_large =
            || TransportError::TooLarge { registry: self.registry(), what: what.to_owned(), limit: limit as u64 };
        if response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut bytes = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(&self.base, &error))? {
            if bytes.len() + chunk.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    pub(crate) fn failure(&self, url: &Url, error: &reqwest::Error) -> TransportError {
        let registry = authority(url);
        if error.is_timeout() {
            return TransportError::TimedOut { registry };
        }
        TransportError::Unreachable { registry, cause: error.source().map_or_else(|| error.to_string(), innermost) }
    }

    async fn refusal(&self, response: Response, what: &str) -> TransportError {
        let registry = self.registry();
        let status = response.status();
        let header = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = header.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).map(str::to_owned);
        let with_credentials = self.credentials.is_some();
        match status {
            StatusCode::UNAUTHORIZED => TransportError::Unauthorized { registry, with_credentials },
            StatusCode::NOT_FOUND => TransportError::NotFound { registry, what: what.to_owned() },
            StatusCode::TOO_MANY_REQUESTS => TransportError::RateLimited { registry, retry_after },
            _ => {
                let bytes = self.read(response, ERROR_BYTES_MAX, "error").await.unwrap_or_default();
                let message = message_of(&bytes).unwrap_or_else(|| "without saying why".to_owned());
                match status {
                    StatusCode::FORBIDDEN => TransportError::Forbidden { registry, message },
                    _ => TransportError::Refused { registry, status: status.as_u16(), message },
                }
            }
        }
    }
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Code and message of an OCI error body.
pub(crate) fn message_of(bytes: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let first = value["errors"].get(0)?;
    let text = match (first["code"].as_str(), first["message"].as_str()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (code, message) => code.or(message)?.to_owned(),
    };
    Some(text.chars().filter(|c| !c.is_control()).take(ERROR_TEXT_MAX).collect())
}

/// Whether a registry is on this machine, which plain HTTP is good enough for.
pub(crate) fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
