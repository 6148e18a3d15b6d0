//! The macros: calls that bind names or look at what they are given rather than at its value.

use super::CompileError;
use super::parser::Parser;
use super::syntax::{Comprehension, Expression, Macro, Node};

/// What a call is of, where it is no macro.
type Unchanged = (Option<Node>, Vec<Node>);

impl Parser<'_> {
    /// Expands a call, or hands its parts back.
    pub(super) fn expand(
        &self,
        offset: usize,
        receiver: Option<Node>,
        namespace: Option<&str>,
        name: &str,
        mut arguments: Vec<Node>,
    ) -> Result<Result<Node, Unchanged>, CompileError> {
        let Some(range) = receiver else {
            return match (name, arguments.len()) {
                ("has", 1) => self.presence(offset, arguments.remove(0)).map(Ok),
                _ => Ok(Err((None, arguments))),
            };
        };
        if (namespace, name, arguments.len()) == (Some("cel"), "bind", 3) {
            let body = arguments.remove(2);
            let range = arguments.remove(1);
            let variable = self.variable(&arguments[0])?;
            let bound = Comprehension { kind: Macro::Bind, range, variable, second: None, filter: None, body };
            return self.node(offset, Expression::Comprehension(Box::new(bound))).map(Ok);
        }
        let (kind, variables, has_filter) = match (name, arguments.len()) {
            ("all", count @ 2..=3) => (Macro::All, count - 1, false),
            ("exists", count @ 2..=3) => (Macro::Exists, count - 1, false),
            ("exists_one", 2) => (Macro::ExistsOne, 1, false),
            ("existsOne", count @ 2..=3) => (Macro::ExistsOne, count - 1, false),
            ("filter", 2) => (Macro::Filter, 1, false),
            ("map", count @ 2..=3) => (Macro::Map, 1, count == 3),
            ("transformList", count @ 3..=4) => (Macro::Map, 2, count == 4),
            ("transformMap", count @ 3..=4) => (Macro::TransformMap, 2, count == 4),
            ("optMap", 2) => (Macro::OptionalMap, 1, false),
            ("optFlatMap", 2) => (Macro::OptionalFlatMap, 1, false),
            _ => return Ok(Err((Some(range), arguments))),
        };
        let mut rest = arguments.split_off(variables);
        let body = rest.pop().expect("invariant: the body was counted");
        let filter = if has_filter { rest.pop() } else { None };
        let variable = self.variable(&arguments[0])?;
        let second = arguments.get(1).map(|node| self.variable(node)).transpose()?;
        if second.as_ref() == Some(&variable) {
            return Err(self.error(arguments[1].offset, format!("overlapping declaration for name '{variable}'")));
        }
        let comprehension = Comprehension { kind, range, variable, second, filter, body };
        self.node(offset, Expression::Comprehension(Box::new(comprehension))).map(Ok)
    }

    fn variable(&self, node: &Node) -> Result<String, CompileError> {
        match &node.expression {
            Expression::Name(name) => Ok(name.clone()),
            _ => Err(self.error(node.offset, "argument must be a simple name")),
        }
    }

    fn presence(&self, offset: usize, argument: Node) -> Result<Node, CompileError> {
        match argument.expression {
            Expression::Select { operand, field, is_optional: false } => {
                self.node(offset, Expression::Has { operand, field })
            }
            _ => Err(self.error(argument.offset, "invalid argument to has() macro")),
        }
    }
}
