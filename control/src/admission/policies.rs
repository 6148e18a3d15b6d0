//! Validating admission policies: whether a write is let in that is whole and valid, as cluster administrators' expressions say.
//!
//! What is asked about: every write of an API client, hosts among them, and what the controllers create, as
//! [`CONTROLLERS`] says who; so that a policy on pods holds for those of a Deployment, too. The controllers' other writes
//! pass: they report, and clean up. Policies and their bindings are never asked about.
//!
//! Also asked about: tokens of service accounts, and connections into pods. Deliberately absent: `request.options` and `request.uid`,
//! reviews of tokens and rights, the proxy of nodes, mutating policies and webhooks.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::{Arc, LazyLock};

use coracle_api::cel::{AccessCheck, AccessSubject, Authorize, Budget, Evaluation, EvaluationError};
use coracle_api::kind::Kind;
use coracle_api::kinds::NAMESPACE;
use coracle_api::kinds::validating_admission_policy::{AuditAnnotation, Expressions, Validation};
use coracle_api::object;
use coracle_api::status::{self, Cause, Status};
use coracle_store::Snapshot;
use parking_lot::RwLock;
use serde_json::{Value, json};

use crate::audit::Annotations;
use crate::authentication::User;
use crate::authorizer::{Attributes, Authorizer, Subject};
use crate::custom_kinds;
use crate::objects::decode_record;
use crate::sealing::Sealer;
use index::{Binding, Policy};

pub(crate) use index::Index;

mod index;
mod parameters;
mod rules;

/// What is kept of an annotation's value, as in Kubernetes.
const ANNOTATION_BYTES_MAX: usize = 10 * 1024;

/// Who the controllers are to policies. They may do what they do without a role: to the `authorizer` they may what their roles say.
pub(crate) static CONTROLLERS: LazyLock<User> =
    LazyLock::new(|| User::service_account("kube-system", "coracle-controllers"));

/// The policies of the latest moment, compiled.
///
/// Made of a snapshot alone, and kept until a policy or a binding changes.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    index: RwLock<Arc<Index>>,
}

impl Policies {
    /// Those of a moment; `None` where there are none.
    pub(crate) fn of(&self, snapshot: &Snapshot) -> Option<Arc<Index>> {
        let stamp = Index::stamp(snapshot);
        let known = Arc::clone(&self.index.read());
        let index = if known.is_of(stamp) {
            known
        } else {
            let index = Arc::new(Index::build(snapshot, &known));
            *self.index.write() = Arc::clone(&index);
            index
        };
        (!index.is_empty()).then_some(index)
    }
}

/// A write, or something else that changes things, that policies are asked about.
#[derive(Clone, Debug)]
pub(crate) struct Operation<'a> {
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub(crate) verb: &'static str,
    /// The kind that is written to.
    pub(crate) kind: &'static Kind,
    /// Group, version and kind of the object, which may be a Scale.
    pub(crate) object_kind: [&'a str; 3],
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: &'a str,
    /// Empty for the object itself.
    pub(crate) subresource: &'a str,
    /// Null for a deletion.
    pub(crate) object: &'a Value,
    /// Null for a creation.
    pub(crate) old: &'a Value,
    pub(crate) user: &'a User,
    pub(crate) dry_run: bool,
}

/// What a review may look at besides the write.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) custom_kinds: &'a custom_kinds::Index,
    pub(crate) sealer: &'a Sealer,
    pub(crate) authorizer: &'a dyn Authorizer,
    /// Of the audit event, where there is to be one.
    pub(crate) annotations: Option<&'a Annotations>,
}

/// Something that a policy demands and that doesn't hold.
struct Violation {
    message: String,
    reason: String,
    /// Whatever the binding says.
    is_refused: bool,
    /// Which of the policy's validations it is; the first where it is none of them.
    index: usize,
}

/// What came of the violations so far.
struct Told {
    warnings: Vec<String>,
    refusal: Option<Status>,
}

