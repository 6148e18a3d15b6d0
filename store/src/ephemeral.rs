//! Which keys live in the leader's memory only: their writes cost no disk, and are gone when another member leads. Deliberately absent:
//! copies of them on other members; who asks for them asks the leader.

/// The keys under one prefix, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EphemeralKeys(Option<&'static str>);

impl EphemeralKeys {
    /// The keys that start with `prefix`.
    pub const fn under(prefix: &'static str) -> EphemeralKeys {
        EphemeralKeys(Some(prefix))
    }

    /// Is this one of them?
    pub fn contains(self, key: &str) -> bool {
        self.0.is_some_and(|prefix| key.starts_with(prefix))
    }

    /// Can keys that start with `prefix` be among them?
    pub fn meets(self, prefix: &str) -> bool {
        self.0.is_some_and(|own| own.starts_with(prefix) || prefix.starts_with(own))
    }

    /// The prefix, if there is one.
    pub(crate) fn prefix(self) -> Option<&'static str> {
        self.0
    }
}
