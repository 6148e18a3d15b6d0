//! The controllers: pure reconcilers, one a file.
