//! kube-rs's informers across a server that is killed: what they know is what there is, and no change reached them twice.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex};

use coracle_tests::{Cluster, PATIENCE};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Client, ResourceExt as _};

const LABEL: &str = "part=informers";

/// What there is, or what an informer knows: the number that each map holds, by name.
type Numbers = BTreeMap<String, u64>;

/// An informer, and what went wrong with what it was told.
struct Informer {
    store: reflector::Store<ConfigMap>,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Informer {
    fn start(api: Api<ConfigMap>, config: Config) -> Informer {
        let (store, writer) = reflector::store();
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let (noted, mut last) = (Arc::clone(&complaints), HashMap::new());
        let events = reflector(writer, watcher(api, config.labels(LABEL)).default_backoff());
        tokio::spawn(events.for_each(move |event| {
            // An error only says that the server was away.
            noted.lock().unwrap().extend(event.ok().and_then(|event| complaint(&event, &mut last)));
            std::future::ready(())
        }));
        Informer { store, complaints }
    }

    fn numbers(&self) -> Numbers {
        self.store.state().iter().map(|map| (map.name_any(), number(map))).collect()
    }
}

/// A change comes once, and no object goes back in time: not even when an informer lists all of them anew.
fn complaint(event: &Event<ConfigMap>, last: &mut HashMap<String, (String, u64)>) -> Option<String> {
    let (map, is_listed) = match event {
        Event::Apply(map) => (map, false),
        Event::InitApply(map) => (map, true),
        Event::Delete(_) | Event::Init | Event::InitDone => return None,
    };
    let (name, new) = (map.name_any(), (map.resource_version().unwrap_or_default(), number(map)));
    let old = last.insert(name.clone(), new.clone())?;
    let is_told_twice = !is_listed && old.0 == new.0;
    (is_told_twice || new.1 < old.1).then(|| format!("{name}: {new:?} after {old:?}"))
}

fn number(map: &ConfigMap) -> u64 {
    map.data.as_ref().and_then(|data| data.get("n")?.parse().ok()).unwrap_or_default()
}

async fn client(cluster: &Cluster) -> Client {
    let kubeconfig = Kubeconfig::read_from(cluster.dir().join("kubeconfig")).unwrap();
    let options = KubeConfigOptions::default();
    Client::try_from(kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap()).unwrap()
}

/// The maps, as this test has changed them.
struct Maps {
    api: Api<ConfigMap>,
    expected: Numbers,
}

impl Maps {
    async fn create(&mut self, index: u64) {
        let name = format!("map-{index}");
        let labels = [("part".to_owned(), "informers".to_owned())].into();
        let metadata = ObjectMeta { name: Some(name.clone()), labels: Some(labels), ..ObjectMeta::default() };
        let data = Some([("n".to_owned(), "0".to_owned())].into());
        let map = ConfigMap { metadata, data, ..ConfigMap::default() };
        self.api.create(&PostParams::default(), &map).await.unwrap();
        self.expected.insert(name, 0);
    }

    async fn count_up(&mut self, index: u64) {
        let name = format!("map-{index}");
        let number = self.expected.get_mut(&name).unwrap();
        *number += 1;
        let patch = Patch::Merge(serde_json::json!({"data": {"n": number.to_string()}}));
        self.api.patch(&name, &PatchParams::default(), &patch).await.unwrap();
    }

    async fn delete(&mut self, index: u64) {
        let name = format!("map-{index}");
        self.api.delete(&name, &DeleteParams::default()).await.unwrap();
        self.expected.remove(&name);
    }

    /// Waits until the informers know what there is.
    async fn settle(&self, informers: &[Informer]) {
        for informer in informers {
            within_patience("an informer knows what there is", async || {
                informer.store.wait_until_ready().await.unwrap();
                (informer.numbers() == self.expected).then_some(())
            })
            .await;
        }
    }
}

async fn within_patience<F: Future<Output = Option<()>>>(what: &str, condition: impl Fn() -> F) {
    let until = async {
        while condition().await.is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, until).await.unwrap_or_else(|_| panic!("{what}: not after {PATIENCE:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn informers_lose_nothing_and_double_nothing_when_the_server_is_killed() {
    let mut cluster = Cluster::start();
    let api: Api<ConfigMap> = Api::default_namespaced(client(&cluster).await);
    let mut maps = Maps { api: api.clone(), expected: Numbers::new() };
    for index in 0..10 {
        maps.create(index).await;
    }
    let configs = [Config::default(), Config::default().streaming_lists(), Config::default().page_size(3)];
    let informers = configs.map(|config| Informer::start(api.clone(), config));
    maps.settle(&informers).await;
    for index in 0..30 {
        maps.count_up(index % 10).await;
    }
    maps.settle(&informers).await;

    cluster.restart();
    for index in 0..5 {
        maps.count_up(index).await;
        maps.delete(index + 5).await;
        maps.create(index + 10).await;
    }
    maps.settle(&informers).await;
    for informer in informers {
        assert_eq!(*informer.complaints.lock().unwrap(), [""; 0]);
    }
}
