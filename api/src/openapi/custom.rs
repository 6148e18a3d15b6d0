//! The definitions of kinds that users define: their schemas as they were written, and what all objects have.

use serde_json::{Map, Value, json};

use super::{META, REFERENCE};
use crate::custom::CustomKind;
use crate::object;

const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object.";
const KIND: &str = "Kind is a string value representing the REST resource this object represents.";

/// Adds the definitions of a kind and of its lists.
pub(super) fn add_schemas(schemas: &mut Map<String, Value>, custom: &CustomKind) {
    let kind = custom.kind;
    let names = |kind_name: &str| json!([{ "group": kind.group, "version": kind.version, "kind": kind_name }]);
    let reference = |name: &str| json!({ "$ref": format!("{REFERENCE}{name}") });
    let text = |description: &str| json!({ "type": "string", "description": description });

    let mut schema = custom.schema_text.clone();
    schema["x-kubernetes-group-version-kind"] = names(kind.kind);
    let properties = object::child_mut(&mut schema, "properties");
    properties.insert("apiVersion".to_owned(), text(API_VERSION));
    properties.insert("kind".to_owned(), text(KIND));
    let metadata = json!({
        "description": "Standard object's metadata.",
        "default": {},
        "allOf": [reference(&format!("{META}ObjectMeta"))],
    });
    properties.insert("metadata".to_owned(), metadata);
    schemas.insert(kind.definition.to_owned(), schema);

    let list = json!({
        "description": format!("{} is a list of {}", custom.list_kind, kind.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": text(API_VERSION),
            "kind": text(KIND),
            "metadata": { "description": "Standard list metadata.", "allOf": [reference(&format!("{META}ListMeta"))] },
            "items": { "description": format!("List of {}.", kind.plural), "type": "array", "items": reference(kind.definition) },
        },
        "x-kubernetes-group-version-kind": names(&custom.list_kind),
    });
    schemas.insert(format!("{}List", kind.definition), list);
}
