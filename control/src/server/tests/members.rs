//! Several members over the real transport: any of them takes a request, one of them decides it.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use coracle_api::status::{NOT_LEADER, Status};
use coracle_registry::Digest;
use coracle_store::testing::SeededDisk;
use coracle_store::{Member, Options, Store};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::authorizer::Rbac;
use crate::harness::{artifacts, cluster_files, joining, pki};
use crate::peers::{HttpPeers, MEMBERS};
use crate::pki::{Identity, Pki};
use crate::removal;
use crate::sealing::Sealer;
use crate::server::{ServerConfig, serve};
use crate::tokens::Tokens;
use crate::{EPHEMERAL, Identities, Objects, SystemClock};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
const PATIENCE: Duration = Duration::from_secs(30);

/// One member, listening.
struct Running {
    name: String,
    store: Store,
    base: String,
    /// The registry, as people reach it.
    registry: String,
    peers: HttpPeers,
    shutdown: CancellationToken,
}

struct Cluster {
    dir: TempDir,
    pki: Arc<Pki>,
    members: Vec<Running>,
}

impl Cluster {
    async fn of(names: &[&str]) -> Cluster {
        let dir = TempDir::new().unwrap();
        let pki = Arc::new(pki(dir.path(), SystemClock));
        let mut cluster = Cluster { dir, pki, members: Vec::new() };
        for name in names {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let member = match cluster.members.first() {
                None => Member { id: 1, name: (*name).to_owned(), address },
                Some(founder) => founder.store.add_member(name, &address).await.unwrap(),
            };
            let running = cluster.start(member, listener).await;
            cluster.members.push(running);
            let voters =
                |cluster: &Cluster| cluster.members[0].store.members().iter().filter(|member| member.is_voter).count();
            while voters(&cluster) < cluster.members.len() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        cluster
    }

    async fn start(&self, member: Member, listener: TcpListener) -> Running {
        let (name, base) = (member.name.clone(), format!("https://{}", member.address));
        let names = vec!["127.0.0.1".to_owned()];
        let identities = Identities::issue(self.pki.clone(), &member.name, names, 0.8).unwrap();
        let artifacts = artifacts(&self.dir.path().join(&member.name));
        let registry = format!("http://{}", artifacts.listener.local_addr().unwrap());
        let peers = HttpPeers::new(&identities.member_tls().unwrap()).unwrap();
        let options = Options {
            is_founder: member.id == 1,
            member,
            peers: Arc::new(peers.clone()),
            ephemeral: EPHEMERAL,
            ..Options::new("/store")
        };
        let store = Store::open(options, Arc::new(SeededDisk::new(1))).await.unwrap();
        let (keys, sealing_keys) = (self.dir.path().join("pki"), self.sealing_keys(&name));
        if let Some(founder) = self.members.first() {
            // What joining does.
            std::fs::create_dir(&sealing_keys).unwrap();
            let founders = self.sealing_keys(&founder.name).join("secret-keys.json");
            std::fs::copy(founders, sealing_keys.join("secret-keys.json")).unwrap();
        }
        let sealer = Sealer::open(&sealing_keys, &store.snapshot(), false).unwrap();
        let shutdown = CancellationToken::new();
        let config = ServerConfig {
            listener,
            identities,
            objects: Objects::new(store.clone(), Arc::new(SystemClock), sealer, Arc::new(Rbac::default())),
            tokens: Arc::new(Tokens::open_or_create(&keys).unwrap()),
            audit_log: None,
            cluster_files: cluster_files(self.dir.path()),
            joining: joining(self.dir.path()),
            artifacts,
            shutdown: shutdown.clone(),
        };
        tokio::spawn(serve(config));
        Running { name, store, base, registry, peers, shutdown }
    }

    fn sealing_keys(&self, member: &str) -> std::path::PathBuf {
        self.dir.path().join(format!("keys-of-{member}"))
    }

    fn admin(&self) -> reqwest::Client {
        self.client(&self.pki.issue_admin().unwrap())
    }

    fn client(&self, identity: &Identity) -> reqwest::Client {
        let tls = self.pki.client_config(identity.rotating(0.8).unwrap()).unwrap();
        reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap()
    }

    /// The code and the body of a request to one member.
    async fn ask(&self, member: usize, line: &str, body: Value) -> (u16, Value) {
        let (method, path) = line.split_once(' ').unwrap();
        let url = format!("{}{path}", self.members[member].base);
        let request = self.admin().request(method.parse().unwrap(), url).json(&body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

fn config_map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "a": "b" } })
}

