//! What can be said of an expression before it is evaluated: whether its names are declared, and the types that show.

use std::collections::HashMap;
use std::fmt;

use regex::Regex;

use super::functions::regexes;
use super::syntax::{Comprehension, Expression, Literal, Macro, Node, Operator};
use super::{CompileError, Declarations, Program, Shape, TYPES, unescape};

/// The variable that answers what users may do, where it is declared.
const AUTHORIZER: &str = "authorizer";
/// How many nodes may be evaluated within each other, those of definitions among them.
const DEPTH_MAX: usize = 200;

/// The type of a value, as far as an expression tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// It may be any.
    Dyn,
    /// `null`
    Null,
    /// Yes or no.
    Bool,
    /// A signed integer of 64 bits.
    Int,
    /// An unsigned one.
    Uint,
    /// A floating-point number.
    Double,
    /// A text.
    String,
    /// Bytes.
    Bytes,
    /// A list of anything.
    List,
    /// A map, or an object.
    Map,
    /// A type.
    Type,
    /// A moment.
    Timestamp,
    /// A time between moments.
    Duration,
    /// A value, or none.
    Optional,
    /// A quantity of resources.
    Quantity,
    /// A URL.
    Url,
    /// An IP address.
    Ip,
    /// A block of addresses.
    Cidr,
    /// A semantic version.
    Semver,
    /// Who decides what users may do.
    Authorizer,
    /// A question about a path.
    PathCheck,
    /// A question about an API group, not yet of which resource.
    GroupCheck,
    /// A question about a resource.
    ResourceCheck,
    /// The answer.
    Decision,
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Type::Dyn => "dyn",
            Type::Null => "null",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::List => "list",
            Type::Map => "map",
            Type::Type => "type",
            Type::Timestamp => "google.protobuf.Timestamp",
            Type::Duration => "google.protobuf.Duration",
            Type::Optional => "optional_type",
            Type::Quantity => "kubernetes.Quantity",
            Type::Url => "kubernetes.URL",
            Type::Ip => "net.IP",
            Type::Cidr => "net.CIDR",
            Type::Semver => "kubernetes.Semver",
            Type::Authorizer => "kubernetes.authorization.Authorizer",
            Type::PathCheck => "kubernetes.authorization.PathCheck",
            Type::GroupCheck => "kubernetes.authorization.GroupCheck",
            Type::ResourceCheck => "kubernetes.authorization.ResourceCheck",
            Type::Decision => "kubernetes.authorization.Decision",
        })
    }
}

/// What was found out.
pub(super) struct Checked {
    pub(super) result: Type,
    pub(super) regexes: HashMap<String, Regex>,
    pub(super) depth: usize,
}

/// Checks a whole expression.
pub(super) fn check(
    source: &str,
    node: &Node,
    variables: &[&str],
    declared: Declarations<'_>,
) -> Result<Checked, CompileError> {
    let (definitions, shapes) = (declared.definitions.unwrap_or_default(), declared.shapes);
    let (scope, regexes) = (Vec::new(), HashMap::new());
    let mut checker = Checker { source, variables, shapes, definitions, scope, regexes, definitions_depth: 0 };
    let result = checker.node(node)?;
    let depth = node.depth + checker.definitions_depth;
    if depth > DEPTH_MAX {
        return Err(checker.error(node, format!("expression recursion limit exceeded: {DEPTH_MAX}")));
    }
    Ok(Checked { result, regexes: checker.regexes, depth })
}

struct Checker<'a> {
    source: &'a str,
    variables: &'a [&'a str],
    shapes: &'a [(&'a str, &'a dyn Shape)],
    definitions: &'a [(String, Program)],
    /// The names that macros bind, innermost last.
    scope: Vec<&'a str>,
    regexes: HashMap<String, Regex>,
    /// The depth of the deepest definition that is used.
    definitions_depth: usize,
}

impl<'a> Checker<'a> {
    fn error(&self, node: &Node, reason: impl AsRef<str>) -> CompileError {
        CompileError::at(self.source, node.offset, reason.as_ref())
    }

    fn no_overload(&self, node: &Node, name: &str, types: &[Type]) -> CompileError {
        let types: Vec<String> = types.iter().map(ToString::to_string).collect();
        self.error(node, format!("found no matching overload for '{name}' applied to '({})'", types.join(", ")))
    }

    fn node(&mut self, node: &'a Node) -> Result<Type, CompileError> {
        match self.expression(node)? {
            Type::Dyn => Ok(self.shape(node).map_or(Type::Dyn, Shape::value_type)),
            known => Ok(known),
        }
    }

