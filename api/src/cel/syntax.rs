//! What an expression is made of, its macros expanded and its functions found.

use std::fmt;

use super::functions::Function;

/// A part of an expression.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it stands in the source, in bytes.
    pub(super) offset: usize,
    /// How many nodes lie below each other in it, itself included.
    pub(super) depth: usize,
    pub(super) expression: Expression,
}

#[derive(Debug)]
pub(super) enum Expression {
    Literal(Literal),
    /// A variable, or the name of a type.
    Name(String),
    /// `operand.field`, `operand.?field`
    Select {
        operand: Box<Node>,
        field: String,
        is_optional: bool,
    },
    /// `has(operand.field)`
    Has {
        operand: Box<Node>,
        field: String,
    },
    /// `operand[index]`, `operand[?index]`
    Index {
        operand: Box<Node>,
        index: Box<Node>,
        is_optional: bool,
    },
    /// The receiver of a member function is its first argument.
    Call {
        function: &'static Function,
        arguments: Vec<Node>,
    },
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary(Operator, Box<[Node; 2]>),
    /// `condition ? then : otherwise`
    Conditional(Box<[Node; 3]>),
    List(Vec<Element>),
    Map(Vec<Entry>),
    Comprehension(Box<Comprehension>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
}

/// An element of a list; one that is optional is left out where it is none.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) value: Node,
    pub(super) is_optional: bool,
}

/// An entry of a map; one that is optional is left out where its value is none.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Node,
    pub(super) value: Node,
    pub(super) is_optional: bool,
}

/// A macro that binds names.
#[derive(Debug)]
pub(super) struct Comprehension {
    pub(super) kind: Macro,
    /// What is gone through, or what the one name stands for.
    pub(super) range: Node,
    pub(super) variable: String,
    /// The second name, where there is one: `list.all(index, element, …)`, `map.all(key, value, …)`.
    pub(super) second: Option<String>,
    /// Which elements a transformation is of.
    pub(super) filter: Option<Node>,
    pub(super) body: Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    TransformMap,
    Bind,
    OptionalMap,
    OptionalFlatMap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::In => "in",
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
        })
    }
}

impl Node {
    /// The variable that fields are selected of, and those fields, as they are written; `None` for whatever is not as plain as that.
    pub(super) fn selection(&self) -> Option<(&str, Vec<&str>)> {
        match &self.expression {
            Expression::Name(name) => Some((name, Vec::new())),
            Expression::Select { operand, field, .. } | Expression::Has { operand, field } => {
                let (name, mut fields) = operand.selection()?;
                fields.push(field);
                Some((name, fields))
            }
            _ => None,
        }
    }

    /// The names that a macro binds in what is below it.
    pub(super) fn bound_names(&self) -> Vec<&str> {
        match &self.expression {
            Expression::Comprehension(comprehension) => {
                let names = [Some(&comprehension.variable), comprehension.second.as_ref()];
                names.into_iter().flatten().map(String::as_str).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The nodes right below, from the left.
    pub(super) fn children(&self) -> Vec<&Node> {
        match &self.expression {
            Expression::Literal(_) | Expression::Name(_) => Vec::new(),
            Expression::Select { operand, .. } | Expression::Has { operand, .. } => vec![operand],
            Expression::Index { operand, index, .. } => vec![operand, index],
            Expression::Call { arguments, .. } => arguments.iter().collect(),
            Expression::And(terms) | Expression::Or(terms) => terms.iter().collect(),
            Expression::Not(operand) | Expression::Negate(operand) => vec![operand],
            Expression::Binary(_, operands) => operands.iter().collect(),
            Expression::Conditional(parts) => parts.iter().collect(),
            Expression::List(elements) => elements.iter().map(|element| &element.value).collect(),
            Expression::Map(entries) => entries.iter().flat_map(|entry| [&entry.key, &entry.value]).collect(),
            Expression::Comprehension(comprehension) => {
                let Comprehension { range, filter, body, .. } = &**comprehension;
                [Some(range), filter.as_ref(), Some(body)].into_iter().flatten().collect()
            }
        }
    }
}
