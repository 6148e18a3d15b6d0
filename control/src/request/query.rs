//! Query parameters. Unknown ones are ignored, as in Kubernetes.

use axum::extract;
use coracle_api::kind::Kind;
use coracle_api::selector::{FieldSelector, LabelSelector};
use coracle_api::status::{self, Status};
use coracle_api::validation::FieldError;
use coracle_store::Revision;
use http::Uri;

use crate::objects::{DeleteOptions, FieldValidation, Propagation, WriteOptions};

/// The query parameters of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(crate) fn parse(uri: &Uri) -> Query {
        let pairs = extract::Query::try_from_uri(uri).map(|extract::Query(pairs)| pairs).unwrap_or_default();
        Query { pairs }
    }

    /// A parameter; given twice, the first counts, and an empty one counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// A flag; present without a value counts as set.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.pairs.iter().any(|(key, value)| key == name && !matches!(value.as_str(), "false" | "0"))
    }

    /// The parameters of these names, in their order.
    pub(crate) fn only<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        let pairs = self.pairs.iter().filter(|(key, _)| names.contains(&key.as_str()));
        pairs.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub(crate) fn is_watch(&self) -> bool {
        self.flag("watch")
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| status::bad_request(format!("invalid value {text:?} for {name}: not a whole number")))
        };
        self.get(name).map(parse).transpose()
    }

    /// `resourceVersion`; `None` when absent.
    pub(crate) fn revision(&self) -> Result<Option<Revision>, Status> {
        let parse = |text: &str| {
            let invalid = FieldError::invalid("resourceVersion", text, "must be a whole number");
            text.parse().map_err(|_| status::invalid_options("meta.k8s.io", "ListOptions", "", &[invalid]))
        };
        self.get("resourceVersion").map(parse).transpose()
    }

    pub(crate) fn labels(&self) -> Result<LabelSelector, Status> {
        LabelSelector::parse(self.get("labelSelector").unwrap_or_default())
            .map_err(|error| status::bad_request(error.to_string()))
    }

    pub(crate) fn fields(&self, kind: &Kind) -> Result<FieldSelector, Status> {
        let text = self.get("fieldSelector").unwrap_or_default();
        let parsed = FieldSelector::parse(text).and_then(|selector| selector.check(kind.fields).map(|()| selector));
        parsed.map_err(|error| status::bad_request(error.to_string()))
    }

    fn dry_run(&self, options_kind: &str) -> Result<bool, Status> {
        // One without a value is no sure sign of what is meant.
        match self.only(&["dryRun"]).map(|(_, value)| value).find(|value| *value != "All") {
            None => Ok(self.get("dryRun").is_some()),
            Some(other) => {
                let error = FieldError::not_supported("dryRun", other, &["All"]);
                Err(status::invalid_options("meta.k8s.io", options_kind, "", &[error]))
            }
        }
    }

    /// The options of a create, an update or a patch; `options_kind` is the kind that holds them in Kubernetes. A writer
    /// that gives no name goes by its program's.
    pub(crate) fn write_options(&self, options_kind: &str, user_agent: &str) -> Result<WriteOptions, Status> {
        let field_validation = match self.get("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                let error = FieldError::not_supported("fieldValidation", other, &["Ignore", "Strict", "Warn"]);
                return Err(status::invalid_options("meta.k8s.io", options_kind, "", &[error]));
            }
        };
        let manager = match self.get("fieldManager") {
            Some(manager) => {
                let refused = |error| status::invalid_options("meta.k8s.io", options_kind, "", &[error]);
                check_manager(manager).map_err(refused)?;
                manager.to_owned()
            }
            None => program(user_agent),
        };
        Ok(WriteOptions { dry_run: self.dry_run(options_kind)?, field_validation, manager, ..WriteOptions::default() })
    }

    /// The options of a deletion, as far as the query states them.
    pub(crate) fn delete_options(&self) -> Result<DeleteOptions, Status> {
        Ok(DeleteOptions {
            dry_run: self.dry_run("DeleteOptions")?,
            grace_period_seconds: self.number("gracePeriodSeconds")?,
            propagation: propagation(self.get("propagationPolicy"), self.get("orphanDependents"))?,
            ..DeleteOptions::default()
        })
    }
}

/// How long the name of a field manager may be.
const MANAGER_BYTES_MAX: usize = 128;

fn is_printable(letter: char) -> bool {
    letter == ' ' || !(letter.is_control() || letter.is_whitespace())
}

fn check_manager(manager: &str) -> Result<(), FieldError> {
    if manager.len() > MANAGER_BYTES_MAX {
        return Err(FieldError::too_long("fieldManager", MANAGER_BYTES_MAX));
    }
    match manager.char_indices().find(|(_, letter)| !is_printable(*letter)) {
        None => Ok(()),
        Some((position, letter)) => {
            let detail = format!("invalid character U+{:04X} (at position {position})", u32::from(letter));
            Err(FieldError::invalid("fieldManager", manager, detail))
        }
    }
}

/// The name of the program in a `User-Agent`: what stands before its version.
fn program(user_agent: &str) -> String {
    let name = user_agent.split('/').next().unwrap_or_default();
    let mut program = String::new();
    for letter in name.chars().filter(|letter| is_printable(*letter)) {
        if program.len() + letter.len_utf8() > MANAGER_BYTES_MAX {
            break;
        }
        program.push(letter);
    }
    if program.is_empty() { "unknown".to_owned() } else { program }
}

/// A propagation policy, or its older form.
pub(crate) fn propagation(policy: Option<&str>, orphan: Option<&str>) -> Result<Option<Propagation>, Status> {
    match (policy, orphan) {
        (Some("Background"), _) | (None, Some("false")) => Ok(Some(Propagation::Background)),
        (Some("Foreground"), _) => Ok(Some(Propagation::Foreground)),
        (Some("Orphan"), _) | (None, Some("true")) => Ok(Some(Propagation::Orphan)),
        (None, _) => Ok(None),
        (Some(other), _) => {
            let known = ["Background", "Foreground", "Orphan"];
            let error = FieldError::not_supported("propagationPolicy", other, &known);
            Err(status::invalid_options("meta.k8s.io", "DeleteOptions", "", &[error]))
        }
    }
}
