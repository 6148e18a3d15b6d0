//! Pure placement of pods on hosts.
