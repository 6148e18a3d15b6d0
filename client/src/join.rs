//! Joining a cluster with a token: trusts a server only if it shows the CA whose hash the token has, and says nothing before that.
//!
//! Deliberately absent: keeping what comes of it, and making keys.

use std::error::Error as StdError;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, Instant};

use coracle_api::join::{Answer, Request, Role, Token, TokenError, hash};
use coracle_api::status::Status;
use http::uri::Authority;
use jiff::Timestamp;
use rustls::CertificateError;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::backoff::Backoff;
use crate::client::status_error;
use crate::config::ConfigError;
use crate::error::{Error, innermost};

mod pinned_ca;

use pinned_ca::{ForeignCa, PinnedCa};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// After that a token is not shown again: if there is to be another leader, there is one by then.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first pause before it is shown again, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];

/// A token, and a server that takes it: `TOKEN@HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The token.
    pub token: Token,
    /// Host and port of an API server.
    pub server: String,
}

/// A text that is no invitation.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// There is no `@`.
    #[error("it should be TOKEN@HOST:PORT: the token, and the address of a server")]
    NoServer,
    /// What stands behind it is no address.
    #[error("`{0}` is no address of a server: it should be HOST:PORT")]
    Server(String),
    /// What stands before it is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl FromStr for Invitation {
    type Err = InvitationError;

    fn from_str(text: &str) -> Result<Invitation, InvitationError> {
        let (token, server) = text.split_once('@').ok_or(InvitationError::NoServer)?;
        let token = token.parse()?;
        let authority = server.parse::<Authority>().ok();
        let is_address = |authority: &Authority| {
            authority.port_u16().is_some() && !authority.host().is_empty() && !authority.as_str().contains('@')
        };
        match authority.filter(is_address) {
            Some(_) => Ok(Invitation { token, server: server.to_owned() }),
            None => Err(InvitationError::Server(server.to_owned())),
        }
    }
}

/// The machine that wants to join.
#[derive(Clone)]
pub struct Applicant {
    /// What it wants to become.
    pub role: Role,
    /// A secret of its own, 32 hexadecimal digits: who shows the token with the same one again, and the same name, is the same machine.
    pub secret: String,
    /// The name it wants.
    pub name: String,
    /// Where other machines reach it.
    pub address: IpAddr,
    /// The port of its API, where it is to be a server.
    pub port: Option<u16>,
    /// A certificate signing request for its key, PEM.
    pub signing_request: String,
    /// What time it has.
    pub time: Timestamp,
}

/// Why a machine did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The token is for machines of another kind.
    #[error("the token is for a {token}, and this machine is to be a {wanted}")]
    Role {
        /// What it is for.
        token: Role,
        /// What was asked for.
        wanted: Role,
    },
    /// Nobody answers there.
    #[error("cannot reach a server at {server}: {reason}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// What the system says.
        reason: String,
    },
    /// The server is another cluster's.
    #[error(
        "the server at {server} belongs to another cluster than the token: its certificate is not of the CA that the token names"
    )]
    ForeignCa {
        /// Host and port.
        server: String,
    },
    /// The server's certificate isn't good now, going by this machine's clock.
    #[error("by the clock of this machine, the certificate of the server at {server} {is_not_good}")]
    Clock {
        /// Host and port.
        server: String,
        /// How so.
        is_not_good: &'static str,
    },
    /// The server's certificate is for other names.
    #[error("the server at {server} is not known by that address: {reason}")]
    Address {
        /// Host and port.
        server: String,
        /// By which it is.
        reason: String,
    },
    /// The server refused, and said why.
    #[error("{}", .0.message)]
    Refused(Box<Status>),
    /// The token was sent, and what came of it is not known.
    #[error("the connection to {server} broke after the token was sent: {reason}")]
    Broken {
        /// Host and port.
        server: String,
        /// What the system says.
        reason: String,
    },
}

impl JoinError {
    /// What to do about it, where the message doesn't say.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            JoinError::Role { wanted: Role::Host, .. } => "make another with `wasmctl token create --role host`",
            JoinError::Role { wanted: Role::Server, .. } => "make another with `wasmctl token create --role server`",
            JoinError::Unreachable { .. } => {
                "check the address behind the @, and that the server was started with --advertise if it is on another machine"
            }
            JoinError::ForeignCa { .. } => {
                "it was told nothing; check the address behind the @, or make a token on that cluster"
            }
            JoinError::Clock { .. } => "set the clock, and try again",
            JoinError::Address { .. } => "start the server with --advertise and this address, or use one that it knows",
            JoinError::Broken { .. } => {
                "try again with the same token: for this machine, under this name, it is good until it expires"
            }
            JoinError::Refused(_) => return None,
        })
    }

    /// Is it open what came of it?
    fn is_open(&self) -> bool {
        match self {
            JoinError::Broken { .. } => true,
            JoinError::Refused(status) => status.code >= 500,
            _ => false,
        }
    }

    fn of_transport(server: &str, error: &reqwest::Error) -> JoinError {
        let certificate = certificate_error(error).and_then(|cause| JoinError::of_certificate(server, cause));
        let (server, (reason, _)) = (server.to_owned(), innermost(error));
        match certificate {
            Some(failure) => failure,
            None if error.is_connect() => JoinError::Unreachable { server, reason },
            None => JoinError::Broken { server, reason },
        }
    }

    /// What is wrong with a server's certificate, where there is something to say about it.
    fn of_certificate(server: &str, cause: &CertificateError) -> Option<JoinError> {
        let server = server.to_owned();
        match cause {
            CertificateError::Other(cause) if cause.0.is::<ForeignCa>() => Some(JoinError::ForeignCa { server }),
            CertificateError::BadSignature | CertificateError::UnknownIssuer => Some(JoinError::ForeignCa { server }),
            // One that signed its own, most often.
            CertificateError::Other(_) => Some(JoinError::ForeignCa { server }),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Some(JoinError::Clock { server, is_not_good: "has expired" })
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Some(JoinError::Clock { server, is_not_good: "is not valid yet" })
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Some(JoinError::Address { server, reason: cause.to_string() })
            }
            _ => None,
        }
    }
}

