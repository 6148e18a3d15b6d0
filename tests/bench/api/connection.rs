//! One client of the API server: HTTP/2 over TLS, let in by its certificate.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use coracle_client::Config;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http2::{self, Content};

/// Where the API server is, and how to be let in.
pub(crate) struct Target {
    authority: String,
    tls: TlsConnector,
}

impl Target {
    pub(crate) fn of(kubeconfig: &Path) -> Result<Target> {
        Target::new(&Config::load(Some(kubeconfig))?)
    }

    /// The first server of a configuration, with the certificate it holds.
    pub(crate) fn new(config: &Config) -> Result<Target> {
        let authority = config.server.strip_prefix("https://").context("the API server speaks TLS")?.to_owned();
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&config.ca_pem) {
            roots.add(certificate?)?;
        }
        let (certificate, key) = config.identity_pem.as_ref().context("the kubeconfig holds a certificate")?;
        let certificates = CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates, PrivateKeyDer::from_pem_slice(key)?)?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Target { authority, tls: TlsConnector::from(Arc::new(tls)) })
    }
}

/// One connection.
pub(crate) struct Connection(http2::Connection<TlsStream<TcpStream>>);

impl Connection {
    pub(crate) async fn open(target: &Target) -> Result<Connection> {
        let stream = TcpStream::connect(&target.authority).await?;
        stream.set_nodelay(true)?;
        let (host, _) = target.authority.rsplit_once(':').context("an address has a port")?;
        let stream = target.tls.connect(ServerName::try_from(host.to_owned())?, stream).await?;
        Ok(Connection(http2::Connection::open(stream, target.authority.clone()).await?))
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Bytes> {
        self.send("GET", path, "", &[]).await
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Result<Bytes> {
        let own = [("content-type", content_type)];
        let answer = self.0.request(method, path, if body.is_empty() { &[] } else { &own }, body).await?;
        let status = answer.header(":status").context("an answer without a status")?;
        let text = || String::from_utf8_lossy(&answer.body);
        ensure!(status.starts_with(b"2"), "{path}: {}: {}", String::from_utf8_lossy(status), text());
        Ok(answer.body.freeze())
    }

    /// Begins watches, and waits until all have begun.
    pub(crate) async fn watch(&mut self, paths: &[String]) -> Result<()> {
        for path in paths {
            self.0.send("GET", path, &[], &[]).await?;
        }
        for _ in paths {
            let Content::Headers(headers) = self.0.next().await?.content else { bail!("an event before its watch") };
            let status = headers.first().map(|(_, value, _)| value.as_slice());
            ensure!(status == Some(b"200"), "a watch was answered with {headers:?}");
        }
        Ok(())
    }

    /// The next piece of any watch.
    pub(crate) async fn next(&mut self) -> Result<Bytes> {
        match self.0.next().await?.content {
            Content::Data(data) => Ok(data),
            Content::Headers(_) => bail!("a watch ended"),
        }
    }
}
