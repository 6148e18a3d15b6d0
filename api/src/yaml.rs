//! YAML: files of any number of documents in, one document out.
//!
//! JSON is YAML, so files of either kind are read, also JSON objects one after the other. Aliases are followed within the
//! parser's budget, which stops alias bombs.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use thiserror::Error;

use crate::decode::{DEPTH_MAX, Tree, type_name};

/// Why a file is no sequence of objects.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum YamlError {
    /// Not YAML, or not JSON where the file starts as JSON does.
    #[error("{0}")]
    Syntax(String),
    /// A field is there twice.
    #[error("document {document}: duplicate field {path:?}")]
    Duplicate {
        /// Counted from 1, empty documents left out.
        document: usize,
        /// The field's path.
        path: String,
    },
    /// A document that is no object.
    #[error("document {document}: expected an object, found {found}")]
    NotAnObject {
        /// Counted from 1, empty documents left out.
        document: usize,
        /// What it is.
        found: &'static str,
    },
}

#[derive(Debug)]
struct Document {
    value: Value,
    duplicates: Vec<String>,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Document, D::Error> {
        let mut tree = Tree::default();
        let value = tree.read(deserializer)?;
        Ok(Document { value, duplicates: tree.duplicates })
    }
}

/// All objects of a file; empty documents are left out.
pub fn parse_all(text: &str) -> Result<Vec<Value>, YamlError> {
    let documents: Vec<Document> = if text.trim_start().starts_with('{') {
        let documents: Result<_, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
        documents.or_else(|json| parse(text).map_err(|_| YamlError::Syntax(json.to_string())))?
    } else {
        parse(text).map_err(YamlError::Syntax)?
    };
    let mut values = Vec::with_capacity(documents.len());
    for (index, document) in documents.into_iter().filter(|document| !document.value.is_null()).enumerate() {
        if let Some(path) = document.duplicates.into_iter().next() {
            return Err(YamlError::Duplicate { document: index + 1, path });
        }
        if !document.value.is_object() {
            return Err(YamlError::NotAnObject { document: index + 1, found: type_name(&document.value) });
        }
        values.push(document.value);
    }
    Ok(values)
}

/// The one document of a request's body.
pub(crate) fn parse_one(body: &[u8], tree: &mut Tree) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    serde_saphyr::with_deserializer_from_str_with_options(text, options(), |deserializer| tree.read(deserializer))
        .map_err(|error| match error {
            serde_saphyr::Error::MultipleDocuments { location, .. } => {
                format!("line {}: a second document where one is expected", location.line())
            }
            other => other.to_string(),
        })
}

fn parse(text: &str) -> Result<Vec<Document>, String> {
    serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| error.to_string())
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX + 1, max_documents: 10_000 },
    }
}

/// An object as a YAML document, lists as kubectl indents them.
pub fn to_yaml(value: &Value) -> String {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(value, options).expect("invariant: every JSON value has a YAML form")
}

#[cfg(test)]
mod tests;
