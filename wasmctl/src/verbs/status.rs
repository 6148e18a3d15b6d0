//! `wasmctl status`: the cluster in a few lines, and what is wrong with it.

mod certificates;

use std::collections::BTreeMap;
use std::time::Duration;

use coracle_api::status::Status;
use coracle_api::{kinds, object};
use coracle_client::{Client, Config, ListOptions};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::context::{Global, now};
use crate::failure::{Failure, Result};
use crate::rollout::is_ready;

/// A member that has not answered the leader for so long is called silent.
const SILENCE_MAX_MS: u64 = 2_000;
/// How long a member may take to tell its figures.
const FIGURES_TIMEOUT: Duration = Duration::from_secs(3);

/// Show the cluster's members, hosts, pods and certificates, and what is wrong
///
/// Examples:
///   wasmctl status
///   wasmctl status --output json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Print as JSON
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let client = global.client()?;
    let Objects { nodes, pods, outdated } = objects(&client).await?;
    let mut summary = summarise(&nodes, &pods);
    summary["store"] = store(&figures(&client, "/metrics").await?);
    summary["members"] = client.fetch::<Value>(super::member::MEMBERS).await?["items"].take();
    let figures_of_members = of_members(&client, &summary["members"]).await;
    let read = |(name, figures): &(String, String)| certificates::read(&format!("member {name}"), figures);
    let of_members: Vec<_> = figures_of_members.iter().flat_map(read).collect();
    let (mut hosts, mut of_hosts, mut silent) = (String::new(), Vec::new(), Vec::new());
    for name in nodes.iter().filter(|node| is_ready(node)).map(object::name) {
        let figures = match figures(&client, &format!("/api/v1/nodes/{name}/proxy/metrics")).await {
            Ok(figures) => figures,
            Err(failure) => {
                silent.extend(failure.to_string().lines().next().map(str::to_owned));
                continue;
            }
        };
        of_hosts.extend(certificates::read(&format!("host {name}"), &figures));
        hosts += &figures;
    }
    summary["requests"] = requests(&hosts);
    let now = now().as_second();
    summary["certificates"] = json!([&of_members[..], &of_hosts[..]].concat());
    let problems =
        [&of_members, &of_hosts].into_iter().flat_map(|certificates| certificates::problems(certificates, now));
    let leader = leader(&summary["members"]);
    let full = figures_of_members.iter().filter_map(|(name, figures)| full(name, figures, leader == Some(&**name)));
    let away = silent_members(&summary["members"]).into_iter().map(|name| {
        format!("member {name} does not answer the one that leads: start it, or take it out with `wasmctl member remove` if it is gone for good")
    });
    let problems: Vec<Value> =
        outdated.into_iter().chain(problems).chain(full).chain(away).chain(silent).map(Value::from).collect();
    summary["problems"].as_array_mut().expect("invariant: a summary lists problems").extend(problems);
    if args.output.is_some() {
        println!("{summary:#}");
        return Ok(());
    }
    println!("cluster {}   {}", client.config().context, client.config().server);
    let (store, requests) = (&summary["store"], &summary["requests"]);
    println!("members {}", members(&summary["members"]));
    println!("        certificates {}", certificates::first_end(&of_members, now));
    let log_mib = store["logBytes"].as_f64().unwrap_or(0.0) / f64::from(1 << 20);
    println!("store   {} objects at revision {}, log {log_mib:.1} MiB", store["objects"], store["revision"]);
    println!("hosts   {} ready, {} not ready", summary["hosts"]["ready"], summary["hosts"]["notReady"]);
    println!("        certificates {}", certificates::first_end(&of_hosts, now));
    let phases: Vec<String> = summary["pods"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(phase, count)| format!("{count} {}", phase.to_lowercase()))
        .collect();
    println!("pods    {}", if phases.is_empty() { "none".to_owned() } else { phases.join(", ") });
    println!(
        "served  {} requests, {} of them failed, {} in flight",
        requests["answered"], requests["failed"], requests["inFlight"]
    );
    for problem in summary["problems"].as_array().into_iter().flatten() {
        println!("problem {}", problem.as_str().unwrap_or_default());
    }
    Ok(())
}

struct Objects {
    nodes: Vec<Value>,
    pods: Vec<Value>,
    /// Why this is only what a server last knew.
    outdated: Option<String>,
}

