//! From characters to words, numbers, texts and signs.

use std::iter::Peekable;
use std::str::Chars;

use super::super::super::error::printable;
use super::{Place, SyntaxError};

/// The next piece of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A field's name, or a value such as `TYPE_FP32` and `true`.
    Word(String),
    /// As it is written, without a sign.
    Number(String),
    /// What is between quotes, its escapes undone.
    Text(Vec<u8>),
    /// One of `{ } < > [ ] : , ; -`.
    Sign(char),
    /// There is no more.
    End,
}

impl Token {
    /// As a message shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Word(word) | Self::Number(word) => format!("`{}`", printable(word)),
            Self::Text(_) => "a text in quotes".to_owned(),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::End => "the end of the file".to_owned(),
        }
    }
}

/// What is left of the text, and where that begins.
pub(super) struct Tokens<'t> {
    rest: Peekable<Chars<'t>>,
    place: Place,
}

impl<'t> Tokens<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { rest: text.chars().peekable(), place: Place::START }
    }

    /// The next token, and where it begins.
    pub(super) fn next(&mut self) -> Result<(Token, Place), SyntaxError> {
        self.skip_blanks();
        let place = self.place;
        let token = match self.rest.peek().copied() {
            None => Token::End,
            Some('"' | '\'') => self.text()?,
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if is_of_word(c) => Token::Word(self.take_while(is_of_word)),
            Some(sign @ ('{' | '}' | '<' | '>' | '[' | ']' | ':' | ',' | ';' | '-')) => {
                self.step();
                Token::Sign(sign)
            }
            Some(other) => {
                let shown = printable(&other.to_string());
                return Err(SyntaxError::new(place, format!("`{shown}` has no meaning here")));
            }
        };
        Ok((token, place))
    }

    fn step(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        match c {
            '\n' => self.place = Place { line: self.place.line + 1, column: 1 },
            _ => self.place.column += 1,
        }
        Some(c)
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.rest.peek().copied().filter(|c| belongs(*c)) {
            self.step();
            taken.push(c);
        }
        taken
    }

    fn skip_blanks(&mut self) {
        while let Some(c) = self.rest.peek() {
            match c {
                '#' => drop(self.take_while(|c| c != '\n')),
                c if c.is_ascii_whitespace() || *c == '\u{b}' => drop(self.step()),
                _ => return,
            }
        }
    }

    /// What follows a digit without a blank; whether that is a number is asked where one is wanted.
    fn number(&mut self) -> Token {
        let mut number = String::new();
        while let Some(c) = self.rest.peek().copied() {
            let is_exponent = number.ends_with(['e', 'E']) && !number.starts_with("0x");
            if !is_of_word(c) && c != '.' && !(matches!(c, '+' | '-') && is_exponent) {
                break;
            }
            self.step();
            number.push(c);
        }
        Token::Number(number)
    }

    fn text(&mut self) -> Result<Token, SyntaxError> {
        let begin = self.place;
        let quote = self.step();
        let mut bytes = Vec::new();
        loop {
            let place = self.place;
            match self.step() {
                None | Some('\n') => {
                    return Err(SyntaxError::new(begin, "the quote is not closed in this line"));
                }
                end if end == quote => return Ok(Token::Text(bytes)),
                Some('\\') => self.escape(place, &mut bytes)?,
                Some(c) => push(c, &mut bytes),
            }
        }
    }

    fn escape(&mut self, place: Place, bytes: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let wrong = || SyntaxError::new(place, "there is no such escape; a backslash is `\\\\`");
        let escaped = self.step().ok_or_else(wrong)?;
        let byte = match escaped {
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 0x0b,
            '\\' => b'\\',
            '\'' => b'\'',
            '"' => b'"',
            '?' => b'?',
            'x' | 'X' => {
                u8::try_from(self.digits(16, 1, 2).ok_or_else(wrong)?).map_err(|_| wrong())?
            }
            'u' | 'U' => {
                let length = if escaped == 'u' { 4 } else { 8 };
                let code = self.digits(16, length, length).ok_or_else(wrong)?;
                push(char::from_u32(code).ok_or_else(wrong)?, bytes);
                return Ok(());
            }
            '0'..='7' => {
                let first = escaped.to_digit(8).ok_or_else(wrong)?;
                let mut value = first;
                for _ in 0..2 {
                    let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(8)) else { break };
                    self.step();
                    value = value * 8 + digit;
                }
                u8::try_from(value).map_err(|_| wrong())?
            }
            _ => return Err(wrong()),
        };
        bytes.push(byte);
        Ok(())
    }

    /// The number that so many digits make up; at most eight, so that it always fits.
    fn digits(&mut self, radix: u32, least: usize, most: usize) -> Option<u32> {
        let mut value: u32 = 0;
        for count in 0..most {
            let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(radix)) else {
                return (count >= least).then_some(value);
            };
            self.step();
            value = value.checked_mul(radix)?.checked_add(digit)?;
        }
        Some(value)
    }
}

fn push(c: char, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
