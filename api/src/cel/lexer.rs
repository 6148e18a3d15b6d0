//! From a source text to tokens.

use super::CompileError;
use super::syntax::Literal;

/// A token, and where it begins, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lexeme {
    pub(super) offset: usize,
    pub(super) token: Token,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A number, string or byte string; `true`, `false` and `null` are names here.
    Literal(Literal),
    /// Digits that are one too many for a positive number: `9223372036854775808`.
    LeastInt,
    Name(String),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// Longer ones first.
const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")", "[", "]",
    "{", "}",
];

/// The tokens of a text, `Token::End` last.
pub(super) fn tokens(source: &str) -> Result<Vec<Lexeme>, CompileError> {
    let mut lexer = Lexer { source, offset: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let offset = lexer.offset;
        let token = lexer.token()?;
        let is_end = token == Token::End;
        tokens.push(Lexeme { offset, token });
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    offset: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.offset..]
    }

    fn error(&self, offset: usize, reason: impl AsRef<str>) -> CompileError {
        CompileError::at(self.source, offset, &format!("Syntax error: {}", reason.as_ref()))
    }

    /// Takes what belongs to a class.
    fn take(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
        self.offset += end;
        &rest[..end]
    }

    fn take_if(&mut self, text: &str) -> bool {
        let is_there = self.rest().starts_with(text);
        self.offset += if is_there { text.len() } else { 0 };
        is_there
    }

    fn skip_blanks(&mut self) {
        loop {
            self.take(|char| matches!(char, ' ' | '\t' | '\n' | '\r' | '\x0c'));
            if !self.rest().starts_with("//") {
                return;
            }
            self.take(|char| char != '\n');
        }
    }

    fn token(&mut self) -> Result<Token, CompileError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        let prefix = rest.find(|char: char| !matches!(char, 'r' | 'R' | 'b' | 'B')).unwrap_or(rest.len());
        if prefix <= 2 && rest[prefix..].starts_with(['"', '\'']) {
            return self.string(&rest[..prefix]);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            return Ok(Token::Name(self.take(|char| char.is_ascii_alphanumeric() || char == '_').to_owned()));
        }
        let is_fraction = first == '.' && rest[1..].starts_with(|char: char| char.is_ascii_digit());
        if first.is_ascii_digit() || is_fraction {
            return self.number();
        }
        let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
        let sign = sign.ok_or_else(|| self.error(self.offset, format!("token recognition error at: '{first}'")))?;
        self.offset += sign.len();
        Ok(Token::Sign(sign))
    }

    fn number(&mut self) -> Result<Token, CompileError> {
        let start = self.offset;
        let is_digit = |char: char| char.is_ascii_digit();
        if self.rest().starts_with("0x") || self.rest().starts_with("0X") {
            self.offset += 2;
            let digits = self.take(|char| char.is_ascii_hexdigit());
            return self.integer(start, digits, 16);
        }
        let digits = self.take(is_digit);
        let has_fraction =
            self.rest().strip_prefix('.').is_some_and(|rest| rest.starts_with(|char: char| char.is_ascii_digit()));
        if has_fraction {
            self.offset += 1;
            self.take(is_digit);
        }
        let exponent = self.rest().strip_prefix(['e', 'E']);
        let signed = exponent.map(|rest| rest.strip_prefix(['+', '-']).unwrap_or(rest));
        let has_exponent = signed.is_some_and(|rest| rest.starts_with(|char: char| char.is_ascii_digit()));
        if has_exponent {
            self.offset += 1;
            self.take(|char| matches!(char, '+' | '-'));
            self.take(is_digit);
        }
        if !has_fraction && !has_exponent {
            return self.integer(start, digits, 10);
        }
        let number = self.source[start..self.offset].parse::<f64>().ok().filter(|number| number.is_finite());
        let number = number.ok_or_else(|| self.error(start, "invalid double literal"))?;
        Ok(Token::Literal(Literal::Double(number)))
    }

    fn integer(&mut self, start: usize, digits: &str, radix: u32) -> Result<Token, CompileError> {
        let number = u64::from_str_radix(digits, radix).ok();
        if self.take_if("u") || self.take_if("U") {
            let number = number.ok_or_else(|| self.error(start, "invalid uint literal"))?;
            return Ok(Token::Literal(Literal::Uint(number)));
        }
        match number.map(|number| (number, i64::try_from(number))) {
            Some((_, Ok(number))) => Ok(Token::Literal(Literal::Int(number))),
            Some((number, Err(_))) if number == i64::MIN.unsigned_abs() => Ok(Token::LeastInt),
            _ => Err(self.error(start, "invalid int literal")),
        }
    }

    fn string(&mut self, prefix: &str) -> Result<Token, CompileError> {
        let start = self.offset;
        let has = |letter: char| prefix.chars().any(|found| found.eq_ignore_ascii_case(&letter));
        let (is_raw, is_bytes) = (has('r'), has('b'));
        if prefix.len() == 2 && is_raw != is_bytes {
            return Err(self.error(start, format!("token recognition error at: '{prefix}'")));
        }
        self.offset += prefix.len();
        let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| self.take_if(quote));
        let quote = quote.expect("invariant: only called at a quote");
        let mut bytes = Vec::new();
        loop {
            if self.take_if(quote) {
                break;
            }
            let char = self.rest().chars().next();
            match char {
                Some('\n' | '\r') if quote.len() == 1 => return Err(self.error(start, "unterminated string literal")),
                None => return Err(self.error(start, "unterminated string literal")),
                Some('\\') if !is_raw => {
                    let escape = self.offset;
                    self.escape(is_bytes, &mut bytes).ok_or_else(|| self.error(escape, "invalid escape sequence"))?;
                }
                Some('\\') => {
                    // Even in a raw string a backslash keeps a quote from ending it.
                    self.offset += 1;
                    bytes.push(b'\\');
                    if let Some(char) = self.rest().chars().next() {
                        self.push(char, &mut bytes);
                    }
                }
                Some(char) => self.push(char, &mut bytes),
            }
        }
        if is_bytes {
            return Ok(Token::Literal(Literal::Bytes(bytes)));
        }
        let text = String::from_utf8(bytes).map_err(|_| self.error(start, "invalid string literal"))?;
        Ok(Token::Literal(Literal::String(text)))
    }

    fn push(&mut self, char: char, bytes: &mut Vec<u8>) {
        self.offset += char.len_utf8();
        bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// Reads an escape sequence. In bytes, `\x` and octal digits are one byte; in a string, they are a code point.
    fn escape(&mut self, is_bytes: bool, bytes: &mut Vec<u8>) -> Option<()> {
        let letter = self.rest()[1..].chars().next()?;
        let simple = match letter {
            'a' => Some('\x07'),
            'b' => Some('\x08'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            '\\' | '?' | '"' | '\'' | '`' => Some(letter),
            _ => None,
        };
        if let Some(char) = simple {
            self.offset += 2;
            bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(());
        }
        let (skipped, digits, radix) = match letter {
            'x' | 'X' => (2, 2, 16),
            'u' if !is_bytes => (2, 4, 16),
            'U' if !is_bytes => (2, 8, 16),
            '0'..='3' => (1, 3, 8),
            _ => return None,
        };
        let text = self.rest().get(skipped..skipped + digits)?;
        if !text.chars().all(|char| char.is_digit(radix)) {
            return None;
        }
        let code = u32::from_str_radix(text, radix).ok()?;
        self.offset += skipped + digits;
        if is_bytes {
            bytes.push(u8::try_from(code).ok()?);
        } else {
            bytes.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Some(())
    }
}
