//! What a schema tells expressions of the values it describes, as Kubernetes does.

use super::{Schema, Type, format};
use crate::cel;
use crate::cel::{Parsed, Shape};

impl Shape for Schema {
    fn value_type(&self) -> cel::Type {
        match self.value_type {
            None => cel::Type::Dyn,
            Some(Type::Array) => cel::Type::List,
            Some(Type::Boolean) => cel::Type::Bool,
            Some(Type::Integer) => cel::Type::Int,
            Some(Type::Number) => cel::Type::Double,
            Some(Type::Object) => cel::Type::Map,
            Some(Type::String) => match self.rules.format.as_deref() {
                Some("date-time" | "date") => cel::Type::Timestamp,
                Some("duration") => cel::Type::Duration,
                Some("byte") => cel::Type::Bytes,
                _ => cel::Type::String,
            },
        }
    }

    fn parse(&self, text: &str) -> Option<Parsed> {
        let format = self.rules.format.as_deref().filter(|_| self.value_type == Some(Type::String))?;
        format::parse(format, text)
    }

    fn field(&self, name: &str) -> Option<&dyn Shape> {
        let found = self.properties.get(name).or(self.additional.as_deref())?;
        Some(found)
    }

    fn items(&self) -> Option<&dyn Shape> {
        let items = self.items.as_deref()?;
        Some(items)
    }
}
