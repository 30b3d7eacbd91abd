//! Protobuf's form on the wire, read from a file without reading the file: what is of no interest is stepped over,
//! so 100 MB of weights cost as much as 100 bytes.
//!
//! It is stricter than a reader of protobuf has to be. What one reader could take for one thing and another for
//! something else (a field in another form, two of what there is only one) is refused, and so are groups, which
//! ONNX never had.

use std::io::{self, Read, Seek, SeekFrom};

use prost::encoding::{WireType, decode_key, decode_varint};

use super::error::Stop;
use super::limits::ContractLimits;
use super::schema::{self, Form, Message, Often, Rule};

/// Reads messages from a file.
#[derive(Debug)]
pub(super) struct Reader<R> {
    source: R,
    length: u64,
    /// A part of the file, from `begins` on.
    window: Vec<u8>,
    begins: u64,
    longest_name: u64,
    most_parts: u64,
    /// Messages and names so far. Each is an object in the memory of who loads the model.
    parts: u64,
}

/// Where something stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The fields of a message that have not been read yet.
#[derive(Debug)]
pub(super) struct Fields {
    message: &'static Message,
    rest: Span,
    /// A bit for each field that was there.
    seen: u32,
}

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) value: Value,
}

/// What is in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A number of any length.
    Number(u64),
    /// 4 bytes.
    Four,
    /// 8 bytes.
    Eight,
    /// Bytes, a text, a message or many numbers.
    Bytes(Span),
}

/// What is wrong with the form of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireFault {
    /// It ends too early.
    #[error("the file is cut short: {announced} bytes are announced, and {left} follow")]
    CutShort { announced: u64, left: u64 },
    /// There is no field where there should be one.
    #[error("the file is no protobuf, as ONNX models are: byte {0} begins no field")]
    NoField(u64),
    /// It goes on for longer than what it is in.
    #[error(
        "the file is no protobuf, as ONNX models are: at byte {at}, a part of `{message}` goes on after its end"
    )]
    Outgrown { message: &'static str, at: u64 },
    /// An old form that no ONNX file has.
    #[error("byte {0} begins a group, a form of protobuf that ONNX does not use")]
    Group(u64),
    /// A known field that does not look as ONNX says.
    #[error("`{field}` of `{message}` has another form than ONNX gives it")]
    Form { message: &'static str, field: &'static str },
    /// There should be one.
    #[error("`{field}` stands twice in `{message}`, where ONNX has one")]
    Twice { message: &'static str, field: &'static str },
    /// It would fill messages and logs.
    #[error("`{field}` of `{message}` has {bytes} bytes, where a name has at most {most}")]
    LongName { message: &'static str, field: &'static str, bytes: u64, most: u64 },
    /// Small things, but too many of them.
    #[error(
        "the model has more than {0} parts (nodes, attributes, tensors, names of inputs and outputs)"
    )]
    TooManyParts(u64),
}

/// What is read at once. More would cost models with many small tensors time, less those with many nodes.
const WINDOW: u64 = 16 * 1024;
/// No key and no number is longer.
const LONGEST_NUMBER: u64 = 10;

impl Span {
    pub(super) fn length(self) -> u64 {
        self.end - self.start
    }
}

impl Fields {
    pub(super) fn of(message: &'static Message, span: Span) -> Self {
        Self { message, rest: span, seen: 0 }
    }
}

impl<R: Read + Seek> Reader<R> {
    pub(super) fn new(source: R, length: u64, limits: &ContractLimits) -> Self {
        Self {
            source,
            length,
            window: Vec::new(),
            begins: 0,
            longest_name: limits.name_bytes,
            most_parts: limits.parts,
            parts: 0,
        }
    }

    pub(super) fn whole(&self) -> Span {
        Span { start: 0, end: self.length }
    }

    /// The next field of a message, unless that was the last. A field that the schema does not know may be
    /// anything but a group.
    pub(super) fn next(&mut self, fields: &mut Fields) -> Result<Option<Field>, Stop> {
        if fields.rest.start == fields.rest.end {
            return Ok(None);
        }
        let begins = fields.rest.start;
        let (number, wire_type) = self.decode(&mut fields.rest, |bytes| decode_key(bytes))?;
        let value = match wire_type {
            WireType::Varint => {
                Value::Number(self.decode(&mut fields.rest, |bytes| decode_varint(bytes))?)
            }
            WireType::ThirtyTwoBit => {
                self.take(fields, 4)?;
                Value::Four
            }
            WireType::SixtyFourBit => {
                self.take(fields, 8)?;
                Value::Eight
            }
            WireType::LengthDelimited => {
                let length = self.decode(&mut fields.rest, |bytes| decode_varint(bytes))?;
                Value::Bytes(self.take(fields, length)?)
            }
            WireType::StartGroup | WireType::EndGroup => {
                return Err(WireFault::Group(begins).into());
            }
        };
        let field = Field { number, value };
        if let Some(rule) = fields.message.rule(number) {
            self.check(fields, rule, field)?;
        }
        Ok(Some(field))
    }

