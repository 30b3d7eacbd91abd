//! The life of a version, from the file that was found to the memory that was handed back.

use std::fmt;

/// Where a version stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionState {
    /// Its file is known; nothing asked for it yet.
    Found,
    /// Its content is being read and judged.
    Checking,
    /// ONNX Runtime is building its session.
    Loading,
    /// It answers trial requests until it is as fast as it gets.
    WarmingUp,
    /// It can answer.
    Ready,
    /// No route names it any more; what it has accepted is still answered.
    Draining,
    /// Its memory was handed back.
    Unloaded,
    /// It is broken: tried again only when its content changes or an operator says so.
    Quarantined(String),
    /// It is not broken, and not loaded: it could not be this time, which is tried again by itself; or its signature does
    /// not fit the stable version's, which is not.
    Refused(String),
}

impl VersionState {
    /// Every state's name, for metrics that must say 0 as well.
    pub const NAMES: [&'static str; 9] = [
        "found",
        "checking",
        "loading",
        "warming-up",
        "ready",
        "draining",
        "unloaded",
        "quarantined",
        "refused",
    ];

    /// The state's name in the API, in metrics and in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Checking => "checking",
            Self::Loading => "loading",
            Self::WarmingUp => "warming-up",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Unloaded => "unloaded",
            Self::Quarantined(_) => "quarantined",
            Self::Refused(_) => "refused",
        }
    }

    /// Why it is not served, where there is something to say.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Quarantined(reason) | Self::Refused(reason) => Some(reason),
            Self::Found
            | Self::Checking
            | Self::Loading
            | Self::WarmingUp
            | Self::Ready
            | Self::Draining
            | Self::Unloaded => None,
        }
    }

    /// Whether work on it is under way and its end is to be waited for.
    pub fn is_on_its_way(&self) -> bool {
        match self {
            Self::Checking | Self::Loading | Self::WarmingUp => true,
            Self::Found
            | Self::Ready
            | Self::Draining
            | Self::Unloaded
            | Self::Quarantined(_)
            | Self::Refused(_) => false,
        }
    }
}

impl fmt::Display for VersionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_name_in_the_list() {
        for state in [
            VersionState::Found,
            VersionState::Checking,
            VersionState::Loading,
            VersionState::WarmingUp,
            VersionState::Ready,
            VersionState::Draining,
            VersionState::Unloaded,
            VersionState::Quarantined("broken".into()),
            VersionState::Refused("too large".into()),
        ] {
            assert!(VersionState::NAMES.contains(&state.name()), "{state}");
        }
    }
}
