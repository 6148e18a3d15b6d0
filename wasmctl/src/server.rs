//! The control plane's part of a process: the store, the API server, the signer, the controllers and the registry.
//!
//! Deliberately absent: running pods and taking requests for them, which is the part of [`crate::host`].

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use coracle_control::peers::{HttpPeers, MEMBERS};
use coracle_control::pki::{Identity, Pki, PkiError};
use coracle_control::sealing::Sealer;
use coracle_control::tokens::Tokens;
use coracle_control::{ClusterFiles, Objects, SystemClock, authorizer, driver, server, signer};
use coracle_registry::{BlobStore, Credentials, ServerOptions, StoreLimits};
use coracle_store::{Member, OpenError, Options as StoreOptions, RealDisk, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::context::now;
use crate::controller_flags::ControllerFlags;
use crate::daemon::{self, bind};
use crate::data_dir::{self, DataDir};
use crate::failure::{Failure, Result, chain};

/// The user that may push to the registry.
pub(crate) const REGISTRY_USER: &str = "admin";

/// The number of the member that a cluster begins with.
const FOUNDER: u64 = 1;

/// Where a server listens.
pub(crate) struct Options {
    pub(crate) api_addr: SocketAddr,
    pub(crate) registry_addr: SocketAddr,
    pub(crate) controllers: ControllerFlags,
}

/// A running server.
pub(crate) struct Server {
    pki: Arc<Pki>,
    store: Store,
    api_addr: SocketAddr,
    registry_addr: SocketAddr,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Starts everything; the API answers when this returns.
    pub(crate) async fn start(data_dir: &DataDir, identity: &data_dir::Identity, options: &Options) -> Result<Server> {
        let pki = Pki::open_or_create(&data_dir.join("pki"), now()).map_err(|error| Failure::new(chain(&error)))?;
        let pki = Arc::new(pki);
        let settings = options.controllers.settings(pki.ca_pem())?;
        let api = bind("--api-addr", options.api_addr)?;
        let registry = bind("--registry-addr", options.registry_addr)?;
        let (api_addr, registry_addr) = (api.local_addr()?, registry.local_addr()?);
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());

        let member = Member { id: FOUNDER, name: format!("{}-1", identity.name), address: api_addr.to_string() };
        let identity_of_member = issued(pki.issue_client(&format!("coracle:member:{}", member.name), MEMBERS))?;
        let member_tls = pki.client_config(&identity_of_member).map_err(|error| Failure::new(chain(&error)))?;
        let store = open_store(data_dir, member, &member_tls).await?;
        // The other members may not be there so far.
        let snapshot = store.snapshot();
        let sealer = Sealer::open(&data_dir.join("pki"), &snapshot).map_err(|error| Failure::new(chain(&error)))?;
        let objects = Objects::new(store.clone(), Arc::new(SystemClock), sealer);
        let server = Server { pki, store, api_addr, registry_addr, shutdown, tasks };
        server.serve_api(data_dir, identity, api, &objects, member_tls)?;
        server.tasks.spawn(signer::run(objects.clone(), server.pki.clone(), server.shutdown.clone()));
        server.tasks.spawn(driver::run(objects, settings, server.shutdown.clone()));
        server.serve_registry(data_dir, identity, registry)?;
        Ok(server)
    }

    /// The cluster's CA.
    pub(crate) fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Where the API listens.
    pub(crate) fn api_addr(&self) -> SocketAddr {
        self.api_addr
    }

    /// Where the registry listens.
    pub(crate) fn registry_addr(&self) -> SocketAddr {
        self.registry_addr
    }

    /// Stops the API, and then the store.
    pub(crate) async fn stop(self) {
        daemon::end(&self.shutdown, &self.tasks).await;
        if let Err(error) = self.store.shutdown().await {
            tracing::warn!(%error, "the store's last checkpoint is missing; the next start replays the log");
        }
    }

    fn serve_api(
        &self,
        data_dir: &DataDir,
        identity: &data_dir::Identity,
        listener: TcpListener,
        objects: &Objects,
        member_tls: rustls::ClientConfig,
    ) -> Result<()> {
        let failed = |error: PkiError| Failure::new(chain(&error));
        let tokens = Tokens::open_or_create(&data_dir.join("pki")).map_err(|error| Failure::new(chain(&error)))?;
        let mut names = vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "kubernetes".to_owned(),
            "kubernetes.default".to_owned(),
            "kubernetes.default.svc".to_owned(),
            "kubernetes.default.svc.cluster.local".to_owned(),
        ];
        if !self.api_addr.ip().is_unspecified() {
            names.push(self.api_addr.ip().to_string());
        }
        names.dedup();
        let server_identity = issued(self.pki.issue_server(&names))?;
        // Hosts answer the API server's requests for logs only.
        let api_identity = issued(self.pki.issue_client("coracle:api-server", authorizer::MASTERS))?;
        let config = server::ServerConfig {
            listener,
            tls: self.pki.server_config(&server_identity).map_err(failed)?,
            objects: objects.clone(),
            authorizer: Arc::new(authorizer::Rbac::default()),
            tokens: Arc::new(tokens),
            host_tls: self.pki.client_config(&api_identity).map_err(failed)?,
            member_tls,
            audit_log: Some(data_dir.join("audit.log")),
            cluster_files: ClusterFiles {
                cluster: identity.name.clone(),
                dir: data_dir.path().to_owned(),
                files: data_dir::IDENTITY_FILES,
                folders: data_dir::ARTIFACT_FOLDERS,
            },
            shutdown: self.shutdown.clone(),
        };
        self.tasks.spawn(async move {
            if let Err(error) = server::serve(config).await {
                tracing::error!(%error, "the API server ended");
            }
        });
        Ok(())
    }

    fn serve_registry(&self, data_dir: &DataDir, identity: &data_dir::Identity, listener: TcpListener) -> Result<()> {
        let store = BlobStore::open(&data_dir.join("registry"), StoreLimits::default())
            .map_err(|error| Failure::new(chain(&error)))?;
        let credentials = Credentials { user: REGISTRY_USER.to_owned(), password: identity.registry_password.clone() };
        let options = ServerOptions { listener, store: Arc::new(store), credentials, shutdown: self.shutdown.clone() };
        self.tasks.spawn(async move {
            if let Err(error) = coracle_registry::serve(options).await {
                tracing::error!(%error, "the registry ended");
            }
        });
        Ok(())
    }
}

/// A certificate, or why there is none.
pub(crate) fn issued(issued: std::result::Result<Identity, PkiError>) -> Result<Identity> {
    issued.map_err(|error| Failure::new(chain(&error)))
}

async fn open_store(data_dir: &DataDir, member: Member, tls: &rustls::ClientConfig) -> Result<Store> {
    let options = StoreOptions {
        member,
        peers: Arc::new(HttpPeers::new(tls)?),
        ephemeral: coracle_control::EPHEMERAL,
        ..StoreOptions::new(data_dir.join("store"))
    };
    Store::open(options, Arc::new(RealDisk)).await.map_err(|error| {
        let failure = Failure::new(chain(&error));
        match error {
            OpenError::File { .. } => {
                failure.hint("free space on the disk or make the file writable, then start again; nothing is lost")
            }
            _ => failure,
        }
    })
}
