//! Takes out the fields that a schema does not know.

use serde_json::Value;

use super::{Schema, embedded, join};

/// What every whole object has, whether its schema says so or not.
pub(crate) const OF_RESOURCES: [&str; 3] = ["apiVersion", "kind", "metadata"];

impl Schema {
    /// Takes out the fields it does not know; returns their paths.
    pub fn prune(&self, value: &mut Value) -> Vec<String> {
        let mut removed = Vec::new();
        self.prune_at("", value, &mut removed);
        removed
    }

    fn prune_at(&self, path: &str, value: &mut Value, removed: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.retain(|name, value| {
                let path = join(path, name);
                if self.is_resource && OF_RESOURCES.contains(&name.as_str()) {
                    // That of whole objects is looked at as that of all kinds is.
                    if name == "metadata" && path != name.as_str() {
                        embedded::prune(&path, value, removed);
                    }
                    return true;
                }
                match self.properties.get(name).or(self.additional.as_deref()) {
                    Some(schema) => schema.prune_at(&path, value, removed),
                    None if self.keeps_unknown_fields => {}
                    None => {
                        removed.push(path);
                        return false;
                    }
                }
                true
            }),
            Value::Array(items) => {
                // Items of which nothing is said keep nothing.
                let nothing = Schema { keeps_unknown_fields: self.keeps_unknown_fields, ..Schema::default() };
                let schema = self.items.as_deref().unwrap_or(&nothing);
                for (index, item) in items.iter_mut().enumerate() {
                    schema.prune_at(&format!("{path}[{index}]"), item, removed);
                }
            }
            _ => {}
        }
    }
}
