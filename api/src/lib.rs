//! The object model: kinds, defaulting, validation, patching, selectors, quantities, tables.
