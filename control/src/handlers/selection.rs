//! Which records a label and a field selector select, read off keys and tags where they suffice.

use std::collections::HashMap;

use coracle_api::kind::Kind;
use coracle_api::selector::{FieldSelector, FieldTerm, LabelSelector};
use coracle_store::{Record, Tag};
use serde::Deserialize;
use serde_json::{Value, json};

/// The records a request is about.
pub(super) struct Selection {
    labels: LabelSelector,
    /// Terms that need the object.
    fields: FieldSelector,
    /// Terms that need the key only.
    key_terms: Vec<FieldTerm>,
    /// Terms that need the tags only, and whether they exclude.
    tags: Vec<(Tag, bool)>,
}

/// The labels of an object, the rest skipped over.
#[derive(Deserialize)]
struct Labelled {
    metadata: Labels,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(default)]
    labels: Option<HashMap<String, String>>,
}

impl Selection {
    pub(super) fn new(kind: &Kind, labels: LabelSelector, fields: FieldSelector) -> Selection {
        let tagged = (kind.tags)(&json!({}));
        let is_tagged =
            |path: &str| tagged.iter().any(|tag| tag.strip_prefix(path).is_some_and(|rest| rest.starts_with('=')));
        let (mut rest, mut key_terms, mut tags) = (Vec::new(), Vec::new(), Vec::new());
        for term in fields.terms {
            if matches!(term.path.as_str(), "metadata.name" | "metadata.namespace") {
                key_terms.push(term);
            } else if is_tagged(&term.path) {
                tags.push((Tag::new(&format!("{}={}", term.path, term.value)), term.is_negated));
            } else {
                rest.push(term);
            }
        }
        Selection { labels, fields: FieldSelector { terms: rest }, key_terms, tags }
    }

    /// Whether every record is selected.
    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything() && self.key_terms.is_empty() && self.tags.is_empty()
    }

    /// A tag that every selected record has.
    pub(super) fn tag(&self) -> Option<Tag> {
        self.tags.iter().find(|(_, is_negated)| !is_negated).map(|(tag, _)| tag.clone())
    }

    /// The one name that is selected, where it's only one.
    pub(super) fn name(&self) -> Option<&str> {
        self.key_terms
            .iter()
            .find(|term| term.path == "metadata.name" && !term.is_negated)
            .map(|term| term.value.as_str())
    }

    pub(super) fn matches(&self, record: &Record) -> bool {
        let has_tags = self.tags.iter().all(|(tag, is_negated)| record.tags.contains(tag) != *is_negated);
        has_tags && self.matches_key(&record.key) && self.matches_labels(record) && self.matches_fields(record)
    }

    fn matches_key(&self, key: &str) -> bool {
        let mut segments = key.split('/').skip(1);
        let (first, second) = (segments.next().unwrap_or_default(), segments.next());
        let (namespace, name) = second.map_or(("", first), |name| (first, name));
        self.key_terms.iter().all(|term| {
            let value = if term.path == "metadata.name" { name } else { namespace };
            (value == term.value) != term.is_negated
        })
    }

    fn matches_labels(&self, record: &Record) -> bool {
        if self.labels.is_everything() {
            return true;
        }
        let labels = serde_json::from_slice::<Labelled>(&record.json).ok().and_then(|object| object.metadata.labels);
        let labels = labels.unwrap_or_default();
        self.labels.matches_with(|key| labels.get(key).map(String::as_str))
    }

    fn matches_fields(&self, record: &Record) -> bool {
        self.fields.is_everything()
            || serde_json::from_slice::<Value>(&record.json).is_ok_and(|object| self.fields.matches(&object))
    }
}
