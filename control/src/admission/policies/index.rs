//! The policies of one moment that are bound, compiled, with their bindings: made anew when one of either changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_api::kinds::validating_admission_policy::Expressions;
use coracle_api::kinds::{VALIDATING_ADMISSION_POLICY, VALIDATING_ADMISSION_POLICY_BINDING};
use coracle_api::object;
use coracle_store::{Revision, Snapshot};
use serde_json::Value;

use super::parameters::Reference;
use super::rules::MatchResources;
use crate::objects::decode_record;

/// The policies that are bound.
#[derive(Debug, Default)]
pub(crate) struct Index {
    stamp: [Revision; 2],
    /// By name, each compiled once a revision.
    compiled: BTreeMap<String, (Revision, Arc<Compiled>)>,
    bound: Vec<Policy>,
}

/// What a policy says by itself.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) name: String,
    pub(super) expressions: Expressions,
    pub(super) constraints: MatchResources,
    /// Whether what can't be decided is refused.
    pub(super) fails_closed: bool,
    /// The `apiVersion` and `kind` of its parameters.
    pub(super) parameter_kind: Option<(String, String)>,
}

/// A policy that is bound.
#[derive(Debug)]
pub(super) struct Policy {
    compiled: Arc<Compiled>,
    pub(super) bindings: Vec<Binding>,
}

impl std::ops::Deref for Policy {
    type Target = Compiled;

    fn deref(&self) -> &Compiled {
        &self.compiled
    }
}

/// A binding, read.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) name: String,
    pub(super) actions: Vec<String>,
    pub(super) resources: Option<MatchResources>,
    pub(super) parameters: Option<Reference>,
}

impl Binding {
    fn read(name: &str, spec: &Value) -> Binding {
        let part = |field: &str| spec.get(field).filter(|part| part.is_object());
        let actions = object::list_at(spec, &["validationActions"]).iter().filter_map(Value::as_str);
        Binding {
            name: name.to_owned(),
            actions: actions.map(str::to_owned).collect(),
            resources: part("matchResources").map(MatchResources::read),
            parameters: part("paramRef").map(Reference::read),
        }
    }

    pub(super) fn has(&self, action: &str) -> bool {
        self.actions.iter().any(|found| found == action)
    }
}

impl Compiled {
    fn read(name: &str, spec: &Value) -> Compiled {
        // What doesn't compile was kept out when it was written.
        let expressions = Expressions::compile(spec, &mut Vec::new());
        let parameter_kind = spec.get("paramKind").filter(|kind| kind.is_object()).map(|stated| {
            let text = |field: &str| object::str_at(stated, &[field]).unwrap_or_default().to_owned();
            (text("apiVersion"), text("kind"))
        });
        Compiled {
            name: name.to_owned(),
            expressions,
            constraints: MatchResources::read(&spec["matchConstraints"]),
            fails_closed: object::str_at(spec, &["failurePolicy"]) != Some("Ignore"),
            parameter_kind,
        }
    }
}

impl Index {
    /// Tells apart the moments between which a policy or a binding changed.
    pub(super) fn stamp(snapshot: &Snapshot) -> [Revision; 2] {
        [&VALIDATING_ADMISSION_POLICY, &VALIDATING_ADMISSION_POLICY_BINDING]
            .map(|kind| snapshot.changed(&kind.resource()))
    }

    pub(super) fn is_of(&self, stamp: [Revision; 2]) -> bool {
        self.stamp == stamp
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bound.is_empty()
    }

    pub(super) fn policies(&self) -> &[Policy] {
        &self.bound
    }

    /// The index of a moment; a policy that didn't change since the previous one isn't compiled again.
    pub(super) fn build(snapshot: &Snapshot, previous: &Index) -> Index {
        let mut bindings = BTreeMap::<String, Vec<Binding>>::new();
        for record in snapshot.range(&VALIDATING_ADMISSION_POLICY_BINDING.prefix(None), None) {
            let object = decode_record(record);
            let policy = object::str_at(&object, &["spec", "policyName"]).unwrap_or_default();
            let binding = Binding::read(object::name(&object), &object["spec"]);
            bindings.entry(policy.to_owned()).or_default().push(binding);
        }
        let mut index = Index { stamp: Index::stamp(snapshot), ..Index::default() };
        for record in snapshot.range(&VALIDATING_ADMISSION_POLICY.prefix(None), None) {
            let name = record.key.rsplit('/').next().unwrap_or_default();
            let known = previous.compiled.get(name).filter(|(revision, _)| *revision == record.revision);
            let compiled = match known {
                Some((_, compiled)) => Arc::clone(compiled),
                None => Arc::new(Compiled::read(name, &decode_record(record)["spec"])),
            };
            index.compiled.insert(name.to_owned(), (record.revision, Arc::clone(&compiled)));
            if let Some(bindings) = bindings.remove(name) {
                index.bound.push(Policy { compiled, bindings });
            }
        }
        index
    }
}
