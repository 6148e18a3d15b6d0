//! Builds a JSON value from any deserializer while it counts depth and notes duplicate keys.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::DEPTH_MAX;

/// How many duplicates are noted: more help nobody, and each costs memory.
const DUPLICATES_MAX: usize = 100;

/// What is learnt beside the value.
#[derive(Default)]
pub(crate) struct Tree {
    pub(crate) duplicates: Vec<String>,
    pub(crate) is_too_deep: bool,
}

impl Tree {
    pub(crate) fn read<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<Value, D::Error> {
        self.read_within(deserializer, 0)
    }

    /// Reads a value that `depth` objects and lists are around.
    pub(crate) fn read_within<'de, D: Deserializer<'de>>(
        &mut self,
        deserializer: D,
        depth: usize,
    ) -> Result<Value, D::Error> {
        Node { tree: self, depth }.deserialize(deserializer)
    }

    /// Puts `parent` before the paths noted since `from`. Paths grow as the recursion unwinds, so that values without
    /// duplicates pay nothing for them.
    fn prefix(&mut self, from: usize, parent: impl Fn() -> String) {
        for path in &mut self.duplicates[from..] {
            let separator = if path.starts_with('[') { "" } else { "." };
            *path = format!("{}{separator}{path}", parent());
        }
    }
}

struct Node<'a> {
    tree: &'a mut Tree,
    depth: usize,
}

impl Node<'_> {
    fn enter<E: Error>(&mut self) -> Result<usize, E> {
        if self.depth >= DEPTH_MAX {
            self.tree.is_too_deep = true;
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(self.depth + 1)
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that JSON cannot hold"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        let depth = self.enter()?;
        let mut items = Vec::new();
        loop {
            let noted = self.tree.duplicates.len();
            let Some(item) = access.next_element_seed(Node { tree: self.tree, depth })? else { break };
            self.tree.prefix(noted, || format!("[{}]", items.len()));
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        let depth = self.enter()?;
        let mut fields = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let noted = self.tree.duplicates.len();
            let value = access.next_value_seed(Node { tree: self.tree, depth })?;
            self.tree.prefix(noted, || key.clone());
            match fields.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(mut entry) => {
                    if self.tree.duplicates.len() < DUPLICATES_MAX {
                        self.tree.duplicates.push(entry.key().clone());
                    }
                    entry.insert(value);
                }
            }
        }
        Ok(Value::Object(fields))
    }
}
