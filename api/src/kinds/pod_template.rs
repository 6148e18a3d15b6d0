//! A pod template: a description of pods, kept for whoever makes them.

use serde_json::Value;

use crate::kind::{Cell, Column, Kind, NameRule};
use crate::kinds::pod::default;
use crate::kinds::{cells, workload};
use crate::object;

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "PodTemplate",
    plural: "podtemplates",
    singular: "podtemplate",
    short_names: &[],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.core.v1.PodTemplate",
    subresources: &[],
    columns: &[
        cells::NAME,
        Column {
            priority: 0,
            cell: Cell::Computed(|object, _| workload::container_names(&object["template"])),
            ..workload::CONTAINERS
        },
        Column {
            priority: 0,
            cell: Cell::Computed(|object, _| workload::container_images(&object["template"])),
            ..workload::IMAGES
        },
        Column::string("Pod Labels", 0, "The labels for the pod template.", |object, _| {
            cells::format_labels(object::get(object, &["template", "metadata", "labels"])).into()
        }),
    ],
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags: |_| Vec::new(),
    awaits_controller: false,
    status_on_create: false,
    default: |object: &mut Value| {
        default::set(object::metadata_mut(object), "generation", 1);
        object.as_object_mut().into_iter().for_each(default::template);
    },
    validate: |object, errors| workload::validate_template(&object["template"], "template", errors),
    validate_update: |_, _, _| {},
};