    /// What describes the value of a node: that of a described variable, or what is selected of one.
    fn shape(&self, node: &Node) -> Option<&'a dyn Shape> {
        match &node.expression {
            Expression::Name(name) if !self.scope.contains(&name.as_str()) => {
                self.shapes.iter().find(|(described, _)| described == name).map(|(_, shape)| *shape)
            }
            Expression::Select { operand, field, is_optional: false } => {
                let shape = self.shape(operand)?;
                shape.field(field).or_else(|| shape.field(&unescape(field)))
            }
            Expression::Index { operand, index, is_optional: false } => match &index.expression {
                Expression::Literal(Literal::String(key)) => self.shape(operand)?.field(key),
                _ => self.shape(operand)?.items(),
            },
            _ => None,
        }
    }

    fn expression(&mut self, node: &'a Node) -> Result<Type, CompileError> {
        Ok(match &node.expression {
            Expression::Literal(literal) => type_of(literal),
            Expression::Name(name) => return self.name(node, name),
            Expression::Select { operand, field, is_optional } => {
                let operand_type = self.operand(operand, field)?;
                match operand_type {
                    Type::Optional => Type::Optional,
                    _ if *is_optional => Type::Optional,
                    Type::Authorizer => Type::ResourceCheck,
                    _ => self.field(operand, field),
                }
            }
            Expression::Has { operand, field } => {
                self.operand(operand, field)?;
                Type::Bool
            }
            Expression::Index { operand, index, is_optional } => {
                let types = [self.node(operand)?, self.node(index)?];
                match types[0] {
                    Type::Optional => Type::Optional,
                    Type::Dyn | Type::List | Type::Map if *is_optional => Type::Optional,
                    Type::Dyn | Type::List | Type::Map => Type::Dyn,
                    _ => return Err(self.no_overload(node, "_[_]", &types)),
                }
            }
            Expression::Call { function, arguments } => {
                for argument in arguments {
                    self.node(argument)?;
                }
                if regexes::PATTERNED.contains(&function.name) {
                    self.pattern(&arguments[1])?;
                }
                function.result
            }
            Expression::And(terms) => self.truths(node, "_&&_", terms.iter().collect())?,
            Expression::Or(terms) => self.truths(node, "_||_", terms.iter().collect())?,
            Expression::Not(operand) => self.truths(node, "!_", vec![operand])?,
            Expression::Negate(operand) => match self.node(operand)? {
                known @ (Type::Dyn | Type::Int | Type::Double) => known,
                other => return Err(self.no_overload(node, "-_", &[other])),
            },
            Expression::Binary(operator, operands) => {
                let types = [self.node(&operands[0])?, self.node(&operands[1])?];
                let result = result(*operator, types[0], types[1]);
                result.ok_or_else(|| self.no_overload(node, &format!("_{operator}_"), &types))?
            }
            Expression::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                self.truths(node, "_?_:_", vec![condition])?;
                either(self.node(then)?, self.node(otherwise)?)
            }
            Expression::List(_) | Expression::Map(_) => {
                for child in node.children() {
                    self.node(child)?;
                }
                if matches!(node.expression, Expression::List(_)) { Type::List } else { Type::Map }
            }
            Expression::Comprehension(comprehension) => self.comprehension(node, comprehension)?,
        })
    }

    fn name(&self, node: &Node, name: &str) -> Result<Type, CompileError> {
        if self.scope.contains(&name) {
            return Ok(Type::Dyn);
        }
        if self.variables.contains(&name) {
            return Ok(if name == AUTHORIZER { Type::Authorizer } else { Type::Dyn });
        }
        if TYPES.iter().any(|(known, _)| *known == name) {
            return Ok(Type::Type);
        }
        Err(self.error(node, format!("undeclared reference to '{name}' (in container '')")))
    }

    /// Whether a node is the variable that holds the definitions.
    fn holds_definitions(&self, node: &Node) -> bool {
        matches!(&node.expression, Expression::Name(name) if name == "variables")
            && !self.scope.contains(&"variables")
            && self.variables.last() == Some(&"variables")
    }

    fn operand(&mut self, operand: &'a Node, field: &str) -> Result<Type, CompileError> {
        if self.holds_definitions(operand) {
            let found = self.definitions.iter().find(|(name, _)| name == field);
            let (_, program) = found.ok_or_else(|| self.error(operand, format!("undefined field '{field}'")))?;
            self.definitions_depth = self.definitions_depth.max(program.depth);
            return Ok(Type::Map);
        }
        match self.node(operand)? {
            known @ (Type::Dyn | Type::Map | Type::Optional) => Ok(known),
            Type::Authorizer if field == "requestResource" && matches!(operand.expression, Expression::Name(_)) => {
                Ok(Type::Authorizer)
            }
            other => Err(self.error(operand, format!("type '{other}' does not support field selection"))),
        }
    }

    fn field(&self, operand: &Node, field: &str) -> Type {
        let definition = self.definitions.iter().find(|(name, _)| name == field);
        definition.filter(|_| self.holds_definitions(operand)).map_or(Type::Dyn, |(_, program)| program.result)
    }

    fn truths(&mut self, node: &Node, name: &str, operands: Vec<&'a Node>) -> Result<Type, CompileError> {
        let types = operands.into_iter().map(|operand| self.node(operand)).collect::<Result<Vec<_>, _>>()?;
        match types.iter().all(|found| matches!(found, Type::Bool | Type::Dyn)) {
            true => Ok(Type::Bool),
            false => Err(self.no_overload(node, name, &types)),
        }
    }

    /// A pattern that is spelled out is compiled here, and known to be one.
    fn pattern(&mut self, argument: &Node) -> Result<(), CompileError> {
        let Expression::Literal(Literal::String(pattern)) = &argument.expression else { return Ok(()) };
        let regex = regexes::compile(pattern).map_err(|error| self.error(argument, error.to_string()))?;
        self.regexes.insert(pattern.clone(), regex);
        Ok(())
    }

    fn comprehension(&mut self, node: &'a Node, comprehension: &'a Comprehension) -> Result<Type, CompileError> {
        let Comprehension { kind, range, variable, second, filter, body } = comprehension;
        let range_type = self.node(range)?;
        let is_fit = match kind {
            Macro::Bind => true,
            Macro::OptionalMap | Macro::OptionalFlatMap => matches!(range_type, Type::Dyn | Type::Optional),
            _ => matches!(range_type, Type::Dyn | Type::List | Type::Map),
        };
        if !is_fit {
            let reason = format!("expression of type '{range_type}' cannot be range of a comprehension");
            return Err(self.error(node, reason));
        }
        let outside = self.scope.len();
        self.scope.extend([Some(variable), second.as_ref()].into_iter().flatten().map(String::as_str));
        if let Some(filter) = filter {
            self.truths(filter, "filter", vec![filter])?;
        }
        let body_type = match kind {
            Macro::All | Macro::Exists | Macro::ExistsOne | Macro::Filter => self.truths(body, "_", vec![body])?,
            _ => self.node(body)?,
        };
        self.scope.truncate(outside);
        Ok(match kind {
            Macro::All | Macro::Exists | Macro::ExistsOne => Type::Bool,
            Macro::Map | Macro::Filter => Type::List,
            Macro::TransformMap => Type::Map,
            Macro::OptionalMap | Macro::OptionalFlatMap => Type::Optional,
            Macro::Bind => body_type,
        })
    }
}

