//! The JSONPath of Kubernetes, as far as definitions of kinds use it: `.status.conditions[?(@.type=="Ready")].status`.
//!
//! Fields, indices, ranges, `[*]`, and filters that compare one field. Deliberately absent: recursive descent, unions and
//! the template language around it; a path that uses them is refused.

use serde_json::Value;

/// A path into an object.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    /// Counts from the end where negative.
    Index(i64),
    Range(Option<i64>, Option<i64>),
    Every,
    Filter(Vec<Step>, Option<(Operator, Value)>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Longer ones first: `<=` begins with `<`.
const OPERATORS: &[(&str, Operator)] = &[
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl JsonPath {
    /// Parses a path, which starts with a dot; an error says what is wrong with it.
    pub fn parse(text: &str) -> Result<JsonPath, String> {
        if !text.starts_with('.') {
            return Err("must be a simple json path starting with .".to_owned());
        }
        Ok(JsonPath { steps: steps(text)? })
    }

    /// The names of the fields it goes through, where it is a mere path of fields.
    pub fn fields(&self) -> Option<Vec<&str>> {
        let field = |step: &'_ Step| matches!(step, Step::Field(_));
        let names = self.steps.iter().filter_map(|step| match step {
            Step::Field(name) => Some(name.as_str()),
            _ => None,
        });
        self.steps.iter().all(field).then(|| names.collect())
    }

    /// The first value found.
    pub fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        find(&self.steps, value).into_iter().next()
    }
}

fn find<'a>(steps: &[Step], value: &'a Value) -> Vec<&'a Value> {
    steps.iter().fold(vec![value], |found, step| found.into_iter().flat_map(|value| step.of(value)).collect())
}

impl Step {
    fn of<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match (self, value) {
            (Step::Field(name), Value::Object(fields)) => fields.get(name).into_iter().collect(),
            (Step::Every, Value::Object(fields)) => fields.values().collect(),
            (Step::Every, Value::Array(items)) => items.iter().collect(),
            (Step::Index(index), Value::Array(items)) => items.get(place(*index, items.len())).into_iter().collect(),
            (Step::Range(from, to), Value::Array(items)) => {
                let from = place(from.unwrap_or(0), items.len());
                let to = to.map_or(items.len(), |to| place(to, items.len()).min(items.len()));
                items.iter().take(to).skip(from).collect()
            }
            (Step::Filter(path, test), Value::Array(items)) => {
                let passes = |item: &&Value| find(path, item).first().is_some_and(|found| holds(found, test.as_ref()));
                items.iter().filter(passes).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn place(index: i64, length: usize) -> usize {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let index = if index < 0 { index + length } else { index };
    usize::try_from(index).unwrap_or(usize::MAX)
}

fn holds(found: &Value, test: Option<&(Operator, Value)>) -> bool {
    let Some((operator, wanted)) = test else { return true };
    let order = match (found, wanted) {
        (Value::Number(one), Value::Number(other)) => one.as_f64().partial_cmp(&other.as_f64()),
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        _ => None,
    };
    let Some(order) = order else { return *operator == Operator::NotEqual };
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
    }
}

fn steps(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if rest.starts_with("..") {
            return Err("recursive descent (..) is not supported; name the fields".to_owned());
        }
        if let Some(after) = rest.strip_prefix('.') {
            let (name, after) = name(after);
            match name.as_str() {
                // A lone dot is the value itself, and one before a bracket says nothing.
                "" if after.is_empty() || after.starts_with('[') => {}
                "" => return Err(format!("a field is missing in {text:?}")),
                "*" => steps.push(Step::Every),
                _ => steps.push(Step::Field(name)),
            }
            rest = after;
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after).ok_or_else(|| "unterminated array".to_owned())?;
            steps.push(bracket(after[..end].trim())?);
            rest = &after[end + 1..];
        } else {
            return Err(format!("unexpected {rest:?}: a dot or a bracket is missing"));
        }
    }
    Ok(steps)
}

/// A field's name up to the next dot or bracket, and what follows; a backslash takes the next character as it is.
fn name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '.' | '[' => return (name, &text[index..]),
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            other => name.push(other),
        }
    }
    (name, "")
}

/// Where the bracket that was opened before ends, those in quotes and in filters left aside.
fn closing(text: &str) -> Option<usize> {
    let (mut quote, mut depth) = (None, 0);
    for (index, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(index),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(inside: &str) -> Result<Step, String> {
    if inside == "*" {
        return Ok(Step::Every);
    }
    if let Some(filter) = inside.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return self::filter(filter.trim());
    }
    if let Some(Value::String(name)) = literal(inside) {
        return Ok(Step::Field(name));
    }
    let number = |text: &str| text.parse::<i64>().map_err(|_| format!("invalid array index {inside}"));
    let bound = |text: &str| if text.is_empty() { Ok(None) } else { number(text).map(Some) };
    match inside.split_once(':') {
        Some((from, to)) => Ok(Step::Range(bound(from)?, bound(to)?)),
        None => number(inside).map(Step::Index),
    }
}

fn filter(text: &str) -> Result<Step, String> {
    let path = text.strip_prefix('@').ok_or_else(|| format!("filter {text:?} does not start with @"))?;
    let found = OPERATORS.iter().filter_map(|(sign, operator)| Some((path.find(sign)?, *sign, *operator)));
    let Some((at, sign, operator)) = found.min_by_key(|(at, sign, _)| (*at, 2 - sign.len())) else {
        return Ok(Step::Filter(steps(path.trim())?, None));
    };
    let wanted = path[at + sign.len()..].trim();
    let wanted =
        literal(wanted).ok_or_else(|| format!("{wanted:?} in filter {text:?} is no string, number or boolean"))?;
    Ok(Step::Filter(steps(path[..at].trim())?, Some((operator, wanted))))
}

/// A string in quotes of either form, a number or a boolean.
fn literal(text: &str) -> Option<Value> {
    let quoted = ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    match quoted {
        Some(inner) if !inner.contains(['"', '\'']) => Some(inner.into()),
        Some(_) => None,
        None => serde_json::from_str(text).ok().filter(|value: &Value| value.is_number() || value.is_boolean()),
    }
}

#[cfg(test)]
mod tests;
