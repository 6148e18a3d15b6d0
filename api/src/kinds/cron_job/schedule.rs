//! Whether a text is a schedule, `*/5 9-17 * * mon-fri` or `@daily`, with the complaints that Kubernetes' parser has.
//!
//! Deliberately absent: when a schedule is due, which nothing asks yet.

/// A field of a schedule: the numbers it may hold, and names for them, the first of which stands for the lowest.
struct Field {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Minute, hour, day of the month, month, day of the week.
const FIELDS: [Field; 5] = [
    Field { min: 0, max: 59, names: &[] },
    Field { min: 0, max: 23, names: &[] },
    Field { min: 1, max: 31, names: &[] },
    Field { min: 1, max: 12, names: MONTHS },
    Field { min: 0, max: 6, names: WEEKDAYS },
];
const DESCRIPTORS: &[&str] = &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
const DURATION_UNITS: &[&str] = &["ns", "us", "µs", "μs", "ms", "s", "m", "h"];

/// Says what is wrong with a schedule.
pub(super) fn check(schedule: &str) -> Result<(), String> {
    let schedule = without_time_zone(schedule);
    if schedule.starts_with('@') {
        return check_descriptor(schedule);
    }
    let texts: Vec<&str> = schedule.split_whitespace().collect();
    if texts.len() != FIELDS.len() {
        let (expected, found) = (FIELDS.len(), texts.len());
        return Err(format!("expected exactly {expected} fields, found {found}: [{}]", texts.join(" ")));
    }
    FIELDS.iter().zip(texts).try_for_each(|(field, text)| {
        text.split(',').filter(|range| !range.is_empty()).try_for_each(|range| check_range(field, range))
    })
}

/// The schedule behind `TZ=Europe/Rome `: the zone is refused by the caller, whatever it is.
fn without_time_zone(schedule: &str) -> &str {
    let has_zone = ["TZ=", "CRON_TZ="].iter().any(|prefix| schedule.starts_with(prefix));
    schedule.split_once(' ').filter(|_| has_zone).map_or(schedule, |(_, rest)| rest.trim())
}

fn check_descriptor(descriptor: &str) -> Result<(), String> {
    if let Some(duration) = descriptor.strip_prefix("@every ") {
        return check_duration(duration)
            .map_err(|error| format!("failed to parse duration {descriptor}: time: {error}"));
    }
    if DESCRIPTORS.contains(&descriptor) { Ok(()) } else { Err(format!("unrecognized descriptor: {descriptor}")) }
}

/// One of `*`, `5`, `5-9`, `*/2`, `5-9/2`.
fn check_range(field: &Field, range: &str) -> Result<(), String> {
    let parts: Vec<&str> = range.split('/').collect();
    let limits: Vec<&str> = parts[0].split('-').collect();
    let (start, mut end) = match limits[..] {
        ["*" | "?", ..] => (field.min, field.max),
        [only] => (number_or_name(field, only)?, number_or_name(field, only)?),
        [start, end] => (number_or_name(field, start)?, number_or_name(field, end)?),
        _ => return Err(format!("too many hyphens: {range}")),
    };
    let step = match parts[..] {
        [_] => 1,
        [_, step] => {
            if limits.len() == 1 {
                end = field.max;
            }
            number(step)?
        }
        _ => return Err(format!("too many slashes: {range}")),
    };
    if start < field.min {
        return Err(format!("beginning of range ({start}) below minimum ({}): {range}", field.min));
    }
    if end > field.max {
        return Err(format!("end of range ({end}) above maximum ({}): {range}", field.max));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {range}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {range}"));
    }
    Ok(())
}

fn number_or_name(field: &Field, text: &str) -> Result<u32, String> {
    match field.names.iter().zip(field.min..).find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        Some((_, number)) => Ok(number),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    match text.parse::<i64>() {
        Err(_) => Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")),
        Ok(number) => u32::try_from(number).map_err(|_| format!("negative number ({number}) not allowed: {text}")),
    }
}

/// A duration as Go writes it: `1h30m`, `-1.5s`, `0`.
fn check_duration(text: &str) -> Result<(), String> {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(());
    }
    let invalid = || Err(format!("invalid duration {text:?}"));
    if rest.is_empty() {
        return invalid();
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (number, unit) = rest.split_at(digits);
        if !number.bytes().any(|byte| byte.is_ascii_digit()) || number.matches('.').count() > 1 {
            return invalid();
        }
        let letters = unit.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(unit.len());
        let unit = &unit[..letters];
        if unit.is_empty() {
            return Err(format!("missing unit in duration {text:?}"));
        }
        if !DURATION_UNITS.contains(&unit) {
            return Err(format!("unknown unit {unit:?} in duration {text:?}"));
        }
        rest = &rest[digits + letters..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;
    use expect_test::expect;

    #[test]
    fn schedules_are_refused_in_the_words_of_kubernetes() {
        let schedules = [
            "* * * * *",
            "*/5 9-17 1,15 jan-JUN mon-fri",
            "5/15 * * * ?",
            "  0 3 * * 0  ",
            "@daily",
            "@every 1h30m",
            "TZ=Europe/Rome 0 3 * * *",
            "* * * *",
            "0 * * * * *",
            "61 * * * *",
            "* * 0 * *",
            "* * * * 7",
            "5-1 * * * *",
            "1-2-3 * * * *",
            "1/2/3 * * * *",
            "*/0 * * * *",
            "x * * * *",
            "* * * * mo",
            "-1 * * * *",
            "*/-1 * * * *",
            "@noon",
            "@every",
            "@every 1",
            "@every 1y",
            "@every h",
        ];
        let lines = schedules.map(|schedule| match check(schedule) {
            Ok(()) => format!("{schedule}: ok"),
            Err(error) => format!("{schedule}: {error}"),
        });
        expect![[r#"
            * * * * *: ok
            */5 9-17 1,15 jan-JUN mon-fri: ok
            5/15 * * * ?: ok
              0 3 * * 0  : ok
            @daily: ok
            @every 1h30m: ok
            TZ=Europe/Rome 0 3 * * *: ok
            * * * *: expected exactly 5 fields, found 4: [* * * *]
            0 * * * * *: expected exactly 5 fields, found 6: [0 * * * * *]
            61 * * * *: end of range (61) above maximum (59): 61
            * * 0 * *: beginning of range (0) below minimum (1): 0
            * * * * 7: end of range (7) above maximum (6): 7
            5-1 * * * *: beginning of range (5) beyond end of range (1): 5-1
            1-2-3 * * * *: too many hyphens: 1-2-3
            1/2/3 * * * *: too many slashes: 1/2/3
            */0 * * * *: step of range should be a positive number: */0
            x * * * *: failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax
            * * * * mo: failed to parse int from mo: strconv.Atoi: parsing "mo": invalid syntax
            -1 * * * *: failed to parse int from : strconv.Atoi: parsing "": invalid syntax
            */-1 * * * *: negative number (-1) not allowed: -1
            @noon: unrecognized descriptor: @noon
            @every: unrecognized descriptor: @every
            @every 1: failed to parse duration @every 1: time: missing unit in duration "1"
            @every 1y: failed to parse duration @every 1y: time: unknown unit "y" in duration "1y"
            @every h: failed to parse duration @every h: time: invalid duration "h""#]]
        .assert_eq(&lines.join("\n"));
    }
}