    /// The next of some numbers that stand one behind the other, unless that was the last.
    pub(super) fn next_number(&mut self, packed: &mut Span) -> Result<Option<u64>, Stop> {
        if packed.start == packed.end {
            return Ok(None);
        }
        self.decode(packed, |bytes| decode_varint(bytes)).map(Some)
    }

    /// A name. What is no UTF-8 in it is replaced, and what is longer than names are is left out.
    pub(super) fn name(&mut self, span: Span) -> io::Result<String> {
        let length = span.length().min(self.longest_name);
        let bytes = self.window_at(span.start, length)?;
        let bytes = &bytes[..bytes.len().min(length as usize)];
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// The first bytes of the file.
    pub(super) fn beginning(&mut self) -> io::Result<&[u8]> {
        self.window_at(0, WINDOW.min(self.length))
    }

    fn check(&mut self, fields: &mut Fields, rule: Rule, field: Field) -> Result<(), Stop> {
        let Rule { name, form, often } = rule;
        let message = fields.message.name;
        let fits = match form {
            Form::Number => matches!(field.value, Value::Number(_)),
            Form::Numbers => matches!(field.value, Value::Number(_) | Value::Bytes(_)),
            Form::Floats => match field.value {
                Value::Bytes(span) => span.length().is_multiple_of(4),
                Value::Number(_) | Value::Four | Value::Eight => field.value == Value::Four,
            },
            Form::Doubles => match field.value {
                Value::Bytes(span) => span.length().is_multiple_of(8),
                Value::Number(_) | Value::Four | Value::Eight => field.value == Value::Eight,
            },
            Form::Bytes | Form::Name | Form::Message => matches!(field.value, Value::Bytes(_)),
        };
        if !fits {
            return Err(WireFault::Form { message, field: name }.into());
        }
        let bit = 1 << field.number;
        if often == Often::Once && fields.seen & bit != 0 {
            return Err(WireFault::Twice { message, field: name }.into());
        }
        fields.seen |= bit;
        if matches!(form, Form::Name | Form::Message) {
            self.parts += 1;
            if self.parts > self.most_parts {
                return Err(WireFault::TooManyParts(self.most_parts).into());
            }
        }
        if let (Form::Name, Value::Bytes(span)) = (form, field.value)
            && span.length() > self.longest_name
        {
            let (bytes, most) = (span.length(), self.longest_name);
            return Err(WireFault::LongName { message, field: name, bytes, most }.into());
        }
        Ok(())
    }

    /// Steps over some bytes.
    fn take(&self, fields: &mut Fields, length: u64) -> Result<Span, Stop> {
        let Span { start, end } = fields.rest;
        if length > end - start {
            let is_outermost =
                end == self.length && fields.message.name == schema::model::MESSAGE.name;
            return Err(match is_outermost {
                true => WireFault::CutShort { announced: length, left: end - start },
                false => WireFault::Outgrown { message: fields.message.name, at: start },
            }
            .into());
        }
        fields.rest.start += length;
        Ok(Span { start, end: start + length })
    }

    fn decode<T>(
        &mut self,
        rest: &mut Span,
        decode: impl FnOnce(&mut &[u8]) -> Result<T, prost::DecodeError>,
    ) -> Result<T, Stop> {
        let at = rest.start;
        let mut bytes = self.window_at(at, rest.length().min(LONGEST_NUMBER))?;
        let before = bytes.len();
        let decoded = decode(&mut bytes).map_err(|_| WireFault::NoField(at))?;
        rest.start += (before - bytes.len()) as u64;
        // The window may reach further than the message does.
        if rest.start > rest.end {
            return Err(WireFault::NoField(at).into());
        }
        Ok(decoded)
    }

    /// The bytes from `at` on: as many as asked for, or more.
    fn window_at(&mut self, at: u64, length: u64) -> io::Result<&[u8]> {
        let ends = self.begins + self.window.len() as u64;
        if at < self.begins || at + length > ends {
            self.fill(at, length)?;
        }
        Ok(&self.window[(at - self.begins) as usize..])
    }

    fn fill(&mut self, at: u64, length: u64) -> io::Result<()> {
        let most = WINDOW.max(length).min(self.length - at);
        self.window.clear();
        self.begins = at;
        self.source.seek(SeekFrom::Start(at))?;
        (&mut self.source).take(most).read_to_end(&mut self.window)?;
        if (self.window.len() as u64) < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}
