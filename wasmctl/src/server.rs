//! The control plane's part of a process: the store, the API server, the signer, the controllers and the registry.
//!
//! Deliberately absent: running pods and taking requests for them, which is the part of [`crate::host`].

mod joining;
mod kubeconfig;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use coracle_control::joining::Joining;
use coracle_control::peers::HttpPeers;
use coracle_control::pki::{Pki, PkiError};
use coracle_control::sealing::Sealer;
use coracle_control::tokens::Tokens;
use coracle_control::{
    Artifacts, ClusterFiles, Identities, Objects, SystemClock, authorizer, driver, kubernetes_service, removal, server,
    signer,
};
use coracle_registry::{BlobStore, Credentials, Reference, StoreLimits};
use coracle_store::{Member, OpenError, Options as StoreOptions, RealDisk, Store};
use jiff::SignedDuration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster_file::Endpoints;
use crate::controller_flags::ControllerFlags;
use crate::daemon::{self, Advertised, bind, listening, renewal_share};
use crate::data_dir::{self, DataDir};
use crate::failure::{Failure, Result, chain};

use joining::MemberIdentity;
pub(crate) use joining::join;
use kubeconfig::KubeconfigFile;

/// The user that may push to the registry.
const REGISTRY_USER: &str = "admin";

/// Where a server listens, and how other machines reach it, if they may.
pub(crate) struct Options {
    pub(crate) api_addr: SocketAddr,
    pub(crate) registry_addr: SocketAddr,
    pub(crate) advertised: Option<Advertised>,
    /// How long the certificates of machines last.
    pub(crate) certificate_ttl: Duration,
    pub(crate) controllers: ControllerFlags,
    /// What the member is to be called, where somebody says so.
    pub(crate) name: Option<String>,
}

/// How often a member looks whether it still belongs to the group.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(5);

/// With less time, machines would be busy with certificates.
const CERTIFICATE_TTL_MIN: Duration = Duration::from_secs(5);

impl Options {
    /// Refuses to advertise what only this machine could reach, and certificates that last no time.
    pub(crate) fn check(&self) -> Result<()> {
        if self.certificate_ttl < CERTIFICATE_TTL_MIN {
            let message = format!("--certificate-ttl {:?} is too short", self.certificate_ttl);
            return Err(Failure::usage(message).hint(format!("give at least {CERTIFICATE_TTL_MIN:?}")));
        }
        let Some(advertised) = self.advertised.as_ref().filter(|advertised| !advertised.ip.is_loopback()) else {
            return Ok(());
        };
        for (flag, addr) in [("--api-addr", self.api_addr), ("--registry-addr", self.registry_addr)] {
            if addr.ip().is_loopback() {
                let (name, port) = (&advertised.name, addr.port());
                let message = format!("--advertise {name}: other machines cannot reach {flag} {addr} there");
                let everywhere = SocketAddr::new(listening(advertised.ip), port);
                return Err(Failure::usage(message).hint(format!("leave {flag} out, or listen on {everywhere}")));
            }
        }
        Ok(())
    }
}

/// What a server listens with.
pub(crate) struct Sockets {
    api: TcpListener,
    registry: TcpListener,
}

impl Sockets {
    /// Takes the addresses.
    pub(crate) fn bind(options: &Options) -> Result<Sockets> {
        let api = bind("--api-addr", options.api_addr)?;
        let registry = bind("--registry-addr", options.registry_addr)?;
        Ok(Sockets { api, registry })
    }

    /// The port of the API.
    pub(crate) fn api_port(&self) -> Result<u16> {
        Ok(self.api.local_addr()?.port())
    }
}

/// A running server.
pub(crate) struct Server {
    pki: Arc<Pki>,
    store: Store,
    peers: HttpPeers,
    member: MemberIdentity,
    api_addr: SocketAddr,
    registry_addr: SocketAddr,
    advertised: Option<Advertised>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Starts everything; the API listens when this returns, and answers once the group has a leader. `pushed` is told of components that are
    /// pushed to this member.
    pub(crate) async fn start(
        data_dir: &DataDir,
        identity: &data_dir::Identity,
        options: &Options,
        sockets: Sockets,
        pushed: Option<mpsc::Sender<Reference>>,
    ) -> Result<Server> {
        let lifetime = options.certificate_ttl.try_into().unwrap_or(SignedDuration::MAX);
        let pki = issued(Pki::open_or_create(&data_dir.join("pki"), Arc::new(SystemClock), lifetime))?;
        let pki = Arc::new(pki);
        let Sockets { api, registry } = sockets;
        let settings = options.controllers.settings(pki.ca_pem())?;
        let api_addr = api.local_addr()?;
        let registry_addr = registry.local_addr()?;
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());

