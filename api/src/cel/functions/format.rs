//! `"%s is %d".format([name, number])`.

use super::{Context, mismatch};
use crate::cel::EvaluationError;
use crate::cel::value::{Evaluated, List, Value};

/// The most digits after the point.
const PRECISION_MAX: usize = 100;
const PRECISION_DEFAULT: usize = 6;

pub(super) fn format<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    let [Value::String(pattern), Value::List(values)] = arguments else { return Err(mismatch("format", arguments)) };
    context.meter.charge_bytes(pattern.len())?;
    let mut formatted = String::new();
    let mut next = 0;
    let mut rest = &**pattern;
    while let Some((before, clause)) = rest.split_once('%') {
        formatted.push_str(before);
        if let Some(after) = clause.strip_prefix('%') {
            formatted.push('%');
            rest = after;
            continue;
        }
        let (precision, clause) = precision(clause)?;
        let verb = clause.chars().next().ok_or_else(|| EvaluationError::failed("unexpected end of string"))?;
        rest = &clause[verb.len_utf8()..];
        let text = clause_text(context, values, next, verb, precision)?;
        context.meter.charge_bytes(text.len())?;
        formatted.push_str(&text);
        next += 1;
    }
    formatted.push_str(rest);
    Ok(Value::text(formatted))
}

/// The `.3` of a clause, and what follows it.
fn precision(clause: &str) -> Result<(Option<usize>, &str), EvaluationError> {
    let Some(rest) = clause.strip_prefix('.') else { return Ok((None, clause)) };
    let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(end);
    match digits.parse::<usize>() {
        Ok(precision) if precision <= PRECISION_MAX => Ok((Some(precision), rest)),
        _ => Err(EvaluationError::failed(format!("could not convert precision to integer: {digits:?}"))),
    }
}

fn clause_text(
    context: &Context<'_>,
    values: &List<'_>,
    index: usize,
    verb: char,
    precision: Option<usize>,
) -> Result<String, EvaluationError> {
    let value = values.get(index).ok_or_else(|| EvaluationError::failed(format!("index {index} out of range")))?;
    let unfit = || EvaluationError::failed(format!("error during formatting: %{verb} of a {}", value.type_name()));
    let digits = precision.unwrap_or(PRECISION_DEFAULT);
    Ok(match (verb, &value) {
        ('s', Value::List(_) | Value::Map(_)) => value.to_json(context.meter)?.to_string(),
        ('s', _) => value.to_string(),
        ('d', Value::Int(_) | Value::Uint(_)) => value.to_string(),
        ('f', _) => format!("{:.digits$}", double(&value).ok_or_else(unfit)?),
        ('e', _) => scientific(double(&value).ok_or_else(unfit)?, digits),
        ('b', Value::Bool(bool)) => i32::from(*bool).to_string(),
        ('x', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('X', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
        ('x', Value::Bytes(bytes)) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        ('X', Value::Bytes(bytes)) => bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
        ('b' | 'o' | 'x' | 'X', Value::Int(number)) => radix(verb, *number < 0, number.unsigned_abs()),
        ('b' | 'o' | 'x' | 'X', Value::Uint(number)) => radix(verb, false, *number),
        ('d' | 'b' | 'o' | 'x' | 'X', _) => return Err(unfit()),
        _ => return Err(EvaluationError::failed(format!("unrecognized formatting clause \"{verb}\""))),
    })
}

#[expect(clippy::cast_precision_loss, reason = "printed as a floating-point number")]
fn double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        _ => None,
    }
}

fn radix(verb: char, is_negative: bool, number: u64) -> String {
    let digits = match verb {
        'b' => format!("{number:b}"),
        'o' => format!("{number:o}"),
        'x' => format!("{number:x}"),
        _ => format!("{number:X}"),
    };
    if is_negative { format!("-{digits}") } else { digits }
}

/// With a sign and two digits of exponent at least.
fn scientific(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    format!("{mantissa}e{sign}{exponent:0>2}")
}
