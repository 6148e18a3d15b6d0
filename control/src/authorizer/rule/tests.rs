use coracle_api::selector::FieldSelector;
use coracle_api::yaml;
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::authentication::User;

fn rules(text: &str) -> Vec<PolicyRule> {
    PolicyRule::list(yaml::parse_all(&format!("rules: {text}")).unwrap()[0]["rules"].as_array().unwrap())
}

/// `VERB GROUP/RESOURCE[/SUBRESOURCE] [NAME]` or `VERB /PATH`, each with whether the rule allows it.
fn check(rule: &str, wanted: &[&str], expected: Expect) {
    let rule = &rules(&format!("[{rule}]"))[0];
    let user = User::anonymous();
    let answers = wanted.iter().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let parts: Vec<&str> = words[1].split('/').collect();
        let fields = FieldSelector::parse(words.get(3).unwrap_or(&"")).unwrap();
        let subject = match words[1].strip_prefix('/') {
            Some(_) => Subject::Path(words[1]),
            None => Subject::Resource {
                group: if parts[0] == "core" { "" } else { parts[0] },
                resource: parts[1],
                subresource: parts.get(2).copied(),
                namespace: None,
                name: words.get(2).copied().filter(|name| *name != "-"),
                fields: Some(&fields),
            },
        };
        let answer = rule.allows(&Attributes { user: &user, verb: words[0], subject });
        format!("{line}: {}\n", if answer { "yes" } else { "no" })
    });
    expected.assert_eq(&answers.collect::<String>());
}

#[test]
fn what_rules_allow() {
    check(
        "{apiGroups: [''], resources: [pods, pods/log], verbs: [get, list]}",
        &[
            "get core/pods p",
            "list core/pods",
            "get core/pods/log p",
            "get core/pods/status p",
            "delete core/pods p",
            "get apps/pods p",
        ],
        expect![[r#"
            get core/pods p: yes
            list core/pods: yes
            get core/pods/log p: yes
            get core/pods/status p: no
            delete core/pods p: no
            get apps/pods p: no
        "#]],
    );
    check(
        "{apiGroups: ['*'], resources: ['*/scale', nodes], verbs: ['*']}",
        &["patch apps/deployments/scale d", "get apps/deployments d", "delete core/nodes n", "get core/nodes/proxy n"],
        expect![[r#"
            patch apps/deployments/scale d: yes
            get apps/deployments d: no
            delete core/nodes n: yes
            get core/nodes/proxy n: no
        "#]],
    );
    check(
        "{apiGroups: [''], resources: [configmaps], resourceNames: [mine], verbs: ['*']}",
        &[
            "get core/configmaps mine",
            "get core/configmaps other",
            "create core/configmaps",
            "list core/configmaps - metadata.name=mine",
            "list core/configmaps - metadata.name=other",
        ],
        expect![[r#"
            get core/configmaps mine: yes
            get core/configmaps other: no
            create core/configmaps: no
            list core/configmaps - metadata.name=mine: yes
            list core/configmaps - metadata.name=other: no
        "#]],
    );
    check(
        "{nonResourceURLs: [/metrics, /apis/*], verbs: [get]}",
        &["get /metrics", "get /metrics/x", "get /apis/apps", "get /apis", "post /metrics", "get core/pods p"],
        expect![[r#"
            get /metrics: yes
            get /metrics/x: no
            get /apis/apps: yes
            get /apis: no
            post /metrics: no
            get core/pods p: no
        "#]],
    );
}

#[test]
fn what_is_granted_beyond_what_is_held() {
    let check = |held: &str, wanted: &str, expected: Expect| {
        let texts = PolicyRule::describe(PolicyRule::uncovered(&rules(held), &rules(wanted)));
        expected.assert_eq(&texts.into_iter().collect::<Vec<_>>().join("\n"));
    };
    const PODS: &str = "[{apiGroups: [''], resources: [pods], verbs: [get, list]}]";
    check(PODS, "[{apiGroups: [''], resources: [pods], verbs: [get]}]", expect![""]);
    check(
        PODS,
        "[{apiGroups: [''], resources: [pods, secrets], verbs: [get, watch]}]",
        expect![[r#"
        {APIGroups:[""], Resources:["pods"], Verbs:["watch"]}
        {APIGroups:[""], Resources:["secrets"], Verbs:["get" "watch"]}"#]],
    );
    check(PODS, "[{apiGroups: [''], resources: [pods], resourceNames: [p], verbs: [get]}]", expect![""]);
    check(
        "[{apiGroups: [''], resources: [pods], resourceNames: [p], verbs: [get]}]",
        "[{apiGroups: [''], resources: [pods], resourceNames: [p, q], verbs: [get]}, {apiGroups: [''], resources: [pods], verbs: [get]}]",
        expect![[r#"
            {APIGroups:[""], Resources:["pods"], ResourceNames:["q"], Verbs:["get"]}
            {APIGroups:[""], Resources:["pods"], Verbs:["get"]}"#]],
    );
    check(
        "[{nonResourceURLs: [/a/*], verbs: [get]}]",
        "[{nonResourceURLs: [/a/b, /b], verbs: ['*', get]}]",
        expect![[r#"
        {NonResourceURLs:["/a/b"], Verbs:["*"]}
        {NonResourceURLs:["/b"], Verbs:["*"]}
        {NonResourceURLs:["/b"], Verbs:["get"]}"#]],
    );
    check(
        "[{apiGroups: ['*'], resources: ['*/scale'], verbs: ['*']}]",
        "[{apiGroups: [apps], resources: [deployments/scale, '*'], verbs: [get]}]",
        expect![[r#"{APIGroups:["apps"], Resources:["*"], Verbs:["get"]}"#]],
    );
}

fn words(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop::sample::select(of).prop_map(str::to_owned), 1..3)
}

prop_compose! {
    fn rule()(
        verbs in words(&["get", "list", "*"]),
        api_groups in words(&["", "apps", "*"]),
        resources in words(&["pods", "pods/log", "*/log", "*"]),
        resource_names in prop::collection::vec(prop::sample::select(&["a", "b"][..]).prop_map(str::to_owned), 0..2),
    ) -> PolicyRule {
        PolicyRule { verbs, api_groups, resources, resource_names, non_resource_urls: Vec::new() }
    }
}

proptest! {
    /// What is covered allows nothing that isn't allowed already.
    #[test]
    fn a_covered_rule_adds_nothing(held in prop::collection::vec(rule(), 0..3), wanted in rule()) {
        prop_assert!(PolicyRule::uncovered(std::slice::from_ref(&wanted), std::slice::from_ref(&wanted)).is_empty());
        if PolicyRule::uncovered(&held, std::slice::from_ref(&wanted)).is_empty() {
            let user = User::anonymous();
            for verb in ["get", "list", "watch"] {
                for (group, resource, subresource) in [("", "pods", None), ("apps", "pods", Some("log")), ("x", "y", None)] {
                    for name in [None, Some("a"), Some("b"), Some("c")] {
                        let subject = Subject::Resource { group, resource, subresource, namespace: None, name, fields: None };
                        let attributes = Attributes { user: &user, verb, subject };
                        prop_assert!(!wanted.allows(&attributes) || held.iter().any(|rule| rule.allows(&attributes)));
                    }
                }
            }
        }
    }
}
