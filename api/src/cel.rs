//! Kubernetes' CEL: expressions compiled once and evaluated over objects, at a cost that is limited.
//!
//! There is: CEL's syntax with its macros (those of two variables, `cel.bind` and optional values too), the standard functions and
//! the string library; Kubernetes' library for lists, regular expressions, URLs, quantities, IP addresses and CIDR blocks,
//! sets and semantic versions, and what users may do. Regular expressions take time linear in the text.
//!
//! Deliberately absent, and refused by name when an expression is compiled: messages (`Type{…}`), `format.named`,
//! math and encoding extensions, and names in backticks. Also absent: the types of what macros bind, of
//! what functions return in lists and maps, and of objects of which no [`Shape`] is known: whether `object.spec.x + 1` can be added
//! shows in the evaluation.
//! The crates there are don't limit what an evaluation costs, and a parser of theirs overflows the stack on nested brackets.

use std::borrow::Cow;
use std::collections::HashMap;

use regex::Regex;
use serde_json::Value as Json;
use thiserror::Error;

pub use access::{AccessCheck, AccessSubject, Authorize};
pub use check::Type;
pub use evaluate::Evaluation;
pub use meter::Budget;
pub use shape::{Parsed, Shape};

mod access;
mod check;
mod evaluate;
mod functions;
mod lexer;
mod macros;
mod meter;
mod operators;
mod parser;
mod shape;
mod syntax;
mod value;

/// The longest expression, in bytes.
const SOURCE_BYTES_MAX: usize = 16 * 1024;

/// The names that stand for types, and how `type(…)` prints those.
const TYPES: &[(&str, &str)] = &[
    ("bool", "bool"),
    ("bytes", "bytes"),
    ("double", "double"),
    ("int", "int"),
    ("list", "list"),
    ("map", "map"),
    ("null_type", "null_type"),
    ("string", "string"),
    ("type", "type"),
    ("uint", "uint"),
];

/// The words that a property may be called and a name in an expression may not.
const KEYWORDS: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// An expression that can't be compiled: where, why, and the line in question.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct CompileError(String);

/// An evaluation that came to no value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EvaluationError {
    /// A map has no such key, or an object no such field.
    #[error("no such key: {0}")]
    NoSuchKey(String),
    /// An operator or function isn't there for values of these types.
    #[error("no such overload: {0}")]
    NoSuchOverload(String),
    /// Anything else: an overflow, a text that is no number.
    #[error("{0}")]
    Failed(String),
    /// It would cost more than one evaluation may.
    #[error("operation cancelled: actual cost limit exceeded")]
    CallCost,
    /// It would cost more than the evaluations of a request may together.
    #[error("validation failed due to running out of cost budget, no further validation rules will be run")]
    RequestCost,
}

impl EvaluationError {
    fn failed(reason: impl Into<String>) -> EvaluationError {
        EvaluationError::Failed(reason.into())
    }

    /// Whether it is about what the evaluation costs, so that no other part of the expression can make up for it.
    pub fn is_about_cost(&self) -> bool {
        matches!(self, EvaluationError::CallCost | EvaluationError::RequestCost)
    }
}

impl CompileError {
    /// At an offset of the source, in bytes.
    fn at(source: &str, offset: usize, reason: &str) -> CompileError {
        let before = &source[..offset];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = source[start..].lines().next().unwrap_or_default();
        let (number, column) = (before.matches('\n').count() + 1, source[start..offset].chars().count());
        CompileError(format!("ERROR: <input>:{number}:{}: {reason}\n | {line}\n | {}^", column + 1, ".".repeat(column)))
    }
}

/// What an expression may speak of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Declarations<'a> {
    /// The names of variables.
    pub variables: &'a [&'a str],
    /// What describes some of those variables, by name.
    pub shapes: &'a [(&'a str, &'a dyn Shape)],
    /// What `variables.NAME` stands for, where there are such definitions; see [`Evaluation::with_definitions`].
    pub definitions: Option<&'a [(String, Program)]>,
}

/// An expression, compiled.
#[derive(Debug)]
pub struct Program {
    source: String,
    node: syntax::Node,
    /// Those that the source spells out.
    regexes: HashMap<String, Regex>,
    result: Type,
    depth: usize,
}

