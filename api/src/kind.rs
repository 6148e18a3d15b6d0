//! What the rest of Coracle must know about a kind of object: how it is named, addressed, defaulted, validated, found and shown.
//!
//! Deliberately absent: behaviour. What a kind *does* is its controller's matter; nothing here performs I/O or knows a clock.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

use crate::json_path::JsonPath;
use crate::kinds::{cells, check, is_built_in, metadata};
use crate::validation::FieldError;

/// A part of an object that is read or written under a path of its own, `…/NAME/SUBRESOURCE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subresource {
    /// What was observed, written by whoever observes it.
    Status,
    /// The replica count, as `autoscaling/v1` Scale.
    Scale,
    /// The output of a pod's container.
    Log,
    /// The assignment of a pod to a node.
    Binding,
    /// A deletion that honours disruption budgets.
    Eviction,
    /// A token for a service account.
    Token,
    /// Whether a certificate may be signed.
    Approval,
    /// The standard streams of a running container.
    Attach,
    /// A program run beside a running container.
    Exec,
    /// Connections to a pod's ports.
    PortForward,
}

impl Subresource {
    /// The last segment of the path.
    pub fn as_str(self) -> &'static str {
        match self {
            Subresource::Status => "status",
            Subresource::Scale => "scale",
            Subresource::Log => "log",
            Subresource::Binding => "binding",
            Subresource::Eviction => "eviction",
            Subresource::Token => "token",
            Subresource::Approval => "approval",
            Subresource::Attach => "attach",
            Subresource::Exec => "exec",
            Subresource::PortForward => "portforward",
        }
    }
}

/// The grammar that the names of a kind's objects follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameRule {
    /// Lower-case labels joined by dots, at most 253 characters.
    Dns1123Subdomain,
    /// One lower-case label, at most 63 characters.
    Dns1123Label,
    /// One lower-case label that starts with a letter, at most 63 characters.
    Dns1035Label,
    /// Whatever can stand in a path.
    PathSegment,
}

/// How a cell of a column is made.
#[derive(Clone, Copy, Debug)]
pub enum Cell {
    /// By a function of the object and the moment (ages depend on it).
    Computed(fn(&Value, Timestamp) -> Value),
    /// Of what is at a path, as the column's type shows it.
    At(&'static JsonPath),
}

/// A column of the Tables that `kubectl get` prints.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The heading.
    pub name: &'static str,
    /// The type of the cell: `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: &'static str,
    /// `name` for the column that identifies the row, otherwise empty.
    pub format: &'static str,
    /// What the column shows.
    pub description: &'static str,
    /// 0 is always shown, 1 only with `-o wide`.
    pub priority: i32,
    /// How its cells are made.
    pub cell: Cell,
}

impl Column {
    /// The cell of one object, at a moment.
    pub fn cell(&self, object: &Value, now: Timestamp) -> Value {
        match self.cell {
            Cell::Computed(compute) => compute(object, now),
            Cell::At(path) => path.first(object).map_or(Value::Null, |found| cells::shown(self.kind, found, now)),
        }
    }

    /// A column of text.
    pub(crate) const fn string(
        name: &'static str,
        priority: i32,
        description: &'static str,
        cell: fn(&Value, Timestamp) -> Value,
    ) -> Column {
        Column { name, kind: "string", format: "", description, priority, cell: Cell::Computed(cell) }
    }

    /// A column of numbers.
    pub(crate) const fn integer(
        name: &'static str,
        priority: i32,
        description: &'static str,
        cell: fn(&Value, Timestamp) -> Value,
    ) -> Column {
        Column { name, kind: "integer", format: "", description, priority, cell: Cell::Computed(cell) }
    }

    /// A column of yes and no.
    pub(crate) const fn boolean(
        name: &'static str,
        priority: i32,
        description: &'static str,
        cell: fn(&Value, Timestamp) -> Value,
    ) -> Column {
        Column { name, kind: "boolean", format: "", description, priority, cell: Cell::Computed(cell) }
    }
}