/// The variables of expressions that are the same for all policies; made once they are needed.
struct Variables<'a> {
    operation: &'a Operation<'a>,
    /// The same, in the version that was asked for.
    asked: &'a Operation<'a>,
    snapshot: &'a Snapshot,
    request: OnceCell<Value>,
    namespace: OnceCell<Value>,
}

/// Answers what expressions ask of the `authorizer`, as of the moment of the write.
struct Asked<'a> {
    user: &'a User,
    authorizer: &'a dyn Authorizer,
    snapshot: &'a Snapshot,
}

/// Asks all policies about a write: the first refusal, or what its writer is to be warned of. What is to be in the audit log is noted
/// either way.
pub(crate) fn review(index: &Index, operation: &Operation<'_>, context: Context<'_>) -> Result<Vec<String>, Status> {
    let snapshot = context.snapshot;
    let mut told = Told { warnings: Vec::new(), refusal: None };
    if rules::is_exempt(operation.kind) {
        return Ok(told.warnings);
    }
    let others: Vec<&'static Kind> = context.custom_kinds.others(operation.kind).collect();
    let as_asked = Variables::new(operation, operation, snapshot);
    for policy in index.policies() {
        let Some(kind) = policy.constraints.matches(operation, &others, snapshot) else { continue };
        let (object, old) = (operation.in_version(operation.object, kind), operation.in_version(operation.old, kind));
        let meant = Operation {
            kind,
            object_kind: operation.object_kind_in(kind),
            object: &object,
            old: &old,
            ..operation.clone()
        };
        let converted = (kind.version != operation.kind.version).then(|| Variables::new(&meant, operation, snapshot));
        let variables = converted.as_ref().unwrap_or(&as_asked);
        for binding in &policy.bindings {
            let resources = binding.resources.as_ref();
            if resources.is_some_and(|resources| resources.matches(operation, &others, snapshot).is_none()) {
                continue;
            }
            for violation in violations(policy, binding, variables, &context) {
                told.tell(policy, binding, operation, &context, violation);
            }
        }
    }
    told.refusal.map_or(Ok(told.warnings), Err)
}

impl Told {
    /// Refuses, warns or notes, as the binding says.
    fn tell(
        &mut self,
        policy: &Policy,
        binding: &Binding,
        operation: &Operation<'_>,
        context: &Context<'_>,
        violation: Violation,
    ) {
        let Violation { message, reason, is_refused, index } = violation;
        let whose = format!("ValidatingAdmissionPolicy '{}' with binding '{}'", policy.name, binding.name);
        if is_refused || binding.has("Deny") {
            let refused = || refusal(operation, &format!("{whose} denied request: {message}"), &reason);
            self.refusal.get_or_insert_with(refused);
        }
        if is_refused {
            return;
        }
        if binding.has("Warn") {
            self.warnings.push(format!("Validation failed for {whose}: {message}"));
        }
        if let Some(annotations) = context.annotations.filter(|_| binding.has("Audit")) {
            annotations.add_violation(json!({
                "message": message, "policy": policy.name, "binding": binding.name, "expressionIndex": index,
                "validationActions": binding.actions,
            }));
        }
    }
}

/// As Kubernetes words it: a 403 whose reason and code are those of the validation.
fn refusal(operation: &Operation<'_>, message: &str, reason: &str) -> Status {
    let mut refused = status::forbidden(operation.kind, operation.name, message);
    refused.code = match reason {
        "Unauthorized" => 401,
        "Forbidden" => 403,
        "RequestEntityTooLarge" => 413,
        _ => 422,
    };
    refused.reason = if reason.is_empty() { "Invalid" } else { reason }.to_owned();
    if let Some(details) = &mut refused.details {
        details.causes.push(Cause { message: message.to_owned(), ..Cause::default() });
    }
    refused
}