#[tokio::test]
async fn any_member_takes_a_request_and_the_leader_decides_it() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "default" } });
    assert_eq!(cluster.ask(1, "POST /api/v1/namespaces", namespace).await.0, 201);
    let mut namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "kube-node-lease" } });
    namespace["metadata"]["labels"] = json!({ "a": "b" });
    assert_eq!(cluster.ask(2, "POST /api/v1/namespaces", namespace).await.0, 201);
    let (code, made) = cluster.ask(1, &format!("POST {CONFIG_MAPS}"), config_map("one")).await;
    assert_eq!((code, &made["metadata"]["managedFields"][0]["operation"]), (201, &json!("Update")));
    let revision = made["metadata"]["resourceVersion"].as_str().unwrap();
    let (_, list) = cluster.ask(2, &format!("GET {CONFIG_MAPS}"), Value::Null).await;
    assert_eq!(list["items"][0], made);
    // A watch on a third member begins where the first one's answer ends.
    let url = format!("{}{CONFIG_MAPS}?watch=true&resourceVersion={revision}", cluster.members[2].base);
    let mut watch = cluster.admin().get(url).send().await.unwrap();
    assert_eq!(cluster.ask(0, &format!("POST {CONFIG_MAPS}"), config_map("two")).await.0, 201);
    let event: Value = serde_json::from_slice(&watch.chunk().await.unwrap().unwrap()).unwrap();
    assert_eq!(event["object"]["metadata"]["name"], "two");
    let (code, again) = cluster.ask(1, &format!("POST {CONFIG_MAPS}"), config_map("one")).await;
    assert_eq!((code, &again["reason"]), (409, &json!("AlreadyExists")));
    // A node's lease lives in the leader's memory only, and is seen through all.
    let lease =
        json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "h1" }, "spec": {} });
    assert_eq!(cluster.ask(1, &format!("POST {LEASES}"), lease).await.0, 201);
    assert_eq!(cluster.ask(2, &format!("GET {LEASES}/h1"), Value::Null).await.0, 200);
    assert!(cluster.members[2].store.snapshot().range("leases", None).next().is_none());
}

