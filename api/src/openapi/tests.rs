use serde_json::Value;

use super::*;

fn document(group: &str, version: &str) -> Value {
    serde_json::from_slice(&v3_group(group, version, &[]).unwrap()).unwrap()
}

#[test]
fn the_index_lists_every_group_under_its_hash() {
    let index = v3_index(&[]);
    let paths = index["paths"].as_object().unwrap();
    for kind in kinds::ALL {
        let path = path_of(kind.group, kind.version);
        let url = paths[&path]["serverRelativeURL"].as_str().unwrap();
        assert_eq!(url, format!("/openapi/v3/{path}?hash={}", hash(kind.group, kind.version, &[])));
    }
    assert!(v3_group("nothing", "v1", &[]).is_none());
}

#[test]
fn every_reference_leads_somewhere() {
    for (group, version) in group_versions(&[]) {
        let document = document(group, version);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in document.to_string().split(REFERENCE).skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(schemas.contains_key(name), "{group}/{version}: {name}");
        }
    }
}

#[test]
fn patches_say_what_client_side_apply_asks() {
    for kind in kinds::ALL {
        let document = document(kind.group, kind.version);
        let scope = if kind.namespaced { "namespaces/{namespace}/" } else { "" };
        let path = format!("/{}/{scope}{}/{{name}}", path_of(kind.group, kind.version), kind.plural);
        let patch = &document["paths"][&path]["patch"];
        assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], kind.kind, "{path}");
        assert!(patch["requestBody"]["content"]["application/strategic-merge-patch+json"].is_object(), "{path}");
        assert!(patch["requestBody"]["content"]["application/apply-patch+yaml"].is_object(), "{path}");
        let parameters = patch["parameters"].as_array().unwrap();
        assert!(parameters.iter().any(|parameter| parameter["name"] == "fieldValidation"), "{path}");
        let schema = &document["components"]["schemas"][kind.definition];
        let is_named = |entry: &Value| entry["kind"] == kind.kind && entry["group"] == kind.group;
        assert!(schema["x-kubernetes-group-version-kind"].as_array().unwrap().iter().any(is_named), "{path}");
    }
}

#[test]
fn subresources_speak_of_their_own_kinds() {
    let apps = document("apps", "v1");
    let scale = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]["patch"];
    assert_eq!(scale["x-kubernetes-group-version-kind"]["group"], "autoscaling");
    assert!(apps["components"]["schemas"]["io.k8s.api.autoscaling.v1.Scale"].is_object());
    let review = document("authorization.k8s.io", "v1");
    assert!(review["paths"]["/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"]["post"].is_object());
}
