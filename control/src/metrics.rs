//! The figures at /metrics.
