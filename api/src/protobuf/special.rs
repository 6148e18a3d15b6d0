//! The messages whose JSON isn't an object of their fields.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::error::{Problem, ProtobufError};
use super::table;
use super::transcoder::{Transcoder, check_depth, integer32};
use super::wire::{Reader, Wire};
use crate::decode::Tree;
use crate::schema::{self, Definition};

const JSON_SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// The first second of the year 1, and the last of 9999.
const SECONDS_MIN: i64 = -62_135_596_800;
const SECONDS_MAX: i64 = 253_402_300_799;

/// Whether the JSON of a definition's message is not an object of the message's fields.
pub(super) fn is_special(definition: &Definition) -> bool {
    table::message(definition.name).is_none()
}

impl Transcoder {
    /// A moment to the second: fractions are dropped, as Go does. An empty message is no moment.
    pub(super) fn time(&mut self, bytes: &[u8]) -> Result<Value, ProtobufError> {
        match timestamp(bytes)? {
            None => Ok(Value::Null),
            Some((second, _)) => self.string(&second.to_string()),
        }
    }

    /// A moment to the microsecond.
    pub(super) fn micro_time(&mut self, bytes: &[u8]) -> Result<Value, ProtobufError> {
        match timestamp(bytes)? {
            None => Ok(Value::Null),
            Some((second, nanoseconds)) => {
                let second = second.to_string();
                let microseconds = nanoseconds / 1_000;
                self.string(&format!("{}.{microseconds:06}Z", second.trim_end_matches('Z')))
            }
        }
    }

    pub(super) fn quantity(&mut self, bytes: &[u8]) -> Result<Value, ProtobufError> {
        let mut text = "0";
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            if number == 1 {
                text = wire.text()?;
            }
        }
        self.string(text)
    }

    pub(super) fn int_or_string(&mut self, bytes: &[u8]) -> Result<Value, ProtobufError> {
        let (mut kind, mut integer, mut text) = (0, 0, "");
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            match number {
                1 => kind = wire.varint()?,
                2 => integer = integer32(wire)?,
                3 => text = wire.text()?,
                _ => {}
            }
        }
        match kind {
            0 => {
                self.spend("0,".len())?;
                Ok(integer.into())
            }
            1 => self.string(text),
            other => Err(Problem::IntOrString(other).into()),
        }
    }

    /// A message that holds JSON. `depth` is how many objects and lists are around it.
    pub(super) fn raw_json(&mut self, bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
        let mut raw: &[u8] = &[];
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            if number == 1 {
                raw = wire.bytes()?;
            }
        }
        if raw.is_empty() {
            return Ok(Value::Null);
        }
        self.spend(raw.len() + ",".len())?;
        let mut tree = Tree::default();
        let mut deserializer = serde_json::Deserializer::from_slice(raw);
        let value = tree.read_within(&mut deserializer, depth).and_then(|value| deserializer.end().map(|()| value));
        match tree.duplicates.first() {
            _ if tree.is_too_deep => Err(Problem::TooDeep.into()),
            Some(path) if value.is_ok() => Err(Problem::Json(format!("duplicate field {path:?}")).into()),
            _ => value.map_err(|error| Problem::Json(error.to_string()).into()),
        }
    }

    /// JSON of any form, or a JSON schema or something simpler.
    pub(super) fn special(
        &mut self,
        definition: &'static Definition,
        bytes: &[u8],
        depth: usize,
    ) -> Result<Value, ProtobufError> {
        match definition.name.rsplit('.').next().unwrap_or_default() {
            "JSONSchemaPropsOrBool" => self.json_schema_or_bool(bytes, depth),
            "JSONSchemaPropsOrArray" => self.json_schema_or_list(bytes, depth, Transcoder::json_schema),
            "JSONSchemaPropsOrStringArray" => {
                self.json_schema_or_list(bytes, depth, |transcoder, wire, _| transcoder.string(wire.text()?))
            }
            _ => self.raw_json(bytes, depth),
        }
    }

    fn json_schema(&mut self, wire: Wire<'_>, depth: usize) -> Result<Value, ProtobufError> {
        let definition = schema::definition(JSON_SCHEMA).expect("invariant: the schema of schemas is embedded");
        self.spend("{},".len())?;
        let mut object = Map::new();
        self.message(wire.bytes()?, definition, &mut object, depth + 1)?;
        Ok(Value::Object(object))
    }

    fn json_schema_or_bool(&mut self, bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
        let (mut allows, mut schema) = (false, None);
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            match number {
                1 => allows = wire.varint()? != 0,
                2 => schema = Some(self.json_schema(wire, depth)?),
                _ => {}
            }
        }
        Ok(schema.unwrap_or(Value::Bool(allows)))
    }

    fn json_schema_or_list(
        &mut self,
        bytes: &[u8],
        depth: usize,
        item: impl Fn(&mut Transcoder, Wire<'_>, usize) -> Result<Value, ProtobufError>,
    ) -> Result<Value, ProtobufError> {
        let (mut schema, mut items) = (Value::Null, Vec::new());
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            match number {
                1 => schema = self.json_schema(wire, depth)?,
                2 => {
                    check_depth(depth + 1)?;
                    let value = item(self, wire, depth + 1);
                    items.push(value.map_err(|error| error.within(&format!("[{}]", items.len())))?);
                }
                _ => {}
            }
        }
        Ok(if items.is_empty() { schema } else { Value::Array(items) })
    }
}

/// The whole second, and the nanoseconds after it; `None` for an empty message.
fn timestamp(bytes: &[u8]) -> Result<Option<(Timestamp, i32)>, ProtobufError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (mut seconds, mut nanoseconds) = (0, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match number {
            1 => seconds = wire.varint()?.cast_signed(),
            2 => nanoseconds = integer32(wire)?,
            _ => {}
        }
    }
    let is_time = (SECONDS_MIN..=SECONDS_MAX).contains(&seconds) && (0..1_000_000_000).contains(&nanoseconds);
    let second = Timestamp::from_second(seconds).ok().filter(|_| is_time);
    Ok(Some((second.ok_or(Problem::Time { seconds, nanoseconds })?, nanoseconds)))
}
