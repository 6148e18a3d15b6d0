//! Fills in defaults.

use serde_json::Value;

use super::Schema;

impl Schema {
    /// Fills in what is missing, and what is null and may not be; idempotent.
    pub fn fill_defaults(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, schema) in &self.properties {
                    let is_missing = |value: &Value| value.is_null() && !schema.is_nullable;
                    if let Some(default) = schema.default.as_ref().filter(|_| fields.get(name).is_none_or(is_missing)) {
                        fields.insert(name.clone(), default.clone());
                    }
                }
                for (name, value) in fields {
                    if let Some(schema) = self.properties.get(name).or(self.additional.as_deref()) {
                        schema.fill_defaults(value);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.fill_defaults(item));
                }
            }
            _ => {}
        }
    }
}
