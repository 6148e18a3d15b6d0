//! Who creates what nobody acts on is told so: the object is kept, and nothing comes of it.

use coracle_api::status::Status;
use serde_json::Value;

use super::Attributes;

pub(super) fn admit(attributes: &Attributes<'_>, _: &mut Value, warnings: &mut Vec<String>) -> Result<(), Status> {
    let kind = attributes.kind;
    if kind.awaits_controller {
        let name = kind.kind;
        warnings.push(format!("{name} is stored, but this version of Coracle has no controller that acts on it"));
    }
    Ok(())
}
