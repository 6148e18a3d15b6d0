use std::sync::Arc;

use coracle_api::{encode, kinds, object};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;
use crate::driver::intern::Interner;

fn now() -> Timestamp {
    "2026-11-21T10:00:00.5Z".parse().unwrap()
}

fn parse(kind: &'static coracle_api::kind::Kind, value: &Value) -> Object {
    let key: Arc<str> = kind.key(Some("default"), object::name(value)).into();
    Object::parse(key, kind, encode::encode(value).json, 1, &mut Interner::default()).unwrap()
}

fn pod(status: Value) -> Object {
    parse(&kinds::POD, &json!({"metadata": {"name": "p", "namespace": "default"}, "status": status}))
}

fn ready(status: &str) -> Object {
    pod(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": status}]}))
}

fn budget(policy: &str, status: Value) -> Object {
    let metadata = json!({"name": "b", "namespace": "default", "generation": 2});
    let spec = json!({"unhealthyPodEvictionPolicy": policy, "selector": {}});
    parse(&POD_DISRUPTION_BUDGET, &json!({"metadata": metadata, "spec": spec, "status": status}))
}

fn status(allowed: i64, healthy: i64, desired: i64) -> Value {
    json!({
        "observedGeneration": 2, "disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": desired,
        "expectedPods": 3,
    })
}

fn check(pod: &Object, budgets: &[Object], expected: Expect) {
    expected.assert_eq(&match judge(pod, budgets, now()) {
        Ok(Verdict::Charged(status)) => format!("charged {}", serde_json::to_string(&status).unwrap()),
        Ok(verdict) => format!("{verdict:?}"),
        Err(status) => String::from_utf8(status.to_json()).unwrap(),
    });
}

#[test]
fn healthy_pods_are_paid_for() {
    let healthy = ready("True");
    check(&healthy, &[], expect!["Free"]);
    check(
        &healthy,
        &[budget("", status(2, 3, 1))],
        expect![[
            r#"charged {"observedGeneration":2,"disruptedPods":{"p":"2026-11-21T10:00:00Z"},"disruptionsAllowed":1,"currentHealthy":3,"desiredHealthy":1,"expectedPods":3,"conditions":[{"type":"DisruptionAllowed","status":"True","observedGeneration":2,"lastTransitionTime":"2026-11-21T10:00:00Z","reason":"SufficientPods","message":""}]}"#
        ]],
    );
    check(
        &healthy,
        &[budget("", status(1, 3, 2))],
        expect![[
            r#"charged {"observedGeneration":2,"disruptedPods":{"p":"2026-11-21T10:00:00Z"},"disruptionsAllowed":0,"currentHealthy":3,"desiredHealthy":2,"expectedPods":3,"conditions":[{"type":"DisruptionAllowed","status":"False","observedGeneration":2,"lastTransitionTime":"2026-11-21T10:00:00Z","reason":"InsufficientPods","message":""}]}"#
        ]],
    );
    check(
        &healthy,
        &[budget("", status(0, 2, 2))],
        expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Cannot evict pod as it would violate the pod's disruption budget.","reason":"TooManyRequests","details":{"causes":[{"reason":"DisruptionBudget","message":"The disruption budget b needs 2 healthy pods and has 2 currently"}]},"code":429}"#
        ]],
    );
    let mut unobserved = status(1, 3, 2);
    unobserved["observedGeneration"] = 1.into();
    check(
        &healthy,
        &[budget("", unobserved)],
        expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Cannot evict pod as it would violate the pod's disruption budget.","reason":"TooManyRequests","details":{"causes":[{"reason":"DisruptionBudget","message":"The disruption budget b is still being processed by the server."}],"retryAfterSeconds":10},"code":429}"#
        ]],
    );
    let mut failed = status(0, 0, 0);
    failed["conditions"] = json!([{"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed",
        "message": "found no controllers for pod \"p\"", "lastTransitionTime": "2026-11-21T09:00:00Z"}]);
    check(
        &healthy,
        &[budget("", failed)],
        expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Cannot evict pod as it would violate the pod's disruption budget.","reason":"TooManyRequests","details":{"causes":[{"reason":"DisruptionBudget","message":"The disruption budget b does not allow evicting pods currently because it failed sync: found no controllers for pod \"p\""}]},"code":429}"#
        ]],
    );
    let disrupted: serde_json::Map<String, Value> =
        (0..2_000).map(|index| (format!("p{index}"), "2026-11-21T09:00:00Z".into())).collect();
    let mut full = status(1, 3, 2);
    full["disruptedPods"] = disrupted.into();
    check(
        &healthy,
        &[budget("", full)],
        expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"poddisruptionbudgets.policy \"b\" is forbidden: DisruptedPods map too big - too many evictions not confirmed by PDB controller","reason":"Forbidden","details":{"name":"b","group":"policy","kind":"poddisruptionbudgets"},"code":403}"#
        ]],
    );
    let both = [budget("", status(2, 3, 1)), budget("", status(2, 3, 1))];
    check(
        &healthy,
        &both,
        expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.","code":500}"#
        ]],
    );
}

#[test]
fn others_are_free_where_the_policy_says_so() {
    let exhausted = || [budget("", status(0, 1, 2))];
    for over in ["Succeeded", "Failed"] {
        check(&pod(json!({"phase": over})), &exhausted(), expect!["Free"]);
    }
    check(&pod(json!({"phase": "Pending"})), &exhausted(), expect!["FreeAsSeen"]);
    let unready = ready("False");
    check(
        &unready,
        &exhausted(),
        expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Cannot evict pod as it would violate the pod's disruption budget.","reason":"TooManyRequests","details":{"causes":[{"reason":"DisruptionBudget","message":"The disruption budget b needs 2 healthy pods and has 1 currently"}]},"code":429}"#
        ]],
    );
    check(&unready, &[budget("AlwaysAllow", status(0, 1, 2))], expect!["FreeAsSeen"]);
    check(&unready, &[budget("IfHealthyBudget", status(0, 2, 2))], expect!["FreeAsSeen"]);
    check(
        &unready,
        &[budget("IfHealthyBudget", status(0, 0, 0))],
        expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Cannot evict pod as it would violate the pod's disruption budget.","reason":"TooManyRequests","details":{"causes":[{"reason":"DisruptionBudget","message":"The disruption budget b needs 0 healthy pods and has 0 currently"}]},"code":429}"#
        ]],
    );
}
