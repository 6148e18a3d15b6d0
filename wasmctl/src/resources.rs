//! Resource words on a command line: `pods`, `po/web`, `deploy web api`, `deployments.apps/web`.
//! Knows the built-in kinds only.

use coracle_api::{kind::Kind, kinds};

use crate::failure::{Failure, Result};

/// One kind, and the names asked for; no names means all.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) kind: &'static Kind,
    pub(crate) names: Vec<String>,
}

/// Parses the positional words of `get`, `describe` and `delete`.
pub(crate) fn parse(words: &[String]) -> Result<Vec<Selection>> {
    let Some(first) = words.first() else {
        return Err(Failure::usage("which resource? give a kind, for example `pods` or `deployment/web`"));
    };
    if first.contains('/') {
        return words.iter().map(|word| parse_pair(word)).collect();
    }
    if let Some(pair) = words[1..].iter().find(|word| word.contains('/')) {
        return Err(Failure::usage(format!("`{pair}` names a kind, but the kind `{first}` was given already")));
    }
    if first == "all" {
        return Ok(kinds::ALL
            .iter()
            .filter(|kind| kind.categories.contains(&"all"))
            .map(|kind| Selection { kind, names: words[1..].to_vec() })
            .collect());
    }
    first.split(',').map(|word| Ok(Selection { kind: find(word)?, names: words[1..].to_vec() })).collect()
}

/// Parses `KIND/NAME`.
pub(crate) fn parse_pair(word: &str) -> Result<Selection> {
    match word.split_once('/') {
        Some((kind, name)) if !name.is_empty() && !name.contains('/') => {
            Ok(Selection { kind: find(kind)?, names: vec![name.to_owned()] })
        }
        _ => Err(Failure::usage(format!("`{word}` is not KIND/NAME, for example `deployment/web`"))),
    }
}

fn find(word: &str) -> Result<&'static Kind> {
    kinds::by_any_name(word).ok_or_else(|| {
        let known: Vec<_> = kinds::ALL.iter().map(|kind| kind.plural).collect();
        Failure::usage(format!("no kind is called `{word}`")).hint(format!("known kinds: {}", known.join(", ")))
    })
}
