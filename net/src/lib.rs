//! Routing tables and ingress.
