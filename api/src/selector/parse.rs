//! The grammar of `labelSelector=`, with the complaints of Kubernetes' own parser.

use super::{Operator, Requirement, SelectorError, checked};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token<'a> {
    End,
    Word(&'a str),
    Sign(&'a str),
}

impl Token<'_> {
    fn text(&self) -> &str {
        match self {
            Token::End => "",
            Token::Word(text) | Token::Sign(text) => text,
        }
    }
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

/// Cuts the next token off the front of `rest`.
fn next<'a>(rest: &mut &'a str) -> Token<'a> {
    *rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
    let length = match rest.as_bytes() {
        [] => return Token::End,
        [b'=', b'=', ..] | [b'!', b'=', ..] => 2,
        [byte, ..] if is_special(*byte) => 1,
        bytes => {
            let end = bytes.iter().position(|byte| is_special(*byte) || byte.is_ascii_whitespace());
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            *rest = after;
            return Token::Word(word);
        }
    };
    let (sign, after) = rest.split_at(length);
    *rest = after;
    Token::Sign(sign)
}

fn peek<'a>(rest: &&'a str) -> Token<'a> {
    let mut rest = *rest;
    next(&mut rest)
}

fn unexpected<T>(found: &Token<'_>, expected: &str) -> Result<T, SelectorError> {
    Err(SelectorError(format!("found '{}', expected: {expected}", found.text())))
}

pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut rest = text;
    let mut requirements = Vec::new();
    if peek(&rest) == Token::End {
        return Ok(requirements);
    }
    loop {
        requirements.push(
            requirement(&mut rest).map_err(|error| SelectorError(format!("unable to parse requirement: {error}")))?,
        );
        match next(&mut rest) {
            Token::End => return Ok(requirements),
            Token::Sign(",") => match peek(&rest) {
                Token::Word(_) | Token::Sign("!") => {}
                other => return unexpected(&other, "identifier after ','"),
            },
            other => return unexpected(&other, "',' or 'end of string'"),
        }
    }
}

fn requirement(rest: &mut &str) -> Result<Requirement, SelectorError> {
    let mut first = next(rest);
    let is_negated = first == Token::Sign("!");
    if is_negated {
        first = next(rest);
    }
    let Token::Word(key) = first else { return unexpected(&first, "identifier") };
    if is_negated {
        return checked(key, Operator::DoesNotExist);
    }
    if matches!(peek(rest), Token::End | Token::Sign(",")) {
        return checked(key, Operator::Exists);
    }
    let operator = match next(rest) {
        Token::Sign("=" | "==") => Operator::In(vec![value(rest)?.to_owned()]),
        Token::Sign("!=") => Operator::NotIn(vec![value(rest)?.to_owned()]),
        Token::Sign(">") => Operator::GreaterThan(bound(rest)?),
        Token::Sign("<") => Operator::LessThan(bound(rest)?),
        Token::Word("in") => Operator::In(values(rest)?),
        Token::Word("notin") => Operator::NotIn(values(rest)?),
        other => return unexpected(&other, "in, notin, =, ==, !=, gt, lt"),
    };
    checked(key, operator)
}

/// One value; nothing at all is the empty value.
fn value<'a>(rest: &mut &'a str) -> Result<&'a str, SelectorError> {
    match peek(rest) {
        Token::End | Token::Sign(",") => Ok(""),
        Token::Word(word) => {
            next(rest);
            Ok(word)
        }
        other => unexpected(&other, "identifier"),
    }
}

fn bound(rest: &mut &str) -> Result<i64, SelectorError> {
    let text = value(rest)?;
    text.parse().map_err(|_| {
        SelectorError(format!(
            "values[0]: Invalid value: {text:?}: for 'Gt', 'Lt' operators, the value must be an integer"
        ))
    })
}

/// `(a,b,)`: an empty place is the empty value.
fn values(rest: &mut &str) -> Result<Vec<String>, SelectorError> {
    match next(rest) {
        Token::Sign("(") => {}
        other => return Err(SelectorError(format!("found '{}' expected: '('", other.text()))),
    }
    let mut values = Vec::new();
    loop {
        match next(rest) {
            Token::Word(word) => {
                values.push(word.to_owned());
                match next(rest) {
                    Token::Sign(",") => {
                        if peek(rest) == Token::Sign(")") {
                            values.push(String::new());
                        }
                    }
                    Token::Sign(")") => break,
                    other => return unexpected(&other, "',' or ')'"),
                }
            }
            Token::Sign(",") => values.push(String::new()),
            Token::Sign(")") => {
                if values.is_empty() {
                    values.push(String::new());
                }
                break;
            }
            other => return unexpected(&other, "',', ')' or identifier"),
        }
    }
    values.sort();
    values.dedup();
    Ok(values)
}
