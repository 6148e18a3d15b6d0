//! From an expression and its variables to a value.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value as Json;

use super::access::{Access, AccessSubject, Authorize};
use super::functions::Context;
use super::meter::{Budget, Meter};
use super::operators;
use super::syntax::{Comprehension, Entry, Expression, Literal, Macro, Node};
use super::value::{Evaluated, Key, List, Map, Text, Value, no_such_key, whole};
use super::{EvaluationError, Program, Shape, TYPES, unescape};

/// What expressions are evaluated with: variables, definitions that are computed once they are needed, and a budget.
///
/// A definition's value is known to the others, and to the expressions evaluated, as `variables.NAME`.
pub struct Evaluation<'a> {
    variables: Vec<(&'a str, Value<'a>)>,
    definitions: Vec<Definition<'a>>,
    budget: &'a Budget,
}

struct Definition<'a> {
    name: &'a str,
    program: &'a Program,
    value: OnceCell<Result<Value<'a>, EvaluationError>>,
}

impl<'a> Evaluation<'a> {
    /// With these variables, by name.
    pub fn new(variables: impl IntoIterator<Item = (&'a str, &'a Json)>, budget: &'a Budget) -> Evaluation<'a> {
        let variables = variables.into_iter().map(|(name, value)| (name, Value::of(value, None))).collect();
        Evaluation { variables, definitions: Vec::new(), budget }
    }

    /// Adds a variable that is described.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: &'a Json, shape: &'a dyn Shape) -> Evaluation<'a> {
        self.variables.push((name, Value::of(value, Some(shape))));
        self
    }

    /// Adds a variable that is an optional value, described.
    #[must_use]
    pub fn with_optional(mut self, name: &'a str, value: Option<&'a Json>, shape: &'a dyn Shape) -> Evaluation<'a> {
        let value = value.map_or(Value::Optional(None), |value| Value::some(Value::of(value, Some(shape))));
        self.variables.push((name, value));
        self
    }

    /// Adds the variable `authorizer`: who decides what users may do, and what the request is for.
    #[must_use]
    pub fn with_authorizer(mut self, asked: &'a dyn Authorize, request: AccessSubject) -> Evaluation<'a> {
        let access = Access::Authorizer { asked, about: None, request };
        self.variables.push(("authorizer", Value::Access(Rc::new(access))));
        self
    }

    /// Adds definitions, by name; each may refer to those before it.
    #[must_use]
    pub fn with_definitions(mut self, definitions: impl IntoIterator<Item = (&'a str, &'a Program)>) -> Evaluation<'a> {
        let definitions = definitions.into_iter();
        self.definitions =
            definitions.map(|(name, program)| Definition { name, program, value: OnceCell::new() }).collect();
        self.variables.push(("variables", Value::Definitions));
        self
    }

    /// Evaluates an expression.
    pub fn evaluate(&self, program: &'a Program) -> Result<Json, EvaluationError> {
        let meter = Meter::new(self.budget);
        self.value(program, self.definitions.len(), &meter)?.to_json(&meter)
    }

    /// Evaluates an expression that answers yes or no.
    pub fn is_true(&self, program: &'a Program) -> Result<bool, EvaluationError> {
        operators::bool(&self.value(program, self.definitions.len(), &Meter::new(self.budget))?)
    }

    /// The value of an expression that may use so many of the definitions.
    fn value(&self, program: &'a Program, definitions: usize, meter: &Meter<'_>) -> Evaluated<'a> {
        let context = Context { meter, regexes: &program.regexes };
        Evaluator { evaluation: self, definitions, context, scope: Vec::new() }.node(&program.node)
    }

    fn definition(&self, name: &str, definitions: usize) -> Option<Result<Value<'a>, EvaluationError>> {
        let known = &self.definitions[..definitions];
        let index = known.iter().position(|definition| definition.name == name)?;
        let definition = &known[index];
        // Only earlier ones are in reach of it: none waits for itself.
        Some(definition.value.get_or_init(|| self.value(definition.program, index, &Meter::new(self.budget))).clone())
    }
}