impl Program {
    /// Compiles an expression; names that aren't declared, and functions that aren't there, are errors.
    pub fn compile(source: &str, declared: Declarations<'_>) -> Result<Program, CompileError> {
        if source.len() > SOURCE_BYTES_MAX {
            let reason =
                format!("expression code point size exceeds limit: size: {}, limit {SOURCE_BYTES_MAX}", source.len());
            return Err(CompileError(format!("ERROR: <input>:-1:0: {reason}")));
        }
        if source.trim().is_empty() {
            return Err(CompileError::at(source, 0, "Syntax error: mismatched input '<EOF>' expecting an expression"));
        }
        let names: Vec<&str> =
            declared.variables.iter().copied().chain(declared.definitions.map(|_| "variables")).collect();
        let node = parser::parse(source, &names)?;
        let checked = check::check(source, &node, &names, declared)?;
        let check::Checked { result, regexes, depth } = checked;
        Ok(Program { source: source.to_owned(), node, regexes, result, depth })
    }

    /// The text that it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The type of its value, as far as the expression tells: [`Type::Dyn`] may be any.
    pub fn result(&self) -> Type {
        self.result
    }

    /// Checks the fields that it selects of variables: `is_known` is asked with those that lead to each, itself included. What is selected
    /// of an element, of a call's result or of a variable that a macro makes is not asked about.
    pub fn check_fields(&self, is_known: &dyn Fn(&[Cow<'_, str>]) -> bool) -> Result<(), CompileError> {
        self.check_fields_of(&self.node, &[], is_known)
    }

    fn check_fields_of(
        &self,
        node: &syntax::Node,
        bound: &[&str],
        is_known: &dyn Fn(&[Cow<'_, str>]) -> bool,
    ) -> Result<(), CompileError> {
        let bound = &[bound, &node.bound_names()].concat();
        node.children().into_iter().try_for_each(|child| self.check_fields_of(child, bound, is_known))?;
        let Some((name, fields)) = node.selection() else { return Ok(()) };
        let fields: Vec<Cow<'_, str>> = fields.into_iter().map(unescape).collect();
        match fields.last() {
            Some(field) if !bound.contains(&name) && !is_known(&fields) => {
                Err(CompileError::at(&self.source, node.offset, &format!("undefined field '{field}'")))
            }
            _ => Ok(()),
        }
    }

    /// Evaluates it alone. Several over the same variables are better evaluated with one [`Evaluation`].
    pub fn evaluate(&self, variables: &[(&str, &Json)], budget: &Budget) -> Result<Json, EvaluationError> {
        Evaluation::new(variables.iter().copied(), budget).evaluate(self)
    }

    /// Evaluates it alone, where it answers yes or no.
    pub fn is_true(&self, variables: &[(&str, &Json)], budget: &Budget) -> Result<bool, EvaluationError> {
        Evaluation::new(variables.iter().copied(), budget).is_true(self)
    }
}

/// The name that a property has in an expression: what a name may not hold is spelled out, as `__dash__`. `None` for one that
/// no expression can name.
pub fn escape(property: &str) -> Option<Cow<'_, str>> {
    if KEYWORDS.contains(&property) {
        return Some(format!("__{property}__").into());
    }
    let mut name = property.replace("__", "__underscores__");
    for (sign, word) in ESCAPES {
        name = name.replace(*sign, word);
    }
    let is_name = !name.starts_with(|char: char| char.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    is_name.then(|| if name == property { Cow::Borrowed(property) } else { name.into() })
}

const ESCAPES: &[(&str, &str)] = &[(".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")];

/// The property that a name in an expression stands for.
fn unescape(name: &str) -> Cow<'_, str> {
    if !name.contains("__") {
        return Cow::Borrowed(name);
    }
    let keyword = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    if let Some(keyword) = keyword.filter(|keyword| KEYWORDS.contains(keyword)) {
        return Cow::Borrowed(keyword);
    }
    let mut property = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(char) = rest.chars().next() {
        let escapes = ESCAPES.iter().copied().chain([("__", "__underscores__")]);
        let found = escapes.into_iter().find_map(|(sign, word)| Some((sign, rest.strip_prefix(word)?)));
        match found {
            Some((sign, after)) => {
                property.push_str(sign);
                rest = after;
            }
            None => {
                property.push(char);
                rest = &rest[char.len_utf8()..];
            }
        }
    }
    property.into()
}

#[cfg(test)]
mod tests;
