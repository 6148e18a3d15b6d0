//! The answers, one verb a file.
