//! The formats of strings and numbers that are checked; others are descriptions only, as in Kubernetes.

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::cel::Parsed;
use crate::validation;

mod check_digit;

/// Whether a value has a format; formats that don't fit its type, and unknown ones, say nothing.
pub(super) fn is_of(format: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => is_text_of(format, text),
        Value::Number(number) => match format {
            "int32" => {
                number.as_f64().is_none_or(|number| (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number))
            }
            "int64" => number.is_i64() || number.is_f64(),
            _ => true,
        },
        _ => true,
    }
}

fn is_text_of(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => date_time(text).is_some(),
        "date" => date(text).is_some(),
        "duration" => duration(text).is_some(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => validation::cidr(text).is_empty(),
        "mac" => is_hex_in_groups(text, &[2; 6], &[':', '-']),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => {
            let version = format.strip_prefix("uuid").filter(|version| !version.is_empty());
            let is_plain = is_hex_in_groups(text, &[8, 4, 4, 4, 12], &['-']);
            is_plain && version.is_none_or(|version| text[14..].starts_with(version))
        }
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "hexcolor" => {
            let digits = text.strip_prefix('#').unwrap_or(text);
            matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        }
        "rgbcolor" => is_rgb_color(text),
        "isbn" => check_digit::is_isbn10(text) || check_digit::is_isbn13(text),
        "isbn10" => check_digit::is_isbn10(text),
        "isbn13" => check_digit::is_isbn13(text),
        "creditcard" => check_digit::is_card(text),
        "ssn" => is_in_groups(text, &[3, 2, 4], &['-', ' '], u8::is_ascii_digit),
        "byte" => STANDARD.decode(text).is_ok(),
        "hostname" => is_hostname(text),
        "email" => text.split_once('@').is_some_and(|(user, host)| {
            !user.is_empty() && !user.contains(char::is_whitespace) && !host.contains('@') && is_hostname(host)
        }),
        "uri" => is_uri(text),
        "k8s-short-name" => validation::dns1123_label(text).is_empty(),
        "k8s-long-name" => validation::dns1123_subdomain(text).is_empty(),
        _ => true,
    }
}

/// `rgb(0, 128, 255)`
fn is_rgb_color(text: &str) -> bool {
    let parts = text.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')'));
    let is_part = |part: &str| part.parse::<u8>().is_ok_and(|number| number.to_string() == part);
    parts.is_some_and(|parts| parts.split(',').count() == 3 && parts.split(',').map(str::trim).all(is_part))
}

/// What a text of a format stands for, where it is more than a text.
pub(super) fn parse(format: &str, text: &str) -> Option<Parsed> {
    match format {
        "date-time" => date_time(text).map(Parsed::Timestamp),
        "date" => date(text)?.to_zoned(TimeZone::UTC).ok().map(|midnight| Parsed::Timestamp(midnight.timestamp())),
        "duration" => duration(text).map(Parsed::Duration),
        "byte" => STANDARD.decode(text).ok().map(Parsed::Bytes),
        _ => None,
    }
}

/// RFC 3339, which wants a `T` and an offset.
fn date_time(text: &str) -> Option<Timestamp> {
    let is_whole = matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) && !text.ends_with(']');
    text.parse().ok().filter(|_| is_whole)
}

fn date(text: &str) -> Option<Date> {
    text.parse().ok().filter(|_| text.len() == 10)
}

/// Go's durations, `1h30m`, and those in words that Kubernetes' library takes, `2 days`.
fn duration(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits =
            rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.').len();
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let unit = after.len() - after.trim_start_matches(char::is_alphabetic).len();
        let (unit, after) = after.split_at(unit);
        let known = |unit: &str| UNITS.iter().find(|(names, _)| names.contains(&unit)).map(|(_, seconds)| *seconds);
        seconds += number.parse::<f64>().ok()? * known(unit).or_else(|| known(unit.trim_end_matches('s')))?;
        rest = after.trim_start();
    }
    SignedDuration::try_from_secs_f64(sign * seconds).ok()
}

/// The names of units of time, and how many seconds each is.
const UNITS: &[(&[&str], f64)] = &[
    (&["ns", "nanosecond"], 1e-9),
    (&["us", "µs", "μs", "microsecond"], 1e-6),
    (&["ms", "millisecond"], 1e-3),
    (&["s", "sec", "second"], 1.0),
    (&["m", "min", "minute"], 60.0),
    (&["h", "hour"], 3_600.0),
    (&["d", "day"], 86_400.0),
    (&["w", "week"], 604_800.0),
];

fn is_hex_in_groups(text: &str, lengths: &[usize], separators: &[char]) -> bool {
    is_in_groups(text, lengths, separators, u8::is_ascii_hexdigit)
}

fn is_in_groups(text: &str, lengths: &[usize], separators: &[char], is_fit: fn(&u8) -> bool) -> bool {
    let groups: Vec<&str> = text.split(separators).collect();
    let fits = |(group, length): (&&str, &usize)| group.len() == *length && group.as_bytes().iter().all(is_fit);
    groups.len() == lengths.len() && groups.iter().zip(lengths).all(fits)
}

/// An absolute path, or a scheme and what it is for.
fn is_uri(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        scheme.starts_with(|letter: char| letter.is_ascii_alphabetic()) && scheme.bytes().all(is_fit)
    };
    let is_clean = !text.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    let has_scheme = text.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty());
    is_clean && (text.starts_with('/') || has_scheme)
}

fn is_hostname(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(is_fit) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(is_label)
}
