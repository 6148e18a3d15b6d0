use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::kinds;

fn check(status: &Status, expected: &Expect) {
    let json = String::from_utf8(status.to_json()).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), *status);
    expected.assert_eq(&json);
}

#[test]
fn says_that_nothing_was_done() {
    let status = no_leader("nobody has led for 5 s");
    check(
        &status,
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"nobody has led for 5 s","reason":"ServiceUnavailable","details":{"causes":[{"reason":"NoLeader","message":"nothing was done, and another server may do it"}]},"code":503}"#
        ]],
    );
    assert!(status.lacks_leader() && !service_unavailable("the host does not answer").lacks_leader());
}

#[test]
fn speaks_of_names_and_revisions() {
    check(
        &not_found(&kinds::DEPLOYMENT, "zz"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps \"zz\" not found","reason":"NotFound","details":{"name":"zz","group":"apps","kind":"deployments"},"code":404}"#
        ]],
    );
    check(
        &not_found(&kinds::NAMESPACE, "nope"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"namespaces \"nope\" not found","reason":"NotFound","details":{"name":"nope","kind":"namespaces"},"code":404}"#
        ]],
    );
    check(
        &already_exists(&kinds::CONFIG_MAP, "c1"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"configmaps \"c1\" already exists","reason":"AlreadyExists","details":{"name":"c1","kind":"configmaps"},"code":409}"#
        ]],
    );
    check(
        &conflict(&kinds::CONFIG_MAP, "c1"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Operation cannot be fulfilled on configmaps \"c1\": the object has been modified; please apply your changes to the latest version and try again","reason":"Conflict","details":{"name":"c1","kind":"configmaps"},"code":409}"#
        ]],
    );
    check(
        &conflict_uid(&kinds::CONFIG_MAP, "c1", "abc", "aeb2f249-e364-4962-a8f5-1db325af9003"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Operation cannot be fulfilled on ConfigMap \"c1\": the UID in the precondition (abc) does not match the UID in record (aeb2f249-e364-4962-a8f5-1db325af9003). The object might have been deleted and then recreated","reason":"Conflict","details":{"name":"c1","kind":"ConfigMap"},"code":409}"#
        ]],
    );
    check(
        &too_large_resource_version(99_999_999, 201),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Timeout: Too large resource version: 99999999, current: 201","reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1},"code":504}"#
        ]],
    );
    check(
        &expired("too old resource version: 1 (201)"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 1 (201)","reason":"Expired","code":410}"#
        ]],
    );
    check(
        &expired_continue("abc"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{"continue":"abc"},"status":"Failure","message":"The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.","reason":"Expired","code":410}"#
        ]],
    );
    check(
        &deleted(&kinds::DEPLOYMENT, "d1", "u1"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":{"name":"d1","group":"apps","kind":"deployments","uid":"u1"}}"#
        ]],
    );
}

#[test]
fn speaks_of_fields() {
    let selector = json!({"matchLabels": {"a": "b", "app": "d1"}});
    let errors = [
        FieldError::invalid("spec.replicas", -1, validation::NOT_NEGATIVE),
        FieldError::invalid(
            "spec.template.metadata.labels",
            json!({"app": "d1"}),
            "`selector` does not match template `labels`",
        ),
        FieldError::invalid("spec.selector", validation::print_label_selector(&selector), validation::IMMUTABLE),
    ];
    check(
        &invalid(&kinds::DEPLOYMENT, "d1", &errors),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Deployment.apps \"d1\" is invalid: [spec.replicas: Invalid value: -1: must be greater than or equal to 0, spec.template.metadata.labels: Invalid value: map[string]string{\"app\":\"d1\"}: `selector` does not match template `labels`, spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{\"a\":\"b\", \"app\":\"d1\"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable]","reason":"Invalid","details":{"name":"d1","group":"apps","kind":"Deployment","causes":[{"reason":"FieldValueInvalid","message":"Invalid value: -1: must be greater than or equal to 0","field":"spec.replicas"},{"reason":"FieldValueInvalid","message":"Invalid value: map[string]string{\"app\":\"d1\"}: `selector` does not match template `labels`","field":"spec.template.metadata.labels"},{"reason":"FieldValueInvalid","message":"Invalid value: v1.LabelSelector{MatchLabels:map[string]string{\"a\":\"b\", \"app\":\"d1\"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable","field":"spec.selector"}]},"code":422}"#
        ]],
    );
    let errors = [FieldError::required("fieldManager", "is required for apply patch")];
    check(
        &invalid_options("meta.k8s.io", "PatchOptions", "", &errors),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch","reason":"Invalid","details":{"group":"meta.k8s.io","kind":"PatchOptions","causes":[{"reason":"FieldValueRequired","message":"Required value: is required for apply patch","field":"fieldManager"}]},"code":422}"#
        ]],
    );
}

