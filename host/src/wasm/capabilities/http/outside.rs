//! Requests out of the cluster: connections of one container, to addresses that its pod may reach. A name is looked up once for a
//! connection, and what is connected to is what was judged.
//!
//! Deliberately absent: connections that containers share, which would carry one pod's permission to another.

use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tower::Service;
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use crate::egress::{Denial, Egress};

const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_MAX_PER_HOST: usize = 8;
/// Clients kept, one for each connect timeout that the component asks with.
const CLIENTS_MAX: usize = 4;

type HttpClient = Client<HttpsConnector<Connector>, WasiBody>;

/// The clients of one container.
pub(super) struct Outside {
    egress: Egress,
    clients: Mutex<Vec<(Duration, HttpClient)>>,
}

/// Why there is no answer.
pub(super) enum OutsideError {
    /// The pod may not reach the address.
    Denied(Denial),
    /// This host knows no authority that it could trust.
    NoRoots(String),
    /// Something else failed.
    Failed(HttpError),
}

impl Outside {
    pub(super) fn new(egress: Egress) -> Outside {
        Outside { egress, clients: Mutex::default() }
    }

    /// Sends a request to a host that may be asked for by its name.
    pub(super) async fn send(
        &self,
        request: Request<WasiBody>,
        connect_timeout: Duration,
    ) -> Result<Response<WasiBody>, OutsideError> {
        let tls = tls().await;
        if request.uri().scheme() == Some(&Scheme::HTTPS) {
            tls.as_ref().map_err(|why| OutsideError::NoRoots(why.clone()))?;
        }
        let answer = self.client(connect_timeout, tls.ok()).request(request).await;
        let answer = answer.map_err(|error| explain(&error))?;
        Ok(answer.map(|body| body.map_err(HttpError::Hyper).boxed_unsync()))
    }

    /// The client with this timeout. Without `tls` it is good for plain HTTP only.
    fn client(&self, connect_timeout: Duration, tls: Option<&ClientConfig>) -> HttpClient {
        let mut clients = self.clients.lock();
        if let Some((_, client)) = clients.iter().find(|(timeout, _)| *timeout == connect_timeout) {
            return client.clone();
        }
        let connector = Connector { egress: self.egress.clone(), timeout: connect_timeout };
        let tls = tls.cloned().unwrap_or_else(|| client_config(RootCertStore::empty()));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_MAX_PER_HOST)
            .build(https.enable_http1().enable_http2().wrap_connector(connector));
        if clients.len() == CLIENTS_MAX {
            clients.remove(0);
        }
        clients.push((connect_timeout, client.clone()));
        client
    }
}

/// Trusts the authorities that this machine trusts; they are read once.
async fn tls() -> Result<&'static ClientConfig, String> {
    static TLS: OnceCell<ClientConfig> = OnceCell::const_new();
    let made = TLS.get_or_try_init(|| async {
        let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
        let loaded = loaded.map_err(|error| format!("the authorities of this host could not be read: {error}"))?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(loaded.certs);
        if roots.is_empty() {
            let way_out = "install its ca-certificates, or name a file of them in SSL_CERT_FILE and start it again";
            return Err(format!("this host knows no certificate authority; {way_out}"));
        }
        Ok(client_config(roots))
    });
    made.await
}

fn client_config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    versions
        .expect("invariant: the provider has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Connects to addresses that the pod may reach.
#[derive(Clone)]
struct Connector {
    egress: Egress,
    timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("{0}")]
    Denied(Denial),
    #[error("the name is not known")]
    Name(#[source] io::Error),
    #[error("it took too long")]
    Timeout,
    #[error("the connection failed")]
    Connect(#[source] io::Error),
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<TokioIo<TcpStream>, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Connector { egress, timeout } = self.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let port = uri.port_u16().unwrap_or(if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 });
            let connecting = connect(&egress, host, port);
            let stream = tokio::time::timeout(timeout, connecting).await.unwrap_or(Err(ConnectError::Timeout))?;
            // Without it requests are only slower.
            let _ = stream.set_nodelay(true);
            Ok(TokioIo::new(stream))
        })
    }
}

/// To the first of a name's addresses that answers, of those that may be reached.
async fn connect(egress: &Egress, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(ConnectError::Name)?.collect();
    let name = host.parse::<IpAddr>().is_err().then_some(host);
    let mut error = ConnectError::Name(io::ErrorKind::NotFound.into());
    for address in addresses {
        error = match egress.allow_address(address.ip(), port, name) {
            Err(denial) => ConnectError::Denied(denial),
            Ok(()) => match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => ConnectError::Connect(error),
            },
        };
    }
    Err(error)
}

/// In the words of `wasi:http`.
fn explain(error: &ClientError) -> OutsideError {
    tracing::debug!(error = error as &dyn StdError, "a request out of the cluster failed");
    let mut source: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<ConnectError>() {
            return match error {
                ConnectError::Denied(denial) => OutsideError::Denied(denial.clone()),
                ConnectError::Timeout => OutsideError::Failed(HttpError::ConnectionTimeout),
                ConnectError::Name(_) => {
                    let rcode = Some("NXDOMAIN".to_owned());
                    OutsideError::Failed(HttpError::DnsError { rcode, info_code: None })
                }
                ConnectError::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    OutsideError::Failed(HttpError::ConnectionRefused)
                }
                ConnectError::Connect(_) => OutsideError::Failed(HttpError::DestinationUnavailable),
            };
        }
        let tls = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(error) = tls.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return OutsideError::Failed(match error {
                rustls::Error::InvalidCertificate(_) => HttpError::TlsCertificateError,
                _ => HttpError::TlsProtocolError,
            });
        }
        source = cause.source();
    }
    OutsideError::Failed(match error.is_connect() {
        true => HttpError::TlsProtocolError,
        false => HttpError::ConnectionTerminated,
    })
}
