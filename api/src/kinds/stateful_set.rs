//! A stateful set: keeps so many pods of one template, each with a name and claims of its own.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::check::{self, Errors, is_set, text};
use crate::kinds::pod::default;
use crate::kinds::{cells, persistent_volume_claim, workload};
use crate::object;
use crate::validation::FieldError;

const ROLLING_UPDATE: &str = "RollingUpdate";
const CLAIM_POLICIES: &[&str] = &["Retain", "Delete"];
/// The fields of the spec that may change.
const MUTABLE: &[&str] = &[
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

pub(crate) const KIND: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "StatefulSet",
    plural: "statefulsets",
    singular: "statefulset",
    short_names: &["sts"],
    categories: &["all"],
    namespaced: true,
    definition: "io.k8s.api.apps.v1.StatefulSet",
    subresources: &[Subresource::Status, Subresource::Scale],
    columns: &[
        cells::NAME,
        Column::string("Ready", 0, "Number of the pod with ready state", ready),
        cells::AGE,
        workload::CONTAINERS,
        workload::IMAGES,
    ],
    fields: &[],
    name_rule: NameRule::Dns1123Label,
    tags: |_| Vec::new(),
    awaits_controller: true,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

fn ready(object: &Value, _: Timestamp) -> Value {
    let ready = object::i64_at(object, &["status", "readyReplicas"]).unwrap_or(0);
    let desired = object::i64_at(object, &["spec", "replicas"]).unwrap_or(0);
    format!("{ready}/{desired}").into()
}

fn default(object: &mut Value) {
    let spec = workload::default_replicated(object);
    default::set_text(spec, "podManagementPolicy", "OrderedReady");
    default::set(spec, "revisionHistoryLimit", 10);
    default::set(spec, "updateStrategy", json!({}));
    if let Some(strategy) = default::child(spec, "updateStrategy") {
        let kind = strategy.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind.is_empty() {
            default::set_text(strategy, "type", ROLLING_UPDATE);
            default::set(strategy, "rollingUpdate", json!({}));
        }
        if strategy["type"] == ROLLING_UPDATE
            && let Some(rolling) = default::child(strategy, "rollingUpdate")
        {
            default::set(rolling, "partition", 0);
        }
    }
    default::set(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
    if let Some(policy) = default::child(spec, "persistentVolumeClaimRetentionPolicy") {
        default::set_text(policy, "whenDeleted", "Retain");
        default::set_text(policy, "whenScaled", "Retain");
    }
    let claims = spec.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut).into_iter().flatten();
    for claim in claims.filter(|claim| claim.is_object()) {
        claim["apiVersion"] = "v1".into();
        claim["kind"] = persistent_volume_claim::KIND.kind.into();
        persistent_volume_claim::KIND.default(claim);
    }
    let status = object::child_mut(object, "status");
    default::set(status, "replicas", 0);
    default::set(status, "availableReplicas", 0);
}

fn validate(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    match text(spec, "podManagementPolicy") {
        "" => errors.push(FieldError::required("spec.podManagementPolicy", "")),
        "OrderedReady" | "Parallel" => {}
        other => {
            let detail = "must be 'OrderedReady' or 'Parallel'";
            errors.push(FieldError::invalid("spec.podManagementPolicy", other, detail));
        }
    }
    update_strategy(&spec["updateStrategy"], errors);
    if let Some(policy) = spec.get("persistentVolumeClaimRetentionPolicy").filter(|policy| policy.is_object()) {
        for field in ["whenDeleted", "whenScaled"] {
            let path = format!("spec.persistentVolumeClaimRetentionPolicy.{field}");
            check::one_of(errors, &path, text(policy, field), CLAIM_POLICIES);
        }
    }
    check::none_negative(errors, "spec", spec, &["replicas", "minReadySeconds", "revisionHistoryLimit"]);
    check::not_negative(errors, "spec.ordinals.start", object::i64_at(spec, &["ordinals", "start"]));
    workload::lasting_pods(spec, &template_with_claims(spec), "statefulset", "StatefulSet", errors);
}

fn update_strategy(strategy: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.updateStrategy";
    let rolling = &strategy["rollingUpdate"];
    match text(strategy, "type") {
        "" => errors.push(FieldError::required(PATH, "")),
        "OnDelete" if !rolling.is_null() => {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            errors.push(FieldError::invalid(format!("{PATH}.rollingUpdate"), rolling.clone(), detail));
        }
        "OnDelete" => {}
        ROLLING_UPDATE => {
            let path = format!("{PATH}.rollingUpdate");
            check::none_negative(errors, &path, rolling, &["partition"]);
            if is_set(rolling, "maxUnavailable") {
                let (path, value) = (format!("{path}.maxUnavailable"), &rolling["maxUnavailable"]);
                let number = check::count_or_percent(errors, &path, value);
                if number == Some(0) {
                    errors.push(FieldError::invalid(&path, value.clone(), "cannot be 0"));
                }
                check::at_most_all(errors, &path, value, number);
            }
        }
        _ => {
            let detail = "must be 'RollingUpdate' or 'OnDelete'";
            errors.push(FieldError::invalid(PATH, strategy.clone(), detail));
        }
    }
}

/// The template with a volume for each claim, as its pods will have them: containers may mount both.
fn template_with_claims(spec: &Value) -> Value {
    let mut template = spec["template"].clone();
    let names = object::list_at(spec, &["volumeClaimTemplates"]).iter().map(object::name);
    let own = object::list_at(&spec["template"], &["spec", "volumes"]);
    let added: Vec<Value> = names
        .filter(|name| own.iter().all(|volume| text(volume, "name") != *name))
        .map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}}))
        .collect();
    if !added.is_empty() {
        template["spec"]["volumes"] = own.iter().cloned().chain(added).collect();
    }
    template
}

fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(fields) = spec.as_object_mut() {
            fields.retain(|field, value| !MUTABLE.contains(&field.as_str()) && !value.is_null());
        }
        spec
    };
    if fixed(new) != fixed(old) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
            'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are \
            forbidden";
        errors.push(FieldError::forbidden("spec", detail));
    }
}