#[tokio::test]
async fn members_are_listed_and_removed_through_any_of_them() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    // A leader that has just been elected has not heard of the others yet.
    let heard = async |asked| loop {
        let (_, list) = cluster.ask(asked, "GET /coracle/members", Value::Null).await;
        if list["items"][1]["lag"].is_u64() && list["items"][1]["silenceMs"].is_u64() {
            break list;
        }
    };
    let (list, _) = (heard(2).await, heard(1).await);
    let shown = |list: &Value| {
        let items = list["items"].as_array().unwrap().iter();
        items.map(|member| format!("{} {}", member["name"], member["role"])).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(shown(&list), r#""a" "leader", "b" "voter", "c" "voter""#);
    assert_eq!(cluster.ask(1, "DELETE /coracle/members/c", Value::Null).await.0, 200);
    let (code, gone) = cluster.ask(1, "DELETE /coracle/members/c", Value::Null).await;
    assert_eq!((code, &gone["message"]), (404, &json!("there is no member c")));
    let someone = cluster.client(&cluster.pki.issue_client("someone", "nobody").unwrap());
    let list = someone.get(format!("{}/coracle/members", cluster.members[0].base));
    assert_eq!(list.send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_member_that_was_removed_finds_out() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    assert_eq!(cluster.ask(1, "DELETE /coracle/members/c", Value::Null).await.0, 200);
    let removed = |member: usize| {
        let Running { store, peers, .. } = &cluster.members[member];
        removal::wait(store, peers, Duration::from_millis(100))
    };
    let found = async {
        tokio::select! {
            () = removed(0) => "a",
            () = removed(1) => "b",
            () = removed(2) => "c",
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, found).await.expect("it finds out"), "c");
}

#[tokio::test]
async fn nobody_but_a_member_speaks_for_others() {
    let cluster = Cluster::of(&["a"]).await;
    let client = cluster.client(&cluster.pki.issue_client("someone", "nobody").unwrap());
    let base = &cluster.members[0].base;
    let request = client.get(format!("{base}/api/v1/nodes"));
    let request = request.header("x-remote-user", "admin").header("x-remote-group", "system:masters");
    assert_eq!(request.send().await.unwrap().status(), 403);
    let call = client.post(format!("{base}/coracle/consensus/1/read-index")).send().await.unwrap();
    assert_eq!(call.status(), 403);
}

#[tokio::test]
async fn writes_go_on_when_the_leader_is_gone() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "default" } });
    assert_eq!(cluster.ask(0, "POST /api/v1/namespaces", namespace).await.0, 201);
    assert_eq!(cluster.ask(0, &format!("POST {CONFIG_MAPS}"), config_map("before")).await.0, 201);
    let gone = &cluster.members[0];
    gone.shutdown.cancel();
    gone.store.shutdown().await.unwrap();
    let write = async {
        loop {
            let (code, answer) = cluster.ask(1, &format!("POST {CONFIG_MAPS}"), config_map("after")).await;
            // Whoever was told that it is not known asks again, and may find it done.
            if matches!(code, 201 | 409) {
                return answer;
            }
            assert!(matches!(code, 503 | 504), "{code} {answer}");
        }
    };
    tokio::time::timeout(PATIENCE, write).await.expect("another member leads");
    let (_, list) = cluster.ask(2, &format!("GET {CONFIG_MAPS}"), Value::Null).await;
    let names: Vec<&str> =
        list["items"].as_array().unwrap().iter().filter_map(|item| item["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["after", "before"]);
}

#[tokio::test]
async fn a_write_that_meets_a_change_of_the_lead_goes_to_the_next_leader() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "default" } });
    assert_eq!(cluster.ask(0, "POST /api/v1/namespaces", namespace).await.0, 201);
    let is_over = CancellationToken::new();
    let writers = (0..8).map(async |writer| {
        let mut codes = Vec::new();
        for number in 0.. {
            let (code, answer) =
                cluster.ask(0, &format!("POST {CONFIG_MAPS}"), config_map(&format!("{writer}-{number}"))).await;
            // Of what was proposed already, it may not be known what became of it.
            assert!(matches!(code, 201 | 504), "{code} {answer}");
            codes.push(code);
            if is_over.is_cancelled() {
                break;
            }
        }
        codes
    });
    let changes = async {
        for _ in 0..10 {
            let leader = cluster.members.iter().find(|member| member.store.is_leader());
            leader.expect("the last change was awaited").store.hand_over().await;
            let led = async {
                while !cluster.members.iter().any(|member| member.store.is_leader()) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, led).await.expect("another member leads");
        }
        is_over.cancel();
    };
    let (codes, ()) = tokio::join!(futures::future::join_all(writers), changes);
    assert!(codes.concat().contains(&201));
}