fn type_of(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}

fn either(left: Type, right: Type) -> Type {
    if left == right { left } else { Type::Dyn }
}

/// Whether values of two types may be equal. Numbers may be, whatever their types.
fn is_comparable(left: Type, right: Type) -> bool {
    use Type::{Bool, Bytes, Double, Duration, Int, List, Map, String, Timestamp, Uint};
    let sort = |found: Type| match found {
        Int | Uint | Double => Some(Int),
        Bool | String | Bytes | Timestamp | Duration | List | Map => Some(found),
        _ => None,
    };
    sort(left).zip(sort(right)).is_none_or(|(left, right)| left == right)
}

/// The type of an operator's result; `None` where it has none for such operands.
fn result(operator: Operator, left: Type, right: Type) -> Option<Type> {
    use Type::{Bool, Bytes, Double, Duration, Dyn, Int, List, Map, String, Timestamp, Uint};
    let is_number = |found: Type| matches!(found, Int | Uint | Double);
    match operator {
        Operator::Equal | Operator::NotEqual => is_comparable(left, right).then_some(Bool),
        Operator::In => matches!(right, Dyn | List | Map).then_some(Bool),
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            let is_ordered = left == right && matches!(left, Bool | String | Bytes | Timestamp | Duration);
            let is_open = left == Dyn || right == Dyn;
            (is_ordered || is_open || (is_number(left) && is_number(right))).then_some(Bool)
        }
        _ if left == Dyn || right == Dyn => Some(Dyn),
        Operator::Add => match (left, right) {
            (Timestamp, Duration) | (Duration, Timestamp) => Some(Timestamp),
            (Int | Uint | Double | String | Bytes | List | Duration, _) if left == right => Some(left),
            _ => None,
        },
        Operator::Subtract => match (left, right) {
            (Timestamp, Timestamp) => Some(Duration),
            (Timestamp, Duration) => Some(Timestamp),
            (Int | Uint | Double | Duration, _) if left == right => Some(left),
            _ => None,
        },
        Operator::Multiply | Operator::Divide => (left == right && is_number(left)).then_some(left),
        Operator::Remainder => (left == right && matches!(left, Int | Uint)).then_some(left),
    }
}
