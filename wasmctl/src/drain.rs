//! Empties a node: evicts its pods, each as soon as its disruption budget allows it, and waits until they are gone.
//! Deliberately absent: cordoning, which comes first, and plain deletion, which would pass the budgets by.

mod plan;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use coracle_api::{kinds, object};
use coracle_client::{Client, Error, ListOptions, WatchEvent, WatchOptions};
use futures::StreamExt as _;
use futures::future::try_join_all;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub(crate) use self::plan::Permissions;
use self::plan::{Obstacle, Plan, plan};
use crate::failure::{Failure, Result};
use crate::progress::seconds;

/// How many evictions are asked for at once.
const REQUESTS_MAX: usize = 32;
/// When to ask again after a refusal that does not say when.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How a node is drained.
#[derive(Debug)]
pub(crate) struct Drain<'a> {
    /// Which node.
    pub(crate) node: &'a str,
    /// Which pods may be evicted.
    pub(crate) permissions: &'a Permissions,
    /// Seconds that pods get to end, instead of their own.
    pub(crate) grace_period_seconds: Option<u32>,
    /// How long to try; for ever if absent.
    pub(crate) timeout: Option<Duration>,
    /// Ask the server what it would do, and change nothing.
    pub(crate) dry_run: bool,
}

/// A pod that is to go.
struct Leaving<'a> {
    pod: &'a Value,
    /// Why it is not evicted so far; absent once it is.
    waits_because: RefCell<Option<String>>,
    is_gone: Cell<bool>,
}

impl Drain<'_> {
    /// Evicts the pods that may be evicted, waits for their end and says so; evicts nothing if any pod stands in the way.
    pub(crate) async fn run(&self, client: &Client) -> Result<()> {
        let on_node = ListOptions::fields(format!("spec.nodeName={}", self.node));
        let list = client.list(&kinds::POD, None, &on_node).await?;
        let Plan { evicted, left, blocked } = plan(&list.items, self.permissions);
        if !blocked.is_empty() {
            return Err(in_the_way(self.node, &blocked, self.dry_run));
        }
        for pod in left {
            println!("{} stays, it belongs to a DaemonSet", shown(pod));
        }
        let pods: Vec<Leaving<'_>> = evicted.into_iter().map(Leaving::of).collect();
        if self.dry_run {
            return self.rehearse(client, &pods).await;
        }
        let slots = Semaphore::new(REQUESTS_MAX);
        let evictions = try_join_all(pods.iter().map(|pod| self.evict(client, pod, &slots)));
        let work = async { tokio::try_join!(evictions, wait_until_gone(client, &on_node, &pods)).map(drop) };
        match self.timeout {
            None => work.await?,
            Some(timeout) => match tokio::time::timeout(timeout, work).await {
                Ok(done) => done?,
                Err(_) => return Err(too_late(self.node, timeout, &pods)),
            },
        }
        println!("node/{} drained", self.node);
        Ok(())
    }

    /// Asks for a pod's eviction until it is granted.
    async fn evict(&self, client: &Client, leaving: &Leaving<'_>, slots: &Semaphore) -> Result<()> {
        let mut is_told = false;
        loop {
            let slot = slots.acquire().await.expect("invariant: the semaphore is never closed");
            let refusal = self.ask(client, leaving.pod).await?;
            drop(slot);
            let Some(Refusal { because, retry_after }) = refusal else {
                leaving.waits_because.take();
                return Ok(());
            };
            if !std::mem::replace(&mut is_told, true) {
                eprintln!("{} has to wait: {because}", shown(leaving.pod));
            }
            leaving.waits_because.replace(Some(because));
            tokio::time::sleep(retry_after).await;
        }
    }

    /// Asks for a pod's eviction once; a refusal is one that may not last.
    async fn ask(&self, client: &Client, pod: &Value) -> Result<Option<Refusal>> {
        let namespace = object::namespace(pod).unwrap_or_default();
        let path = format!("/api/v1/namespaces/{namespace}/pods/{}/eviction", object::name(pod));
        match client.post::<Value>(&path, &self.eviction(pod)).await {
            Ok(_) => Ok(None),
            // It is gone, and another one may have its name by now.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(None),
            Err(error) => match Refusal::of(&error) {
                Some(refusal) => Ok(Some(refusal)),
                None => Err(Failure::new(format!("{} is not evicted: {error}", shown(pod)))
                    .hint("evictions that were granted go on; run it again for the other pods")),
            },
        }
    }

    fn eviction(&self, pod: &Value) -> Value {
        let mut options = json!({ "preconditions": { "uid": object::uid(pod) } });
        if let Some(seconds) = self.grace_period_seconds {
            options["gracePeriodSeconds"] = seconds.into();
        }
        if self.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": object::name(pod), "namespace": object::namespace(pod) },
            "deleteOptions": options,
        })
    }

    /// Says what the server would do with each pod if it were the only one.
    async fn rehearse(&self, client: &Client, pods: &[Leaving<'_>]) -> Result<()> {
        let mut waiting = 0;
        for Leaving { pod, .. } in pods {
            match self.ask(client, pod).await? {
                None => println!("{} evicted (dry run)", shown(pod)),
                Some(refusal) => {
                    waiting += 1;
                    println!("{} has to wait (dry run): {}", shown(pod), refusal.because);
                }
            }
        }
        match waiting {
            0 => println!("node/{} drained (dry run)", self.node),
            _ => println!("node/{} waits for {waiting} of {} pods (dry run)", self.node, pods.len()),
        }
        Ok(())
    }
}

