//! POST to a pod's `eviction`: a deletion that the pod's disruption budget pays for.

use std::sync::Arc;

use axum::response::Response;
use coracle_api::kind::Kind;
use coracle_api::kinds::POD_DISRUPTION_BUDGET;
use coracle_api::object;
use coracle_api::status::{self, Status};
use coracle_store::{Record, Snapshot};
use serde_json::json;

use super::Call;
use super::binding::success;
use super::delete::with_body;
use crate::disruption::{BudgetStatus, Verdict, judge};
use crate::driver::intern::Interner;
use crate::driver::view::Object;
use crate::objects::{DeleteOptions, ObjectWrite, WriteOptions, read_failed};
use crate::request::Address;

const DEFINITION: &str = "io.k8s.api.policy.v1.Eviction";
/// How often an eviction is decided anew because the pod or its budget changed meanwhile.
const ATTEMPTS_MAX: usize = 8;

pub(super) async fn evict(call: &Call, address: &Address, body: &[u8]) -> Result<Response, Status> {
    let (eviction, write_options, warnings) = call.decode_asked(body, DEFINITION, "Eviction")?;
    let name = address.name()?;
    if ![name, ""].contains(&object::name(&eviction)) {
        return Err(status::bad_request("name in URL does not match name in Eviction object"));
    }
    let WriteOptions { dry_run, author, .. } = write_options;
    let mut options = DeleteOptions { dry_run, author, ..DeleteOptions::default() };
    if let Some(asked) = eviction.get("deleteOptions") {
        options = with_body(options, asked)?;
    }
    options.eviction = Some(eviction);
    let objects = &call.app.objects;
    let mut turn = None;
    for _ in 0..ATTEMPTS_MAX {
        let snapshot = objects.store().read().await.map_err(read_failed)?;
        let key = address.kind.key(address.namespace(), name);
        let record = snapshot.get(&key).ok_or_else(|| status::not_found(address.kind, name))?;
        let pod = parse(address.kind, &record)?;
        let budgets = budgets(&snapshot, &pod)?;
        // A drain asks for all pods of a node at once: left to race for a budget, most would give up.
        if !budgets.is_empty() && turn.is_none() {
            turn = Some(call.app.evicting.lock().await);
            continue;
        }
        let mut deletion = options.clone();
        // What was decided is about this pod, not about one that takes its name.
        deletion.uid.get_or_insert_with(|| pod.meta.uid.to_string());
        match judge(&pod, &budgets, objects.clock().now())? {
            Verdict::Free => {}
            Verdict::FreeAsSeen => deletion.revision = deletion.revision.or(Some(record.revision)),
            Verdict::Charged(status) => {
                // A deletion that would be refused costs nothing.
                let trial = DeleteOptions { dry_run: true, ..deletion.clone() };
                objects.delete(address.kind, address.namespace(), name, &trial).await?;
                if !options.dry_run {
                    match objects.write_all(vec![charge(&budgets, &status)]).await?.remove(0) {
                        Err(status) if status.is("Conflict") => continue,
                        charged => drop(charged?),
                    }
                }
            }
        }
        match objects.delete(address.kind, address.namespace(), name, &deletion).await {
            Err(status) if status.is("Conflict") && deletion.revision != options.revision => {}
            deleted => return deleted.map(|written| success(&written, &warnings)),
        }
    }
    Err(status::timeout(format_args!("the pod {name:?} or its disruption budget keeps changing")))
}

/// The budgets that select a pod.
fn budgets(snapshot: &Snapshot, pod: &Object) -> Result<Vec<Object>, Status> {
    let prefix = POD_DISRUPTION_BUDGET.prefix(Some(&pod.meta.namespace));
    let mut selecting = Vec::new();
    for record in snapshot.range(&prefix, None) {
        let budget = parse(&POD_DISRUPTION_BUDGET, record)?;
        if budget.disruption_budget().is_none_or(|view| pod.matches(&view.selector)) {
            selecting.push(budget);
        }
    }
    Ok(selecting)
}

/// Writes the budget's new status, if nobody else did: of two evictions that saw the same budget, one is decided anew.
fn charge(budgets: &[Object], status: &BudgetStatus) -> ObjectWrite {
    let [budget] = budgets else { unreachable!("a verdict charges the only budget") };
    let meta = &budget.meta;
    let object = json!({
        "metadata": {"name": &*meta.name, "namespace": &*meta.namespace, "uid": &*meta.uid},
        "status": status,
    });
    ObjectWrite::UpdateStatus { kind: &POD_DISRUPTION_BUDGET, object, revision: Some(budget.revision) }
}

fn parse(kind: &'static Kind, record: &Arc<Record>) -> Result<Object, Status> {
    let key = Arc::clone(&record.key);
    Object::parse(key, kind, record.json.clone(), record.revision, &mut Interner::default()).map_err(status::internal)
}