        let mut member = MemberIdentity::load(data_dir, &identity.name, options.name.as_deref())?;
        let address = reached_at(options.advertised.as_ref(), api_addr);
        let names = names(api_addr, options.advertised.as_ref());
        let identities = issued(Identities::issue(pki.clone(), &member.name, names, renewal_share()))?;
        let peers = HttpPeers::new(&issued(identities.member_tls())?)?;
        let store = open_store(data_dir, &member, address, peers.clone()).await?;
        member.note_store(data_dir)?;
        // The other members may not be there so far.
        let snapshot = store.snapshot();
        let sealer = Sealer::open(&data_dir.join("pki"), &snapshot, store.members().len() == 1)
            .map_err(|error| Failure::new(chain(&error)))?;
        let authorizer = Arc::new(authorizer::Rbac::default());
        let objects = Objects::new(store.clone(), Arc::new(SystemClock), sealer, authorizer);
        let advertised = options.advertised.clone();
        let server = Server { pki, store, peers, member, api_addr, registry_addr, advertised, shutdown, tasks };
        server.tasks.spawn(identities.clone().keep_renewed(Arc::new(SystemClock), server.shutdown.clone()));
        let artifacts = artifacts(data_dir, identity, registry, pushed)?;
        server.serve_api(data_dir, identity, api, &objects, artifacts, identities)?;
        server.tasks.spawn(signer::run(objects.clone(), server.pki.clone(), server.shutdown.clone()));
        server.tasks.spawn(kubernetes_service::run(objects.clone(), server.shutdown.clone()));
        server.tasks.spawn(driver::run(objects, settings, server.shutdown.clone()));
        Ok(server)
    }

    /// The cluster's CA.
    pub(crate) fn pki(&self) -> &Pki {
        &self.pki
    }

    /// How this machine reaches the API.
    pub(crate) fn api_from_here(&self) -> SocketAddr {
        daemon::from_here(self.api_addr)
    }

    /// Host and port of the API, for everybody.
    pub(crate) fn api(&self) -> String {
        reached_at(self.advertised.as_ref(), self.api_addr)
    }

    /// Host and port of this member's registry, for everybody.
    pub(crate) fn registry(&self) -> String {
        reached_at(self.advertised.as_ref(), self.registry_addr)
    }

    /// The member's name.
    pub(crate) fn name(&self) -> &str {
        &self.member.name
    }

    /// The group and this member's part in it: `3 members, leader`.
    pub(crate) fn role(&self) -> String {
        let members = self.store.members();
        let own = members.iter().find(|member| member.member.id == self.member.id);
        let role = match own {
            Some(own) if own.is_leader => "leader",
            Some(own) if own.is_voter => "voter",
            _ => "taking over the state",
        };
        match members.len() {
            1 => format!("1 member, {role}"),
            count => format!("{count} members, {role}"),
        }
    }

    /// Whether the group has a leader and this member knows all that was acknowledged; if not, why.
    pub(crate) async fn ready(&self) -> std::result::Result<(), String> {
        self.store.read().await.map(drop).map_err(|error| error.to_string())
    }

    /// Writes the administrator's kubeconfig, by way of this member first, and keeps it true.
    pub(crate) fn keep_kubeconfig(
        &self,
        data_dir: &DataDir,
        identity: &data_dir::Identity,
        ingress: Option<SocketAddr>,
    ) -> Result<()> {
        let file = KubeconfigFile {
            path: data_dir.join("kubeconfig"),
            cluster: identity.name.clone(),
            server: format!("https://{}", self.api()),
            endpoints: Endpoints {
                servers: Vec::new(),
                registry: self.registry(),
                registry_user: REGISTRY_USER.to_owned(),
                registry_password: identity.registry_password.clone(),
                ingress: ingress.map(|ingress| ingress.to_string()).unwrap_or_default(),
            },
            pki: self.pki.clone(),
            store: self.store.clone(),
        };
        let written = file.write()?;
        self.tasks.spawn(self.shutdown.clone().run_until_cancelled_owned(file.keep(written)));
        Ok(())
    }

    /// Waits for a failure that leaves this member half alive, of its disk, most often, of which nobody knows what it holds then; or for its
    /// removal from the group. The process is to end at once, as etcd's does. To stop in order would ask the store for what it can't do any more.
    pub(crate) async fn failed(&self) -> Failure {
        let name = &self.member.name;
        let failure = tokio::select! {
            failure = self.store.wait_to_fail() => failure,
            () = removal::wait(&self.store, &self.peers, REMOVAL_INTERVAL) => {
                return Failure::new(format!("member {name} ends: it was removed from the cluster"))
                    .hint("to join again, start it with an empty --data-dir and a new token: see `wasmctl token create --help`");
            }
        };
        match self.store.members().len() {
            1 => Failure::new(format!("member {name} ends: {failure}"))
                .hint("what was acknowledged is kept: mend the disk, then start it again; or restore a snapshot on another machine, see `wasmctl snapshot restore --help`"),
            _ => Failure::new(format!("member {name} ends, and the others go on without it: {failure}"))
                .hint("mend the disk and start this member again: it catches up; or replace it, see `wasmctl member remove --help`"),
        }
    }

    /// Lets another member lead, stops the API, and then the store.
    pub(crate) async fn stop(self) {
        self.store.hand_over().await;
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
        artifacts: Artifacts,
        identities: Identities,
    ) -> Result<()> {
        let tokens = Tokens::open_or_create(&data_dir.join("pki")).map_err(|error| Failure::new(chain(&error)))?;
        let config = server::ServerConfig {
            listener,
            identities,
            objects: objects.clone(),
            tokens: Arc::new(tokens),
            audit_log: Some(data_dir.join("audit.log")),
            cluster_files: ClusterFiles {
                cluster: identity.name.clone(),
                dir: data_dir.path().to_owned(),
                files: data_dir::IDENTITY_FILES,
                folders: data_dir::ARTIFACT_FOLDERS,
            },
            joining: Joining { pki: self.pki.clone() },
            artifacts,
            shutdown: self.shutdown.clone(),
        };
        self.tasks.spawn(async move {
            if let Err(error) = server::serve(config).await {
                tracing::error!(%error, "the API server ended");
            }
        });
        Ok(())
    }
}

