//! Names: which model, which version, which content.
//!
//! All three are parsed once at the edge and right by construction afterwards. None of them can hold a
//! path separator, so a name from a request never becomes a path.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::wording::printable;
use serde::{Deserialize, Serialize};

/// The name by which users call a model: 1 to 128 of `A-Z a-z 0-9 . _ -`, without a leading dot.
///
/// Cheap to clone: the text is shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(Arc<str>);

/// Why a text is not a [`ModelName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a model name: use 1 to 128 of A-Z, a-z, 0-9, `.`, `_` and `-`, not starting with a dot"
)]
pub struct InvalidModelName(pub String);

impl ModelName {
    const MAX_LENGTH: usize = 128;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ModelName {
    type Error = <Self as FromStr>::Err;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl FromStr for ModelName {
    type Err = InvalidModelName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_plain_name(text, Self::MAX_LENGTH) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidModelName(printable(text, SHOWN)))
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lets a map keyed by names be asked with the text of a request, without making a name first.
impl std::borrow::Borrow<str> for ModelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The label of one version of a model: 1 to 64 of `A-Z a-z 0-9 . _ -`, without a leading dot, and none
/// of the reserved words `stable`, `candidate`, `previous`, `latest`.
///
/// Labels are ordered *naturally*: runs of digits compare as numbers, so that `2 < 10`,
/// `1.9.0 < 1.10.0` and `2024-09-30 < 2024-11-03`. The greater label is the newer version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionLabel(Arc<str>);

/// Why a text is not a [`VersionLabel`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVersionLabel {
    /// It holds something else than the allowed characters, or is too long or empty.
    #[error(
        "`{0}` is not a version: use 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`, not starting with a dot"
    )]
    Malformed(String),
    /// It is a word that routes use.
    #[error("`{0}` is not a version: the word is reserved for routing")]
    Reserved(String),
}

impl VersionLabel {
    const MAX_LENGTH: usize = 64;
    const RESERVED: [&'static str; 4] = ["stable", "candidate", "previous", "latest"];

    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for VersionLabel {
    type Error = <Self as FromStr>::Err;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<VersionLabel> for String {
    fn from(name: VersionLabel) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl FromStr for VersionLabel {
    type Err = InvalidVersionLabel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !is_plain_name(text, Self::MAX_LENGTH) {
            return Err(InvalidVersionLabel::Malformed(printable(text, SHOWN)));
        }
        if Self::RESERVED.contains(&text) {
            return Err(InvalidVersionLabel::Reserved(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for VersionLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for VersionLabel {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Ord for VersionLabel {
    fn cmp(&self, other: &Self) -> Ordering {
        natural_order(&self.0, &other.0)
    }
}

impl PartialOrd for VersionLabel {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Digit runs as numbers, everything else by bytes. Labels that differ only in leading zeros are told
/// apart by their text, so that the order stays total and agrees with equality.
fn natural_order(left: &str, right: &str) -> Ordering {
    let (mut a, mut b) = (left.as_bytes(), right.as_bytes());
    loop {
        match (a.first(), b.first()) {
            (None, None) => return left.cmp(right),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (run_a, rest_a) = split_digits(a);
                let (run_b, rest_b) = split_digits(b);
                // Without leading zeros the longer run is the greater number, however long it is.
                match run_a.len().cmp(&run_b.len()).then_with(|| run_a.cmp(run_b)) {
                    Ordering::Equal => (a, b) = (rest_a, rest_b),
                    unequal => return unequal,
                }
            }
            (Some(x), Some(y)) => match x.cmp(y) {
                Ordering::Equal => (a, b) = (&a[1..], &b[1..]),
                unequal => return unequal,
            },
        }
    }
}

/// The leading run of digits without its zeros, and what follows the run.
fn split_digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|b| !b.is_ascii_digit()).unwrap_or(bytes.len());
    let (run, rest) = bytes.split_at(end);
    let zeros = run.iter().position(|&b| b != b'0').unwrap_or(run.len());
    (&run[zeros..], rest)
}

fn is_plain_name(text: &str, max_length: usize) -> bool {
    !text.is_empty()
        && text.len() <= max_length
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// How much of a wrong name is repeated to the one who gave it.
const SHOWN: usize = 80;

/// SHA-256 of a version's content: what a version *is*, whatever it is called. Shown as `sha256:…`,
/// the same digits that `sha256sum` prints.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Wraps the 32 bytes of a SHA-256 sum.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 digits alone, as `sha256sum` prints them.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Why a text is not a [`Digest`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: expected `sha256:` and 64 hexadecimal digits, or the digits alone")]
pub struct InvalidDigest(pub String);

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text).as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(InvalidDigest(printable(text, SHOWN)));
        }
        let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default() as u8;
        let byte = |at: usize| (value(digits[2 * at]) << 4) | value(digits[2 * at + 1]);
        Ok(Self(std::array::from_fn(byte)))
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label(text: &str) -> VersionLabel {
        text.parse().unwrap()
    }

    #[test]
    fn a_model_name_is_a_plain_word() {
        for good in ["fraud", "a", "resnet-50.v1_5", &"x".repeat(128)] {
            assert!(good.parse::<ModelName>().is_ok(), "{good}");
        }
        for bad in ["", ".hidden", "a/b", "..", "a b", "naïve", "a\0", &"x".repeat(129)] {
            assert!(bad.parse::<ModelName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_client_sent_is_shortened_and_made_printable_in_the_error() {
        let error = format!("evil\nline{}", "x".repeat(500)).parse::<ModelName>().unwrap_err();
        assert!(!error.0.contains('\n'));
        assert!(error.0.chars().count() <= 81, "{error}");
    }

    #[test]
    fn labels_are_ordered_as_people_count() {
        for (older, newer) in [
            ("2", "10"),
            ("1.9.0", "1.10.0"),
            ("2024-09-30", "2024-11-03"),
            ("v2", "v10"),
            ("1", "1.0"),
            ("1-rc1", "1-rc2"),
            ("99999999999999999999999998", "99999999999999999999999999"),
            ("007", "8"),
        ] {
            assert!(label(older) < label(newer), "{older} < {newer}");
        }
    }

    #[test]
    fn words_that_routes_use_are_no_labels() {
        for word in ["stable", "candidate", "previous", "latest"] {
            assert_eq!(
                word.parse::<VersionLabel>(),
                Err(InvalidVersionLabel::Reserved(word.to_owned()))
            );
        }
    }

    #[test]
    fn a_digest_shows_the_digits_of_sha256sum() {
        let mut bytes = [0; 32];
        bytes[0] = 0xab;
        let digest = Digest::from_bytes(bytes);
        assert_eq!(digest.to_string(), format!("sha256:ab{}", "00".repeat(31)));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.hex().parse(), Ok(digest));
        assert!("sha256:ab".parse::<Digest>().is_err());
    }

    proptest! {
        #[test]
        fn the_natural_order_is_total(a in "[a-c0-2.-]{1,6}", b in "[a-c0-2.-]{1,6}", c in "[a-c0-2.-]{1,6}") {
            prop_assert_eq!(natural_order(&a, &b), natural_order(&b, &a).reverse());
            prop_assert_eq!(natural_order(&a, &b) == Ordering::Equal, a == b);
            if natural_order(&a, &b).is_lt() && natural_order(&b, &c).is_lt() {
                prop_assert!(natural_order(&a, &c).is_lt());
            }
        }

        #[test]
        fn numbers_are_ordered_by_value(a: u64, b: u64) {
            prop_assert_eq!(natural_order(&a.to_string(), &b.to_string()), a.cmp(&b));
        }
    }
}
