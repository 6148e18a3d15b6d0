//! Regular expressions in the syntax of Go, which Kubernetes' schemas are written in.
//!
//! The engine's syntax differs in a few places, which are rewritten: `\d`, `\w`, `\s` and `\b` mean ASCII, a bracket inside a
//! character class is itself, and classes know no set operations.

use regex::Regex;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles an expression; an error says what is wrong with it, in one line.
    pub fn new(text: &str) -> Result<Pattern, String> {
        let regex = Regex::new(&translate(text)).map_err(|error| {
            let message = error.to_string();
            let last = message.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        })?;
        Ok(Pattern { text: text.to_owned(), regex })
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is found anywhere in a text.
    pub fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    let mut is_in_class = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str(r"[\t\n\f\r ]"),
                Some('S') => out.push_str(r"[^\t\n\f\r ]"),
                Some('b') if !is_in_class => out.push_str(r"(?-u:\b)"),
                escaped => {
                    out.push('\\');
                    out.extend(escaped);
                }
            },
            '[' if !is_in_class => {
                is_in_class = true;
                out.push('[');
                out.extend(characters.next_if_eq(&'^'));
                // As the first character it is itself.
                if characters.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            '[' if characters.peek() == Some(&':') => {
                out.push('[');
                for inner in characters.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            '[' => out.push_str(r"\["),
            ']' => {
                is_in_class = false;
                out.push(']');
            }
            '&' | '~' if is_in_class => out.extend(['\\', character]),
            '-' if is_in_class && characters.peek() == Some(&'-') => out.push_str(r"\-"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(pattern: &str, texts: &[&str], expected: Expect) {
        let shown = match Pattern::new(pattern) {
            Ok(pattern) => texts.iter().map(|text| if pattern.is_in(text) { '+' } else { '-' }).collect(),
            Err(error) => error,
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn expressions_mean_what_they_do_in_go() {
        check(r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$", &["* * * * */5", "* * * *", "٣ * * * *"], expect!["+--"]);
        check(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", &["a-b", "-a", ""], expect!["+--"]);
        check(r"^[[]$", &["[", "]"], expect!["+-"]);
        check(r"^[]a]+$", &["]a", "b"], expect!["+-"]);
        check(r"^[a&&b]+$", &["a&b", "c"], expect!["+-"]);
        check(r"^[[:alpha:]_]+$", &["ab_", "1"], expect!["+-"]);
        check(r"^[\w\-]+$", &["a-b", "ä"], expect!["+-"]);
        check(r"^[^\d]$", &["a", "1"], expect!["+-"]);
        check(r"\bcat\b", &["a cat", "cats"], expect!["+-"]);
        check(r"^\/api$", &["/api"], expect!["+"]);
        check(r"^.{1,3}$", &["äöü", "abcd"], expect!["+-"]);
        check("(", &[], expect!["unclosed group"]);
        check("a(?=b)", &[], expect!["look-around, including look-ahead and look-behind, is not supported"]);
    }
}
