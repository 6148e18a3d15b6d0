//! The checks and additions every write passes, as a chain of pure functions.
