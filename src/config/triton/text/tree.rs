//! From tokens to a tree.

use super::token::{Token, Tokens};
use super::{Place, SyntaxError};

/// Fields in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct Message {
    pub(in super::super) fields: Vec<Field>,
    /// The names before lists that have nothing in them: no value, but a name that somebody wrote.
    pub(in super::super) empty: Vec<(String, Place)>,
}

/// One value of a field. A list is as many fields as it has elements, since that is what it means.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Field {
    pub(in super::super) name: String,
    /// Where the name stands.
    pub(in super::super) place: Place,
    pub(in super::super) value: Value,
    /// Where the value stands.
    pub(in super::super) value_place: Place,
}

/// What a field is said to be.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Value {
    Message(Message),
    /// In quotes.
    Text(String),
    /// Without quotes: the name of an enum's value, `true`, `inf`; with its sign.
    Word(String),
    /// As it is written, with its sign.
    Number(String),
}

/// Messages in messages. Triton's own go seven deep.
const DEEPEST: usize = 32;
/// Many times what a page of settings has, and little enough to be kept.
const LONGEST: usize = 1 << 20;

/// Understands the form of a text.
pub(in super::super) fn parse(text: &str) -> Result<Message, SyntaxError> {
    if text.len() > LONGEST {
        return Err(SyntaxError::new(Place::START, format!("longer than {LONGEST} bytes")));
    }
    let mut tokens = Tokens::of(text);
    let next = tokens.next()?;
    Parser { tokens, next }.fields(Token::End, DEEPEST)
}

struct Parser<'t> {
    tokens: Tokens<'t>,
    next: (Token, Place),
}

impl Parser<'_> {
    /// Takes the next token.
    fn take(&mut self) -> Result<(Token, Place), SyntaxError> {
        let following = self.tokens.next()?;
        Ok(std::mem::replace(&mut self.next, following))
    }

    /// Takes the next token if it is this sign.
    fn take_sign(&mut self, sign: char) -> Result<bool, SyntaxError> {
        let is_it = self.next.0 == Token::Sign(sign);
        if is_it {
            self.take()?;
        }
        Ok(is_it)
    }

    fn expected<T>(&self, what: &str) -> Result<T, SyntaxError> {
        let (token, place) = &self.next;
        Err(SyntaxError::new(*place, format!("expected {what}, got {}", token.shown())))
    }

    /// Everything up to `end`, which is taken as well.
    fn fields(&mut self, end: Token, levels: usize) -> Result<Message, SyntaxError> {
        let mut message = Message::default();
        loop {
            if self.next.0 == end {
                self.take()?;
                return Ok(message);
            }
            match self.take()? {
                (Token::Word(name), place) => self.field(name, place, levels, &mut message)?,
                taken @ (Token::Number(_) | Token::Text(_) | Token::Sign(_) | Token::End, _) => {
                    self.next = taken;
                    return self.expected(&format!("a field's name or {}", end.shown()));
                }
            }
            if !self.take_sign(',')? {
                self.take_sign(';')?;
            }
        }
    }

    fn field(
        &mut self,
        name: String,
        place: Place,
        levels: usize,
        message: &mut Message,
    ) -> Result<(), SyntaxError> {
        let has_colon = self.take_sign(':')?;
        let mut add = |(value, value_place)| {
            message.fields.push(Field { name: name.clone(), place, value, value_place });
        };
        if !self.take_sign('[')? {
            add(self.value(has_colon, levels)?);
            return Ok(());
        }
        if self.take_sign(']')? {
            message.empty.push((name, place));
            return Ok(());
        }
        loop {
            add(self.value(has_colon, levels)?);
            if self.take_sign(']')? {
                return Ok(());
            }
            if !self.take_sign(',')? {
                return self.expected("`,` or `]`");
            }
        }
    }

    /// Only messages need no colon before them.
    fn value(&mut self, has_colon: bool, levels: usize) -> Result<(Value, Place), SyntaxError> {
        let place = self.next.1;
        let end = match &self.next.0 {
            Token::Sign('{') => Some('}'),
            Token::Sign('<') => Some('>'),
            Token::Sign(_) | Token::Word(_) | Token::Number(_) | Token::Text(_) | Token::End => {
                None
            }
        };
        if let Some(end) = end {
            let Some(levels) = levels.checked_sub(1) else {
                return Err(SyntaxError::new(
                    place,
                    format!("more than {DEEPEST} messages in each other"),
                ));
            };
            self.take()?;
            return Ok((Value::Message(self.fields(Token::Sign(end), levels)?), place));
        }
        if !has_colon {
            return self.expected("`:` or `{`");
        }
        Ok((self.scalar()?, place))
    }

    fn scalar(&mut self) -> Result<Value, SyntaxError> {
        if matches!(self.next.0, Token::Text(_)) {
            return self.text();
        }
        let sign = if self.take_sign('-')? { "-" } else { "" };
        match &self.next.0 {
            Token::Word(word) => {
                let value = Value::Word(format!("{sign}{word}"));
                self.take()?;
                Ok(value)
            }
            Token::Number(number) => {
                let value = Value::Number(format!("{sign}{number}"));
                self.take()?;
                Ok(value)
            }
            Token::Text(_) | Token::Sign(_) | Token::End => self.expected("a value"),
        }
    }

    /// Texts that follow each other are one.
    fn text(&mut self) -> Result<Value, SyntaxError> {
        let place = self.next.1;
        let mut bytes = Vec::new();
        while let Token::Text(part) = &mut self.next.0 {
            bytes.append(part);
            self.take()?;
        }
        String::from_utf8(bytes)
            .map(Value::Text)
            .map_err(|_| SyntaxError::new(place, "the text is not UTF-8"))
    }
}
