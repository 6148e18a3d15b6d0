//! What admission policies are asked about a write, as the last of admission.

use coracle_api::status::Status;
use serde_json::Value;

use super::Objects;
use super::prepare::{Action, Context, Request};
use crate::admission::policies::{self, CONTROLLERS, Operation};
use crate::audit::Annotations;
use crate::authentication::User;

impl Objects {
    /// Asks the policies about something that writes no object, and is refused as writes are; gives what its author is to be warned of.
    pub(crate) fn review(&self, operation: &Operation<'_>, annotations: &Annotations) -> Result<Vec<String>, Status> {
        let snapshot = self.store().snapshot();
        let Some(index) = self.inner.policies.of(&snapshot) else { return Ok(Vec::new()) };
        let custom_kinds = self.custom_kinds(&snapshot);
        let context = policies::Context {
            snapshot: &snapshot,
            custom_kinds: &custom_kinds,
            sealer: &self.inner.sealer,
            authorizer: self.authorizer(),
            annotations: Some(annotations),
        };
        policies::review(&index, operation, context)
    }
}

/// Asks the policies, where there are any; what they only warn of is kept in the context.
pub(super) fn review(
    request: &Request,
    verb: &'static str,
    subresource: &str,
    object: &Value,
    old: &Value,
    context: &mut Context<'_>,
) -> Result<(), Status> {
    let Some(index) = &context.policies else { return Ok(()) };
    let Some(user) = writer(request) else { return Ok(()) };
    let kind = request.kind;
    let object_kind = match subresource {
        "scale" => ["autoscaling", "v1", "Scale"],
        "binding" => ["", "v1", "Binding"],
        "eviction" => ["policy", "v1", "Eviction"],
        _ => [kind.group, kind.version, kind.kind],
    };
    let operation = Operation {
        verb,
        kind,
        object_kind,
        namespace: request.namespace.as_deref(),
        name: &request.name,
        subresource,
        object,
        old,
        user,
        dry_run: request.options.dry_run,
    };
    let (snapshot, custom_kinds, sealer) = (context.snapshot, &*context.custom_kinds, context.sealer);
    let annotations = request.options.author.as_ref().map(|author| &*author.annotations);
    let authorizer = context.authorizer;
    let context_of_policies = policies::Context { snapshot, custom_kinds, sealer, authorizer, annotations };
    context.warnings = policies::review(index, &operation, context_of_policies)?;
    Ok(())
}

/// Who writes, where policies have a say: clients, and the controllers where they create.
fn writer(request: &Request) -> Option<&User> {
    let author = request.options.author.as_ref().map(|author| &author.user);
    author.or_else(|| matches!(request.action, Action::Create { .. }).then_some(&*CONTROLLERS))
}
