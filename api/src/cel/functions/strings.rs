//! Texts: the standard functions, and those of CEL's string library. Positions are counted in characters.

use super::{Context, Function, format, global, int, member, mismatch};
use crate::cel::EvaluationError;
use crate::cel::check::Type;
use crate::cel::value::{Evaluated, Text, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    member("charAt", 2..=2, Type::String, char_at),
    member("contains", 2..=2, Type::Bool, |context, arguments| {
        test(context, "contains", arguments, |text, part| text.contains(part))
    }),
    member("endsWith", 2..=2, Type::Bool, |context, arguments| {
        test(context, "endsWith", arguments, |text, part| text.ends_with(part))
    }),
    member("format", 2..=2, Type::String, format::format),
    member("join", 1..=2, Type::String, join),
    member("lowerAscii", 1..=1, Type::String, |context, arguments| {
        change(context, "lowerAscii", arguments, str::to_ascii_lowercase)
    }),
    member("replace", 3..=4, Type::String, replace),
    member("split", 2..=3, Type::List, split),
    member("startsWith", 2..=2, Type::Bool, |context, arguments| {
        test(context, "startsWith", arguments, |text, part| text.starts_with(part))
    }),
    global("strings.quote", 1..=1, Type::String, |context, arguments| {
        change(context, "strings.quote", arguments, |text| format!("{text:?}"))
    }),
    member("substring", 2..=3, Type::String, substring),
    member("trim", 1..=1, Type::String, |context, arguments| {
        change(context, "trim", arguments, |text| text.trim().to_owned())
    }),
    member("upperAscii", 1..=1, Type::String, |context, arguments| {
        change(context, "upperAscii", arguments, str::to_ascii_uppercase)
    }),
];

fn test<'a>(context: &Context<'_>, name: &str, arguments: &[Value<'a>], test: fn(&str, &str) -> bool) -> Evaluated<'a> {
    let [Value::String(text), Value::String(part)] = arguments else { return Err(mismatch(name, arguments)) };
    context.meter.charge_bytes(text.len() + part.len())?;
    Ok(Value::Bool(test(text, part)))
}

fn change<'a>(
    context: &Context<'_>,
    name: &str,
    arguments: &[Value<'a>],
    change: impl Fn(&str) -> String,
) -> Evaluated<'a> {
    let [Value::String(text)] = arguments else { return Err(mismatch(name, arguments)) };
    context.meter.charge_bytes(text.len())?;
    Ok(Value::text(change(text)))
}

/// Where a character begins, in bytes; the end is a position too.
fn offset(text: &str, position: i64) -> Result<usize, EvaluationError> {
    let starts = text.char_indices().map(|(offset, _)| offset).chain([text.len()]);
    let found = usize::try_from(position).ok().and_then(|position| starts.into_iter().nth(position));
    found.ok_or_else(|| EvaluationError::failed(format!("index out of range: {position}")))
}

/// The character there; at the end, the empty text.
fn char_at<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    let [Value::String(text), Value::Int(position)] = arguments else { return Err(mismatch("charAt", arguments)) };
    context.meter.charge_bytes(text.len())?;
    let char = text[offset(text, *position)?..].chars().next();
    Ok(Value::text(char.map(String::from).unwrap_or_default()))
}

fn substring<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    let (text, start, end) = match arguments {
        [Value::String(text), Value::Int(start)] => (text, *start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return Err(mismatch("substring", arguments)),
    };
    context.meter.charge_bytes(text.len())?;
    let end = end.map_or(Ok(text.len()), |end| offset(text, end))?;
    let range = offset(text, start)?..end;
    if range.start > range.end {
        return Err(EvaluationError::failed(format!("invalid substring range. start: {start}, end: {}", range.end)));
    }
    Ok(match text {
        Text::Borrowed(text) => Value::String(Text::Borrowed(&text[range])),
        Text::Shared(text) => Value::text(&text[range]),
    })
}

/// Where a text is in another, first or last, at or after (before) a position; -1 for nowhere.
pub(super) fn position<'a>(context: &Context<'_>, arguments: &[Value<'a>], is_last: bool) -> Evaluated<'a> {
    let name = if is_last { "lastIndexOf" } else { "indexOf" };
    let (text, part, bound) = match arguments {
        [Value::String(text), Value::String(part)] => (text, part, None),
        [Value::String(text), Value::String(part), Value::Int(bound)] => (text, part, Some(*bound)),
        _ => return Err(mismatch(name, arguments)),
    };
    context.meter.charge_bytes(text.len() + part.len())?;
    let bound = bound.map(|bound| offset(text, bound)).transpose()?;
    let found = if is_last {
        let end = bound.map_or(text.len(), |bound| (bound + part.len()).min(text.len()));
        // The bound is where the last match may begin: its end may lie within a character.
        let end = (0..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text[..end].rfind(&**part)
    } else {
        let start = bound.unwrap_or(0);
        text[start..].find(&**part).map(|found| start + found)
    };
    Ok(found.map_or(Value::Int(-1), |found| int(text[..found].chars().count())))
}

fn join<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    let (list, separator) = match arguments {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, &**separator),
        _ => return Err(mismatch("join", arguments)),
    };
    let mut joined = String::new();
    for (index, element) in list.iter().enumerate() {
        let Value::String(text) = &element else { return Err(mismatch("join", arguments)) };
        context.meter.charge(1)?;
        context.meter.charge_bytes(text.len() + separator.len())?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    Ok(Value::text(joined))
}

/// How often at most; a negative limit is none.
fn limit(name: &str, arguments: &[Value<'_>], index: usize) -> Result<usize, EvaluationError> {
    match arguments.get(index) {
        None => Ok(usize::MAX),
        Some(Value::Int(limit)) => Ok(usize::try_from(*limit).unwrap_or(usize::MAX)),
        Some(_) => Err(mismatch(name, arguments)),
    }
}

fn replace<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    let [Value::String(text), Value::String(from), Value::String(to), ..] = arguments else {
        return Err(mismatch("replace", arguments));
    };
    let limit = limit("replace", arguments, 3)?;
    // An empty text is found before each character, and at the end.
    let count_max = if from.is_empty() { text.len() + 1 } else { text.len() / from.len() }.min(limit);
    context.meter.charge_bytes(text.len().saturating_add(count_max.saturating_mul(to.len())))?;
    Ok(Value::text(text.replacen(&**from, to, limit)))
}

fn split<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    let [Value::String(text), Value::String(separator), ..] = arguments else {
        return Err(mismatch("split", arguments));
    };
    let limit = limit("split", arguments, 2)?;
    context.meter.charge_bytes(text.len())?;
    let mut parts = Vec::new();
    if separator.is_empty() {
        // Between any two characters.
        let mut rest = &**text;
        while let Some(char) = rest.chars().next() {
            if parts.len() + 1 >= limit {
                break;
            }
            let (first, others) = rest.split_at(char.len_utf8());
            parts.push(Value::text(first));
            rest = others;
        }
        if limit > 0 && !rest.is_empty() {
            parts.push(Value::text(rest));
        }
    } else {
        parts.extend(text.splitn(limit, &**separator).map(Value::text));
    }
    context.meter.charge_count(parts.len())?;
    Ok(Value::list(parts))
}
