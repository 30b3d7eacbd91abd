//! Holds a tree against the table of known fields, so that whoever reads it afterwards meets only what may be there.
//!
//! Everything that does not fit is told at once, each with its place: unknown fields with the known one that was
//! probably meant, values of another type, and fields that are there twice and may be there once.

use super::super::error::printable;
use super::super::section::nearest;
use super::schema::{Kind, Schema, Type};
use super::text::{Field, Message, Place, Value};

/// A message whose fields are all known and of their types.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<Known>);

#[derive(Debug)]
struct Known {
    name: &'static str,
    place: Place,
    value: Given,
}

#[derive(Debug)]
enum Given {
    Text(String),
    Switch(bool),
    Whole(i128),
    Word(&'static str),
    Message(Fields),
    /// Of what nobody looks into.
    Something,
}

/// What is wrong, and where.
pub(super) type Complaint = (Place, String);

impl Fields {
    /// What can be understood, and all that cannot.
    pub(super) fn of(message: Message, schema: &'static Schema) -> (Self, Vec<Complaint>) {
        let mut complaints = Vec::new();
        let fields = Self::read(message, schema, &mut complaints);
        (fields, complaints)
    }

    fn read(message: Message, schema: &'static Schema, complaints: &mut Vec<Complaint>) -> Self {
        let mut known: Vec<Known> = Vec::new();
        for (name, place) in message.empty {
            match schema.fields.iter().find(|(field, _)| *field == name) {
                Some((_, Kind::Many(_))) => {}
                Some((_, Kind::One(_))) => complaints.push((place, format!("`{name}` is no list"))),
                None => complaints.push((place, unknown(&name, schema))),
            }
        }
        for Field { name, place, value, value_place } in message.fields {
            let Some((name, kind)) = schema.fields.iter().find(|(field, _)| *field == name) else {
                complaints.push((place, unknown(&name, schema)));
                continue;
            };
            let (Kind::One(of_type) | Kind::Many(of_type)) = *kind;
            let is_twice = matches!(kind, Kind::One(_)) && known.iter().any(|it| it.name == *name);
            if is_twice {
                complaints.push((place, format!("`{name}` is there twice")));
                continue;
            }
            match given(value, of_type, complaints) {
                Ok(value) => known.push(Known { name, place: value_place, value }),
                Err(expected) => {
                    complaints.push((value_place, format!("`{name}` must be {expected}")))
                }
            }
        }
        Self(known)
    }

    /// Where a field's value stands; none where the field is not there.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        self.named(name).next().map(|(_, place)| place)
    }

    pub(super) fn text(&self, name: &str) -> Option<(&str, Place)> {
        self.texts(name).next()
    }

    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = (&str, Place)> {
        self.named(name).filter_map(|(value, place)| match value {
            Given::Text(text) => Some((text.as_str(), place)),
            Given::Switch(_)
            | Given::Whole(_)
            | Given::Word(_)
            | Given::Message(_)
            | Given::Something => None,
        })
    }

    /// As it is told, or false as where it is not.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.named(name).any(|(value, _)| matches!(value, Given::Switch(true)))
    }

    pub(super) fn whole(&self, name: &str) -> Option<(i128, Place)> {
        self.wholes(name).next()
    }

    pub(super) fn wholes(&self, name: &str) -> impl Iterator<Item = (i128, Place)> {
        self.named(name).filter_map(|(value, place)| match value {
            Given::Whole(number) => Some((*number, place)),
            Given::Text(_)
            | Given::Switch(_)
            | Given::Word(_)
            | Given::Message(_)
            | Given::Something => None,
        })
    }

    pub(super) fn word(&self, name: &str) -> Option<(&'static str, Place)> {
        self.named(name).find_map(|(value, place)| match value {
            Given::Word(word) => Some((*word, place)),
            Given::Text(_)
            | Given::Switch(_)
            | Given::Whole(_)
            | Given::Message(_)
            | Given::Something => None,
        })
    }

    pub(super) fn message(&self, name: &str) -> Option<(&Fields, Place)> {
        self.messages(name).next()
    }

    pub(super) fn messages(&self, name: &str) -> impl Iterator<Item = (&Fields, Place)> {
        self.named(name).filter_map(|(value, place)| match value {
            Given::Message(fields) => Some((fields, place)),
            Given::Text(_)
            | Given::Switch(_)
            | Given::Whole(_)
            | Given::Word(_)
            | Given::Something => None,
        })
    }

    fn named(&self, name: &str) -> impl Iterator<Item = (&Given, Place)> {
        self.0
            .iter()
            .filter(move |known| known.name == name)
            .map(|known| (&known.value, known.place))
    }
}

fn unknown(name: &str, schema: &'static Schema) -> String {
    let known = schema.fields.iter().map(|(field, _)| *field);
    let hint = nearest(name, known).map(|field| format!("; did you mean `{field}`?"));
    let name = printable(name);
    format!("unknown field `{name}` of `{}`{}", schema.name, hint.unwrap_or_default())
}

/// The value, or what was expected instead.
fn given(value: Value, of_type: Type, complaints: &mut Vec<Complaint>) -> Result<Given, String> {
    let expected = |what: String, value: &Value| Err(format!("{what}, got {}", shown(value)));
    match (of_type, value) {
        (Type::Message(schema), Value::Message(message)) => {
            Ok(Given::Message(Fields::read(message, schema, complaints)))
        }
        (Type::Anything, Value::Message(_)) => Ok(Given::Something),
        (Type::Message(_) | Type::Anything, value) => {
            expected("a message in braces".to_owned(), &value)
        }
        (Type::Text, Value::Text(text)) => Ok(Given::Text(text)),
        (Type::Text, value) => expected("a text in quotes".to_owned(), &value),
        (Type::Switch, value) => match written(&value) {
            Some("true" | "True" | "t" | "1") => Ok(Given::Switch(true)),
            Some("false" | "False" | "f" | "0") => Ok(Given::Switch(false)),
            Some(_) | None => expected("true or false".to_owned(), &value),
        },
        (Type::Whole(least, most), value) => match written(&value).and_then(whole) {
            Some(number) if (least..=most).contains(&number) => Ok(Given::Whole(number)),
            Some(_) | None => expected(format!("a whole number from {least} to {most}"), &value),
        },
        (Type::Word(words), value) => {
            let by_number = || usize::try_from(written(&value).and_then(whole)?).ok();
            let by_name = words.iter().find(|word| written(&value) == Some(*word));
            match by_name.or_else(|| words.get(by_number()?)) {
                Some(word) => Ok(Given::Word(word)),
                None => {
                    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                    expected(format!("one of {}", words.join(", ")), &value)
                }
            }
        }
    }
}

/// What stands there without quotes.
fn written(value: &Value) -> Option<&str> {
    match value {
        Value::Word(text) | Value::Number(text) => Some(text),
        Value::Text(_) | Value::Message(_) => None,
    }
}

/// A number as C writes it: decimal, hexadecimal with `0x` or octal with `0`.
fn whole(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        None => (10, digits),
    };
    let is_plain = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    let number = is_plain.then(|| i128::from_str_radix(digits, radix).ok()).flatten()?;
    Some(sign * number)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Message(_) => "a message".to_owned(),
        Value::Text(text) => format!("`{}`", printable(&format!("{text:?}"))),
        Value::Word(text) | Value::Number(text) => format!("`{}`", printable(text)),
    }
}