struct Evaluator<'a, 'e> {
    evaluation: &'e Evaluation<'a>,
    definitions: usize,
    context: Context<'e>,
    /// The names that macros bound, innermost last.
    scope: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Evaluator<'a, '_> {
    fn node(&mut self, node: &'a Node) -> Evaluated<'a> {
        self.context.meter.charge(1)?;
        match &node.expression {
            Expression::Literal(literal) => Ok(constant(literal)),
            Expression::Name(name) => self.name(name),
            Expression::Select { operand, field, is_optional } => {
                let operand = self.node(operand)?;
                self.select(&operand, field, *is_optional)
            }
            Expression::Has { operand, field } => self.has(operand, field),
            Expression::Index { operand, index, is_optional } => {
                let (operand, index) = (self.node(operand)?, self.node(index)?);
                index_into(&operand, &index, *is_optional)
            }
            Expression::Call { function, arguments } => {
                let arguments = self.all(arguments)?;
                (function.call)(&self.context, &arguments)
            }
            Expression::And(terms) => self.joined(terms, false),
            Expression::Or(terms) => self.joined(terms, true),
            Expression::Not(operand) => Ok(Value::Bool(!operators::bool(&self.node(operand)?)?)),
            Expression::Negate(operand) => operators::negate(&self.node(operand)?),
            Expression::Binary(operator, operands) => {
                let [left, right] = &**operands;
                let (left, right) = (self.node(left)?, self.node(right)?);
                operators::binary(*operator, &left, &right, self.context.meter)
            }
            Expression::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                let chosen = if operators::bool(&self.node(condition)?)? { then } else { otherwise };
                self.node(chosen)
            }
            Expression::List(elements) => {
                let mut items = Vec::with_capacity(elements.len());
                for element in elements {
                    let value = self.node(&element.value)?;
                    items.extend(if element.is_optional { operators::optional(value)? } else { Some(value) });
                }
                Ok(Value::list(items))
            }
            Expression::Map(entries) => self.map(entries),
            Expression::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn all(&mut self, nodes: &'a [Node]) -> Result<Vec<Value<'a>>, EvaluationError> {
        nodes.iter().map(|node| self.node(node)).collect()
    }

    fn name(&self, name: &str) -> Evaluated<'a> {
        let bound = self.scope.iter().rev().chain(&self.evaluation.variables);
        if let Some((_, value)) = bound.into_iter().find(|(known, _)| *known == name) {
            return Ok(value.clone());
        }
        let type_name = TYPES.iter().find(|(known, _)| *known == name);
        type_name
            .map(|(_, name)| Value::Type(name))
            .ok_or_else(|| EvaluationError::failed(format!("no such attribute(s): {name}")))
    }

    fn select(&self, operand: &Value<'a>, field: &str, is_optional: bool) -> Evaluated<'a> {
        let found = self.field(operand, field)?;
        match (found, is_optional || matches!(operand, Value::Optional(_))) {
            (Some(value), true) => Ok(Value::some(value)),
            (None, true) => Ok(Value::Optional(None)),
            (Some(value), false) => Ok(value),
            (None, false) => Err(EvaluationError::NoSuchKey(field.to_owned())),
        }
    }

    fn has(&mut self, operand: &'a Node, field: &str) -> Evaluated<'a> {
        let operand = self.node(operand)?;
        if let Value::Definitions = operand {
            let known = &self.evaluation.definitions[..self.definitions];
            return Ok(Value::Bool(known.iter().any(|definition| definition.name == field)));
        }
        Ok(Value::Bool(self.field(&operand, field)?.is_some()))
    }

    /// A field, by its name or, where there is none of that name, by what its name is an escape for.
    fn field(&self, operand: &Value<'a>, field: &str) -> Result<Option<Value<'a>>, EvaluationError> {
        match operand {
            Value::Map(Map::Json(fields, shape)) => {
                let unescaped = unescape(field);
                let found = [field, &unescaped].into_iter().find_map(|name| Some((name, fields.get(name)?)));
                Ok(found.map(|(name, value)| Value::of(value, shape.and_then(|shape| shape.field(name)))))
            }
            Value::Map(map) => Ok(map.get(&Key::String(Text::Shared(field.into())))),
            Value::Definitions => self.evaluation.definition(field, self.definitions).transpose(),
            Value::Access(access) if field == "requestResource" => {
                Ok(access.request_resource().map(|access| Value::Access(Rc::new(access))))
            }
            Value::Optional(None) => Ok(None),
            Value::Optional(Some(value)) => self.field(value, field),
            other => Err(operators::no_such_overload(&format!("select '.{field}'"), &[other])),
        }
    }

    fn map(&mut self, entries: &'a [Entry]) -> Evaluated<'a> {
        let mut made = BTreeMap::new();
        for Entry { key, value, is_optional } in entries {
            let (key, value) = (self.node(key)?, self.node(value)?);
            let value = if *is_optional { operators::optional(value)? } else { Some(value) };
            let Some(value) = value else { continue };
            if made.insert(Key::of(&key)?, value).is_some() {
                return Err(EvaluationError::failed(format!("insert failed: key {key} already exists")));
            }
        }
        Ok(Value::Map(Map::Made(made.into())))
    }

    /// `&&` or `||`: the value that decides it does so whatever the others are, be they errors.
    fn joined(&mut self, terms: &'a [Node], decisive: bool) -> Evaluated<'a> {
        let mut failure = None;
        for term in terms {
            match self.node(term).and_then(|value| operators::bool(&value)) {
                Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(error) if error.is_about_cost() => return Err(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn comprehension(&mut self, comprehension: &'a Comprehension) -> Evaluated<'a> {
        let range = self.node(&comprehension.range)?;
        match (comprehension.kind, range) {
            (Macro::Bind, value) => self.bound(comprehension, value, None, &comprehension.body),
            (Macro::OptionalMap | Macro::OptionalFlatMap, Value::Optional(None)) => Ok(Value::Optional(None)),
            (Macro::OptionalMap, Value::Optional(Some(value))) => {
                self.bound(comprehension, (*value).clone(), None, &comprehension.body).map(Value::some)
            }
            (Macro::OptionalFlatMap, Value::Optional(Some(value))) => {
                self.bound(comprehension, (*value).clone(), None, &comprehension.body)
            }
            (_, Value::List(list)) => {
                let pairs = list.iter().enumerate().map(|(index, element)| {
                    let index = Value::Int(i64::try_from(index).expect("invariant: no list is that long"));
                    (index, element)
                });
                self.go_through(comprehension, pairs, true)
            }
            (_, Value::Map(map)) => {
                let pairs = map.iter().map(|(key, value)| (key.value(), value));
                self.go_through(comprehension, pairs, false)
            }
            (_, other) => Err(operators::no_such_overload("comprehension", &[&other])),
        }
    }

    /// Evaluates a node with the comprehension's names bound.
    fn bound(
        &mut self,
        comprehension: &'a Comprehension,
        first: Value<'a>,
        second: Option<Value<'a>>,
        node: &'a Node,
    ) -> Evaluated<'a> {
        let outside = self.scope.len();
        self.scope.push((&comprehension.variable, first));
        if let (Some(name), Some(second)) = (&comprehension.second, second) {
            self.scope.push((name, second));
        }
        let result = self.node(node);
        self.scope.truncate(outside);
        result
    }

    /// Goes through keys or indices and what they stand for.
    fn go_through(
        &mut self,
        comprehension: &'a Comprehension,
        pairs: impl Iterator<Item = (Value<'a>, Value<'a>)>,
        is_list: bool,
    ) -> Evaluated<'a> {
        match comprehension.kind {
            Macro::All => self.quantified(comprehension, pairs, is_list, false),
            Macro::Exists => self.quantified(comprehension, pairs, is_list, true),
            _ => self.collected(comprehension, pairs, is_list),
        }
    }

    /// `all` or `exists`: an element that decides it does so whatever the others are, be they errors.
    fn quantified(
        &mut self,
        comprehension: &'a Comprehension,
        pairs: impl Iterator<Item = (Value<'a>, Value<'a>)>,
        is_list: bool,
        decisive: bool,
    ) -> Evaluated<'a> {
        let mut failure = None;
        for (key, element) in pairs {
            self.context.meter.charge(1)?;
            let (first, second) = named(comprehension, key, element, is_list);
            let value = self.bound(comprehension, first, second, &comprehension.body);
            match value.and_then(|value| operators::bool(&value)) {
                Ok(found) if found == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(error) if error.is_about_cost() => return Err(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn collected(
        &mut self,
        comprehension: &'a Comprehension,
        pairs: impl Iterator<Item = (Value<'a>, Value<'a>)>,
        is_list: bool,
    ) -> Evaluated<'a> {
        let (mut made, mut entries, mut count) = (Vec::new(), BTreeMap::new(), 0);
        for (key, element) in pairs {
            self.context.meter.charge(1)?;
            let (first, second) = named(comprehension, key.clone(), element, is_list);
            if let Some(filter) = &comprehension.filter
                && !operators::bool(&self.bound(comprehension, first.clone(), second.clone(), filter)?)?
            {
                continue;
            }
            let value = self.bound(comprehension, first.clone(), second, &comprehension.body)?;
            match comprehension.kind {
                Macro::TransformMap => {
                    entries.insert(Key::of(&key)?, value);
                }
                Macro::Filter if operators::bool(&value)? => made.push(first),
                Macro::ExistsOne if operators::bool(&value)? => count += 1,
                Macro::Filter | Macro::ExistsOne => {}
                _ => made.push(value),
            }
        }
        Ok(match comprehension.kind {
            Macro::ExistsOne => Value::Bool(count == 1),
            Macro::TransformMap => Value::Map(Map::Made(entries.into())),
            _ => Value::list(made),
        })
    }
}

/// What the names stand for. A single one stands for a list's elements, or for a map's keys.
fn named<'a>(
    comprehension: &Comprehension,
    key: Value<'a>,
    element: Value<'a>,
    is_list: bool,
) -> (Value<'a>, Option<Value<'a>>) {
    match (&comprehension.second, is_list) {
        (Some(_), _) => (key, Some(element)),
        (None, true) => (element, None),
        (None, false) => (key, None),
    }
}

fn constant(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(bool) => Value::Bool(*bool),
        Literal::Int(number) => Value::Int(*number),
        Literal::Uint(number) => Value::Uint(*number),
        Literal::Double(number) => Value::Double(*number),
        Literal::String(text) => Value::String(Text::Borrowed(text)),
        Literal::Bytes(bytes) => Value::Bytes(bytes.as_slice().into()),
    }
}

fn index_into<'a>(operand: &Value<'a>, index: &Value<'a>, is_optional: bool) -> Evaluated<'a> {
    let found = match operand {
        Value::Map(map) => map.get(&Key::of(index)?).ok_or_else(|| no_such_key(index)),
        Value::List(list) => element(list, index),
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(value)) => return index_into(value, index, true),
        other => return Err(operators::no_such_overload("_[_]", &[other, index])),
    };
    match (found, is_optional) {
        (found, false) => found,
        (Ok(value), true) => Ok(Value::some(value)),
        (Err(_), true) => Ok(Value::Optional(None)),
    }
}

fn element<'a>(list: &List<'a>, index: &Value<'a>) -> Evaluated<'a> {
    let position = match index {
        Value::Int(number) => Some(*number),
        Value::Uint(number) => i64::try_from(*number).ok(),
        Value::Double(number) => whole(*number),
        other => {
            return Err(EvaluationError::failed(format!("unsupported index type '{}' in list", other.type_name())));
        }
    };
    let found = position.and_then(|position| usize::try_from(position).ok()).and_then(|position| list.get(position));
    found.ok_or_else(|| EvaluationError::failed(format!("index out of bounds: {index}")))
}
