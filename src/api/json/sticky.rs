//! Finds the member of a body by which requests stick to a version.
//!
//! The request is not understood yet, since which version is to understand it depends on this member. So everything
//! else is passed over. A body that is no object, or has no such member, has no key.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// The value of the member: a text, a whole number or a truth value. Others, and an empty text, are no keys.
pub(in crate::api) fn field(name: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    // What stands behind the object is for those to complain about who read all of it.
    Member { name, value: Key }.deserialize(&mut deserializer).ok().flatten()
}

/// The same of a parameter, where a request has parameters.
pub(in crate::api) fn parameter(name: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parameters = Member { name: "parameters", value: Member { name, value: Key } };
    parameters.deserialize(&mut deserializer).ok().flatten()
}

/// Looks for the member in an object.
#[derive(Clone, Copy)]
struct Member<'n, V> {
    name: &'n str,
    value: V,
}

impl<'de, V> DeserializeSeed<'de> for Member<'_, V>
where
    V: DeserializeSeed<'de, Value = Option<Vec<u8>>> + Copy,
{
    type Value = Option<Vec<u8>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, V> Visitor<'de> for Member<'_, V>
where
    V: DeserializeSeed<'de, Value = Option<Vec<u8>>> + Copy,
{
    type Value = Option<Vec<u8>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == self.name {
                found = map.next_value_seed(self.value)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Reads a value that can be a key.
#[derive(Clone, Copy)]
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<Vec<u8>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Option<Vec<u8>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a whole number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.as_bytes().to_vec()).filter(|text| !text.is_empty()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string().into_bytes()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string().into_bytes()))
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(Some(truth.to_string().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_found_wherever_it_stands() {
        for (body, expected) in [
            (r#"{"user": "ada", "instances": [[1, 2]]}"#, Some("ada")),
            (r#"{"instances": [{"user": "not me"}], "user": 17}"#, Some("17")),
            (r#"{"\u0075ser": -3}"#, Some("-3")),
            (r#"{"user": true} and more"#, Some("true")),
            (r#"{"user": "a", "user": "b"}"#, Some("b")),
            (r#"{"user": ""}"#, None),
            (r#"{"user": null}"#, None),
            (r#"{"user": [1]}"#, None),
            (r#"{"other": "ada"}"#, None),
            (r#"["user", "ada"]"#, None),
            (r#"{"user": "ada""#, None),
            ("", None),
        ] {
            let expected = expected.map(|key: &str| key.as_bytes().to_vec());
            assert_eq!(field("user", body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn a_parameter_is_found_where_there_are_parameters() {
        for (body, expected) in [
            (r#"{"inputs": [], "parameters": {"a": 1, "user": "ada"}}"#, Some("ada")),
            (r#"{"user": "ada"}"#, None),
            (r#"{"parameters": ["user"]}"#, None),
        ] {
            let expected = expected.map(|key: &str| key.as_bytes().to_vec());
            assert_eq!(parameter("user", body.as_bytes()), expected, "{body}");
        }
    }
}