/// This member's registry, with what it has so far.
fn artifacts(
    data_dir: &DataDir,
    identity: &data_dir::Identity,
    listener: TcpListener,
    pushed: Option<mpsc::Sender<Reference>>,
) -> Result<Artifacts> {
    let store = BlobStore::open(&data_dir.join("registry"), StoreLimits::default());
    let store = Arc::new(store.map_err(|error| Failure::new(chain(&error)))?);
    let credentials = Credentials { user: REGISTRY_USER.to_owned(), password: identity.registry_password.clone() };
    Ok(Artifacts { listener, store, credentials, pushed })
}

/// The names and addresses under which clients reach the API.
fn names(api_addr: SocketAddr, advertised: Option<&Advertised>) -> Vec<String> {
    let service =
        ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];
    let mut names: Vec<String> = ["localhost", "127.0.0.1"].into_iter().chain(service).map(str::to_owned).collect();
    names.push(daemon::from_here(api_addr).ip().to_string());
    if let Some(advertised) = advertised {
        names.extend([advertised.name.clone(), advertised.ip.to_string()]);
    }
    names.sort();
    names.dedup();
    names
}

/// Host and port of what listens at `addr`, for everybody.
fn reached_at(advertised: Option<&Advertised>, addr: SocketAddr) -> String {
    match advertised {
        Some(advertised) => advertised.with_port(addr.port()),
        None => daemon::from_here(addr).to_string(),
    }
}

/// What the CA makes, or why it does not.
pub(crate) fn issued<T>(issued: std::result::Result<T, PkiError>) -> Result<T> {
    issued.map_err(|error| Failure::new(chain(&error)))
}

async fn open_store(data_dir: &DataDir, member: &MemberIdentity, address: String, peers: HttpPeers) -> Result<Store> {
    let options = StoreOptions {
        member: Member { id: member.id, name: member.name.clone(), address },
        is_founder: member.is_founder(),
        is_unsure: member.is_guessed,
        peers: Arc::new(peers),
        ephemeral: coracle_control::EPHEMERAL,
        ..StoreOptions::new(data_dir.join(data_dir::STORE))
    };
    Store::open(options, Arc::new(RealDisk)).await.map_err(|error| {
        let failure = Failure::new(chain(&error));
        match error {
            OpenError::File { .. } => {
                failure.hint("free space on the disk or make the file writable, then start again; nothing is lost")
            }
            OpenError::Damaged { .. } => failure.hint(data_dir::START_OVER),
            OpenError::Format { .. } => failure.hint("start it with the release that wrote it"),
            OpenError::Unsure(_) => Failure::new(format!(
                "{} is gone, and without it nobody knows which member's the store is",
                data_dir.join(joining::FILE).display()
            ))
            .hint(data_dir::START_OVER),
            OpenError::Locked(_) | OpenError::Consensus(_) => failure,
        }
    })
}
