//! Carries out prepared requests against the store: one proposal a round, conflicts decided again on what won.

use std::sync::Arc;

use coracle_api::status::{self, Status};
use coracle_store::{Outcome, ReadError, Record, Snapshot, Write, WriteError};

use super::ledger::{self, Reservation, Session};
use super::prepare::{Context, Failure, Prepared, Request, prepare};
use super::{Effect, Objects, Written};

/// How often a write that nobody tied to a revision is decided anew before its caller hears of the conflict. Of those who write to an
/// object at once each round lets one through, and Kubernetes tries without end.
const ATTEMPTS_MAX: usize = 1_000;

/// What a writer is told when the disk is full.
const NO_SPACE: &str = "no space is left on the disk of the store: deletions are taken, everything else is refused until there is \
                        space again; delete objects, or free space on that disk";

/// What a request was last seen to act on: nothing seen so far, no object, or an object.
type Seen = Option<Option<Arc<Record>>>;

/// What was decided on one snapshot.
struct Round {
    writes: Vec<Write>,
    /// For each write: its request, and what it means.
    submitted: Vec<(usize, Effect, Vec<String>, Failure)>,
    reservation: Option<Reservation>,
}

impl Objects {
    pub(super) async fn run(&self, mut requests: Vec<Request>) -> Result<Vec<Result<Written, Status>>, Status> {
        let mut results: Vec<Option<Result<Written, Status>>> = requests.iter().map(|_| None).collect();
        let mut seen: Vec<Seen> = vec![None; requests.len()];
        let mut pending: Vec<usize> = (0..requests.len()).collect();
        let mut has_written = false;
        let mut snapshot = self.snapshot_for(&requests).await?;
        for attempt in 1..=ATTEMPTS_MAX {
            let decided = self.decide(&mut requests, pending.drain(..), &mut seen, &mut results, snapshot);
            let Round { writes, submitted, reservation } = decided;
            if writes.is_empty() {
                break;
            }
            let outcomes = self.carry_out(writes, reservation).await.map_err(|error| match error {
                // What did not conflict was written in a round before, so nobody may take this as undone.
                WriteError::NotLeader { .. } if has_written => write_failed(WriteError::LeaderChanged),
                error => write_failed(error),
            })?;
            for ((index, effect, warnings, on_conflict), outcome) in submitted.into_iter().zip(outcomes) {
                has_written |= matches!(outcome, Outcome::Written(_) | Outcome::Deleted { .. });
                results[index] = match (outcome, on_conflict) {
                    (Outcome::Written(record), _) => {
                        Some(self.open(&record).map(|record| Written { record, effect, warnings }))
                    }
                    (Outcome::Deleted { last, revision }, _) => {
                        let last = self.open(&last).map(|last| at(&last, revision));
                        Some(last.map(|record| Written { record, effect, warnings }))
                    }
                    (Outcome::Conflict { current }, Failure::Retry(_)) if attempt < ATTEMPTS_MAX => {
                        // A generated name is taken: what took it does not matter, another name will be made.
                        seen[index] = (effect != Effect::Created).then_some(current);
                        pending.push(index);
                        None
                    }
                    (Outcome::Conflict { .. }, Failure::Retry(status) | Failure::Final(status)) => Some(Err(status)),
                    (Outcome::NoSpace, _) => Some(Err(status::insufficient_storage(NO_SPACE))),
                };
            }
            if pending.is_empty() {
                break;
            }
            snapshot = self.inner.store.snapshot();
        }
        Ok(results.into_iter().map(|result| result.expect("invariant: every request ends in a result")).collect())
    }

    /// Decides on the pending requests, all on one snapshot.
    fn decide(
        &self,
        requests: &mut [Request],
        pending: impl Iterator<Item = usize>,
        seen: &mut [Seen],
        results: &mut [Option<Result<Written, Status>>],
        mut snapshot: Snapshot,
    ) -> Round {
        let has_quota =
            |request: &Request| request.spends_in().is_some_and(|namespace| ledger::has_quota(&snapshot, namespace));
        let quotas = requests.iter().any(has_quota).then(|| self.inner.ledger.open());
        if quotas.is_some() {
            snapshot = self.inner.store.snapshot();
        }
        let now = self.inner.clock.now();
        let mut context = Context {
            snapshot: &snapshot,
            custom_kinds: self.custom_kinds(&snapshot),
            now,
            uids: &*self.inner.uids,
            sealer: &self.inner.sealer,
            quotas,
            policies: self.inner.policies.of(&snapshot),
            authorizer: self.authorizer(),
            warnings: Vec::new(),
        };
        let (mut writes, mut submitted) = (Vec::new(), Vec::new());
        for index in pending {
            let prepared = prepare(&mut requests[index], seen[index].take(), &mut context);
            let told = std::mem::take(&mut context.warnings);
            match prepared {
                Err(status) => results[index] = Some(Err(status)),
                Ok(Prepared { write: None, record, effect, mut warnings, .. }) => {
                    warnings.extend(told);
                    results[index] = Some(Ok(Written { record, effect, warnings }));
                }
                Ok(Prepared { write: Some(mut write), effect, mut warnings, on_conflict, .. }) => {
                    warnings.extend(told);
                    if let Err(error) = self.inner.sealer.seal(&mut write, &snapshot) {
                        results[index] = Some(Err(status::internal(error)));
                        continue;
                    }
                    writes.push(write);
                    submitted.push((index, effect, warnings, on_conflict));
                }
            }
        }
        Round { writes, submitted, reservation: context.quotas.map(Session::close) }
    }

    /// Writes, and keeps what is reserved until that is done, be it that the caller has gone meanwhile.
    async fn carry_out(
        &self,
        writes: Vec<Write>,
        reservation: Option<Reservation>,
    ) -> Result<Vec<Outcome>, WriteError> {
        let Some(reservation) = reservation else { return self.inner.store.write(writes).await };
        let store = self.inner.store.clone();
        let task = tokio::spawn(async move {
            let outcomes = store.write(writes).await;
            drop(reservation);
            outcomes
        });
        task.await.unwrap_or(Err(WriteError::Stopped))
    }

    /// The watch cache, or a linearizable read where the cache lacks what the requests speak of.
    async fn snapshot_for(&self, requests: &[Request]) -> Result<Snapshot, Status> {
        let snapshot = self.inner.store.snapshot();
        if requests.iter().all(|request| request.is_covered_by(&snapshot)) {
            return Ok(snapshot);
        }
        self.inner.store.read().await.map_err(read_failed)
    }
}

fn at(record: &Arc<Record>, revision: u64) -> Arc<Record> {
    Arc::new(Record {
        key: Arc::clone(&record.key),
        json: record.json.clone(),
        splice_offset: record.splice_offset,
        tags: Arc::clone(&record.tags),
        revision,
    })
}

pub(crate) fn read_failed(error: ReadError) -> Status {
    status::no_leader(format!("the store cannot be read: {error}"))
}

fn write_failed(error: WriteError) -> Status {
    match error {
        WriteError::NoQuorum { .. } | WriteError::LeaderChanged => status::timeout(error),
        WriteError::NotLeader { .. } => status::no_leader(format!("the store did not take the write: {error}")),
        _ => status::service_unavailable(format!("the store did not take the write: {error}")),
    }
}
