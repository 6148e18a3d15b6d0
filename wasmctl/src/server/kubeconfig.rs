//! The administrator's kubeconfig in a server's folder: written at the start, anew when another member joins or leaves, and before the
//! certificate in it ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::Kubeconfig;
use coracle_control::pki::Pki;
use coracle_store::Store;
use jiff::Timestamp;
use tokio::time::sleep;

use super::issued;
use crate::cluster_file::{self, Endpoints};
use crate::context::now;
use crate::daemon::renewal_share;
use crate::data_dir;
use crate::failure::Result;

/// How often the members are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait when the file can't be written.
const RETRY_DELAY: Duration = Duration::from_secs(60);

/// The file, and what it is made of.
pub(super) struct KubeconfigFile {
    pub(super) path: PathBuf,
    /// The cluster's name.
    pub(super) cluster: String,
    /// This member's API, `https://HOST:PORT`.
    pub(super) server: String,
    /// The rest, but for the other servers.
    pub(super) endpoints: Endpoints,
    pub(super) pki: Arc<Pki>,
    pub(super) store: Store,
}

/// What the file says.
pub(super) struct Written {
    other_servers: Vec<String>,
    /// When its certificate should be renewed.
    renewal: Timestamp,
}

impl KubeconfigFile {
    /// Writes it. What users have put into it, such as the namespace of a context, stays.
    pub(super) fn write(&self) -> Result<Written> {
        let admin = issued(self.pki.issue_admin())?;
        let renewal = issued(admin.rotating(renewal_share()))?.renewal();
        let mut kubeconfig = Kubeconfig::single(
            &self.cluster,
            &self.server,
            self.pki.ca_pem().as_bytes(),
            admin.certificate_pem.as_bytes(),
            admin.key_pem.as_bytes(),
        );
        let other_servers = self.other_servers();
        cluster_file::add(&mut kubeconfig, &Endpoints { servers: other_servers.clone(), ..self.endpoints.clone() });
        let old = std::fs::read_to_string(&self.path).ok();
        if let Some(old) = old.and_then(|text| serde_saphyr::from_str::<Kubeconfig>(&text).ok()) {
            kubeconfig = kubeconfig.replacing(old);
        }
        data_dir::renew_private(&self.path, kubeconfig.to_yaml().as_bytes())?;
        Ok(Written { other_servers, renewal })
    }

    /// Keeps it true, for ever.
    pub(super) async fn keep(self, mut written: Written) {
        loop {
            sleep(LOOK_INTERVAL).await;
            if self.other_servers() == written.other_servers && now() < written.renewal {
                continue;
            }
            match self.write() {
                Ok(anew) => written = anew,
                Err(failure) => {
                    tracing::warn!(%failure, "the kubeconfig is not what it should be");
                    sleep(RETRY_DELAY).await;
                }
            }
        }
    }

    fn other_servers(&self) -> Vec<String> {
        let voters = self.store.members().into_iter().filter(|member| member.is_voter);
        voters
            .map(|member| format!("https://{}", member.member.address))
            .filter(|server| *server != self.server)
            .collect()
    }
}