/// A kind of object, as one constant in `kinds/`.
#[derive(Debug)]
pub struct Kind {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version within the group, such as `v1`.
    pub version: &'static str,
    /// The name in manifests, such as `Deployment`.
    pub kind: &'static str,
    /// The name in paths, such as `deployments`.
    pub plural: &'static str,
    /// The name in messages and on the command line, such as `deployment`.
    pub singular: &'static str,
    /// Abbreviations on the command line, such as `deploy`.
    pub short_names: &'static [&'static str],
    /// Groups of kinds on the command line: `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// The name of the schema definition, such as `io.k8s.api.apps.v1.Deployment`.
    pub definition: &'static str,
    /// The subresources served.
    pub subresources: &'static [Subresource],
    /// The columns of its Tables.
    pub columns: &'static [Column],
    /// The field selectors supported besides `metadata.name` and `metadata.namespace`.
    pub fields: &'static [&'static str],
    /// The grammar of its names.
    pub name_rule: NameRule,
    /// The index tags of an object: `PATH=VALUE` for every field selector that watchers use a lot.
    pub tags: fn(&Value) -> Vec<String>,
    /// Whether objects ask for something to be done that no controller of this version does; who creates one is told.
    pub awaits_controller: bool,
    /// Whether a client may set `status` when it creates an object.
    pub(crate) status_on_create: bool,
    pub(crate) default: fn(&mut Value),
    pub(crate) validate: fn(&Value, &mut Vec<FieldError>),
    pub(crate) validate_update: fn(&Value, &Value, &mut Vec<FieldError>),
}

impl Kind {
    /// A kind without names, of which nothing else is known here: what holds for its objects, and how they are shown, is said elsewhere.
    pub(crate) const PLAIN: Kind = Kind {
        group: "",
        version: "",
        kind: "",
        plural: "",
        singular: "",
        short_names: &[],
        categories: &[],
        namespaced: false,
        definition: "",
        subresources: &[],
        columns: &[],
        fields: &[],
        name_rule: NameRule::Dns1123Subdomain,
        tags: |_| Vec::new(),
        awaits_controller: false,
        status_on_create: false,
        default: |_| {},
        validate: |_, _| {},
        validate_update: |_, _, _| {},
    };

    /// `v1` for the core group, otherwise `GROUP/VERSION`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `pods` for the core group, otherwise `PLURAL.GROUP`.
    pub fn resource(&self) -> Cow<'static, str> {
        if self.group.is_empty() { self.plural.into() } else { [self.plural, ".", self.group].concat().into() }
    }

    /// Whether a person may call it so: `deploy`, `deployment`, `Deployments`, `deployments.apps` or `deployments.v1.apps`.
    pub fn is_called(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let (resource, group) = match name.split_once('.') {
            Some((resource, group)) => (resource, Some(group)),
            None => (name.as_str(), None),
        };
        let is_in_group = |group: &str| {
            let of_version = group.strip_prefix(self.version).and_then(|rest| rest.strip_prefix('.'));
            group == self.group || of_version == Some(self.group)
        };
        let is_named = self.plural == resource || self.singular == resource || self.short_names.contains(&resource);
        is_named && group.is_none_or(is_in_group)
    }

    /// The storage key of an object; cluster-scoped kinds ignore the namespace.
    pub fn key(&self, namespace: Option<&str>, name: &str) -> String {
        self.prefix(namespace) + name
    }

    /// The storage prefix of all objects, or of those in one namespace; cluster-scoped kinds ignore the namespace.
    pub fn prefix(&self, namespace: Option<&str>) -> String {
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => [&*self.resource(), "/", namespace, "/"].concat(),
            None => [&*self.resource(), "/"].concat(),
        }
    }

    /// Whether the subresource is served.
    pub fn has(&self, subresource: Subresource) -> bool {
        self.subresources.contains(&subresource)
    }

    /// Readies an object for creation: drops a status that only observers may write, then fills in the defaults.
    pub fn prepare(&self, object: &mut Value) {
        if !self.status_on_create
            && self.has(Subresource::Status)
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("status");
        }
        self.default(object);
    }

    /// Fills in the defaults, as Kubernetes does on every create and update; idempotent.
    pub fn default(&self, object: &mut Value) {
        (self.default)(object);
    }

    /// Appends what is wrong with an object, metadata first.
    pub fn validate(&self, object: &Value, errors: &mut Vec<FieldError>) {
        metadata::validate(self, object, errors);
        (self.validate)(object, errors);
    }

    /// Appends what is wrong with replacing `old` by `new`: what [`Kind::validate`] finds in `new`, and changes that
    /// aren't allowed.
    pub fn validate_update(&self, new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
        metadata::validate_update(self, new, old, errors);
        (self.validate)(new, errors);
        (self.validate_update)(new, old, errors);
    }

    /// Appends what is wrong with replacing only the status of `old` by that of `new`.
    pub fn validate_status_update(&self, new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
        metadata::validate_update(self, new, old, errors);
        let counts = new.get("status").filter(|_| is_built_in(self)).and_then(Value::as_object);
        for (field, count) in counts.into_iter().flatten() {
            check::not_negative(errors, &format!("status.{field}"), count.as_i64());
        }
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Kind) -> bool {
        (self.group, self.version, self.kind) == (other.group, other.version, other.kind)
    }
}

impl Eq for Kind {}
