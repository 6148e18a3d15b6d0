//! What a schema says of values, besides their JSON: of which types they are to expressions.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::Type;

/// Describes values.
pub trait Shape: fmt::Debug {
    /// Their type; [`Type::Dyn`] where they may be of several.
    fn value_type(&self) -> Type;

    /// What a text is, where it is described as more than a text.
    fn parse(&self, text: &str) -> Option<Parsed>;

    /// What describes a field by this name, or a map's value under this key.
    fn field(&self, name: &str) -> Option<&dyn Shape>;

    /// What describes a list's items.
    fn items(&self) -> Option<&dyn Shape>;
}

/// What a text stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A moment.
    Timestamp(Timestamp),
    /// A time between moments.
    Duration(SignedDuration),
    /// What was written in base64.
    Bytes(Vec<u8>),
}
