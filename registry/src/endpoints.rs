//! Where a registry answers, and how it is spoken to.

/// A registry at one address, or a cluster's at any of its API servers'.
#[derive(Clone, Default)]
pub struct Endpoints {
    /// Such as `https://10.0.0.1:6443`; another is asked when one fails.
    pub servers: Vec<String>,
    /// How those that are `https` are spoken to; as any registry, if nothing is said.
    pub tls: Option<rustls::ClientConfig>,
    /// A token to show them.
    pub token: Option<String>,
}

impl Endpoints {
    /// One address, such as `http://127.0.0.1:5000`.
    pub fn at(server: impl Into<String>) -> Endpoints {
        Endpoints { servers: vec![server.into()], ..Endpoints::default() }
    }
}

impl std::fmt::Debug for Endpoints {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token stays out of logs.
        formatter.debug_struct("Endpoints").field("servers", &self.servers).finish_non_exhaustive()
    }
}
