//! Whether they may.
