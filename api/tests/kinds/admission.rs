//! Validating admission policies and their bindings.

use expect_test::{Expect, expect};

use crate::{defaults, tables, validation};

const RULES: &str = "matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]}";

fn policy(spec: &str) -> String {
    format!(
        "{{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {{name: p}}, spec: {{{spec}}}}}"
    )
}

fn binding(spec: &str) -> String {
    format!(
        "{{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {{name: b}}, spec: {{{spec}}}}}"
    )
}

fn check_policy(spec: &str, expected: Expect) {
    validation::check(&policy(spec), expected);
}

#[test]
fn policies_mean() {
    defaults::check(
        &policy(&format!("{RULES}, validations: [{{expression: 'true'}}]")),
        expect![[r#"
        apiVersion: admissionregistration.k8s.io/v1
        kind: ValidatingAdmissionPolicy
        metadata:
          name: p
        spec:
          failurePolicy: Fail
          matchConstraints:
            matchPolicy: Equivalent
            namespaceSelector: {}
            objectSelector: {}
            resourceRules:
            - apiGroups:
              - apps
              apiVersions:
              - v1
              operations:
              - CREATE
              resources:
              - deployments
              scope: "*"
          validations:
          - expression: "true"
    "#]],
    );
}

#[test]
fn bindings_mean() {
    defaults::check(
        &binding(
            "policyName: p, validationActions: [Deny], matchResources: {excludeResourceRules: [{resources: ['*']}]}",
        ),
        expect![[r#"
            apiVersion: admissionregistration.k8s.io/v1
            kind: ValidatingAdmissionPolicyBinding
            metadata:
              name: b
            spec:
              matchResources:
                excludeResourceRules:
                - resources:
                  - "*"
                  scope: "*"
                matchPolicy: Equivalent
                namespaceSelector: {}
                objectSelector: {}
              policyName: p
              validationActions:
              - Deny
        "#]],
    );
}

#[test]
fn rows() {
    tables::check(
        &policy(&format!(
            "{RULES}, paramKind: {{apiVersion: v1, kind: ConfigMap}}, validations: [{{expression: 'true'}}]"
        )),
        expect![[r#"Name="p" Validations=1 ParamKind="v1/ConfigMap" Age="<unknown>""#]],
    );
    tables::check(
        &binding("policyName: p, paramRef: {name: c, namespace: here}"),
        expect![[r#"Name="b" PolicyName="p" ParamRef="here/c" Age="<unknown>""#]],
    );
}

#[test]
fn what_is_missing() {
    check_policy(
        "failurePolicy: Retry",
        expect![[r#"
        spec.failurePolicy: Unsupported value: "Retry": supported values: "Fail", "Ignore"
        spec.matchConstraints: Required value
        spec.validations: Required value: validations or auditAnnotations must contain at least one item"#]],
    );
    check_policy(
        "matchConstraints: {matchPolicy: Similar, resourceRules: [{operations: ['*', CREATE], scope: All}, {apiGroups: [''], \
         apiVersions: [''], operations: [PATCH], resources: [pods]}]}, auditAnnotations: [], \
         paramKind: {kind: ConfigMap}",
        expect![[r#"
            spec.paramKind.apiVersion: Required value
            spec.matchConstraints.matchPolicy: Unsupported value: "Similar": supported values: "Equivalent", "Exact"
            spec.matchConstraints.resourceRules[0].operations: Invalid value: []string{"*", "CREATE"}: if '*' is present, must not specify other operations
            spec.matchConstraints.resourceRules[0].apiGroups: Required value
            spec.matchConstraints.resourceRules[0].apiVersions: Required value
            spec.matchConstraints.resourceRules[0].resources: Required value
            spec.matchConstraints.resourceRules[0].scope: Unsupported value: "All": supported values: "*", "Cluster", "Namespaced"
            spec.matchConstraints.resourceRules[1].operations[0]: Unsupported value: "PATCH": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"
            spec.matchConstraints.resourceRules[1].apiVersions[0]: Required value
            spec.validations: Required value: validations or auditAnnotations must contain at least one item"#]],
    );
    let one = |resources: &str| {
        format!("{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: {resources}}}")
    };
    let rules = ["[pods, '*', 'pods/log']", "['*', '*/*']", "['pods/*', 'pods/log']", "['*/log', 'pods/log']"].map(one);
    check_policy(
        &format!("matchConstraints: {{resourceRules: [{}]}}, validations: [{{expression: 'true'}}]", rules.join(", ")),
        expect![[r#"
            spec.matchConstraints.resourceRules[0].resources: Invalid value: []string{"pods", "*", "pods/log"}: if '*' is present, must not specify other resources without subresources
            spec.matchConstraints.resourceRules[1].resources: Invalid value: []string{"*", "*/*"}: if '*/*' is present, must not specify other resources
            spec.matchConstraints.resourceRules[2].resources[1]: Invalid value: "pods/log": if 'pods/*' is present, must not specify pods/log
            spec.matchConstraints.resourceRules[3].resources[1]: Invalid value: "pods/log": if '*/log' is present, must not specify pods/log"#]],
    );
    validation::check(
        &binding("paramRef: {}, validationActions: [Deny, Warn, Warn, Log]"),
        expect![[r#"
        spec.policyName: Required value
        spec.paramRef: Required value: one of name or selector must be specified
        spec.paramRef.parameterNotFoundAction: Required value
        spec.validationActions[2]: Duplicate value: "Warn"
        spec.validationActions[3]: Unsupported value: "Log": supported values: "Audit", "Deny", "Warn"
        spec.validationActions: Invalid value: []string{"Deny", "Warn", "Warn", "Log"}: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"#]],
    );
    validation::check(
        &binding("policyName: P_, paramRef: {name: a/b, selector: {}, parameterNotFoundAction: Ask}"),
        expect![[r#"
            spec.policyName: Invalid value: "P_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.paramRef.name: Forbidden: name and selector are mutually exclusive
            spec.paramRef.parameterNotFoundAction: Unsupported value: "Ask": supported values: "Allow", "Deny"
            spec.validationActions: Required value: at least one validation action is required"#]],
    );
}

#[test]
fn audit_annotations() {
    check_policy(
        &format!(
            "{RULES}, auditAnnotations: [{{key: k, valueExpression: 'object.kind'}}, {{key: k, valueExpression: 'null'}}, \
             {{key: a/b, valueExpression: '1'}}, {{key: long, valueExpression: '\"{}\"'}}, {{}}]",
            "x".repeat(5 * 1024)
        ),
        expect![[r#"
            spec.auditAnnotations[1].key: Duplicate value: "k"
            spec.auditAnnotations[2].key: Invalid value: "a/b": a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')
            spec.auditAnnotations[3].valueExpression: Required value: must not exceed 5120 bytes in length
            spec.auditAnnotations[4].key: Invalid value: "": name part must be non-empty
            spec.auditAnnotations[4].key: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            spec.auditAnnotations[2].valueExpression: Invalid value: "1": must evaluate to string or null
            spec.auditAnnotations[4].valueExpression: Required value: expression is not specified"#]],
    );
}

#[test]
fn expressions() {
    check_policy(
        &format!(
            "{RULES}, variables: [{{name: a, expression: object.spec}}, {{name: a-b, expression: variables.c}}, {{name: a, expression: ''}}],
             matchConditions: [{{name: 'x y', expression: variables.a}}, {{name: one, expression: '1'}}],
             validations: [{{expression: 'params.x'}}, {{expression: 'object.foo('}}, {{expression: '1 + 1'}},
               {{expression: 'authorizer.group(\"\").check()', reason: Because, message: \"a\\nb\"}},
               {{expression: 'variables.a.b', messageExpression: 'size(variables.a)'}},
               {{expression: 'authorizer.group(\"\")', messageExpression: 'authorizer.requestResource.check(\"get\").reason()'}}]"
        ),
        expect![[r#"
            spec.variables[1].name: Invalid value: "a-b": name is not a valid CEL identifier
            spec.variables[1].expression: Invalid value: "variables.c": compilation failed: ERROR: <input>:1:1: undefined field 'c'
             | variables.c
             | ^
            spec.variables[2].name: Duplicate value: "a"
            spec.variables[2].expression: Required value: expression is not specified
            spec.matchConditions[0].name: Invalid value: "x y": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            spec.matchConditions[0].expression: Invalid value: "variables.a": compilation failed: ERROR: <input>:1:1: undeclared reference to 'variables' (in container '')
             | variables.a
             | ^
            spec.matchConditions[1].expression: Invalid value: "1": must evaluate to bool
            spec.validations[0].expression: Invalid value: "params.x": compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')
             | params.x
             | ^
            spec.validations[1].expression: Invalid value: "object.foo(": compilation failed: ERROR: <input>:1:12: Syntax error: mismatched input '<EOF>' expecting an expression
             | object.foo(
             | ...........^
            spec.validations[2].expression: Invalid value: "1 + 1": must evaluate to bool
            spec.validations[3].expression: Invalid value: "authorizer.group(\"\").check()": compilation failed: ERROR: <input>:1:22: found no matching overload for 'check' applied to 1 arguments
             | authorizer.group("").check()
             | .....................^
            spec.validations[3].message: Invalid value: "a\nb": message must not contain line breaks
            spec.validations[3].reason: Unsupported value: "Because": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"
            spec.validations[4].messageExpression: Invalid value: "size(variables.a)": must evaluate to string
            spec.validations[5].expression: Invalid value: "authorizer.group(\"\")": must evaluate to bool
            spec.validations[5].messageExpression: Invalid value: "authorizer.requestResource.check(\"get\").reason()": compilation failed: ERROR: <input>:1:1: undeclared reference to 'authorizer' (in container '')
             | authorizer.requestResource.check("get").reason()
             | ^"#]],
    );
    check_policy(
        &format!(
            "{RULES}, paramKind: {{apiVersion: v1, kind: ConfigMap}}, variables: [{{name: max, expression: 'int(params.data.max)'}}],
             matchConditions: [{{name: others, expression: '!(\"system:nodes\" in request.userInfo.groups)'}}],
             validations: [{{expression: 'object.spec.replicas <= variables.max', messageExpression: '\"at most \" + string(variables.max)'}}]"
        ),
        expect![""],
    );
}
