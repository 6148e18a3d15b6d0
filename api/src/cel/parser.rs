//! From tokens to an expression: CEL's grammar, its macros and the names of functions.
//!
//! Deliberately absent: messages (`Type{field: value}`), names quoted with backticks and names that begin with a dot.

use super::CompileError;
use super::functions;
use super::lexer::{Lexeme, Token, tokens};
use super::syntax::{Element, Entry, Expression, Literal, Node, Operator};

/// How deep brackets may be nested.
const NESTING_MAX: usize = 64;
/// How many nodes may lie below each other: `a.b.c` has three.
const DEPTH_MAX: usize = 200;
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];

/// Parses a whole source text. `variables` are the declared names: they come before namespaces of functions.
pub(super) fn parse(source: &str, variables: &[&str]) -> Result<Node, CompileError> {
    let tokens = tokens(source)?;
    let mut parser = Parser { source, variables, tokens, position: 0, nesting: 0 };
    let node = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(node),
        _ => Err(parser.unexpected("<EOF>")),
    }
}

pub(super) struct Parser<'a> {
    source: &'a str,
    variables: &'a [&'a str],
    tokens: Vec<Lexeme>,
    position: usize,
    nesting: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.position].token
    }

    fn offset(&self) -> usize {
        self.tokens[self.position].offset
    }

    /// Takes the next token; the end stays.
    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        if token != Token::End {
            self.position += 1;
        }
        token
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_there = matches!(self.peek(), Token::Sign(found) if *found == sign);
        self.position += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, sign: &str) -> Result<(), CompileError> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected(&format!("'{sign}'"))) }
    }

    pub(super) fn error(&self, offset: usize, reason: impl AsRef<str>) -> CompileError {
        CompileError::at(self.source, offset, reason.as_ref())
    }

    fn unexpected(&self, expected: &str) -> CompileError {
        let end = self.tokens.get(self.position + 1).map_or(self.source.len(), |next| next.offset);
        let found = match self.peek() {
            Token::End => "<EOF>",
            _ => self.source[self.offset()..end].trim(),
        };
        self.error(self.offset(), format!("Syntax error: mismatched input '{found}' expecting {expected}"))
    }

    pub(super) fn node(&self, offset: usize, expression: Expression) -> Result<Node, CompileError> {
        let mut node = Node { offset, depth: 1, expression };
        node.depth += node.children().iter().map(|child| child.depth).max().unwrap_or(0);
        if node.depth > DEPTH_MAX {
            return Err(self.error(offset, format!("expression recursion limit exceeded: {DEPTH_MAX}")));
        }
        Ok(node)
    }

    fn expression(&mut self) -> Result<Node, CompileError> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(self.error(self.offset(), format!("expression recursion limit exceeded: {NESTING_MAX}")));
        }
        let condition = self.alternatives()?;
        let offset = self.offset();
        let node = if self.take("?") {
            let then = self.alternatives()?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            self.node(offset, Expression::Conditional(Box::new([condition, then, otherwise])))?
        } else {
            condition
        };
        self.nesting -= 1;
        Ok(node)
    }

    fn alternatives(&mut self) -> Result<Node, CompileError> {
        let first = self.terms()?;
        let offset = self.offset();
        let mut all = vec![first];
        while self.take("||") {
            all.push(self.terms()?);
        }
        self.joined(offset, all, Expression::Or)
    }

    fn terms(&mut self) -> Result<Node, CompileError> {
        let first = self.binary(0)?;
        let offset = self.offset();
        let mut all = vec![first];
        while self.take("&&") {
            all.push(self.binary(0)?);
        }
        self.joined(offset, all, Expression::And)
    }

    fn joined(
        &self,
        offset: usize,
        mut all: Vec<Node>,
        join: fn(Vec<Node>) -> Expression,
    ) -> Result<Node, CompileError> {
        match all.len() {
            1 => Ok(all.remove(0)),
            _ => self.node(offset, join(all)),
        }
    }

    /// Operators that bind more tightly than `level`; all of them group to the left.
    fn binary(&mut self, level: usize) -> Result<Node, CompileError> {
        let mut left = self.unary()?;
        loop {
            let Some((operator, its_level)) = self.operator().filter(|(_, its_level)| *its_level > level) else {
                return Ok(left);
            };
            let offset = self.offset();
            self.advance();
            let right = self.binary(its_level)?;
            left = self.node(offset, Expression::Binary(operator, Box::new([left, right])))?;
        }
    }

    fn operator(&self) -> Option<(Operator, usize)> {
        let sign = match self.peek() {
            Token::Sign(sign) => sign,
            Token::Name(name) if name == "in" => "in",
            _ => return None,
        };
        Some(match sign {
            "==" => (Operator::Equal, 1),
            "!=" => (Operator::NotEqual, 1),
            "<" => (Operator::Less, 1),
            "<=" => (Operator::LessOrEqual, 1),
            ">" => (Operator::Greater, 1),
            ">=" => (Operator::GreaterOrEqual, 1),
            "in" => (Operator::In, 1),
            "+" => (Operator::Add, 2),
            "-" => (Operator::Subtract, 2),
            "*" => (Operator::Multiply, 3),
            "/" => (Operator::Divide, 3),
            "%" => (Operator::Remainder, 3),
            _ => return None,
        })
    }

    fn unary(&mut self) -> Result<Node, CompileError> {
        let offset = self.offset();
        let sign = ["!", "-"].into_iter().find(|sign| self.take(sign));
        let Some(sign) = sign else { return self.member() };
        let mut is_odd = true;
        while self.take(sign) {
            is_odd = !is_odd;
        }
        let negated = match self.peek() {
            Token::LeastInt if sign == "-" && is_odd => Some(Literal::Int(i64::MIN)),
            Token::Literal(Literal::Int(number)) if sign == "-" && is_odd => Some(Literal::Int(-number)),
            Token::Literal(Literal::Double(number)) if sign == "-" && is_odd => Some(Literal::Double(-number)),
            _ => None,
        };
        if let Some(literal) = negated {
            self.advance();
            let node = self.node(offset, Expression::Literal(literal))?;
            return self.members(node);
        }
        let operand = Box::new(self.member()?);
        match (sign, is_odd) {
            ("!", true) => self.node(offset, Expression::Not(operand)),
            ("!", false) => {
                let once = Box::new(self.node(offset, Expression::Not(operand))?);
                self.node(offset, Expression::Not(once))
            }
            (_, true) => self.node(offset, Expression::Negate(operand)),
            (_, false) => {
                let once = Box::new(self.node(offset, Expression::Negate(operand))?);
                self.node(offset, Expression::Negate(once))
            }
        }
    }

    fn member(&mut self) -> Result<Node, CompileError> {
        let node = self.primary()?;
        self.members(node)
    }

    /// What follows a primary: `.field`, `.function(…)`, `[index]`.
    fn members(&mut self, mut node: Node) -> Result<Node, CompileError> {
        loop {
            let offset = self.offset();
            if self.take(".") {
                let is_optional = self.take("?");
                let name_offset = self.offset();
                let Token::Name(field) = self.peek().clone() else { return Err(self.unexpected("a field's name")) };
                self.advance();
                if !is_optional && self.take("(") {
                    let arguments = self.arguments()?;
                    node = self.call(name_offset, Some(node), &field, arguments)?;
                } else {
                    let operand = Box::new(node);
                    node = self.node(offset, Expression::Select { operand, field, is_optional })?;
                }
            } else if self.take("[") {
                let is_optional = self.take("?");
                let index = Box::new(self.expression()?);
                self.expect("]")?;
                node = self.node(offset, Expression::Index { operand: Box::new(node), index, is_optional })?;
            } else if matches!(self.peek(), Token::Sign("{")) {
                return Err(self.error(offset, "messages are not supported: make a map instead"));
            } else {
                return Ok(node);
            }
        }
    }

    fn primary(&mut self) -> Result<Node, CompileError> {
        let offset = self.offset();
        match self.peek().clone() {
            Token::Literal(literal) => {
                self.advance();
                self.node(offset, Expression::Literal(literal))
            }
            Token::LeastInt => Err(self.error(offset, "Syntax error: invalid int literal")),
            Token::Name(name) => {
                self.advance();
                self.name(offset, name)
            }
            Token::Sign("(") => {
                self.advance();
                let node = self.expression()?;
                self.expect(")")?;
                Ok(node)
            }
            Token::Sign("[") => {
                self.advance();
                self.list(offset)
            }
            Token::Sign("{") => {
                self.advance();
                self.map(offset)
            }
            _ => Err(self.unexpected("an expression")),
        }
    }

    fn name(&mut self, offset: usize, name: String) -> Result<Node, CompileError> {
        let literal = match name.as_str() {
            "true" => Some(Literal::Bool(true)),
            "false" => Some(Literal::Bool(false)),
            "null" => Some(Literal::Null),
            _ => None,
        };
        if let Some(literal) = literal {
            return self.node(offset, Expression::Literal(literal));
        }
        if RESERVED.contains(&name.as_str()) {
            return Err(self.error(offset, format!("Syntax error: reserved identifier: {name}")));
        }
        if self.take("(") {
            let arguments = self.arguments()?;
            return self.call(offset, None, &name, arguments);
        }
        self.node(offset, Expression::Name(name))
    }

    fn arguments(&mut self) -> Result<Vec<Node>, CompileError> {
        let mut arguments = Vec::new();
        if self.take(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if self.take(")") {
                return Ok(arguments);
            }
            if !self.take(",") {
                return Err(self.unexpected("')'"));
            }
        }
    }

    fn list(&mut self, offset: usize) -> Result<Node, CompileError> {
        let mut elements = Vec::new();
        while !self.take("]") {
            let is_optional = self.take("?");
            elements.push(Element { value: self.expression()?, is_optional });
            if !self.take(",") {
                self.expect("]")?;
                break;
            }
        }
        self.node(offset, Expression::List(elements))
    }

    fn map(&mut self, offset: usize) -> Result<Node, CompileError> {
        let mut entries = Vec::new();
        while !self.take("}") {
            let is_optional = self.take("?");
            let key = self.expression()?;
            self.expect(":")?;
            entries.push(Entry { key, value: self.expression()?, is_optional });
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        self.node(offset, Expression::Map(entries))
    }

    /// A macro, or a function: one of a namespace, or a member of its receiver.
    fn call(
        &self,
        offset: usize,
        receiver: Option<Node>,
        name: &str,
        arguments: Vec<Node>,
    ) -> Result<Node, CompileError> {
        let namespace = receiver.as_ref().and_then(|receiver| match &receiver.expression {
            Expression::Name(namespace) if !self.variables.contains(&namespace.as_str()) => Some(namespace.clone()),
            _ => None,
        });
        let (receiver, arguments) = match self.expand(offset, receiver, namespace.as_deref(), name, arguments)? {
            Ok(node) => return Ok(node),
            Err(unchanged) => unchanged,
        };
        if let Some(qualified) = namespace.map(|namespace| format!("{namespace}.{name}"))
            && let Some(function) = functions::find(&qualified, false, arguments.len())
        {
            return self.node(offset, Expression::Call { function, arguments });
        }
        let is_member = receiver.is_some();
        let arguments: Vec<Node> = receiver.into_iter().chain(arguments).collect();
        match functions::find(name, is_member, arguments.len()) {
            Some(function) => self.node(offset, Expression::Call { function, arguments }),
            None if functions::is_known(name) => Err(self.error(
                offset,
                format!("found no matching overload for '{name}' applied to {} arguments", arguments.len()),
            )),
            None => Err(self.error(offset, format!("undeclared reference to '{name}' (in container '')"))),
        }
    }
}