/// What of a policy, as it is bound, doesn't hold. What can't be decided counts as the policy says.
fn violations(policy: &Policy, binding: &Binding, variables: &Variables<'_>, context: &Context<'_>) -> Vec<Violation> {
    let failed = |message: String, is_refused| match policy.fails_closed {
        true => vec![Violation { message, reason: String::new(), is_refused, index: 0 }],
        false => Vec::new(),
    };
    let undecided = |message| failed(message, false);
    let parameters = match parameters::find(policy, binding, variables.operation, context) {
        Ok(parameters) => parameters,
        // Whatever the binding says: it says nothing that could be carried out.
        Err(because) => return failed(format!("failed to configure binding: {because}"), true),
    };
    let violations = parameters.iter().flat_map(|parameter| {
        let budget = Budget::default();
        let asked =
            Asked { user: variables.operation.user, authorizer: context.authorizer, snapshot: context.snapshot };
        let evaluation = || {
            let evaluation = Evaluation::new(variables.with(parameter), &budget);
            evaluation.with_authorizer(&asked, request_resource(variables.operation))
        };
        match is_met(&policy.expressions, &evaluation()) {
            Ok(false) => return Vec::new(),
            Ok(true) => {}
            Err(because) => return undecided(because),
        }
        let definitions = policy.expressions.definitions.iter().map(|(name, program)| (name.as_str(), program));
        let evaluation = evaluation().with_definitions(definitions);
        let validations = policy.expressions.validations.iter().enumerate();
        let violations = validations.flat_map(|(index, validation)| {
            let found = match evaluation.is_true(&validation.expression) {
                Ok(true) => Vec::new(),
                Ok(false) => vec![violation(validation, &evaluation)],
                Err(error) => undecided(failure(validation.expression.source(), &error)),
            };
            found.into_iter().map(move |violation| Violation { index, ..violation })
        });
        violations.chain(annotate(policy, &evaluation, context)).collect()
    });
    violations.collect()
}

/// Notes the policy's annotations. One that fails keeps the write out, whatever the binding says, unless the policy ignores failures.
fn annotate<'a>(policy: &'a Policy, evaluation: &Evaluation<'a>, context: &Context<'_>) -> Vec<Violation> {
    let mut failures = Vec::new();
    for AuditAnnotation { key, value } in &policy.expressions.annotations {
        match evaluation.evaluate(value) {
            Ok(made) => {
                let made = made.as_str().unwrap_or_default().trim();
                if let Some(annotations) = context.annotations.filter(|_| !made.is_empty()) {
                    let end = made.floor_char_boundary(ANNOTATION_BYTES_MAX);
                    annotations.add(format!("{}/{key}", policy.name), made[..end].to_owned());
                }
            }
            Err(error) if policy.fails_closed => {
                let message = failure(value.source(), &error);
                failures.push(Violation { message, reason: String::new(), is_refused: true, index: 0 });
            }
            Err(_) => {}
        }
    }
    failures
}

/// Whether all conditions of the policy hold; one that doesn't decides it, whatever the others come to.
fn is_met<'a>(expressions: &'a Expressions, evaluation: &Evaluation<'a>) -> Result<bool, String> {
    let mut failed = None;
    for (_, condition) in &expressions.conditions {
        match evaluation.is_true(condition) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => failed = failed.or(Some(failure(condition.source(), &error))),
        }
    }
    failed.map_or(Ok(true), Err)
}

fn failure(source: &str, error: &EvaluationError) -> String {
    format!("expression '{}' resulted in error: {error}", source.trim())
}

fn violation<'a>(validation: &'a Validation, evaluation: &Evaluation<'a>) -> Violation {
    let made = validation.message_expression.as_ref().and_then(|program| evaluation.evaluate(program).ok());
    let made = made.as_ref().and_then(Value::as_str).map(str::trim);
    let made = made.filter(|message| !message.is_empty() && !message.contains('\n'));
    let message = match (made, validation.message.as_str()) {
        (Some(message), _) => message.to_owned(),
        (None, "") => format!("failed expression: {}", validation.expression.source().trim()),
        (None, message) => message.to_owned(),
    };
    Violation { message, reason: validation.reason.clone(), is_refused: false, index: 0 }
}