#[tokio::test]
async fn a_leader_that_stops_answers_what_it_was_asked() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "default" } });
    assert_eq!(cluster.ask(0, "POST /api/v1/namespaces", namespace).await.0, 201);
    let (leader, url) = (&cluster.members[0], format!("{}{CONFIG_MAPS}", cluster.members[0].base));
    let writers = (0..16).map(async |writer| {
        let client = cluster.admin();
        for number in 0.. {
            let object = config_map(&format!("{writer}-{number}"));
            match client.post(&url).json(&object).send().await {
                Ok(answer) => assert!(matches!(answer.status().as_u16(), 201 | 503 | 504), "{answer:?}"),
                Err(error) if error.is_connect() => return number,
                Err(error) => panic!("writer {writer} is not answered: {error:?}"),
            }
        }
        unreachable!("the leader stops")
    });
    let stop = async {
        while leader.store.snapshot().range("configmaps", None).count() < 100 {
            tokio::task::yield_now().await;
        }
        leader.store.hand_over().await;
        leader.shutdown.cancel();
    };
    let (written, ()) = tokio::join!(futures::future::join_all(writers), stop);
    assert!(written.iter().sum::<u32>() >= 100, "{written:?}");
}

#[tokio::test]
async fn who_reaches_no_leader_says_that_nothing_was_done() {
    let cluster = Cluster::of(&["a", "b"]).await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "default" } });
    assert_eq!(cluster.ask(0, "POST /api/v1/namespaces", namespace).await.0, 201);
    let gone = &cluster.members[0];
    gone.shutdown.cancel();
    gone.store.shutdown().await.unwrap();
    let url = format!("{}{CONFIG_MAPS}", cluster.members[1].base);
    let answer = loop {
        let answer = cluster.admin().post(&url).json(&config_map("lost")).send().await.unwrap();
        // Of what was under way as the leader went, nobody knows.
        if answer.status() != 504 {
            break answer;
        }
    };
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key(NOT_LEADER)), (503, true));
    let said: Status = answer.json().await.unwrap();
    assert!(said.lacks_leader(), "{said:?}");
}

#[tokio::test]
async fn what_is_pushed_to_one_member_is_at_all_and_hosts_pull_it_by_their_certificates() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "kube-system" } });
    assert_eq!(cluster.ask(0, "POST /api/v1/namespaces", namespace).await.0, 201);
    let people = cluster.admin();
    let url = |member: usize, path: &str| format!("{}/v2/shop/cart/{path}", cluster.members[member].registry);
    let push = |method: Method, url: String| people.request(method, url).basic_auth("admin", Some("registry-password"));
    let config = Digest::of(b"{}");
    let upload =
        push(Method::POST, url(1, &format!("blobs/uploads/?digest={config}"))).body("{}").send().await.unwrap();
    assert_eq!(upload.status(), 201);
    let part = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 });
    let manifest = json!({ "schemaVersion": 2, "config": part, "layers": [] }).to_string();
    for (member, tag) in [(1, "1.0"), (2, "2.0_x")] {
        let put =
            push(Method::PUT, url(member, &format!("manifests/{tag}"))).body(manifest.clone()).send().await.unwrap();
        assert_eq!(put.status(), 201, "{}", put.text().await.unwrap());
    }
    for member in 0..3 {
        let tags: Value = people.get(url(member, "tags/list")).send().await.unwrap().json().await.unwrap();
        assert_eq!(tags, json!({ "name": "shop/cart", "tags": ["1.0", "2.0_x"] }));
        let found = people.get(url(member, "manifests/1.0")).send().await.unwrap();
        assert_eq!(found.text().await.unwrap(), manifest);
    }
    assert_eq!(push(Method::DELETE, url(0, "manifests/1.0")).send().await.unwrap().status(), 202);
    assert_eq!(people.get(url(2, "manifests/1.0")).send().await.unwrap().status(), 404);

    let host = cluster.client(&cluster.pki.issue_host("worker-1", &["worker-1".to_owned()]).unwrap());
    let api = |path: &str| format!("{}/v2/shop/cart/{path}", cluster.members[0].base);
    let pulled = host.get(api("manifests/2.0_x")).send().await.unwrap();
    assert_eq!((pulled.status().as_u16(), pulled.text().await.unwrap()), (200, manifest.clone()));
    assert_eq!(host.post(api("blobs/uploads/")).send().await.unwrap().status(), 403);
    // What members ask each other is nobody else's business.
    let list = format!("{}/v2/_manifests", cluster.members[0].base);
    assert_eq!(host.get(&list).send().await.unwrap().status(), 404);
    let member = cluster.client(&cluster.pki.issue_client("coracle:member:b", MEMBERS).unwrap());
    let digest = Digest::of(manifest.as_bytes());
    assert_eq!(member.get(&list).send().await.unwrap().text().await.unwrap(), format!("shop/cart@{digest}\n"));
    let stranger = cluster.client(&cluster.pki.issue_client("jane", "people").unwrap());
    let refused = stranger.get(api("manifests/2.0_x")).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let refused = refused.text().await.unwrap();
    assert!(refused.contains("DENIED") && refused.contains("cannot get path"), "{refused}");
    // Users show their certificates, as everywhere.
    let put = people.put(api("manifests/3")).body(manifest).send().await.unwrap();
    assert_eq!(put.status(), 201);
}

