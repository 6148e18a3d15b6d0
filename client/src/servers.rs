//! The servers of one cluster: one is asked until it can't be reached or has no leader, then it is the next one's turn.

use std::sync::{Arc, PoisonError, RwLock};

/// The list, and whose turn it is.
pub(crate) struct Servers(RwLock<Turn>);

struct Turn {
    servers: Vec<Arc<str>>,
    current: usize,
}

impl Servers {
    /// Never empty: the first is asked first.
    pub(crate) fn new(first: &str, others: &[String]) -> Servers {
        let servers = std::iter::once(first).chain(others.iter().map(String::as_str)).map(Arc::from).collect();
        Servers(RwLock::new(Turn { servers, current: 0 }))
    }

    /// Whose turn it is.
    pub(crate) fn current(&self) -> Arc<str> {
        let turn = self.0.read().unwrap_or_else(PoisonError::into_inner);
        turn.servers[turn.current].clone()
    }

    /// All of them, from the one whose turn it is.
    pub(crate) fn in_turn(&self) -> Vec<Arc<str>> {
        let turn = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (later, first) = turn.servers.split_at(turn.current);
        first.iter().chain(later).cloned().collect()
    }

    /// It's the next one's turn, if it still is that of the one that failed: of many requests that failed together, one moves on.
    pub(crate) fn pass(&self, failed: &str) {
        let mut turn = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if *turn.servers[turn.current] == *failed {
            turn.current = (turn.current + 1) % turn.servers.len();
        }
    }

    /// Another list; an empty one changes nothing. Who is asked now is asked on, if it's still there.
    pub(crate) fn replace(&self, servers: &[String]) {
        if servers.is_empty() {
            return;
        }
        let mut turn = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let asked = turn.servers[turn.current].clone();
        turn.current = servers.iter().position(|server| **server == *asked).unwrap_or(0);
        turn.servers = servers.iter().map(|server| server.as_str().into()).collect();
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn turns_pass_on_failure_and_outlast_another_list() {
        let servers = Servers::new("a", &["b".to_owned(), "c".to_owned()]);
        let mut seen = vec![servers.current()];
        for failed in ["b", "a", "a", "b", "c", "a"] {
            servers.pass(failed);
            seen.push(servers.current());
        }
        for list in [vec!["c", "b"], vec![], vec!["d", "e"]] {
            servers.replace(&list.into_iter().map(str::to_owned).collect::<Vec<_>>());
            seen.push(servers.current());
        }
        expect!["a, a, b, b, c, a, b, b, b, d"].assert_eq(&seen.join(", "));
    }
}
