//! What the Tables of all kinds share: the name and age columns, ages in words, joined lists.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Cell, Column};
use crate::object;

const NAME_DESCRIPTION: &str = "Name must be unique within a namespace. Is required when creating resources, although some \
    resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended \
    for creation idempotence and configuration definition. Cannot be updated. More info: \
    http://kubernetes.io/docs/user-guide/identifiers#names";
const AGE_DESCRIPTION: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It \
    is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is \
    represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

pub(crate) const NONE: &str = "<none>";
pub(crate) const UNKNOWN: &str = "<unknown>";

/// The first column of nearly every kind.
pub(crate) const NAME: Column = name(0);

/// How long ago the object was created.
pub(crate) const AGE: Column = Column::string("Age", 0, AGE_DESCRIPTION, age);

/// When the object was created: the second column of kinds without columns of their own.
pub(crate) const CREATED_AT: Column =
    Column { kind: "date", ..Column::string("Created At", 0, AGE_DESCRIPTION, created_at) };

/// The column that identifies the row.
pub(crate) const fn name(priority: i32) -> Column {
    Column {
        name: "Name",
        kind: "string",
        format: "name",
        description: NAME_DESCRIPTION,
        priority,
        cell: Cell::Computed(|object, _| object::name(object).into()),
    }
}

fn age(object: &Value, now: Timestamp) -> Value {
    since(object::creation_timestamp(object), now).into()
}

fn created_at(object: &Value, _: Timestamp) -> Value {
    object::creation_timestamp(object).map(object::timestamp).into()
}

/// A value as a column of a type shows it; null where it is of another.
pub(crate) fn shown(column_type: &str, value: &Value, now: Timestamp) -> Value {
    match (column_type, value) {
        (_, Value::Null) => Value::Null,
        ("integer", Value::Number(number)) => {
            #[expect(clippy::cast_possible_truncation, reason = "the fraction is what is not shown")]
            let truncated = || number.as_f64().map(|number| number as i64);
            number.as_i64().or_else(truncated).into()
        }
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) | ("string", Value::String(_)) => value.clone(),
        ("string", other) => other.to_string().into(),
        ("date", Value::String(text)) => match text.parse() {
            Ok(then) => since(Some(then), now).into(),
            Err(_) => "<invalid>".into(),
        },
        _ => Value::Null,
    }
}

/// How long ago a moment was, as `kubectl` words it; `<unknown>` without one.
pub(crate) fn since(then: Option<Timestamp>, now: Timestamp) -> String {
    match then {
        Some(then) => human_duration(now.as_second() - then.as_second()),
        None => UNKNOWN.to_owned(),
    }
}

/// The moment at a path, when there is one.
pub(crate) fn timestamp_at(object: &Value, path: &[&str]) -> Option<Timestamp> {
    object::str_at(object, path)?.parse().ok()
}

/// Seconds in words of at most two units, coarser the longer they are.
pub fn human_duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let years = days / 365;
    let two = |large: i64, large_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{large_unit}"),
        _ => format!("{large}{large_unit}{small}{small_unit}"),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 24 * 8 => two(days, "d", hours % 24, "h"),
        _ if hours < 24 * 365 * 2 => format!("{days}d"),
        _ if hours < 24 * 365 * 8 => two(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

/// The string at a path, or a stand-in where it is missing or empty.
pub(crate) fn text_or(object: &Value, path: &[&str], missing: &str) -> Value {
    object::str_at(object, path).filter(|text| !text.is_empty()).unwrap_or(missing).into()
}

/// The number at a path, 0 where it is missing.
pub(crate) fn number(object: &Value, path: &[&str]) -> Value {
    object::i64_at(object, path).unwrap_or(0).into()
}

/// How many entries a map or list has, 0 where it is missing.
pub(crate) fn count(object: &Value, path: &[&str]) -> usize {
    match object::get(object, path) {
        Some(Value::Object(map)) => map.len(),
        Some(Value::Array(list)) => list.len(),
        _ => 0,
    }
}

/// A map of strings as `a=b,c=d`, sorted; `<none>` where it is empty.
pub(crate) fn format_labels(map: Option<&Value>) -> String {
    let mut pairs: Vec<String> = map
        .and_then(Value::as_object)
        .map(|map| map.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect())
        .unwrap_or_default();
    pairs.sort_unstable();
    if pairs.is_empty() { NONE.to_owned() } else { pairs.join(",") }
}

/// One field of every entry of a list, joined by commas.
pub(crate) fn join<'a>(list: &'a [Value], field: &str) -> String {
    let texts: Vec<&'a str> = list.iter().filter_map(|entry| object::str_at(entry, &[field])).collect();
    texts.join(",")
}

/// The addresses of a load balancer's status, sorted and joined by commas.
pub(crate) fn load_balancer_addresses(object: &Value) -> String {
    let mut addresses: Vec<&str> = object::list_at(object, &["status", "loadBalancer", "ingress"])
        .iter()
        .filter_map(|ingress| {
            let ip = object::str_at(ingress, &["ip"]).filter(|ip| !ip.is_empty());
            ip.or_else(|| object::str_at(ingress, &["hostname"])).filter(|address| !address.is_empty())
        })
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.join(",")
}

#[cfg(test)]
mod tests {
    use super::human_duration;
    use expect_test::expect;

    #[test]
    fn ages_read_as_kubectl_prints_them() {
        let moments = [
            -2,
            -1,
            0,
            47,
            119,
            120,
            125,
            599,
            600,
            10_799,
            10_800,
            14_700,
            28_799,
            28_800,
            172_799,
            172_800,
            180_000,
            691_199,
            691_200,
            63_071_999,
            63_072_000,
            63_158_400,
            252_287_999,
            252_288_000,
        ];
        let words: Vec<String> =
            moments.iter().map(|seconds| format!("{seconds} {}", human_duration(*seconds))).collect();
        expect![[r#"
            -2 <invalid>
            -1 0s
            0 0s
            47 47s
            119 119s
            120 2m
            125 2m5s
            599 9m59s
            600 10m
            10799 179m
            10800 3h
            14700 4h5m
            28799 7h59m
            28800 8h
            172799 47h
            172800 2d
            180000 2d2h
            691199 7d23h
            691200 8d
            63071999 729d
            63072000 2y
            63158400 2y1d
            252287999 7y364d
            252288000 8y"#]]
        .assert_eq(&words.join("\n"));
    }
}
