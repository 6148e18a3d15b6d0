//! A lean client: one HTTP/2 connection over TLS, bodies already encoded, so that the load takes little of the processor from the server.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use coracle_client::Config;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where the API server is, and how to be let in.
pub(super) struct Target {
    authority: String,
    tls: TlsConnector,
}

impl Target {
    pub(super) fn of(kubeconfig: &Path) -> Result<Target> {
        let config = Config::load(Some(kubeconfig))?;
        let authority = config.server.strip_prefix("https://").context("the API server speaks TLS")?.to_owned();
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&config.ca_pem) {
            roots.add(certificate?)?;
        }
        let (certificate, key) = config.identity_pem.context("the kubeconfig holds a certificate")?;
        let certificates = CertificateDer::pem_slice_iter(&certificate).collect::<Result<_, _>>()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates, PrivateKeyDer::from_pem_slice(&key)?)?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Target { authority, tls: TlsConnector::from(Arc::new(tls)) })
    }
}

/// One connection.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
}

impl Connection {
    pub(super) async fn open(target: &Target) -> Result<Connection> {
        let stream = TcpStream::connect(&target.authority).await?;
        stream.set_nodelay(true)?;
        let (host, _) = target.authority.rsplit_once(':').context("an address has a port")?;
        let stream = target.tls.connect(ServerName::try_from(host.to_owned())?, stream).await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_connection_window_size(16 << 20)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(connection);
        Ok(Connection { sender, authority: target.authority.clone() })
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Bytes> {
        self.send(Method::GET, path, "", Vec::new()).await
    }

    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Bytes> {
        let answer = self.open_stream(method, path, content_type, body).await?;
        Ok(answer.collect().await?.to_bytes())
    }

    /// An answer whose body is read as it comes.
    pub(super) async fn open_stream(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("https://{}{path}", self.authority));
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
        let status = answer.status();
        if !status.is_success() {
            let text = answer.into_body().collect().await?.to_bytes();
            bail!("{path}: {status}: {}", String::from_utf8_lossy(&text));
        }
        Ok(answer.into_body())
    }
}
