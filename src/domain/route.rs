//! Which version a request goes to, and as what that version answers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::model::{InvalidVersionLabel, VersionLabel};

/// By what requests stick to one of two versions. All requests with the same value go to the same version, until a
/// growing weight takes them to the candidate for good.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StickyKey {
    /// A header, in lower case.
    Header(String),
    /// A member of the JSON body.
    Field(String),
}

/// As what a version ran a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The trusted version, chosen by the route, or because a version on trial had no answer.
    Stable,
    /// The version on trial, chosen by the route.
    Candidate,
    /// Chosen by the caller, whatever the route says. Never evidence for or against a version.
    Pinned,
}

impl Role {
    /// The name in headers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Candidate => "candidate",
            Self::Pinned => "pinned",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that stands for whichever version has that part at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteLabel {
    /// The trusted version.
    Stable,
    /// The version on trial.
    Candidate,
    /// The last trusted version, kept for undo.
    Previous,
}

impl RouteLabel {
    /// The word in URLs and headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Candidate => "candidate",
            Self::Previous => "previous",
        }
    }
}

/// A text that is none of the words `stable`, `candidate`, `previous`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the labels are `stable`, `candidate` and `previous`")]
pub struct UnknownRouteLabel;

impl FromStr for RouteLabel {
    type Err = UnknownRouteLabel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Stable, Self::Candidate, Self::Previous]
            .into_iter()
            .find(|label| label.name() == text)
            .ok_or(UnknownRouteLabel)
    }
}

/// The version that a caller insists on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pin {
    /// Exactly this version.
    Version(VersionLabel),
    /// Whichever version has this part.
    Label(RouteLabel),
}

impl FromStr for Pin {
    type Err = InvalidVersionLabel;

    /// Reads a version or one of the labels; the two cannot be confused, since labels are reserved words.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(label) => Ok(Self::Label(label)),
            Err(UnknownRouteLabel) => text.parse().map(Self::Version),
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "version `{version}`"),
            Self::Label(label) => write!(f, "label `{}`", label.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_a_version_or_a_label() {
        assert_eq!("stable".parse(), Ok(Pin::Label(RouteLabel::Stable)));
        assert_eq!("previous".parse(), Ok(Pin::Label(RouteLabel::Previous)));
        assert_eq!("2".parse(), Ok(Pin::Version("2".parse().unwrap())));
        assert!("latest".parse::<Pin>().is_err());
        assert!("a/b".parse::<Pin>().is_err());
    }
}