impl Operation<'_> {
    /// An object as another version of its kind has it: versions differ in their names only.
    fn in_version<'o>(&self, object: &'o Value, kind: &Kind) -> Cow<'o, Value> {
        let is_same = kind.version == self.kind.version || !object.is_object() || self.object_kind[2] != self.kind.kind;
        if is_same {
            return Cow::Borrowed(object);
        }
        let mut object = object.clone();
        object["apiVersion"] = kind.api_version().into();
        Cow::Owned(object)
    }

    fn object_kind_in(&self, kind: &'static Kind) -> [&str; 3] {
        let [group, version, name] = self.object_kind;
        if name == self.kind.kind { [group, kind.version, name] } else { [group, version, name] }
    }
}

impl<'a> Variables<'a> {
    fn new(operation: &'a Operation<'a>, asked: &'a Operation<'a>, snapshot: &'a Snapshot) -> Variables<'a> {
        Variables { operation, asked, snapshot, request: OnceCell::new(), namespace: OnceCell::new() }
    }

    fn with<'v>(&'v self, parameter: &'v Value) -> [(&'v str, &'v Value); 5] {
        [
            ("object", self.operation.object),
            ("oldObject", self.operation.old),
            ("request", self.request.get_or_init(|| request(self.operation, self.asked))),
            ("namespaceObject", self.namespace.get_or_init(|| namespace_object(self.operation, self.snapshot))),
            ("params", parameter),
        ]
    }
}

impl Authorize for Asked<'_> {
    fn allows(&self, check: &AccessCheck) -> bool {
        let account = check.service_account.as_ref().map(|(namespace, name)| User::service_account(namespace, name));
        let user = account.as_ref().unwrap_or(self.user);
        let subject = match &check.subject {
            AccessSubject::Path(path) => Subject::Path(path),
            AccessSubject::Resource { group, resource, subresource, namespace, name } => Subject::Resource {
                group,
                resource,
                subresource: stated(subresource),
                namespace: stated(namespace),
                name: stated(name),
                fields: None,
            },
        };
        self.authorizer.allows(&Attributes { user, verb: &check.verb, subject }, self.snapshot)
    }
}

/// A text that isn't empty.
fn stated(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// What the write is to, as `authorizer.requestResource`.
fn request_resource(operation: &Operation<'_>) -> AccessSubject {
    AccessSubject::Resource {
        group: operation.kind.group.to_owned(),
        resource: operation.kind.plural.to_owned(),
        subresource: operation.subresource.to_owned(),
        namespace: operation.namespace.unwrap_or_default().to_owned(),
        name: operation.name.to_owned(),
    }
}

/// The `request`; `asked` is what it was before it was converted.
fn request(operation: &Operation<'_>, asked: &Operation<'_>) -> Value {
    let kind = |operation: &Operation<'_>| {
        let [group, version, kind] = operation.object_kind;
        json!({ "group": group, "version": version, "kind": kind })
    };
    let resource = |operation: &Operation<'_>| {
        let (group, version) = (operation.kind.group, operation.kind.version);
        json!({ "group": group, "version": version, "resource": operation.kind.plural })
    };
    json!({
        "kind": kind(operation), "resource": resource(operation), "subResource": operation.subresource,
        "requestKind": kind(asked), "requestResource": resource(asked), "requestSubResource": operation.subresource,
        "name": operation.name, "namespace": operation.namespace.unwrap_or_default(), "operation": operation.verb,
        "userInfo": operation.user, "dryRun": operation.dry_run,
    })
}

/// The namespace that the object is in; null for an object that is in none.
fn namespace_object(operation: &Operation<'_>, snapshot: &Snapshot) -> Value {
    let record = operation.namespace.and_then(|namespace| snapshot.get(&NAMESPACE.key(None, namespace)));
    let mut namespace = record.map(|record| decode_record(&record)).unwrap_or_default();
    if namespace.is_object() {
        object::child_mut(&mut namespace, "metadata").remove("managedFields");
    }
    namespace
}