#[tokio::test]
async fn a_new_secret_key_is_used_when_every_member_has_it() {
    const SECRETS: &str = "/api/v1/namespaces/default/secrets";
    const ROTATIONS: &str = "POST /apis/coracle.dev/v1/secretkeyrotations";
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "default" } });
    assert_eq!(cluster.ask(0, "POST /api/v1/namespaces", namespace).await.0, 201);
    let secret = |name: &str| json!({ "metadata": { "name": name }, "data": { "password": "aHVudGVyMg==" } });
    let read_everywhere = async |members: &[usize], name: &str| {
        for member in members {
            let (code, found) = cluster.ask(*member, &format!("GET {SECRETS}/{name}"), Value::Null).await;
            assert_eq!((code, &found["data"]["password"]), (200, &json!("aHVudGVyMg==")), "{name} from {member}");
        }
    };
    assert_eq!(cluster.ask(0, &format!("POST {SECRETS}"), secret("before")).await.0, 201);
    let (code, rotated) = cluster.ask(1, ROTATIONS, json!({})).await;
    assert_eq!((code, &rotated["status"]["rewritten"]), (201, &json!(1)), "{rotated}");
    let key = rotated["status"]["keyId"].as_str().unwrap();
    for name in ["a", "b", "c"] {
        let kept = std::fs::read_to_string(cluster.sealing_keys(name).join("secret-keys.json")).unwrap();
        assert!(kept.contains(key), "{name}");
    }
    assert_eq!(cluster.ask(2, &format!("POST {SECRETS}"), secret("after")).await.0, 201);
    read_everywhere(&[0, 1, 2], "before").await;
    read_everywhere(&[0, 1, 2], "after").await;

    let lost = &cluster.members[2];
    lost.shutdown.cancel();
    while cluster.admin().get(format!("{}/livez", lost.base)).send().await.is_ok() {}
    let (code, refused) = cluster.ask(0, ROTATIONS, json!({})).await;
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("does not take the new key") && message.contains("wasmctl member remove c"), "{message}");
    assert_eq!(code, 503);
    assert_eq!(cluster.ask(0, &format!("POST {SECRETS}"), secret("then")).await.0, 201);
    let stored = cluster.members[0].store.snapshot().get("secrets/default/then").unwrap();
    assert!(String::from_utf8_lossy(&stored.json).contains(key), "the key that not everybody has is not used");
    read_everywhere(&[0, 1], "then").await;

    let someone = cluster.client(&cluster.pki.issue_admin().unwrap());
    let given = json!({ "id": "0", "key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" });
    let refused = someone.post(format!("{}/coracle/secret-key", cluster.members[0].base)).json(&given).send().await;
    assert_eq!(refused.unwrap().status(), 404, "members only give keys");
}
