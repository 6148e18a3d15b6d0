//! Names made up by the cluster: the same decision always makes the same name, so that a retry can't create twice.
//!
//! Deliberately absent: randomness. A caller that wants an unpredictable name passes a random seed to [`suffix`].

use serde_json::Value;

/// Consonants and digits that can't spell words or be mistaken for each other.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
const SUFFIXES: u64 = 27u64.pow(SUFFIX_LENGTH as u32);
/// Coprime with 27, so that consecutive ordinals never share a suffix.
const STRIDE: u64 = 8_867_869;
const TEMPLATE_HASH_LENGTH: usize = 7;
const NAME_LENGTH_MAX: usize = 63;

/// The label that tells the pods of one template from those of another.
pub const POD_TEMPLATE_HASH_LABEL: &str = "pod-template-hash";

/// The name of the `ordinal`-th object that an owner decided to make at a revision: `prefix` and five characters.
///
/// Ordinals of one owner and revision never share a name; a long prefix is cut so that the name is a label.
pub fn generated_name(prefix: &str, owner_uid: &str, revision: u64, ordinal: u64) -> String {
    let mut hash = Hash::new();
    hash.write(owner_uid.as_bytes());
    hash.write(&revision.to_le_bytes());
    let start = hash.finish() % SUFFIXES;
    with_suffix(prefix, &encode((start + ordinal % SUFFIXES * STRIDE) % SUFFIXES, SUFFIX_LENGTH))
}

/// The name for a `generateName` prefix and a seed.
pub fn seeded_name(prefix: &str, seed: u64) -> String {
    with_suffix(prefix, &suffix(seed))
}

/// Five characters that stand for a seed.
pub fn suffix(seed: u64) -> String {
    let mut hash = Hash::new();
    hash.write(&seed.to_le_bytes());
    encode(hash.finish() % SUFFIXES, SUFFIX_LENGTH)
}

/// What tells this pod template from others: equal for equal content, whatever the order of fields; nulls and the
/// hash's own label don't count.
pub fn pod_template_hash(template: &Value) -> String {
    let mut hash = Hash::new();
    hash.write_value(template);
    encode(hash.finish(), TEMPLATE_HASH_LENGTH)
}

fn with_suffix(prefix: &str, suffix: &str) -> String {
    let mut end = prefix.len().min(NAME_LENGTH_MAX - suffix.len());
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &prefix[..end])
}

fn encode(mut number: u64, length: usize) -> String {
    let mut text = String::with_capacity(length);
    for _ in 0..length {
        text.push(char::from(ALPHABET[(number % 27) as usize]));
        number /= 27;
    }
    text
}

/// FNV-1a, 64 bits, mixed at the end: its value is part of names, so it must never change.
struct Hash(u64);

impl Hash {
    fn new() -> Hash {
        Hash(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // Ends each piece, so that ("ab", "c") and ("a", "bc") differ.
        self.0 = (self.0 ^ 0xff).wrapping_mul(0x0100_0000_01b3);
    }

    fn write_value(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                let mut fields: Vec<(&String, &Value)> = map
                    .iter()
                    .filter(|(key, value)| !value.is_null() && key.as_str() != POD_TEMPLATE_HASH_LABEL)
                    .collect();
                fields.sort_unstable_by_key(|(key, _)| *key);
                self.write(b"{");
                for (key, value) in fields {
                    self.write(key.as_bytes());
                    self.write_value(value);
                }
                self.write(b"}");
            }
            Value::Array(items) => {
                self.write(b"[");
                items.iter().for_each(|item| self.write_value(item));
                self.write(b"]");
            }
            Value::String(text) => {
                self.write(b"\"");
                self.write(text.as_bytes());
            }
            other => self.write(other.to_string().as_bytes()),
        }
    }

    fn finish(&self) -> u64 {
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::HashSet;

    #[test]
    fn names_are_pinned() {
        let names = [
            generated_name("web-", "a-uid", 7, 0),
            generated_name("web-", "a-uid", 7, 1),
            generated_name("web-", "a-uid", 8, 0),
            generated_name("web-", "b-uid", 7, 0),
            seeded_name(&"x".repeat(80), 1),
            pod_template_hash(&json!({"spec": {"containers": [{"name": "c", "image": "x"}]}})),
        ];
        expect![[r#"
            web-pfjtc
            web-bt2jx
            web-k7szv
            web-p5lgj
            xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx7hrrt
            jvvdc52"#]]
        .assert_eq(&names.join("\n"));
    }

    #[test]
    fn a_template_hash_sees_content_only() {
        let hash = |text: &str| pod_template_hash(&serde_json::from_str(text).unwrap());
        let base = hash(r#"{"metadata":{"labels":{"app":"a"}},"spec":{"n":1,"s":"x"}}"#);
        let same = [
            r#"{"spec":{"s":"x","n":1},"metadata":{"labels":{"app":"a"}}}"#,
            r#"{"metadata":{"creationTimestamp":null,"labels":{"app":"a","pod-template-hash":"z"}},"spec":{"n":1,"s":"x"}}"#,
        ];
        for text in same {
            assert_eq!(hash(text), base, "{text}");
        }
        let other = [
            r#"{"metadata":{"labels":{"app":"b"}},"spec":{"n":1,"s":"x"}}"#,
            r#"{"metadata":{"labels":{"app":"a"}},"spec":{"n":"1","s":"x"}}"#,
            r#"{"metadata":{"labels":{"app":"a"}},"spec":{"n":1,"s":["x"]}}"#,
        ];
        for text in other {
            assert_ne!(hash(text), base, "{text}");
        }
    }

    #[test]
    fn siblings_never_share_a_name() {
        let names: HashSet<String> = (0..10_000).map(|ordinal| generated_name("p-", "uid", 3, ordinal)).collect();
        assert_eq!(names.len(), 10_000);
    }

    proptest! {
        #[test]
        fn names_are_labels(prefix in "[a-z]([a-z0-9-]{0,80})", uid in ".*", revision: u64, ordinal: u64) {
            let name = generated_name(&prefix, &uid, revision, ordinal);
            prop_assert!(crate::validation::dns1123_label(&name).is_empty(), "{name}");
        }
    }
}
