//! The loop that feeds the controllers and writes what they decide.
