//! Links the core modules of a component into one: what a toolchain left to be linked dynamically, with each instance, is linked statically, once.
//!
//! An instance of Python's component fills 5,700 entries of a table of functions and binds 2,200 imports of 14 modules, which takes most of a
//! millisecond. In one module the imports are gone, and the engine fills the table as it is used.
//!
//! Deliberately absent: modules that have a start function, or a memory beside another one, or that are instantiated twice, or that need the
//! memory of another one before they are there: what has such is left as it is, or those of its modules are.

mod items;
mod link;
mod plan;
mod rewrite;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use items::{Item, Outline};
use plan::Plan;

/// The component with fewer modules that does the same; nothing if there is nothing to gain, or if it is no component.
pub(crate) fn merge(component: &[u8]) -> Option<Vec<u8>> {
    let mut outline = Outline::parse(component)?;
    let plan = Plan::of(&outline);
    let mut is_changed = plan.is_some();
    for item in &mut outline.items {
        if let Item::Component(nested) = item
            && let Some(merged) = merge(nested)
        {
            *nested = Cow::Owned(merged);
            is_changed = true;
        }
    }
    is_changed.then(|| rewrite::rewrite(&outline, plan.as_ref()))?
}
