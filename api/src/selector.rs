//! Label and field selectors: which objects a list, a watch or a workload means.

use std::fmt;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::object;
use crate::validation;

mod field;
mod parse;

pub use field::{FieldSelector, FieldTerm};

/// Why a selector is none.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct SelectorError(pub(crate) String);

/// What a requirement asks of the label at its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The value is one of these.
    In(Vec<String>),
    /// The value is none of these; a missing label will do.
    NotIn(Vec<String>),
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
    /// The value is a number above this one.
    GreaterThan(i64),
    /// The value is a number below this one.
    LessThan(i64),
}

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What is asked of it.
    pub operator: Operator,
}

impl Requirement {
    /// Whether a label's value, or its absence, will do.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.iter().any(|other| other == value)),
            Operator::NotIn(values) => value.is_none_or(|value| values.iter().all(|other| other != value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan(bound) => number().is_some_and(|number| number > *bound),
            Operator::LessThan(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

/// A label selector: all its requirements must hold; without any it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// The requirements.
    pub requirements: Vec<Requirement>,
    is_nothing: bool,
}

impl LabelSelector {
    /// Matches every object.
    pub fn everything() -> LabelSelector {
        LabelSelector::default()
    }

    /// Matches no object.
    pub fn nothing() -> LabelSelector {
        LabelSelector { requirements: Vec::new(), is_nothing: true }
    }

    /// Parses `a=b,c!=d,e in (x,y),f notin (z),g,!h,i>1,j<2`, the form of `labelSelector=`.
    pub fn parse(text: &str) -> Result<LabelSelector, SelectorError> {
        let requirements = parse::requirements(text)?;
        Ok(LabelSelector { requirements, is_nothing: false })
    }

    /// From `{matchLabels, matchExpressions}`; an empty one matches everything, null matches nothing.
    pub fn from_value(selector: &Value) -> Result<LabelSelector, SelectorError> {
        if selector.is_null() {
            return Ok(LabelSelector::nothing());
        }
        let mut result = match selector.get("matchLabels") {
            Some(labels) => LabelSelector::from_labels(labels)?,
            None => LabelSelector::everything(),
        };
        for expression in object::list_at(selector, &["matchExpressions"]) {
            result.requirements.push(requirement(expression)?);
        }
        Ok(result)
    }

    /// From a plain map of labels, the form of a Service's `spec.selector`.
    pub fn from_labels(labels: &Value) -> Result<LabelSelector, SelectorError> {
        let mut requirements = Vec::new();
        for (key, value) in labels.as_object().into_iter().flatten() {
            let value = value.as_str().ok_or_else(|| SelectorError(format!("the value of {key:?} is no string")))?;
            requirements.push(checked(key, Operator::In(vec![value.to_owned()]))?);
        }
        Ok(LabelSelector { requirements, is_nothing: false })
    }

    /// From `spec.selector` of an object, which is a plain map of labels in the oldest kinds.
    pub fn of_object(object: &Value) -> Result<LabelSelector, SelectorError> {
        let selector = &object["spec"]["selector"];
        match (object::api_version(object), object::kind(object)) {
            ("v1", "ReplicationController" | "Service") => LabelSelector::from_labels(selector),
            _ => LabelSelector::from_value(selector),
        }
    }

    /// Whether it matches everything.
    pub fn is_everything(&self) -> bool {
        !self.is_nothing && self.requirements.is_empty()
    }

    /// Whether an object's labels match.
    pub fn matches(&self, object: &Value) -> bool {
        self.matches_labels(object::metadata(object).and_then(|metadata| metadata.get("labels")?.as_object()))
    }

    /// Whether labels match.
    pub fn matches_labels(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.matches_with(|key| labels?.get(key)?.as_str())
    }

    /// Whether labels match, looked up by a function: for views that keep labels in a form of their own.
    pub fn matches_with<'a>(&self, mut label: impl FnMut(&str) -> Option<&'a str>) -> bool {
        !self.is_nothing && self.requirements.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }

    /// The value a label must have, where there is only one: what an index is asked for.
    pub fn equals(&self, key: &str) -> Option<&str> {
        self.requirements.iter().find_map(|requirement| match &requirement.operator {
            Operator::In(values) if requirement.key == key && values.len() == 1 => Some(values[0].as_str()),
            _ => None,
        })
    }
}

/// Checks a requirement's key and values as Kubernetes does.
fn checked(key: &str, operator: Operator) -> Result<Requirement, SelectorError> {
    if let Some(error) = validation::qualified_name(key).into_iter().next() {
        return Err(SelectorError(format!("key: Invalid value: {key:?}: {error}")));
    }
    if let Operator::In(values) | Operator::NotIn(values) = &operator {
        for (index, value) in values.iter().enumerate() {
            if let Some(error) = validation::label_value(value).into_iter().next() {
                return Err(SelectorError(format!("values[{index}][{key}]: Invalid value: {value:?}: {error}")));
            }
        }
    }
    Ok(Requirement { key: key.to_owned(), operator })
}

/// One of `matchExpressions`.
fn requirement(expression: &Value) -> Result<Requirement, SelectorError> {
    let values: Vec<String> =
        object::list_at(expression, &["values"]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let operator = match (object::str_at(expression, &["operator"]).unwrap_or_default(), values.is_empty()) {
        ("In", false) => Operator::In(values),
        ("NotIn", false) => Operator::NotIn(values),
        ("In" | "NotIn", true) => {
            return Err(SelectorError(
                "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty".to_owned(),
            ));
        }
        ("Exists", true) => Operator::Exists,
        ("DoesNotExist", true) => Operator::DoesNotExist,
        ("Exists" | "DoesNotExist", false) => {
            return Err(SelectorError(
                "values: Invalid value: values set must be empty for exists and does not exist".to_owned(),
            ));
        }
        (other, _) => return Err(SelectorError(format!("{other:?} is not a valid label selector operator"))),
    };
    checked(object::str_at(expression, &["key"]).unwrap_or_default(), operator)
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::In(values) if values.len() == 1 => write!(formatter, "{key}={}", values[0]),
            Operator::In(values) => write!(formatter, "{key} in ({})", values.join(",")),
            Operator::NotIn(values) if values.len() == 1 => write!(formatter, "{key}!={}", values[0]),
            Operator::NotIn(values) => write!(formatter, "{key} notin ({})", values.join(",")),
            Operator::Exists => formatter.write_str(key),
            Operator::DoesNotExist => write!(formatter, "!{key}"),
            Operator::GreaterThan(bound) => write!(formatter, "{key}>{bound}"),
            Operator::LessThan(bound) => write!(formatter, "{key}<{bound}"),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(formatter, "{separator}{requirement}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
