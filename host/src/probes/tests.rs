use expect_test::expect;
use serde_json::json;

use super::act::tests::{Answers, target};
use super::*;
use crate::pod::parse;

/// Tokio's time, which runs as fast as nothing happens.
struct Paused(tokio::time::Instant);

impl Clock for Paused {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.0.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn news_come_in_time_and_only_when_there_are_some() {
    let spec = parse::spec(&json!({"metadata": {"name": "p"}, "spec": {"containers": [{
        "name": "c",
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 4},
        "livenessProbe": {"httpGet": {"path": "/live", "port": 8080}, "periodSeconds": 4, "failureThreshold": 2},
    }]}}));
    let checks = spec.template.containers[0].checks.clone().unwrap();
    let (sender, mut news) = mpsc::unbounded_channel();
    let clock = Arc::new(Paused(tokio::time::Instant::now()));
    let probes = Probes::start(clock.clone(), move |news| drop(sender.send(news)));
    let answers = Answers { paths: [("/ready", (200, "")), ("/live", (500, ""))].into() };
    let target = Arc::new(target(answers));
    probes.watch(("u1".into(), 0), 3, checks.clone(), target.clone(), clock.now());
    let mut lines = Vec::new();
    for _ in 0..3 {
        let News { uid, index, incarnation, health, event } = news.recv().await.unwrap();
        lines.push(format!("{}s {uid} {index} {incarnation} {health:?} {event:?}", clock.now().as_second() / 4 * 4));
    }
    expect![[r#"
        0s u1 0 3 Some(Health { is_started: true, is_ready: true, failed: None }) None
        0s u1 0 3 None Some(("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500"))
        4s u1 0 3 Some(Health { is_started: true, is_ready: true, failed: Some(Liveness) }) Some(("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500"))"#]].assert_eq(&lines.join("\n"));
    // Now nothing more is tried; and what is forgotten isn't either.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(news.try_recv().is_err());
    probes.watch(("u1".into(), 0), 4, checks, target, clock.now());
    assert!(news.recv().await.unwrap().health.is_some_and(|health| health.is_ready));
    probes.forget(("u1".into(), 0));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(news.try_recv().is_err());
    drop(probes);
    assert_eq!(news.recv().await, None);
}