/// Nodes and pods as they are; where nobody can say so for want of a leader, as the server that answers last knew them.
async fn objects(client: &Client) -> Result<Objects> {
    let list = async |revision: Option<u64>| {
        let options = ListOptions { revision, ..ListOptions::default() };
        let nodes = client.list(kinds::by_any_name("nodes").expect("built in"), None, &options).await?.items;
        let pods = client.list(kinds::by_any_name("pods").expect("built in"), None, &options).await?.items;
        Ok::<_, coracle_client::Error>((nodes, pods))
    };
    match list(None).await {
        Ok((nodes, pods)) => Ok(Objects { nodes, pods, outdated: None }),
        Err(error) if error.is_connection() || matches!(error.code(), Some(503 | 504)) => {
            let reason = error.to_string();
            let (nodes, pods) = list(Some(0)).await.map_err(|_| error)?;
            let outdated =
                format!("hosts and pods are shown as they were last known, and nothing can be written: {reason}");
            Ok(Objects { nodes, pods, outdated: Some(outdated) })
        }
        Err(error) => Err(error.into()),
    }
}

/// Who leads, how far the others are behind, and who is silent.
fn members(list: &Value) -> String {
    let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let count = if all.len() == 1 { "1 member".to_owned() } else { format!("{} members", all.len()) };
    let led = leader(list).map_or_else(|| "without a leader".to_owned(), |name| format!("{name} leads"));
    let silent = silent_members(list);
    let behind = |member: &Value| -> Option<String> {
        let lag = member["lag"].as_u64().filter(|_| member["role"] != "leader")?;
        let learns = if member["role"] == "learner" { " (learns)" } else { "" };
        Some(format!(", {} {lag} entries behind{learns}", member["name"].as_str()?))
    };
    let behind: String = all.iter().filter_map(behind).collect();
    match silent.as_slice() {
        [] => format!("{count}, {led}{behind}"),
        silent => format!("{count}, {led}{behind}, no answer from {}", silent.join(", ")),
    }
}

fn leader(list: &Value) -> Option<&str> {
    let leads = |member: &&Value| member["role"] == "leader";
    list.as_array().into_iter().flatten().find(leads).and_then(|member| member["name"].as_str())
}

/// Whom the one that leads has not heard of lately.
fn silent_members(list: &Value) -> Vec<&str> {
    let is_silent = |member: &&Value| {
        member["role"] != "leader" && member["silenceMs"].as_u64().is_none_or(|silence| silence > SILENCE_MAX_MS)
    };
    let members = list.as_array().into_iter().flatten().filter(|_| leader(list).is_some());
    members.filter(is_silent).filter_map(|member| member["name"].as_str()).collect()
}

/// Asks each member for its figures; those that don't answer in time have none.
async fn of_members(client: &Client, members: &Value) -> Vec<(String, String)> {
    let ask = async |member: &Value| {
        let text = |field: &str| member[field].as_str().unwrap_or_default();
        let server = format!("https://{}", text("address"));
        let asked = Client::new(Config { server, other_servers: Vec::new(), ..client.config().clone() }).ok()?;
        let figures = tokio::time::timeout(FIGURES_TIMEOUT, figures(&asked, "/metrics")).await.ok()?.ok()?;
        Some((text("name").to_owned(), figures))
    };
    join_all(members.as_array().into_iter().flatten().map(ask)).await.into_iter().flatten().collect()
}

/// What is wrong with a member whose disk is full.
fn full(name: &str, figures: &str, leads: bool) -> Option<String> {
    let told = match leads {
        true => "its disk is full: what needs space is refused until something is deleted, there or in the cluster",
        false => "its disk is full: it falls behind the others until there is space",
    };
    (sum(figures, "coracle_store_lacks_space", "") > 0.0).then(|| format!("member {name}: {told}"))
}

/// The text at a path of metrics.
async fn figures(client: &Client, path: &str) -> Result<String> {
    let reply = client.raw(path).await?;
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    if reply.code != 200 {
        return Err(Failure::new(format!(
            "{path}: {}",
            serde_json::from_slice::<Status>(&reply.body).map_or(text, |status| status.message)
        )));
    }
    Ok(text)
}

fn store(metrics: &str) -> Value {
    let figure = |name: &str| sum(metrics, name, "") as u64;
    json!({
        "objects": figure("coracle_store_keys"),
        "revision": figure("coracle_store_revision"),
        "logBytes": figure("coracle_store_log_bytes"),
    })
}

fn requests(metrics: &str) -> Value {
    let answered = |labels: &str| sum(metrics, "coracle_ingress_requests_total", labels) as u64;
    json!({
        "answered": answered(""),
        "failed": answered("code=\"5xx\""),
        "inFlight": sum(metrics, "coracle_ingress_requests_in_flight", "") as u64,
    })
}

/// The sum of a metric's values over the lines whose labels contain `labels`.
fn sum(metrics: &str, name: &str, labels: &str) -> f64 {
    let values = metrics.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let rest = series.strip_prefix(name)?;
        let is_meant = rest.is_empty() || rest.starts_with('{');
        (is_meant && rest.contains(labels)).then(|| value.parse::<f64>().ok())?
    });
    values.sum()
}

