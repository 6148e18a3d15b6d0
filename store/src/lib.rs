//! Replicated, revisioned, watchable keys.
