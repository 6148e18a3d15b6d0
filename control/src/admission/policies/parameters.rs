//! The objects that a binding hands to its policy as `params`.

use coracle_api::kinds;
use coracle_api::object;
use coracle_api::selector::LabelSelector;
use serde_json::Value;

use super::index::{Binding, Policy};
use super::{Context, Operation};
use crate::objects::decode_record;

/// Each of them; a null where the policy takes none, or the binding names none.
pub(super) fn find(
    policy: &Policy,
    binding: &Binding,
    operation: &Operation<'_>,
    context: &Context<'_>,
) -> Result<Vec<Value>, String> {
    let Context { snapshot, custom_kinds, sealer, .. } = context;
    let (Some((version, name)), Some(reference)) = (&policy.parameter_kind, &binding.parameters) else {
        return Ok(vec![Value::Null]);
    };
    let custom = custom_kinds.by_api_version(version, name);
    let kind = kinds::by_api_version(version, name)
        .or_else(|| custom.map(|custom| custom.kind))
        .ok_or_else(|| format!("failed to find resource referenced by paramKind: '{version}, Kind={name}'"))?;
    let stated = reference.namespace.as_deref();
    let namespace = match (kind.namespaced, stated.or(operation.namespace)) {
        (false, _) if stated.is_some() => {
            return Err("cannot use namespaced paramRef in policy binding for a cluster-scoped paramKind".to_owned());
        }
        (true, None) => {
            return Err(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned()
            );
        }
        (_, namespace) => namespace,
    };
    let records: Vec<_> = match &reference.name {
        Some(name) => snapshot.get(&kind.key(namespace, name)).into_iter().collect(),
        None => snapshot.range(&kind.prefix(namespace), None).cloned().collect(),
    };
    let opened = records.iter().map(|record| sealer.open_record(record).map_err(|error| error.to_string()));
    let objects =
        opened.map(|record| record.map(|record| decode_record(&record))).collect::<Result<Vec<Value>, String>>()?;
    let is_selected = |object: &Value| reference.selector.as_ref().is_none_or(|selector| selector.matches(object));
    let mut found: Vec<Value> = objects.into_iter().filter(is_selected).collect();
    for object in &mut found {
        if let Some(custom) = custom {
            custom.present(object);
        }
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
    }
    if found.is_empty() && reference.is_needed {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    Ok(found)
}

/// A `ParamRef`, read.
#[derive(Debug)]
pub(super) struct Reference {
    name: Option<String>,
    selector: Option<LabelSelector>,
    namespace: Option<String>,
    /// Whether it is an error that there is nothing of the kind.
    is_needed: bool,
}

impl Reference {
    pub(super) fn read(reference: &Value) -> Reference {
        let text = |field: &str| object::str_at(reference, &[field]).filter(|text| !text.is_empty()).map(str::to_owned);
        let selector = reference.get("selector").filter(|selector| selector.is_object());
        Reference {
            name: text("name"),
            // What can't be read selects nothing; the kind's validation keeps it out.
            selector: selector
                .map(|selector| LabelSelector::from_value(selector).unwrap_or_else(|_| LabelSelector::nothing())),
            namespace: text("namespace"),
            is_needed: text("parameterNotFoundAction").as_deref() == Some("Deny"),
        }
    }
}