/// What was wrong with the server's certificate, where that was it.
fn certificate_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a CertificateError> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(rustls::Error::InvalidCertificate(cause)) = error.downcast_ref() {
            return Some(cause);
        }
        // The source of an I/O error is that of the error it wraps.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        current = wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

/// Shows the token to the server, and gives what the server answers; shows it again while what came of it is not known. From the first
/// time that the server took it, the token is good for this machine alone.
pub async fn join(invitation: &Invitation, applicant: Applicant) -> Result<Answer, JoinError> {
    let Invitation { token, server } = invitation;
    let Applicant { role, secret: joiner, name, address, port, signing_request, time } = applicant;
    if token.role != role {
        return Err(JoinError::Role { token: token.role, wanted: role });
    }
    let failed = |error: reqwest::Error| JoinError::of_transport(server, &error);
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(pinned_ca::client_config(PinnedCa::new(token.ca_hash.clone())))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(failed)?;
    let (id, secret) = (token.id.clone(), token.secret.clone());
    let request = Request { role, id, secret, joiner, name, address, port, signing_request, time };
    let mut backoff = Backoff::new(PAUSES[0], PAUSES[1]);
    let began = Instant::now();
    loop {
        match ask(&http, invitation, &request).await {
            Err(error) if error.is_open() && began.elapsed() < PATIENCE => {
                tokio::time::sleep(backoff.next_delay()).await;
            }
            answer => return answer,
        }
    }
}

async fn ask(http: &reqwest::Client, invitation: &Invitation, request: &Request) -> Result<Answer, JoinError> {
    let Invitation { token, server } = invitation;
    let failed = |error: reqwest::Error| JoinError::of_transport(server, &error);
    let response = http.post(format!("https://{server}/join")).json(request).send().await.map_err(failed)?;
    let code = response.status().as_u16();
    let body = response.bytes().await.map_err(failed)?;
    if let Error::Status(status) = status_error(code, &body)
        && code >= 400
    {
        return Err(JoinError::Refused(status));
    }
    let broken = |reason: String| JoinError::Broken { server: server.clone(), reason };
    let answer: Answer = serde_json::from_slice(&body).map_err(|error| broken(format!("its answer: {error}")))?;
    match ca_hash(answer.ca.as_bytes()) {
        Ok(found) if found == token.ca_hash => Ok(answer),
        _ => Err(JoinError::ForeignCa { server: server.clone() }),
    }
}

/// The hash by which tokens know a CA: of the first certificate in this PEM.
pub fn ca_hash(ca_pem: &[u8]) -> Result<String, ConfigError> {
    let certificate = CertificateDer::from_pem_slice(ca_pem)
        .map_err(|error| ConfigError::Identity { what: "the cluster's CA certificate", reason: error.to_string() })?;
    Ok(hash(&certificate))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn an_invitation_is_a_token_and_an_address() {
        let token = format!("host.a1.{}.{}", "0a".repeat(16), "f1".repeat(32));
        let read =
            ["@10.0.0.1:6443", "@server.example:6443", "@[fd00::1]:6443", "", "@", "@10.0.0.1", "@:6443", "@a/b:1"]
                .map(|server| match format!("{token}{server}").parse::<Invitation>() {
                    Ok(invitation) => format!("{server} {}\n", invitation.server),
                    Err(error) => format!("{server} error: {error}\n"),
                });
        expect![[r#"
            @10.0.0.1:6443 10.0.0.1:6443
            @server.example:6443 server.example:6443
            @[fd00::1]:6443 [fd00::1]:6443
             error: it should be TOKEN@HOST:PORT: the token, and the address of a server
            @ error: `` is no address of a server: it should be HOST:PORT
            @10.0.0.1 error: `10.0.0.1` is no address of a server: it should be HOST:PORT
            @:6443 error: `:6443` is no address of a server: it should be HOST:PORT
            @a/b:1 error: `a/b:1` is no address of a server: it should be HOST:PORT
        "#]]
        .assert_eq(&read.concat());
        expect!["this is no join token: it should have four parts, ROLE.ID.SECRET.HASH"]
            .assert_eq(&"secret@10.0.0.1:6443".parse::<Invitation>().unwrap_err().to_string());
    }
}
