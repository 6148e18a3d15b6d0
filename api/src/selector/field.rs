//! Field selectors: `metadata.name=x,spec.nodeName!=y`.

use std::borrow::Cow;

use serde_json::Value;

use super::SelectorError;

/// Fields that are selected by another name than they have, and what they read as where they are missing.
const RENAMED: &[(&str, &str, &str)] = &[("status.successful", "status.succeeded", "0")];

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// The field's path, `spec.nodeName`.
    pub path: String,
    /// The value compared with.
    pub value: String,
    /// Whether the field must not have the value.
    pub is_negated: bool,
}

/// A field selector: all its terms must hold; a missing field counts as the empty string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    /// The terms.
    pub terms: Vec<FieldTerm>,
}

impl FieldSelector {
    /// Parses `a.b=x,c.d!=y`; a backslash takes `,`, `=` and `\` as they are.
    pub fn parse(text: &str) -> Result<FieldSelector, SelectorError> {
        let mut terms = Vec::new();
        for part in split(text, b',') {
            if part.is_empty() {
                continue;
            }
            let invalid = || SelectorError(format!("invalid selector: '{text}'; can't understand '{part}'"));
            let position = part.find('=').ok_or_else(invalid)?;
            let is_negated = part[..position].ends_with('!');
            let path = &part[..position - usize::from(is_negated)];
            let rest = &part[position + 1..];
            let rest = if is_negated { rest } else { rest.strip_prefix('=').unwrap_or(rest) };
            terms.push(FieldTerm { path: path.to_owned(), value: unescape(rest)?, is_negated });
        }
        Ok(FieldSelector { terms })
    }

    /// Whether it matches everything.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The value a field must have: what an index is asked for.
    pub fn equals(&self, path: &str) -> Option<&str> {
        self.terms.iter().find(|term| !term.is_negated && term.path == path).map(|term| term.value.as_str())
    }

    /// Whether every term's field is one of those a kind supports, `metadata.name` and `metadata.namespace` included.
    pub fn check(&self, supported: &[&str]) -> Result<(), SelectorError> {
        let always = ["metadata.name", "metadata.namespace"];
        let Some(term) = self
            .terms
            .iter()
            .find(|term| !always.contains(&term.path.as_str()) && !supported.contains(&term.path.as_str()))
        else {
            return Ok(());
        };
        let extra = supported.iter().filter(|path| !always.contains(path));
        let known: Vec<String> = always.iter().chain(extra).map(|path| format!("{path:?}")).collect();
        Err(SelectorError(format!("{:?} is not a known field selector: only {}", term.path, known.join(", "))))
    }

    /// Whether an object's fields match.
    pub fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|term| {
            let renamed = RENAMED.iter().find(|(name, ..)| *name == term.path);
            let (path, missing) = renamed.map_or((term.path.as_str(), ""), |(_, path, missing)| (path, missing));
            let value = path.split('.').try_fold(object, |value, field| value.get(field)).map(text);
            (value.as_deref().unwrap_or(missing) == term.value.as_str()) != term.is_negated
        })
    }
}

fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed(""),
        other => Cow::Owned(other.to_string()),
    }
}

/// Splits at a byte that no backslash stands before.
fn split(text: &str, separator: u8) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut is_escaped) = (0, false);
    for (index, byte) in text.bytes().enumerate() {
        if is_escaped {
            is_escaped = false;
        } else if byte == b'\\' {
            is_escaped = true;
        } else if byte == separator {
            parts.push(&text[start..index]);
            start = index + 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unescape(text: &str) -> Result<String, SelectorError> {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => result.push(escaped),
                other => {
                    let sequence: String = ['\\'].into_iter().chain(other).collect();
                    return Err(SelectorError(format!("invalid field selector: invalid escape sequence: {sequence}")));
                }
            },
            ',' | '=' => {
                return Err(SelectorError(format!(
                    "invalid field selector: unescaped character in value: {character}"
                )));
            }
            other => result.push(other),
        }
    }
    Ok(result)
}
