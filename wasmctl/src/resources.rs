//! Resource words on a command line, `pods`, `po/web`, `deploy web api`, `widgets.example.com/one`, and the kinds that they and manifests mean.

use std::cell::Cell;
use std::collections::HashSet;

use coracle_api::{kind::Kind, kinds};
use coracle_client::Client;
use serde_json::Value;

use crate::failure::{Failure, Result};

/// The kinds that a cluster has: those that are built in and, as soon as none of them is meant, all others that it serves.
pub(crate) struct KnownKinds {
    client: Client,
    /// What the server said last; nothing before it was asked.
    served: Cell<&'static [Kind]>,
}

/// One kind, and the names asked for; no names means all.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) kind: &'static Kind,
    pub(crate) names: Vec<String>,
}

impl KnownKinds {
    /// Those of the client's cluster.
    pub(crate) fn new(client: &Client) -> KnownKinds {
        KnownKinds { client: client.clone(), served: Cell::new(&[]) }
    }

    /// Parses the positional words of `get`, `describe` and `delete`.
    pub(crate) async fn parse(&self, words: &[String]) -> Result<Vec<Selection>> {
        let Some(first) = words.first() else {
            return Err(Failure::usage("which resource? give a kind, for example `pods` or `deployment/web`"));
        };
        let mut selections = Vec::new();
        if first.contains('/') {
            for word in words {
                selections.push(self.parse_pair(word).await?);
            }
            return Ok(selections);
        }
        if let Some(pair) = words[1..].iter().find(|word| word.contains('/')) {
            return Err(Failure::usage(format!("`{pair}` names a kind, but the kind `{first}` was given already")));
        }
        for word in first.split(',') {
            let selection = |kind| Selection { kind, names: words[1..].to_vec() };
            selections.extend(self.called(word).await?.into_iter().map(selection));
        }
        Ok(selections)
    }

    /// Parses `KIND/NAME`.
    pub(crate) async fn parse_pair(&self, word: &str) -> Result<Selection> {
        let pair = word.split_once('/').filter(|(_, name)| !name.is_empty() && !name.contains('/'));
        let usage = || Failure::usage(format!("`{word}` is not KIND/NAME, for example `deployment/web`"));
        let (kind, name) = pair.ok_or_else(usage)?;
        match self.called(kind).await?.as_slice() {
            [kind] => Ok(Selection { kind, names: vec![name.to_owned()] }),
            _ => Err(Failure::usage(format!("`{kind}` means several kinds; name one of them"))),
        }
    }

    /// The kind of a manifest's object.
    pub(crate) async fn of(&self, object: &Value) -> Result<&'static Kind> {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let name = object["kind"].as_str().unwrap_or_default();
        let found = self.find(|kind| kind.kind == name && kind.api_version() == api_version).await?;
        found.ok_or_else(|| {
            Failure::new(format!("no kind `{name}` in `{api_version}` here"))
                .hint("`kubectl api-resources` lists what is; one that is defined takes a moment to be served")
        })
    }

    /// The kind of this name, or those of a category, such as `all`.
    async fn called(&self, word: &str) -> Result<Vec<&'static Kind>> {
        if let Some(kind) = self.find(|kind| kind.is_called(word)).await? {
            return Ok(vec![kind]);
        }
        // The server has just been asked. Of several versions the first is meant.
        let mut seen = HashSet::new();
        let served = self.served.get().iter().filter(|kind| seen.insert((kind.group, kind.plural)));
        let served: Vec<&'static Kind> = served.collect();
        let in_category: Vec<_> = served.iter().copied().filter(|kind| kind.categories.contains(&word)).collect();
        if in_category.is_empty() {
            let known: Vec<_> = served.iter().map(|kind| kind.plural).collect();
            let failure = Failure::usage(format!("no kind is called `{word}`"));
            return Err(failure.hint(format!("known kinds: {}", known.join(", "))));
        }
        Ok(in_category)
    }

    /// Asks the server only where nothing that is known is meant, and then anew: users define kinds at any time.
    async fn find(&self, is_meant: impl Fn(&Kind) -> bool) -> Result<Option<&'static Kind>> {
        let mut known = kinds::ALL.iter().copied().chain(self.served.get());
        if let Some(kind) = known.find(|kind| is_meant(kind)) {
            return Ok(Some(kind));
        }
        self.served.set(Vec::leak(self.client.kinds().await?));
        Ok(self.served.get().iter().find(|kind| is_meant(kind)))
    }
}
