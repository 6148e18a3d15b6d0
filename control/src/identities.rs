//! The certificates of one member: issued at its start, and renewed while it runs. It has the CA, and asks nobody.

use std::future::ready;
use std::sync::Arc;

use coracle_net::identity::{RotatingIdentity, keep_renewed};
use tokio_util::sync::CancellationToken;

use crate::Clock;
use crate::authorizer::MASTERS;
use crate::peers::MEMBERS;
use crate::pki::{Identity, Pki, PkiError};

/// What a member shows to whom.
#[derive(Clone)]
pub struct Identities {
    pki: Arc<Pki>,
    member: String,
    names: Vec<String>,
    server: Arc<RotatingIdentity>,
    peer: Arc<RotatingIdentity>,
    host_client: Arc<RotatingIdentity>,
}

/// To whom one of them is audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    Clients,
    Members,
    /// They answer masters' requests for logs only.
    Hosts,
}

impl Audience {
    const ALL: [Audience; 3] = [Audience::Clients, Audience::Members, Audience::Hosts];

    /// What the certificate is called in logs and figures.
    fn name(self) -> &'static str {
        match self {
            Audience::Clients => "server",
            Audience::Members => "member",
            Audience::Hosts => "api-server",
        }
    }
}

impl Identities {
    /// Issues those of a member that clients reach under these names and addresses. Each is renewed when this `share` (0 to 1) of its
    /// time is over.
    pub fn issue(pki: Arc<Pki>, member: &str, names: Vec<String>, share: f64) -> Result<Identities, PkiError> {
        let new = |audience| issue(&pki, member, &names, audience)?.rotating(share);
        let (server, peer, host_client) = (new(Audience::Clients)?, new(Audience::Members)?, new(Audience::Hosts)?);
        Ok(Identities { server, peer, host_client, member: member.to_owned(), names, pki })
    }

    /// The TLS with which clients are answered.
    pub(crate) fn server_tls(&self) -> Result<rustls::ServerConfig, PkiError> {
        self.pki.server_config(self.server.clone())
    }

    /// The TLS with which other members are asked.
    pub fn member_tls(&self) -> Result<rustls::ClientConfig, PkiError> {
        self.pki.client_config(self.peer.clone())
    }

    /// The TLS with which hosts are asked.
    pub(crate) fn host_tls(&self) -> Result<rustls::ClientConfig, PkiError> {
        self.pki.client_config(self.host_client.clone())
    }

    /// Renews each before it ends, until `shutdown`.
    pub async fn keep_renewed(self, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
        let keep = |audience: Audience| {
            let (identities, clock) = (self.clone(), clock.clone());
            let renew = move || ready(identities.renew(audience));
            keep_renewed(audience.name(), self.get(audience).clone(), move || clock.now(), renew)
        };
        let [server, peer, host_client] = Audience::ALL.map(keep);
        let all = async { tokio::join!(server, peer, host_client) };
        let _ = shutdown.run_until_cancelled(all).await;
    }

    fn renew(&self, audience: Audience) -> Result<(), PkiError> {
        let Identity { certificate_pem, key_pem } = issue(&self.pki, &self.member, &self.names, audience)?;
        Ok(self.get(audience).replace(certificate_pem.as_bytes(), key_pem.as_bytes())?)
    }

    fn get(&self, audience: Audience) -> &Arc<RotatingIdentity> {
        match audience {
            Audience::Clients => &self.server,
            Audience::Members => &self.peer,
            Audience::Hosts => &self.host_client,
        }
    }

    /// All of them, each with what it is called in logs and figures.
    pub(crate) fn named(&self) -> [(&'static str, &RotatingIdentity); 3] {
        Audience::ALL.map(|audience| (audience.name(), &**self.get(audience)))
    }
}

fn issue(pki: &Pki, member: &str, names: &[String], audience: Audience) -> Result<Identity, PkiError> {
    match audience {
        Audience::Clients => pki.issue_server(names),
        Audience::Members => pki.issue_client(&format!("coracle:member:{member}"), MEMBERS),
        Audience::Hosts => pki.issue_client("coracle:api-server", MASTERS),
    }
}