fn summarise(nodes: &[Value], pods: &[Value]) -> Value {
    let (ready, lost): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| is_ready(node));
    let mut phases: BTreeMap<&str, usize> = BTreeMap::new();
    let mut problems: Vec<String> = lost.iter().map(|node| lost_host(node)).collect();
    let mut reasons: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for pod in pods {
        *phases.entry(pod["status"]["phase"].as_str().unwrap_or("Unknown")).or_default() += 1;
        if let Some(reason) = reason(pod) {
            let name = format!("{}/{}", object::namespace(pod).unwrap_or_default(), object::name(pod));
            reasons.entry(reason).or_insert((0, name)).0 += 1;
        }
    }
    problems.extend(reasons.into_iter().map(|(reason, (count, first))| match count {
        1 => format!("pod {first}: {reason}"),
        _ => format!("pod {first} and {} more: {reason}", count - 1),
    }));
    json!({ "hosts": { "ready": ready.len(), "notReady": lost.len() }, "pods": phases, "problems": problems })
}

/// What is wrong with a host that is not ready.
fn lost_host(node: &Value) -> String {
    let ready = node["status"]["conditions"].as_array().into_iter().flatten().find(|it| it["type"] == "Ready");
    let because =
        ready.and_then(|it| it["message"].as_str()).map_or_else(String::new, |message| format!(": {message}"));
    format!("host {} is not ready{because}", object::name(node))
}

/// Why a pod that should run does not.
fn reason(pod: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let conditions = pod["status"]["conditions"].as_array();
    if let Some(unplaced) =
        conditions.into_iter().flatten().find(|it| it["type"] == "PodScheduled" && it["status"] == "False")
    {
        return Some(format!("pending: {}", text(&unplaced["message"])));
    }
    let containers = pod["status"]["containerStatuses"].as_array();
    let waiting =
        containers.into_iter().flatten().map(|it| &it["state"]["waiting"]).find(|it| it["reason"].is_string())?;
    (waiting["reason"] != "ContainerCreating")
        .then(|| format!("{}: {}", text(&waiting["reason"]), text(&waiting["message"])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn members_are_summed_up() {
        let member = |name: &str, role: &str, silence: Value| json!({ "name": name, "role": role, "silenceMs": silence, "lag": silence });
        let told = [
            members(&json!([member("a", "leader", Value::Null)])),
            members(&json!([
                member("a", "leader", Value::Null),
                member("b", "voter", json!(90)),
                member("c", "voter", Value::Null)
            ])),
            members(&json!([member("a", "voter", Value::Null), member("b", "voter", Value::Null)])),
        ];
        expect![[r#"
            1 member, a leads
            3 members, a leads, b 90 entries behind, no answer from c
            2 members, without a leader"#]]
        .assert_eq(&told.join("\n"));
    }

    #[test]
    fn a_full_disk_is_a_problem() {
        let told =
            ["coracle_store_lacks_space 0\n", "coracle_store_lacks_space 1\n"].map(|figures| full("a", figures, true));
        expect![[r#"[None, Some("member a: its disk is full: what needs space is refused until something is deleted, there or in the cluster")]"#]].assert_eq(&format!("{told:?}"));
    }

    #[test]
    fn metrics_are_summed_over_their_lines() {
        let metrics = "# TYPE coracle_ingress_requests_total counter\n\
            coracle_ingress_requests_total{code=\"2xx\"} 40\ncoracle_ingress_requests_total{code=\"5xx\"} 2\n\
            coracle_ingress_requests_in_flight 1\ncoracle_ingress_requests_total{code=\"5xx\"} 1\n";
        expect![[r#"{"answered":43,"failed":3,"inFlight":1}"#]].assert_eq(&requests(metrics).to_string());
    }

    #[test]
    fn like_problems_are_one_line() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let nodes = [
            json!({"metadata": {"name": "h1"}, "status": {"conditions": ready}}),
            json!({"metadata": {"name": "h2"}, "status": {"conditions": [{"type": "Ready", "status": "Unknown", "message": "it gave no sign of life"}]}}),
        ];
        let unplaced = json!([{"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available"}]);
        let pod = |name: &str| json!({"metadata": {"namespace": "default", "name": name}, "status": {"phase": "Pending", "conditions": unplaced}});
        expect![[r#"{"hosts":{"notReady":1,"ready":1},"pods":{"Pending":2},"problems":["host h2 is not ready: it gave no sign of life","pod default/a and 1 more: pending: 0/2 nodes are available"]}"#]]
            .assert_eq(&summarise(&nodes, &[pod("a"), pod("b")]).to_string());
    }
}
