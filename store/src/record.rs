//! What is stored under a key. Deliberately absent: any knowledge of what the bytes mean.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The number of a change; revisions only grow, also across restarts and changes of leader.
pub type Revision = u64;

/// An opaque index tag attached by the writer, such as `spec.nodeName=h1`; watches may ask for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tag(Arc<str>);

impl Tag {
    /// Makes a tag of any text.
    pub fn new(text: &str) -> Tag {
        Tag(text.into())
    }

    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key's value at one revision. Records are shared and never change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The key.
    pub key: Arc<str>,
    /// The object's JSON without `resourceVersion`.
    pub json: Bytes,
    /// Where in `json` the revision is spliced in: just after `"metadata":{`.
    pub splice_offset: u32,
    /// The tags its writer attached.
    pub tags: Arc<[Tag]>,
    /// The revision that wrote it.
    pub revision: Revision,
}

impl Record {
    /// The JSON with `"resourceVersion":"N"` spliced in.
    pub fn to_json(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.json.len() + 42);
        self.append_json(&mut out);
        out.into()
    }

    /// Appends the JSON with `"resourceVersion":"N"` spliced in.
    pub fn append_json(&self, out: &mut Vec<u8>) {
        let (before, after) = self.json.split_at((self.splice_offset as usize).min(self.json.len()));
        out.extend_from_slice(before);
        out.extend_from_slice(br#""resourceVersion":""#);
        out.extend_from_slice(self.revision.to_string().as_bytes());
        // An object whose metadata is otherwise empty must not get a trailing comma.
        out.extend_from_slice(if after.first() == Some(&b'}') { b"\"" } else { b"\"," });
        out.extend_from_slice(after);
    }

    /// Bytes that the record holds in memory, roughly.
    pub(crate) fn weight(&self) -> usize {
        self.json.len() + self.key.len() + 128
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(json: &'static str, offset: u32, expected: Expect) {
        let record = Record {
            key: "pods/a/b".into(),
            json: Bytes::from_static(json.as_bytes()),
            splice_offset: offset,
            tags: [].into(),
            revision: 42,
        };
        expected.assert_eq(std::str::from_utf8(&record.to_json()).unwrap());
    }

    #[test]
    fn revision_is_spliced_in() {
        check(r#"{"metadata":{"name":"b"}}"#, 13, expect![[r#"{"metadata":{"resourceVersion":"42","name":"b"}}"#]]);
        check(r#"{"metadata":{}}"#, 13, expect![[r#"{"metadata":{"resourceVersion":"42"}}"#]]);
    }
}
