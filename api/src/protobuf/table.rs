//! Which kinds have a protobuf form, and which field each number of a message stands for.
//!
//! The types of the fields are not here: they are the schema's.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// The fields of one message, by number.
pub(super) type Fields = HashMap<u32, Field>;

/// What a field number stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A field of the object.
    Named {
        /// Its name in JSON.
        name: &'static str,
        /// Whether its zero value is kept: an empty message, `false`, 0, …, where those aren't the same as no value.
        keeps_zero: bool,
    },
    /// A message whose fields are the object's own in JSON.
    Inlined(Fields),
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let text = include_str!("../../schema/kubernetes-1.36-protobuf.json");
    let Text { kinds, messages }: Text<'static> =
        serde_json::from_str(text).expect("invariant: the embedded table is tested whole");
    Table { kinds, messages: messages.into_iter().map(|(name, rows)| (name, fields(rows))).collect() }
});

struct Table {
    kinds: HashMap<&'static str, &'static str>,
    messages: HashMap<&'static str, Fields>,
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow)]
    kinds: HashMap<&'a str, &'a str>,
    #[serde(borrow)]
    messages: HashMap<&'a str, Rows<'a>>,
}

type Rows<'a> = HashMap<&'a str, Row<'a>>;

#[derive(Deserialize)]
#[serde(untagged)]
enum Row<'a> {
    Named(&'a str),
    #[serde(borrow)]
    Inlined(Rows<'a>),
}

fn fields(rows: Rows<'static>) -> Fields {
    let fields = rows.into_iter().map(|(number, row)| {
        let field = match row {
            Row::Inlined(rows) => Field::Inlined(fields(rows)),
            Row::Named(text) => match text.strip_suffix('!') {
                Some(name) => Field::Named { name, keeps_zero: true },
                None => Field::Named { name: text, keeps_zero: false },
            },
        };
        (number.parse().expect("invariant: fields are numbered"), field)
    });
    fields.collect()
}

/// The name of a kind's definition; `None` where it has no protobuf form.
pub(super) fn definition(api_version: &str, kind: &str) -> Option<&'static str> {
    TABLE.kinds.get(format!("{api_version} {kind}").as_str()).copied()
}

/// The fields of a definition's message; `None` where its form is special.
pub(super) fn message(definition: &str) -> Option<&'static Fields> {
    TABLE.messages.get(definition)
}

/// The names of all definitions that are messages.
#[cfg(test)]
pub(super) fn messages() -> impl Iterator<Item = &'static str> {
    TABLE.messages.keys().copied()
}
