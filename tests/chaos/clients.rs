//! Clients that read and write ConfigMaps through all members, and note what they asked, when, and what was answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coracle_api::kinds::CONFIG_MAP;
use coracle_client::{Client, Config, DeleteOptions, Error, ListOptions, WriteOptions};
use coracle_tests::ControlPlane;
use coracle_tests::linearizability::{Action, Operation, Outcome, Value};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// The namespace that everything is in.
pub(crate) const NAMESPACE: Option<&str> = Some("default");
/// All that is written here has it.
pub(crate) const LABEL: &str = "part=chaos";
/// The key that is written when all is over.
pub(crate) const LAST: &str = "last";
/// The status of a write that is refused as there is no space for it.
pub(crate) const NO_SPACE: u16 = 507;
const CLIENTS: u64 = 6;
const KEYS: u64 = 4;
/// Operations after which the clients go on with other keys, so that no key's history is too long to be searched.
const OPERATIONS_PER_GENERATION: u64 = 600;
/// An answer that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(4);
/// Longest pause of a client between two operations.
const PAUSE_MS_MAX: u64 = 30;

/// One operation on a key.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) operation: Operation,
    /// The member that was asked.
    #[expect(dead_code, reason = "it is written down for people")]
    server: usize,
    /// Of what was found or written, where that was said.
    revision: Option<u64>,
}

impl Record {
    /// What was written: revision, key and value.
    pub(crate) fn written(&self) -> Option<(u64, String, Value)> {
        let value = match self.operation.action {
            Action::Create(value) | Action::Replace { value, .. } => value,
            Action::Read | Action::Delete { .. } => return None,
        };
        (self.operation.outcome == Outcome::Done).then(|| Some((self.revision?, self.key.clone(), value)))?
    }
}

/// A client of each member, by number, on the member's own address; it asks no other.
#[derive(Clone)]
pub(crate) struct Servers(pub(crate) Vec<Client>);

impl Servers {
    pub(crate) fn of(plane: &ControlPlane) -> Servers {
        let config = Config::load(Some(&plane.dir(0).join("kubeconfig"))).unwrap();
        let client = |number| {
            let server = format!("https://{}:6443", plane.machine(number).address());
            Client::new(Config { server, other_servers: Vec::new(), ..config.clone() }).unwrap()
        };
        Servers((0..plane.count()).map(client).collect())
    }

    /// Writes the last key there is; gives its revision.
    pub(crate) fn write_last(&self) -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let written = runtime.block_on(async {
            let object = object(LAST, 0, None);
            self.0[0].create(&CONFIG_MAP, NAMESPACE, &object, &WriteOptions::default()).await
        });
        revision(&written.expect("when all is over, writes are done"))
    }
}

/// The clients, at work.
pub(crate) struct Clients {
    shared: Arc<Shared>,
    runtime: Runtime,
    tasks: Vec<JoinHandle<()>>,
    servers: Servers,
}

struct Shared {
    began: Instant,
    next_value: AtomicU64,
    operations: AtomicU64,
    is_over: AtomicBool,
    records: Mutex<Vec<Record>>,
}

impl Clients {
    pub(crate) fn start(servers: &Servers, seed: u64) -> Clients {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = Arc::new(Shared {
            began: Instant::now(),
            next_value: AtomicU64::new(1),
            operations: AtomicU64::default(),
            is_over: AtomicBool::default(),
            records: Mutex::default(),
        });
        let tasks = (0..CLIENTS).map(|number| {
            let random = StdRng::seed_from_u64(seed.wrapping_add(1_000 + number));
            let person = Person { servers: servers.clone(), shared: shared.clone(), random, known: HashMap::new() };
            runtime.spawn(person.work())
        });
        let tasks = tasks.collect();
        Clients { shared, runtime, tasks, servers: servers.clone() }
    }

    /// Lets the clients end; then reads every key once more through each member. Gives all that happened.
    pub(crate) fn end(self) -> Vec<Record> {
        let Clients { shared, runtime, tasks, servers } = self;
        shared.is_over.store(true, Ordering::Relaxed);
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
            let keys: std::collections::BTreeSet<String> =
                shared.records.lock().iter().map(|record| record.key.clone()).collect();
            for (number, server) in servers.0.iter().enumerate() {
                let called = shared.now();
                let list = server.list(&CONFIG_MAP, NAMESPACE, &ListOptions::labels(LABEL)).await;
                let items = list.expect("when all is over, reads are answered").items;
                let found: HashMap<&str, &serde_json::Value> =
                    items.iter().map(|item| (item["metadata"]["name"].as_str().unwrap_or_default(), item)).collect();
                for key in &keys {
                    let found = found.get(key.as_str());
                    let outcome = Outcome::Found(found.map(|object| value(object)));
                    let operation = Operation { action: Action::Read, outcome, called, answered: shared.now() };
                    let revision = found.map(|object| revision(object));
                    shared.records.lock().push(Record { key: key.clone(), operation, server: number, revision });
                }
            }
        });
        std::mem::take(&mut *shared.records.lock())
    }
}

impl Shared {
    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }
}

