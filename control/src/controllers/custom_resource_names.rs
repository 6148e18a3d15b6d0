//! Accepts the names that definitions ask for, as far as nothing else in their group has them; then their kinds are served.
//!
//! A name once accepted stays with its definition until that asks for another.

use std::collections::HashMap;

use coracle_api::kind::Kind;
use coracle_api::kinds::custom_resource_definition::Condition;
use coracle_api::kinds::{self, CUSTOM_RESOURCE_DEFINITION};
use coracle_api::{custom, object};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Outcome, update_status};
use crate::driver::view::Object;
use crate::driver::world::World;

/// The owner of each name in each group: of resources in paths, and of kinds in manifests.
#[derive(Default)]
struct Taken {
    resources: HashMap<(String, String), String>,
    kinds: HashMap<(String, String), String>,
}

/// The fields that hold names of resources and of kinds, and the reason when one is taken.
const RESOURCES: [(&str, &str); 3] =
    [("plural", "PluralConflict"), ("singular", "SingularConflict"), ("shortNames", "ShortNamesConflict")];
const KINDS: [(&str, &str); 2] = [("kind", "KindConflict"), ("listKind", "ListKindConflict")];

/// Looks at the names of all definitions.
pub fn reconcile(world: &World, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    let prefix = CUSTOM_RESOURCE_DEFINITION.prefix(None);
    let mut definitions: Vec<(&Object, Value)> =
        world.range(&prefix).map(|definition| (&**definition, definition.decode())).collect();
    definitions.sort_by_key(|(definition, _)| (definition.meta.created, definition.meta.name.clone()));
    let mut taken = Taken::default();
    kinds::ALL.iter().for_each(|kind| taken.take_built_in(kind));
    for (_, value) in &definitions {
        taken.take(value, &value["status"]["acceptedNames"]);
    }
    for (definition, mut value) in definitions {
        let former = value["status"].clone();
        if definition.meta.deleting.is_none() {
            accept(&mut value, &mut taken, now);
        }
        if value["status"] != former {
            outcome.write(update_status(definition, value["status"].take()));
        }
    }
    outcome
}

/// Notes in a definition's status which of its names it can have, and whether its kind is served.
fn accept(definition: &mut Value, taken: &mut Taken, now: Timestamp) {
    let was_established = custom::is_established(definition);
    let asked = definition["spec"]["names"].clone();
    let mut accepted = definition["status"]["acceptedNames"].clone();
    let mut conflict = None;
    for (field, reason) in RESOURCES.into_iter().chain(KINDS) {
        match names(&asked, field).find(|name| taken.is_others(definition, field, name)) {
            Some(name) => conflict = Some((reason, format!("{name:?} is already in use"))),
            None => set(&mut accepted, field, &asked[field]),
        }
    }
    set(&mut accepted, "categories", &asked["categories"]);
    taken.take(definition, &accepted);
    object::child_mut(definition, "status").insert("acceptedNames".to_owned(), accepted);
    let (reason, message) = match &conflict {
        Some((reason, message)) => (*reason, message.as_str()),
        None => ("NoConflicts", "no conflicts found"),
    };
    Condition { name: "NamesAccepted", holds: conflict.is_none(), reason, message }.set(definition, now);
    let (holds, reason, message) = match (was_established, conflict) {
        (true, _) => return,
        (false, None) => (true, "InitialNamesAccepted", "the initial names have been accepted"),
        (false, Some(_)) => (false, "NotAccepted", "not all names are accepted"),
    };
    Condition { name: "Established", holds, reason, message }.set(definition, now);
}

fn set(names: &mut Value, field: &str, value: &Value) {
    match value {
        Value::Null => drop(names.as_object_mut().and_then(|names| names.remove(field))),
        value => names[field] = value.clone(),
    }
}

/// The names in a field: one, or several.
fn names<'a>(names: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    let found = names.get(field);
    let several = found.and_then(Value::as_array).into_iter().flatten();
    found.into_iter().chain(several).filter_map(Value::as_str).filter(|name| !name.is_empty())
}

impl Taken {
    fn take_built_in(&mut self, kind: &Kind) {
        let names = json!({
            "plural": kind.plural, "singular": kind.singular, "shortNames": kind.short_names,
            "kind": kind.kind, "listKind": format!("{}List", kind.kind),
        });
        self.note(kind.group, "", &names);
    }

    fn take(&mut self, definition: &Value, accepted: &Value) {
        let group = object::str_at(definition, &["spec", "group"]).unwrap_or_default();
        self.note(group, object::name(definition), accepted);
    }

    fn note(&mut self, group: &str, owner: &str, accepted: &Value) {
        for (fields, names_taken) in [(&RESOURCES[..], &mut self.resources), (&KINDS, &mut self.kinds)] {
            for name in fields.iter().flat_map(|(field, _)| names(accepted, field)) {
                names_taken.entry((group.to_owned(), name.to_owned())).or_insert_with(|| owner.to_owned());
            }
        }
    }

    fn is_others(&self, definition: &Value, field: &str, name: &str) -> bool {
        let group = object::str_at(definition, &["spec", "group"]).unwrap_or_default();
        let is_kind = KINDS.iter().any(|(kind, _)| *kind == field);
        let names_taken = if is_kind { &self.kinds } else { &self.resources };
        let owner = names_taken.get(&(group.to_owned(), name.to_owned()));
        owner.is_some_and(|owner| owner != object::name(definition))
    }
}

#[cfg(test)]
mod tests;
