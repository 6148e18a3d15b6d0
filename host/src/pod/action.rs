//! What a probe or a hook does: the four ways to ask a container how it is, and the pause of a hook.
//!
//! Deliberately absent: doing it, and the addresses of pods.

use jiff::SignedDuration;

use crate::inspect::Kind;

/// One thing to do to a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A GET of a path of the pod.
    HttpGet(HttpGet),
    /// Somebody must listen on this port of the pod.
    TcpSocket {
        /// The port.
        port: u16,
    },
    /// A call of `grpc.health.v1.Health/Check` at this port of the pod.
    Grpc {
        /// The port.
        port: u16,
        /// The service that is asked about; empty for the server as a whole.
        service: String,
    },
    /// Another run of the container's program, with these words as its arguments, the first being its name.
    Exec {
        /// At least one.
        words: Vec<String>,
    },
    /// A pause. Only hooks have it.
    Sleep(SignedDuration),
}

/// A GET of a path of the pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpGet {
    /// The port.
    pub port: u16,
    /// The path with its query; begins with a slash.
    pub path: String,
    /// Headers as written. Several of one name are all sent; an empty `Accept` or `User-Agent` leaves that header out.
    pub headers: Vec<(String, String)>,
}

impl Action {
    /// Its field of a probe or hook.
    pub fn field(&self) -> &'static str {
        match self {
            Action::HttpGet(_) => "httpGet",
            Action::TcpSocket { .. } => "tcpSocket",
            Action::Grpc { .. } => "grpc",
            Action::Exec { .. } => "exec",
            Action::Sleep(_) => "sleep",
        }
    }

    /// Why containers of a kind can't do this: reason and way out.
    pub fn refuse_for(&self, kind: Kind) -> Option<&'static str> {
        match self {
            Action::Exec { .. } if kind.is_handler() => {
                Some("a component that answers requests has no program to run; use httpGet, which calls it in process")
            }
            _ => None,
        }
    }
}