/// One client: a thing at a time, and then something else.
struct Person {
    servers: Servers,
    shared: Arc<Shared>,
    random: StdRng,
    /// The value and the revision that this client saw last.
    known: HashMap<String, (Value, u64)>,
}

impl Person {
    async fn work(mut self) {
        while !self.shared.is_over.load(Ordering::Relaxed) {
            let operations = self.shared.operations.fetch_add(1, Ordering::Relaxed);
            let key = format!("key-{}-{}", operations / OPERATIONS_PER_GENERATION, self.random.random_range(0..KEYS));
            let action = self.choose(&key);
            let server = self.random.random_range(0..self.servers.0.len());
            self.act(server, key, action).await;
            let pause = self.random.random_range(0..PAUSE_MS_MAX);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn choose(&mut self, key: &str) -> Action {
        let known = self.known.get(key).map(|(value, _)| *value);
        let value = || self.shared.next_value.fetch_add(1, Ordering::Relaxed);
        match (self.random.random_range(0..100), known) {
            (0..40, _) => Action::Read,
            (40..45, _) => Action::Replace { expected: None, value: value() },
            (45..50, _) => Action::Delete { expected: None },
            (50..60, Some(_)) => Action::Delete { expected: known },
            (60..95, Some(_)) => Action::Replace { expected: known, value: value() },
            (_, _) => Action::Create(value()),
        }
    }

    async fn act(&mut self, server: usize, key: String, action: Action) {
        let called = self.shared.now();
        let known = self.known.get(&key).map(|(_, revision)| *revision);
        let answer = tokio::time::timeout(PATIENCE, ask(&self.servers.0[server], &key, action, known)).await;
        let outcome = match &answer {
            Ok(answer) => outcome(action, answer.as_ref()),
            Err(_) => Some(Outcome::Unknown),
        };
        let Some(outcome) = outcome.filter(|outcome| (action, *outcome) != (Action::Read, Outcome::Unknown)) else {
            return;
        };
        let object = answer.ok().and_then(Result::ok).filter(|object| object["kind"] == "ConfigMap");
        let revision = object.as_ref().map(revision);
        match (outcome, &object) {
            (Outcome::Found(Some(_)) | Outcome::Done, Some(object)) => {
                self.known.insert(key.clone(), (value(object), revision.unwrap_or_default()));
            }
            (Outcome::Found(None) | Outcome::Done | Outcome::Missing, _) => drop(self.known.remove(&key)),
            _ => {}
        }
        let operation = Operation { action, outcome, called, answered: self.shared.now() };
        self.shared.records.lock().push(Record { key, operation, server, revision });
    }
}

/// Asks for what an action says; values that are expected are named by their revisions.
async fn ask(server: &Client, key: &str, action: Action, known: Option<u64>) -> Result<serde_json::Value, Error> {
    let options = WriteOptions::default();
    match action {
        Action::Read => server.get(&CONFIG_MAP, NAMESPACE, key).await,
        Action::Create(value) => server.create(&CONFIG_MAP, NAMESPACE, &object(key, value, None), &options).await,
        Action::Replace { expected, value } => {
            let object = object(key, value, expected.and(known));
            server.update(&CONFIG_MAP, NAMESPACE, &object, &options).await
        }
        Action::Delete { expected } => {
            let options = DeleteOptions { revision: expected.and(known), ..DeleteOptions::default() };
            server.delete(&CONFIG_MAP, NAMESPACE, key, &options).await
        }
    }
}

/// What an answer says of what was asked; nothing where it is certain that nothing was asked.
fn outcome(action: Action, answer: Result<&serde_json::Value, &Error>) -> Option<Outcome> {
    match (action, answer) {
        (Action::Read, Ok(object)) => Some(Outcome::Found(Some(value(object)))),
        (Action::Read, Err(error)) if error.is_not_found() => Some(Outcome::Found(None)),
        (_, Ok(_)) => Some(Outcome::Done),
        (_, Err(error)) if error.is_not_found() => Some(Outcome::Missing),
        (_, Err(error)) if error.is_already_exists() || error.is_conflict() => Some(Outcome::Conflict),
        (_, Err(Error::Connect { .. })) => None,
        (_, Err(error)) if error.code() == Some(NO_SPACE) => None,
        (_, Err(error)) => {
            // Of a member that stops as it relays an answer, the answer may come without its end.
            let is_cut_off = matches!(error, Error::Answer { .. });
            let is_expected = is_cut_off || error.is_connection() || error.code().is_some_and(|code| code >= 500);
            assert!(is_expected, "{action:?}: {error}");
            Some(Outcome::Unknown)
        }
    }
}

fn object(key: &str, value: Value, revision: Option<u64>) -> serde_json::Value {
    let mut object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": key, "labels": { "part": "chaos" } },
        "data": { "value": value.to_string() },
    });
    if let Some(revision) = revision {
        object["metadata"]["resourceVersion"] = revision.to_string().into();
    }
    object
}

/// What an object holds.
pub(crate) fn value(object: &serde_json::Value) -> Value {
    object["data"]["value"].as_str().and_then(|text| text.parse().ok()).expect("all that is here holds a value")
}

/// When an object was written.
pub(crate) fn revision(object: &serde_json::Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str();
    text.and_then(|text| text.parse().ok()).expect("an object has a revision")
}
