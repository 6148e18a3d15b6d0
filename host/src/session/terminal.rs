//! What a terminal's driver does for a program: echoes keys, edits the line, gives it whole to the program. Pure.
//!
//! Deliberately absent: full-screen programs; a component cannot ask for single keys.

const INTERRUPT: u8 = 0x03;
const END_OF_INPUT: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const ERASE_LINE: u8 = 0x15;
const DELETE: u8 = 0x7f;
/// A longer line is given to the program in pieces.
const LINE_BYTES_MAX: usize = 4096;

/// The line that is being typed.
#[derive(Default)]
pub(super) struct Terminal {
    line: Vec<u8>,
}

/// What follows from keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Typed {
    /// To be shown to whoever typed.
    pub(super) echo: Vec<u8>,
    /// For the program.
    pub(super) input: Vec<u8>,
    /// Nothing after it counts.
    pub(super) ending: Option<Ending>,
}

/// What a key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The input: Ctrl-D on an empty line.
    Input,
    /// The program: Ctrl-C.
    Command,
}

impl Terminal {
    /// Takes keys.
    pub(super) fn keys(&mut self, keys: &[u8]) -> Typed {
        let mut typed = Typed::default();
        for &key in keys {
            match key {
                b'\r' | b'\n' => {
                    typed.echo.extend_from_slice(b"\r\n");
                    self.line.push(b'\n');
                    typed.input.append(&mut self.line);
                }
                INTERRUPT => {
                    typed.echo.extend_from_slice(b"^C\r\n");
                    typed.ending = Some(Ending::Command);
                    return typed;
                }
                END_OF_INPUT if self.line.is_empty() => {
                    typed.ending = Some(Ending::Input);
                    return typed;
                }
                END_OF_INPUT => typed.input.append(&mut self.line),
                BACKSPACE | DELETE => self.erase(&mut typed.echo),
                ERASE_LINE => {
                    while !self.line.is_empty() {
                        self.erase(&mut typed.echo);
                    }
                }
                0..0x20 if key != b'\t' => {}
                key => {
                    typed.echo.push(key);
                    self.line.push(key);
                    if self.line.len() == LINE_BYTES_MAX {
                        typed.input.append(&mut self.line);
                    }
                }
            }
        }
        typed
    }

    /// Takes back the last character, which may be several bytes.
    fn erase(&mut self, echo: &mut Vec<u8>) {
        while let Some(byte) = self.line.pop() {
            let is_continued = byte & 0xc0 == 0x80;
            if !is_continued {
                echo.extend_from_slice(b"\x08 \x08");
                return;
            }
        }
    }
}

/// Output for a terminal, to which a line feed alone is no return.
pub(super) fn shown(output: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(output.len());
    for &byte in output {
        if byte == b'\n' {
            shown.push(b'\r');
        }
        shown.push(byte);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(keys: &[u8], expected: Expect) {
        let Typed { echo, input, ending } = Terminal::default().keys(keys);
        let text = format!("{:?} {:?} {ending:?}", String::from_utf8_lossy(&echo), String::from_utf8_lossy(&input));
        expected.assert_eq(&text);
    }

    #[test]
    fn lines_are_edited() {
        check(b"hi\r", expect![[r#""hi\r\n" "hi\n" None"#]]);
        check(b"hi", expect![[r#""hi" "" None"#]]);
        check(b"ho\x7fi\r", expect![[r#""ho\u{8} \u{8}i\r\n" "hi\n" None"#]]);
        check("h\u{e9}\x7fi\r".as_bytes(), expect![[r#""hé\u{8} \u{8}i\r\n" "hi\n" None"#]]);
        check(b"abc\x15\x7fx\n", expect![[r#""abc\u{8} \u{8}\u{8} \u{8}\u{8} \u{8}x\r\n" "x\n" None"#]]);
        check(b"\x1b\x01\ta\r", expect![[r#""\ta\r\n" "\ta\n" None"#]]);
    }

    #[test]
    fn keys_end_things() {
        check(b"\x04more\r", expect![[r#""" "" Some(Input)"#]]);
        check(b"part\x04", expect![[r#""part" "part" None"#]]);
        check(b"one\rtwo\x03three", expect![[r#""one\r\ntwo^C\r\n" "one\n" Some(Command)"#]]);
    }

    #[test]
    fn line_feeds_return() {
        assert_eq!(shown(b"a\nb\n"), b"a\r\nb\r\n");
    }
}
