//! How the values of an object and a configuration become one.

use super::*;

/// `live => config` under `spec.containers[].args`-like paths is too long to read: a pod's spec stands for all.
fn check_merge(live: &str, config: &str, expected: &Expect) {
    let definition = schema::definition("io.k8s.api.core.v1.PodSpec").unwrap();
    let place = Place::of_definition(definition);
    expected.assert_eq(&merge::merge(&parse(live), &parse(config), place).to_string());
}

#[test]
fn lists_with_keys_merge_item_by_item() {
    let names = |names: &str| {
        let items: Vec<String> = names.chars().map(|name| format!("{{name: '{name}'}}")).collect();
        format!("containers: [{}]", items.join(", "))
    };
    let check = |live: &str, config: &str, expected: &str| {
        let definition = schema::definition("io.k8s.api.core.v1.PodSpec").unwrap();
        let merged = merge::merge(&parse(&names(live)), &parse(&names(config)), Place::of_definition(definition));
        let items = merged["containers"].as_array().unwrap().iter();
        let found: String = items.map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{live} {config}");
    };
    check("ab", "ab", "ab");
    check("", "ab", "ab");
    check("ab", "", "ab");
    check("ab", "ba", "ba");
    check("abc", "b", "abc");
    check("abc", "x", "abcx");
    check("abcs", "cxa", "bcsxa");
    check("axb", "ba", "xba");
    check("asb", "ab", "asb");
    check("abcd", "dcba", "dcba");
    check("1a2b3", "ab", "1a2b3");
    check("1a2b3", "ba", "12b3a");
    check_merge(
        "containers: [{name: a, image: i, args: [x], env: [{name: E, value: e}]}]",
        "containers: [{name: a, args: [w], env: [{name: F}], ports: [{containerPort: 1}]}]",
        &expect![[
            r#"{"containers":[{"args":["w"],"env":[{"name":"E","value":"e"},{"name":"F"}],"image":"i","name":"a","ports":[{"containerPort":1}]}]}"#
        ]],
    );
    check_merge(
        "containers: [{name: a, ports: [{containerPort: 1, protocol: TCP}, {containerPort: 1, protocol: UDP}]}]",
        "containers: [{name: a, ports: [{containerPort: 1, hostPort: 2}]}]",
        &expect![[
            r#"{"containers":[{"name":"a","ports":[{"containerPort":1,"hostPort":2,"protocol":"TCP"},{"containerPort":1,"protocol":"UDP"}]}]}"#
        ]],
    );
}

#[test]
fn the_rest_merges_or_is_replaced() {
    check_merge("nodeSelector: {a: b}", "nodeSelector: {c: d}", &expect![[r#"{"nodeSelector":{"c":"d"}}"#]]);
    check_merge("tolerations: [{key: a}]", "tolerations: [{key: b}]", &expect![[r#"{"tolerations":[{"key":"b"}]}"#]]);
    check_merge("overhead: {cpu: 1}", "overhead: {memory: 2}", &expect![[r#"{"overhead":{"cpu":1,"memory":2}}"#]]);
    check_merge("{hostname: a, nodeName: m}", "{hostname: null}", &expect![[r#"{"hostname":null,"nodeName":"m"}"#]]);
    check_merge(
        "securityContext: {runAsUser: 1, sysctls: [{name: a, value: b}]}",
        "securityContext: {sysctls: []}",
        &expect![[r#"{"securityContext":{"runAsUser":1,"sysctls":[]}}"#]],
    );
}

#[test]
fn sets_merge_by_value() {
    let mut bench = Bench::of("core.v1.Node");
    bench
        .apply("a", "spec: {podCIDRs: [x, w]}")
        .apply("b", "spec: {podCIDRs: [w, z]}")
        .check(expect![[r#"
            {"spec":{"podCIDRs":["x","w","z"]}}
            a Apply: .spec.podCIDRs[="w"] .spec.podCIDRs[="x"]
            b Apply: .spec.podCIDRs[="w"] .spec.podCIDRs[="z"]
        "#]])
        .apply("a", "spec: {}")
        .check(expect![[r#"
            {"spec":{"podCIDRs":["w","z"]}}
            b Apply: .spec.podCIDRs[="w"] .spec.podCIDRs[="z"]
            a Apply: .spec
        "#]])
        .apply("b", "spec: {podCIDRs: [z]}")
        .check(expect![[r#"
            {"spec":{"podCIDRs":["z"]}}
            a Apply: .spec
            b Apply: .spec.podCIDRs[="z"]
        "#]]);
}
