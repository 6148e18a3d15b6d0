//! The driver, the object service and the store together, with a host that is played by the test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use coracle_api::object;
use coracle_store::{Options, RealDisk, Snapshot, Store};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::authorizer::Rbac;
use crate::controllers::harness::{deployment, node};
use crate::objects::{DeleteOptions, ObjectWrite, Part, Propagation};
use crate::sealing::Sealer;
use crate::{Clock, EPHEMERAL};

/// A clock that stands still, however many hours ahead it is set: no timer comes due, no node falls silent.
#[derive(Default)]
struct Still(AtomicU64);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        start + Duration::from_secs(3600 * self.0.load(Ordering::Relaxed))
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
}

struct Cluster {
    clock: Arc<Still>,
    objects: Objects,
    shutdown: CancellationToken,
    _dir: TempDir,
}

impl Cluster {
    async fn start() -> Cluster {
        let dir = TempDir::new().unwrap();
        let options = Options { ephemeral: EPHEMERAL, ..Options::new(dir.path()) };
        let store = Store::open(options, Arc::new(RealDisk)).await.unwrap();
        let sealer = Sealer::open(dir.path(), &store.snapshot(), true).unwrap();
        let clock = Arc::new(Still::default());
        let objects = Objects::new(store, clock.clone(), sealer, Arc::new(Rbac::default()));
        let cluster = Cluster { clock, objects, shutdown: CancellationToken::new(), _dir: dir };
        cluster.drive();
        cluster.until(|all| has(all, "serviceaccounts/default/default")).await;
        let node_object = node("n");
        cluster.create(&kinds::NODE, node_object.clone()).await;
        let write = ObjectWrite::UpdateStatus { kind: &kinds::NODE, object: node_object, revision: None };
        cluster.objects.write_all(vec![write]).await.unwrap().remove(0).unwrap();
        tokio::spawn(play_host(cluster.objects.clone()));
        cluster
    }

    fn drive(&self) {
        tokio::spawn(run(self.objects.clone(), Settings::new("PEM"), self.shutdown.clone()));
    }

    async fn create(&self, kind: &'static Kind, object: Value) {
        let namespace = object::namespace(&object).map(str::to_owned);
        self.objects.create(kind, namespace.as_deref(), object, &WriteOptions::default()).await.unwrap();
    }

    async fn edit(&self, kind: &'static Kind, key: &str, edit: impl Fn(&mut Value)) {
        loop {
            let record = self.objects.store().snapshot().get(key).unwrap();
            let mut object: Value = serde_json::from_slice(&record.to_json()).unwrap();
            edit(&mut object);
            let (namespace, name) = (object::namespace(&object).map(str::to_owned), object::name(&object).to_owned());
            let options = WriteOptions::default();
            let updated = self.objects.update(kind, namespace.as_deref(), &name, Part::Main, object, &options).await;
            match updated {
                Ok(_) => return,
                Err(status) => assert_eq!(status.code, 409, "{}", status.message),
            }
        }
    }

