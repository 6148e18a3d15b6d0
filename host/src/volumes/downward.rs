//! Files of the pod's own fields.

use super::payload::{File, Payload};
use super::template::FieldFile;
use crate::pod::environment::{Surroundings, field_value};

/// Adds a file for each field.
pub(super) fn add(shown: &[FieldFile], around: Surroundings<'_>, files: &mut Payload) {
    for FieldFile { field, path, mode } in shown {
        files.insert(path.clone(), File { bytes: field_value(field, around).into_bytes(), mode: *mode });
    }
}
