//! Why a request failed, and what to try: the server's own `Status` where it sent one, the connection's failure otherwise.

use std::error::Error as StdError;

use coracle_api::status::Status;

use crate::config::ConfigError;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused, and said why.
    #[error("{}", .0.message)]
    Status(Box<Status>),
    /// The server could not be reached.
    #[error("cannot reach the API server at {server}: {reason}")]
    Connect {
        /// The server's address.
        server: String,
        /// The innermost reason, such as `Connection refused`.
        reason: String,
        /// Nothing listens there.
        is_refused: bool,
    },
    /// The server did not answer in time.
    #[error("the API server at {server} did not answer within the time limit")]
    TimedOut {
        /// The server's address.
        server: String,
    },
    /// The connection broke in the middle of an answer.
    #[error("the connection to the API server at {server} broke: {reason}")]
    Broken {
        /// The server's address.
        server: String,
        /// The innermost reason.
        reason: String,
    },
    /// All servers of the cluster were asked. None was reached and had a leader to turn to, so nothing was done.
    #[error("none of the cluster's {} API servers can do it: {}", .tried.len(), each(.tried))]
    NoServer {
        /// Each server's address, and what came of asking it.
        tried: Vec<(String, Error)>,
    },
    /// The answer is not what the API promises.
    #[error("the API server's answer to {request} cannot be read: {reason}")]
    Answer {
        /// Method and path.
        request: String,
        /// What was expected and found.
        reason: String,
    },
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Error {
    /// The server's `Status`, where it sent one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Error::Status(status) => Some(status),
            _ => None,
        }
    }

    /// The HTTP status code, where the server sent a `Status`.
    pub fn code(&self) -> Option<u16> {
        self.status().map(|status| status.code)
    }

    /// The object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// The object exists already.
    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(|status| status.code == 409 && status.reason == "AlreadyExists")
    }

    /// The object changed meanwhile, or a precondition does not hold.
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(|status| status.code == 409 && status.reason != "AlreadyExists")
    }

    /// The revision asked for is no longer kept: list again.
    pub fn is_expired(&self) -> bool {
        self.code() == Some(410)
    }

    /// The server was not reached, or the connection broke: nothing is known about what it did.
    pub fn is_connection(&self) -> bool {
        matches!(self, Error::Connect { .. } | Error::TimedOut { .. } | Error::Broken { .. } | Error::NoServer { .. })
    }

    /// What to try, in one line, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Connect { is_refused: true, .. } => Some(
                "is the cluster running? start it with `wasmctl up`, or its members with `wasmctl server`; or name another one with --kubeconfig".to_owned(),
            ),
            Error::Connect { reason, .. } if reason.contains("UnknownIssuer") || reason.contains("BadSignature") => {
                Some(
                    "the server's certificate is from another cluster; use the kubeconfig in its data directory"
                        .to_owned(),
                )
            }
            Error::Connect { reason, .. } | Error::Broken { reason, .. } if reason.contains("CertificateExpired") => {
                Some("the kubeconfig's certificate has expired: use the kubeconfig in the server's data directory, which is renewed".to_owned())
            }
            Error::NoServer { tried } => {
                let is_down = |(_, error): &(String, Error)| matches!(error, Error::Connect { .. });
                match tried.iter().all(is_down) {
                    true => tried.last().and_then(|(_, error)| error.hint()),
                    false => Some(
                        "most of the control plane's members must run and reach each other: look at `wasmctl member list`, and start those that are down"
                            .to_owned(),
                    ),
                }
            }
            Error::Connect { .. } | Error::Broken { .. } => {
                Some("check the address in the kubeconfig, and that the cluster is running".to_owned())
            }
            Error::TimedOut { .. } => {
                Some("the server may be overloaded or have no leader; look at `wasmctl status` and its log".to_owned())
            }
            Error::Status(status) if status.code == 401 => {
                Some("the kubeconfig's certificate or token is not valid for this cluster".to_owned())
            }
            Error::Config(error) => error.hint(),
            Error::Status(_) | Error::Answer { .. } => None,
        }
    }

    /// What came of asking all servers there are; of a single one just that.
    pub(crate) fn none_of(mut tried: Vec<(String, Error)>) -> Error {
        match tried.pop() {
            Some((_, error)) if tried.is_empty() => error,
            last => {
                tried.extend(last);
                Error::NoServer { tried }
            }
        }
    }

    pub(crate) fn transport(server: &str, error: reqwest::Error) -> Error {
        let server = server.to_owned();
        let (reason, is_refused) = innermost(&error);
        if error.is_connect() {
            Error::Connect { server, reason, is_refused }
        } else if error.is_timeout() {
            Error::TimedOut { server }
        } else {
            Error::Broken { server, reason }
        }
    }
}

/// What each server said, or why it can't be reached.
fn each(tried: &[(String, Error)]) -> String {
    let each = tried.iter().map(|(server, error)| match error {
        Error::Connect { reason, .. } => format!("{server}: {reason}"),
        error => format!("{server}: {error}"),
    });
    each.collect::<Vec<_>>().join("; ")
}

/// The innermost error's text, and whether it is a refused connection.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> (String, bool) {
    let mut current = error;
    let mut is_refused = false;
    loop {
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            is_refused |= io.kind() == std::io::ErrorKind::ConnectionRefused;
        }
        match current.source() {
            Some(source) => current = source,
            None => return (without_errno(&current.to_string()), is_refused),
        }
    }
}

fn without_errno(text: &str) -> String {
    text.split(" (os error").next().unwrap_or(text).to_owned()
}