    /// Waits for a state of the whole cluster.
    async fn until(&self, is_reached: impl Fn(&Snapshot) -> bool) {
        let store = self.objects.store();
        let request = WatchRequest { prefix: String::new(), tag: None, after: store.snapshot().revision() };
        let mut watch = store.watch(request).unwrap();
        while !is_reached(&store.snapshot()) {
            watch.next().await.unwrap();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn has(all: &Snapshot, key: &str) -> bool {
    all.get(key).is_some()
}

fn value(all: &Snapshot, key: &str) -> Value {
    all.get(key).map(|record| serde_json::from_slice(&record.json).unwrap()).unwrap_or_default()
}

/// Marks pods that are bound as ready, and confirms deletions, in batches.
async fn play_host(objects: Objects) {
    let request = WatchRequest { prefix: "pods/".to_owned(), tag: None, after: objects.store().snapshot().revision() };
    let mut watch = objects.store().watch(request).unwrap();
    while let Ok(first) = watch.next().await {
        let mut events = vec![first];
        while let Some(Ok(event)) = watch.try_next() {
            events.push(event);
        }
        let mut statuses = Vec::new();
        for event in events.into_iter().filter(|event| event.change == Change::Put) {
            let pod: Value = serde_json::from_slice(&event.record.json).unwrap();
            if object::is_deleting(&pod) {
                let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
                let _ = objects.delete(&kinds::POD, object::namespace(&pod), object::name(&pod), &options).await;
            } else if object::str_at(&pod, &["spec", "nodeName"]).is_some()
                && object::str_at(&pod, &["status", "podIP"]).is_none()
            {
                let condition =
                    json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T10:00:00Z"});
                let mut ready = pod;
                ready["status"] = json!({"phase": "Running", "podIP": "127.128.0.1", "conditions": [condition]});
                statuses.push(ObjectWrite::UpdateStatus { kind: &kinds::POD, object: ready, revision: None });
            }
        }
        if !statuses.is_empty() && objects.write_all(statuses).await.is_err() {
            return;
        }
    }
}

fn is_rolled_out(all: &Snapshot, generation: i64, replicas: i64) -> bool {
    let status = value(all, "deployments.apps/default/web")["status"].take();
    let counts = ["replicas", "updatedReplicas", "availableReplicas"].map(|field| status[field].as_i64().unwrap_or(0));
    status["observedGeneration"] == generation && counts == [replicas; 3]
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    })
}

fn endpoints(all: &Snapshot) -> usize {
    let slices = all.range("endpointslices.discovery.k8s.io/default/", None);
    let slices = slices.map(|record| serde_json::from_slice::<Value>(&record.json).unwrap());
    slices.map(|slice| object::list_at(&slice, &["endpoints"]).len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_comes_rolls_scales_and_goes() {
    let cluster = Cluster::start().await;
    cluster.create(&kinds::SERVICE, service()).await;
    cluster.create(&kinds::DEPLOYMENT, deployment(3)).await;
    cluster.until(|all| is_rolled_out(all, 1, 3) && endpoints(all) == 3).await;

    let key = "deployments.apps/default/web";
    let image = |object: &mut Value| object["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2".into();
    cluster.edit(&kinds::DEPLOYMENT, key, image).await;
    cluster.until(|all| is_rolled_out(all, 2, 3) && endpoints(all) == 3 && all.count("pods/default/") == 3).await;
    let all = cluster.objects.store().snapshot();
    assert_eq!(value(&all, key)["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
    assert_eq!(all.count("replicasets.apps/default/"), 2);

    cluster.edit(&kinds::DEPLOYMENT, key, |object| object["spec"]["replicas"] = 100.into()).await;
    cluster.until(|all| is_rolled_out(all, 3, 100) && endpoints(all) == 100).await;

    let foreground = DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::default() };
    cluster.objects.delete(&kinds::DEPLOYMENT, Some("default"), "web", &foreground).await.unwrap();
    cluster.until(|all| !has(all, key) && all.count("replicasets.apps/") == 0 && all.count("pods/") == 0).await;
    cluster.until(|all| endpoints(all) == 0).await;
    cluster.objects.delete(&kinds::SERVICE, Some("default"), "web", &DeleteOptions::default()).await.unwrap();
    cluster.until(|all| all.count("endpointslices.discovery.k8s.io/") == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_takes_everything_with_it() {
    let cluster = Cluster::start().await;
    let team = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}});
    cluster.create(&kinds::NAMESPACE, team).await;
    cluster.until(|all| has(all, "configmaps/team/kube-root-ca.crt")).await;
    let mut object = deployment(3);
    object::set_namespace(&mut object, "team");
    cluster.create(&kinds::DEPLOYMENT, object).await;
    cluster.until(|all| value(all, "deployments.apps/team/web")["status"]["availableReplicas"] == 3).await;
    cluster.objects.delete(&kinds::NAMESPACE, None, "team", &DeleteOptions::default()).await.unwrap();
    cluster.until(|all| !has(all, "namespaces/team")).await;
    let all = cluster.objects.store().snapshot();
    assert!(all.range("", None).all(|record| !record.key.contains("/team/")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_falls_silent_because_a_clock_is_set() {
    let cluster = Cluster::start().await;
    cluster.clock.0.store(3, Ordering::Relaxed);
    let team = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}});
    cluster.create(&kinds::NAMESPACE, team).await;
    cluster.until(|all| has(all, "configmaps/team/kube-root-ca.crt")).await;
    let node = value(&cluster.objects.store().snapshot(), "nodes/n");
    let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    assert!(object::list_at(&node, &["status", "conditions"]).iter().any(is_ready), "{node}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_starts_again_goes_on_where_the_last_one_was() {
    let mut cluster = Cluster::start().await;
    cluster.create(&kinds::DEPLOYMENT, deployment(20)).await;
    cluster.until(|all| all.count("pods/") > 0).await;
    cluster.shutdown.cancel();
    cluster.shutdown = CancellationToken::new();
    cluster.drive();
    cluster.until(|all| is_rolled_out(all, 1, 20)).await;
    assert_eq!(cluster.objects.store().snapshot().count("pods/"), 20);
}

/// A thousand pods from one scale-up: made, placed, reported ready, and listed behind the service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_a_thousand_pods() {
    let cluster = Cluster::start().await;
    let mut large = node("large");
    large["status"]["allocatable"]["pods"] = "2000".into();
    cluster.create(&kinds::NODE, large.clone()).await;
    let write = ObjectWrite::UpdateStatus { kind: &kinds::NODE, object: large, revision: None };
    cluster.objects.write_all(vec![write]).await.unwrap().remove(0).unwrap();
    cluster.create(&kinds::SERVICE, service()).await;
    cluster.create(&kinds::DEPLOYMENT, deployment(1000)).await;
    cluster.until(|all| is_rolled_out(all, 1, 1000) && endpoints(all) == 1000).await;
}
