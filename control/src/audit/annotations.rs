//! What the audit event of a request says besides what was asked: annotations, which admission makes.
//!
//! A write that is decided anew is annotated anew: what is there already is not noted twice.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::Value;

/// The annotation that holds what policies found wrong and did not refuse.
const VALIDATION_FAILURE: &str = "validation.policy.admission.k8s.io/validation_failure";

/// Annotations of one request.
#[derive(Debug, Default)]
pub(crate) struct Annotations(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    violations: Vec<Value>,
    /// By key: what each policy, binding and parameter made of it.
    values: BTreeMap<String, Vec<String>>,
}

impl Annotations {
    /// Notes a violation that keeps nothing out.
    pub(crate) fn add_violation(&self, violation: Value) {
        let mut noted = self.0.lock();
        if !noted.violations.contains(&violation) {
            noted.violations.push(violation);
        }
    }

    /// Notes a value; several under one key are joined.
    pub(crate) fn add(&self, key: String, value: String) {
        let mut noted = self.0.lock();
        let values = noted.values.entry(key).or_default();
        if !values.contains(&value) {
            values.push(value);
        }
    }

    /// As the event shows them.
    pub(crate) fn to_map(&self) -> BTreeMap<String, String> {
        let noted = self.0.lock();
        let mut shown: BTreeMap<_, _> =
            noted.values.iter().map(|(key, values)| (key.clone(), values.join(", "))).collect();
        if !noted.violations.is_empty() {
            shown.insert(VALIDATION_FAILURE.to_owned(), Value::from(noted.violations.clone()).to_string());
        }
        shown
    }
}