/// The answer to an eviction that the server does not grant now, and may grant later.
#[derive(Debug)]
struct Refusal {
    because: String,
    retry_after: Duration,
}

impl Refusal {
    fn of(error: &Error) -> Option<Refusal> {
        let status = error.status().filter(|status| [429, 503, 504].contains(&status.code))?;
        let details = status.details.clone().unwrap_or_default();
        let because = details.causes.into_iter().next().map(|cause| cause.message);
        let retry_after = match details.retry_after_seconds {
            0 => RETRY_INTERVAL,
            seconds => Duration::from_secs(seconds.into()),
        };
        Some(Refusal { because: because.unwrap_or_else(|| status.message.clone()), retry_after })
    }
}

impl<'a> Leaving<'a> {
    fn of(pod: &'a Value) -> Leaving<'a> {
        let waits_because = RefCell::new(Some("its eviction has not been asked for".to_owned()));
        Leaving { pod, waits_because, is_gone: Cell::new(false) }
    }

    fn goes(&self) {
        self.is_gone.set(true);
        println!("{} evicted", shown(self.pod));
    }
}

/// Watches the node's pods until all of these are gone, and says so of each.
async fn wait_until_gone(client: &Client, on_node: &ListOptions, pods: &[Leaving<'_>]) -> Result<()> {
    let mut left: HashMap<&str, &Leaving<'_>> =
        pods.iter().map(|leaving| (object::uid(leaving.pod), leaving)).collect();
    loop {
        let list = client.list(&kinds::POD, None, on_node).await?;
        let present: HashSet<&str> = list.items.iter().map(object::uid).collect();
        left.extract_if(|uid, _| !present.contains(uid)).for_each(|(_, leaving)| leaving.goes());
        if left.is_empty() {
            return Ok(());
        }
        let options = WatchOptions {
            field_selector: on_node.field_selector.clone(),
            revision: Some(list.revision),
            ..WatchOptions::default()
        };
        let mut events = client.watch(&kinds::POD, None, &options).await?;
        while let Some(event) = events.next().await {
            match event {
                Ok(WatchEvent::Deleted(pod)) => {
                    if let Some(leaving) = left.remove(object::uid(&pod)) {
                        leaving.goes();
                    }
                    if left.is_empty() {
                        return Ok(());
                    }
                }
                Ok(_) => {}
                Err(error) if error.is_expired() => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn in_the_way(node: &str, blocked: &[(&Value, Vec<Obstacle>)], dry_run: bool) -> Failure {
    let mut failure =
        Failure::new(format!("node/{node} is not drained: some of its pods may not be evicted, so none was"));
    let mut flags = BTreeSet::new();
    for (pod, obstacles) in blocked {
        for obstacle in obstacles {
            failure = failure.detail(format!("{} {obstacle}", shown(pod)));
            flags.insert(obstacle.flag());
        }
    }
    let flags: Vec<&str> = flags.into_iter().collect();
    let way_back = if dry_run { String::new() } else { format!(", or call it off: `wasmctl node uncordon {node}`") };
    failure.hint(format!("run it again with {}{way_back}", flags.join(" ")))
}

fn too_late(node: &str, timeout: Duration, pods: &[Leaving<'_>]) -> Failure {
    let mut failure = Failure::timed_out(format!("node/{node} is not drained after {}", seconds(timeout)));
    for Leaving { pod, waits_because, .. } in pods.iter().filter(|leaving| !leaving.is_gone.get()) {
        let because = waits_because.take();
        let state = because.map_or_else(|| "is still ending".to_owned(), |because| format!("waits: {because}"));
        failure = failure.detail(format!("{} {state}", shown(pod)));
    }
    failure.hint(format!("run it again to wait longer, or call it off: `wasmctl node uncordon {node}`"))
}

fn shown(pod: &Value) -> String {
    format!("pod {}/{}", object::namespace(pod).unwrap_or_default(), object::name(pod))
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_api::status;
    use expect_test::expect;

    fn pod(name: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}")}})
    }

    #[test]
    fn an_eviction_is_of_one_incarnation() {
        let permissions = Permissions::default();
        let mut drain =
            Drain { node: "h1", permissions: &permissions, grace_period_seconds: None, timeout: None, dry_run: false };
        expect![[r#"{"apiVersion":"policy/v1","deleteOptions":{"preconditions":{"uid":"uid-a"}},"kind":"Eviction","metadata":{"name":"a","namespace":"default"}}"#]].assert_eq(&drain.eviction(&pod("a")).to_string());
        drain = Drain { grace_period_seconds: Some(0), dry_run: true, ..drain };
        expect![[r#"{"apiVersion":"policy/v1","deleteOptions":{"dryRun":["All"],"gracePeriodSeconds":0,"preconditions":{"uid":"uid-a"}},"kind":"Eviction","metadata":{"name":"a","namespace":"default"}}"#]].assert_eq(&drain.eviction(&pod("a")).to_string());
    }

    #[test]
    fn only_refusals_that_pass_are_waited_for() {
        let refusal = |status| format!("{:?}\n", Refusal::of(&Error::Status(Box::new(status))));
        let told = [
            status::disruption_budget("The disruption budget b needs 1 healthy pods and has 1 currently", 0),
            status::disruption_budget("The disruption budget b is still being processed by the server.", 10),
            status::too_many_requests("the server is busy", 2),
            status::timeout("the pod \"a\" or its disruption budget keeps changing"),
            status::internal("This pod has more than one PodDisruptionBudget"),
        ];
        expect![[r#"
            Some(Refusal { because: "The disruption budget b needs 1 healthy pods and has 1 currently", retry_after: 1s })
            Some(Refusal { because: "The disruption budget b is still being processed by the server.", retry_after: 10s })
            Some(Refusal { because: "the server is busy", retry_after: 2s })
            Some(Refusal { because: "Timeout: the pod \"a\" or its disruption budget keeps changing", retry_after: 1s })
            None
        "#]].assert_eq(&told.map(refusal).concat());
    }

    #[test]
    fn a_failure_says_which_pods_and_what_to_do() {
        let [a, b, c, d] = ["a", "b", "c", "d"].map(pod);
        let blocked = [(&a, vec![Obstacle::Uncontrolled, Obstacle::LocalData]), (&b, vec![Obstacle::DaemonSet])];
        expect![[r#"
            node/h1 is not drained: some of its pods may not be evicted, so none was
              pod default/a has no controller that would replace it (--force)
              pod default/a has data in emptyDir volumes that would be lost (--delete-emptydir-data)
              pod default/b belongs to a DaemonSet, which would put it back (--ignore-daemonsets)
            hint: run it again with --delete-emptydir-data --force --ignore-daemonsets, or call it off: `wasmctl node uncordon h1`
        "#]].assert_eq(&in_the_way("h1", &blocked, false).to_string());
        let leaving = [&a, &b, &c, &d].map(Leaving::of);
        let because = "The disruption budget b needs 1 healthy pods and has 1 currently";
        leaving[0].waits_because.replace(Some(because.to_owned()));
        leaving[1].waits_because.take();
        leaving[3].is_gone.set(true);
        expect![[r#"
            node/h1 is not drained after 90 s
              pod default/a waits: The disruption budget b needs 1 healthy pods and has 1 currently
              pod default/b is still ending
              pod default/c waits: its eviction has not been asked for
            hint: run it again to wait longer, or call it off: `wasmctl node uncordon h1`
        "#]]
        .assert_eq(&too_late("h1", Duration::from_secs(90), &leaving).to_string());
    }
}
