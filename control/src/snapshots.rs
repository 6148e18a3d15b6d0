//! Recent snapshots, kept so that a paged list stays consistent.