#[test]
fn speaks_of_requests() {
    check(
        &bad_request("unable to parse requirement: found '' expected: '('"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"unable to parse requirement: found '' expected: '('","reason":"BadRequest","code":400}"#
        ]],
    );
    check(
        &unauthorized(),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#
        ]],
    );
}

#[test]
fn speaks_of_permissions() {
    check(
        &forbidden(&kinds::POD, "p", "no"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods \"p\" is forbidden: no","reason":"Forbidden","details":{"name":"p","kind":"pods"},"code":403}"#
        ]],
    );
    check(
        &forbidden(&kinds::POD, "", "User \"bob\" cannot list resource \"pods\""),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods is forbidden: User \"bob\" cannot list resource \"pods\"","reason":"Forbidden","details":{"kind":"pods"},"code":403}"#
        ]],
    );
    check(
        &forbidden_path("User \"system:anonymous\" cannot get path \"/\""),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"forbidden: User \"system:anonymous\" cannot get path \"/\"","reason":"Forbidden","details":{},"code":403}"#
        ]],
    );
}

#[test]
fn speaks_of_media_types_and_methods() {
    check(
        &unknown_resource(),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not find the requested resource","reason":"NotFound","details":{},"code":404}"#
        ]],
    );
    check(
        &method_not_allowed(),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server does not allow this method on the requested resource","reason":"MethodNotAllowed","details":{},"code":405}"#
        ]],
    );
    check(
        &not_acceptable(),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"406: Not Acceptable","reason":"NotAcceptable","details":{},"code":406}"#
        ]],
    );
    check(
        &too_large(3_145_728),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Request entity too large: limit is 3145728","reason":"RequestEntityTooLarge","code":413}"#
        ]],
    );
    let accepted = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
    check(
        &unsupported_media_type(&accepted),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf","reason":"UnsupportedMediaType","code":415}"#
        ]],
    );
    check(
        &unsupported_patch_type(),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"415: Unsupported Media Type","reason":"UnsupportedMediaType","details":{},"code":415}"#
        ]],
    );
}

#[test]
fn speaks_of_its_own_troubles() {
    check(
        &unprocessable("test failed"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server rejected our request due to an error in our request: test failed","reason":"Invalid","details":{},"code":422}"#
        ]],
    );
    check(
        &too_many_requests("Too many requests, please try again later.", 1),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Too many requests, please try again later.","reason":"TooManyRequests","details":{"retryAfterSeconds":1},"code":429}"#
        ]],
    );
    check(
        &internal("disk on fire"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Internal error occurred: disk on fire","reason":"InternalError","details":{"causes":[{"message":"disk on fire"}]},"code":500}"#
        ]],
    );
    check(
        &service_unavailable("no leader"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no leader","reason":"ServiceUnavailable","code":503}"#
        ]],
    );
    check(
        &insufficient_storage("no space is left"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no space is left","reason":"InsufficientStorage","code":507}"#
        ]],
    );
    check(
        &timeout("request did not complete within the allotted timeout"),
        &expect![[
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Timeout: request did not complete within the allotted timeout","reason":"Timeout","details":{},"code":504}"#
        ]],
    );
}
