//! The object model: kinds, defaulting, validation, patching, selectors, quantities, tables.
//!
//! Nothing here does I/O or knows a clock. An object travels as `serde_json::Value`: what its kind's schema knows is
//! kept as it came, and the schema is data.

pub mod apply;
pub mod cel;
pub mod channels;
pub mod continue_token;
pub mod custom;
pub mod decode;
pub mod discovery;
pub mod encode;
pub mod join;
pub mod json_path;
pub mod kind;
pub mod kinds;
pub mod names;
pub mod object;
pub mod openapi;
pub mod patch;
pub mod pattern;
pub mod protobuf;
pub mod quantity;
pub mod renewal;
pub mod schema;
pub mod selector;
pub mod spdy;
pub mod status;
pub mod structural;
pub mod table;
pub mod validation;
pub mod yaml;
