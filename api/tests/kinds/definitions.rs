//! Definitions of kinds by users: a real one is taken, and what is wrong with others is told.

use expect_test::{Expect, expect};
use serde_json::Value;

use crate::{kind_of, object, prepared};

const TABS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, kind: CronTab}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {n: {type: integer}}}}}}
";

fn lines(errors: &[coracle_api::validation::FieldError]) -> String {
    errors.iter().map(|error| format!("{error}\n")).collect()
}

/// What is wrong with the definition above once a field of it is another.
fn check(pointer: &str, value: &str, expected: Expect) {
    let mut definition = object(TABS);
    *place(&mut definition, pointer) = object(&format!("value: {value}"))["value"].take();
    let kind = kind_of(&definition);
    kind.prepare(&mut definition);
    let mut errors = Vec::new();
    kind.validate(&definition, &mut errors);
    expected.assert_eq(&lines(&errors));
}

fn place<'a>(definition: &'a mut Value, pointer: &str) -> &'a mut Value {
    pointer.split('/').fold(definition, |value, step| match step.parse::<usize>() {
        Ok(index) => &mut value[index],
        Err(_) => &mut value[step],
    })
}

#[test]
fn a_definition_is_completed() {
    let definition = prepared(TABS);
    expect![[r#"
        {"kind":"CronTab","listKind":"CronTabList","plural":"crontabs","singular":"crontab"}
        {"strategy":"None"}
        {"acceptedNames":{"kind":"","plural":""},"conditions":[],"storedVersions":["v1"]}"#]]
    .assert_eq(&format!(
        "{}\n{}\n{}",
        definition["spec"]["names"], definition["spec"]["conversion"], definition["status"]
    ));
}

#[test]
fn names_and_groups_follow_rules() {
    check(
        "metadata/name",
        "tabs.stable.example.com",
        expect![[r#"
        metadata.name: Invalid value: "tabs.stable.example.com": must be spec.names.plural+"."+spec.group
    "#]],
    );
    check(
        "spec/group",
        "example",
        expect![[r#"
        metadata.name: Invalid value: "crontabs.stable.example.com": must be spec.names.plural+"."+spec.group
        spec.group: Invalid value: "example": should be a domain with at least one dot
    "#]],
    );
    check(
        "spec/group",
        "stable.k8s.io",
        expect![[r#"
        metadata.name: Invalid value: "crontabs.stable.example.com": must be spec.names.plural+"."+spec.group
        metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111
    "#]],
    );
    check(
        "spec/scope",
        "Everywhere",
        expect![[r#"
        spec.scope: Unsupported value: "Everywhere": supported values: "Cluster", "Namespaced"
    "#]],
    );
    check(
        "spec/names/kind",
        "Cron_Tab",
        expect![[r#"
        spec.names.singular: Invalid value: "cron_tab": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')
        spec.names.kind: Invalid value: "Cron_Tab": may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')
        spec.names.listKind: Invalid value: "Cron_TabList": may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')
    "#]],
    );
    check(
        "spec/names/listKind",
        "CronTab",
        expect![[r#"
        spec.names.listKind: Invalid value: "CronTab": kind and listKind may not be the same
    "#]],
    );
    check(
        "spec/names/shortNames",
        "[ct, CT]",
        expect![[r#"
        spec.names.shortNames[1]: Invalid value: "CT": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')
    "#]],
    );
    check(
        "spec/preserveUnknownFields",
        "true",
        expect![[r#"
        spec.preserveUnknownFields: Invalid value: true: must be false; set x-kubernetes-preserve-unknown-fields in the schema instead
    "#]],
    );
}

#[test]
fn versions_are_whole() {
    check(
        "spec/versions",
        "[]",
        expect![[r#"
            spec.versions: Invalid value: []: must have exactly one version marked as storage version
        "#]],
    );
    check("spec/versions/0/served", "false", expect![""]);
    check(
        "spec/versions/0/storage",
        "false",
        expect![[r#"
        spec.versions: Invalid value: []string{"v1"}: must have exactly one version marked as storage version
    "#]],
    );
    check(
        "spec/versions/0/name",
        "V1",
        expect![[r#"
        spec.versions[0].name: Invalid value: "V1": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')
    "#]],
    );
    check(
        "spec/versions/0/schema",
        "{}",
        expect![[r#"
        spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required
    "#]],
    );
    check(
        "spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/n/type",
        "''",
        expect![[r#"
        spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[n].type: Required value: must not be empty for specified object fields
    "#]],
    );
    check(
        "spec/versions/0/deprecationWarning",
        "old",
        expect![[r#"
        spec.versions[0].deprecationWarning: Invalid value: "old": can only be set for deprecated versions
    "#]],
    );
    check(
        "spec/conversion",
        "{strategy: Webhook, webhook: {}}",
        expect![[r#"
        spec.conversion.strategy: Forbidden: conversion by webhooks is not supported by this version of Coracle; versions that differ in apiVersion only can use the strategy None
    "#]],
    );
    check(
        "spec/conversion",
        "{strategy: Magic}",
        expect![[r#"
        spec.conversion.strategy: Unsupported value: "Magic": supported values: "None", "Webhook"
    "#]],
    );
}

#[test]
fn columns_scales_and_selectors_have_paths() {
    check(
        "spec/versions/0/additionalPrinterColumns",
        "[{name: A, type: integer, jsonPath: .spec.n}, {name: B, type: text, jsonPath: spec}, {type: date, jsonPath: ..a}]",
        expect![[r#"
            spec.versions[0].additionalPrinterColumns[1].type: Unsupported value: "text": supported values: "boolean", "date", "integer", "number", "string"
            spec.versions[0].additionalPrinterColumns[1].jsonPath: Invalid value: "spec": must be a simple json path starting with .
            spec.versions[0].additionalPrinterColumns[2].name: Required value
            spec.versions[0].additionalPrinterColumns[2].jsonPath: Invalid value: "..a": recursive descent (..) is not supported; name the fields
        "#]],
    );
    check(
        "spec/versions/0/subresources",
        "{scale: {specReplicasPath: .status.n, statusReplicasPath: '.status.l[0]', labelSelectorPath: .meta}}",
        expect![[r#"
            spec.versions[0].subresources.scale.specReplicasPath: Invalid value: ".status.n": should be a json path under .spec, of fields alone
            spec.versions[0].subresources.scale.statusReplicasPath: Invalid value: ".status.l[0]": should be a json path under .status, of fields alone
            spec.versions[0].subresources.scale.labelSelectorPath: Invalid value: ".meta": should be a json path under .spec or .status, of fields alone
        "#]],
    );
    check(
        "spec/versions/0/selectableFields",
        "[{jsonPath: .spec.n}, {jsonPath: .spec}, {jsonPath: .spec.none}, {jsonPath: .spec.n}]",
        expect![[r#"
            spec.versions[0].selectableFields[1].jsonPath: Invalid value: ".spec": must point to a field of type string, boolean or integer, which the schema describes
            spec.versions[0].selectableFields[2].jsonPath: Invalid value: ".spec.none": must point to a field of type string, boolean or integer, which the schema describes
            spec.versions[0].selectableFields[3].jsonPath: Duplicate value: ".spec.n"
        "#]],
    );
}

#[test]
fn some_fields_never_change() {
    let check = |is_established: bool, expected: Expect| {
        let mut old = prepared(TABS);
        if is_established {
            old["status"]["conditions"] = serde_json::json!([{ "type": "Established", "status": "True" }]);
        }
        let mut new = old.clone();
        new["spec"]["scope"] = "Cluster".into();
        new["spec"]["names"]["kind"] = "Tab".into();
        new["spec"]["versions"][0]["name"] = "v2".into();
        let mut errors = Vec::new();
        kind_of(&old).validate_update(&new, &old, &mut errors);
        expected.assert_eq(&lines(&errors));
    };
    check(
        false,
        expect![[r#"
        status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; must appear in spec.versions
    "#]],
    );
    check(
        true,
        expect![[r#"
        status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; must appear in spec.versions
        spec.scope: Invalid value: "Cluster": field is immutable
        spec.names.kind: Invalid value: "Tab": field is immutable
    "#]],
    );
}

/// A definition like those that operators bring along: large, nested, with everything that generators write.
const CERTIFICATES: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: certificates.cert.example.com
  labels: {app: issuer}
  annotations: {controller-gen.kubebuilder.io/version: v0.16.5}
spec:
  group: cert.example.com
  names: {kind: Certificate, listKind: CertificateList, plural: certificates, shortNames: [cert, certs], singular: certificate, categories: [issuer]}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns:
    - {jsonPath: '.status.conditions[?(@.type==''Ready'')].status', name: Ready, type: string}
    - {jsonPath: .spec.secretName, name: Secret, type: string}
    - {jsonPath: .spec.issuerRef.name, name: Issuer, priority: 1, type: string}
    - {jsonPath: '.status.conditions[?(@.type==''Ready'')].message', name: Status, priority: 1, type: string}
    - {jsonPath: .metadata.creationTimestamp, description: CreationTimestamp is a timestamp, name: Age, type: date}
    schema:
      openAPIV3Schema:
        description: A Certificate is requested of an issuer and kept up to date in a secret.
        type: object
        properties:
          apiVersion: {description: The version, type: string}
          kind: {description: The kind, type: string}
          metadata: {type: object}
          spec:
            type: object
            required: [issuerRef, secretName]
            properties:
              commonName: {description: At most 64 characters, type: string, maxLength: 64}
              dnsNames: {type: array, items: {type: string}}
              duration: {description: A Go duration, type: string}
              encodeUsagesInRequest: {type: boolean}
              ipAddresses: {type: array, items: {type: string}}
              isCA: {type: boolean}
              issuerRef:
                type: object
                required: [name]
                properties:
                  group: {type: string}
                  kind: {type: string}
                  name: {type: string}
              keystores:
                type: object
                properties:
                  jks:
                    type: object
                    required: [create]
                    properties:
                      alias: {type: string}
                      create: {type: boolean}
                      password: {type: string}
                      passwordSecretRef:
                        type: object
                        required: [name]
                        properties: {key: {type: string}, name: {type: string}}
                  pkcs12:
                    type: object
                    required: [create]
                    properties:
                      create: {type: boolean}
                      profile: {type: string, enum: [LegacyRC2, LegacyDES, Modern2023]}
              literalSubject: {type: string}
              nameConstraints:
                type: object
                properties:
                  critical: {type: boolean}
                  excluded: {type: object, properties: {dnsDomains: {type: array, items: {type: string}}}}
              otherNames:
                type: array
                items: {type: object, properties: {oid: {type: string}, utf8Value: {type: string}}}
              privateKey:
                type: object
                properties:
                  algorithm: {type: string, enum: [RSA, ECDSA, Ed25519]}
                  encoding: {type: string, enum: [PKCS1, PKCS8]}
                  rotationPolicy: {type: string, enum: [Never, Always], default: Always}
                  size: {type: integer}
              renewBefore: {type: string}
              renewBeforePercentage: {type: integer, format: int32}
              revisionHistoryLimit: {type: integer, format: int32, minimum: 1}
              subject:
                type: object
                properties: {organizations: {type: array, items: {type: string}}, serialNumber: {type: string}}
                x-kubernetes-validations:
                - {rule: '!has(self.serialNumber) || self.serialNumber.matches(''^[0-9]+$'')', message: a serial number is a number}
                - {rule: 'self.?organizations.orValue([]).all(name, size(name) > 0)', message: organizations have names}
              secretName: {type: string}
              secretTemplate:
                type: object
                properties:
                  annotations: {type: object, additionalProperties: {type: string}}
                  labels: {type: object, additionalProperties: {type: string}}
              solver:
                type: object
                oneOf: [{required: [http]}, {required: [dns]}]
                properties:
                  http: {type: object, properties: {port: {anyOf: [{type: integer}, {type: string}], x-kubernetes-int-or-string: true}}}
                  dns: {type: object, properties: {config: {x-kubernetes-preserve-unknown-fields: true}}}
                  template: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}
              usages: {type: array, x-kubernetes-list-type: set, items: {type: string, enum: [signing, digital signature, server auth]}}
          status:
            type: object
            properties:
              conditions:
                type: array
                x-kubernetes-list-map-keys: [type]
                x-kubernetes-list-type: map
                items:
                  type: object
                  required: [status, type]
                  properties:
                    lastTransitionTime: {type: string, format: date-time}
                    message: {type: string, maxLength: 32768}
                    observedGeneration: {type: integer, format: int64, minimum: 0}
                    reason: {type: string, minLength: 1, pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$'}
                    status: {type: string, enum: ['True', 'False', Unknown]}
                    type: {type: string, pattern: '^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$'}
              failedIssuanceAttempts: {type: integer}
              notAfter: {type: string, format: date-time}
              revision: {type: integer}
";

#[test]
fn a_large_definition_is_taken() {
    let definition = prepared(CERTIFICATES);
    let mut errors = Vec::new();
    kind_of(&definition).validate(&definition, &mut errors);
    assert_eq!(lines(&errors), "");
    let problems = coracle_api::schema::check(
        coracle_api::schema::definition(kind_of(&definition).definition).unwrap(),
        &definition,
    );
    assert_eq!(problems, [], "every field is known");
}
