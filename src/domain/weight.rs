//! The candidate's share of the traffic.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A share of the traffic, exact to a millionth. People write and read it in per cent.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
#[serde(transparent)]
pub struct Weight {
    millionths: u32,
}

/// A number that is no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a share in per cent, from 0 to 100")]
pub struct InvalidWeight;

impl Weight {
    /// No traffic.
    pub const NONE: Self = Self { millionths: 0 };
    /// The smallest share above none: one request in a million.
    pub const LEAST: Self = Self { millionths: 1 };
    /// All traffic.
    pub const ALL: Self = Self { millionths: Self::WHOLE };

    const WHOLE: u32 = 1_000_000;

    /// A whole number of per cent, at most 100.
    pub const fn whole(per_cent: u8) -> Self {
        let per_cent = if per_cent > 100 { 100 } else { per_cent };
        Self { millionths: per_cent as u32 * (Self::WHOLE / 100) }
    }

    /// The share that is written as a number of per cent: 5 for one in twenty.
    ///
    /// # Errors
    /// [`InvalidWeight`] below 0 and above 100.
    pub fn from_per_cent(per_cent: f64) -> Result<Self, InvalidWeight> {
        if !(0.0..=100.0).contains(&per_cent) {
            return Err(InvalidWeight);
        }
        // Lies within the range of the integer, as the share lies within that of a share.
        Ok(Self { millionths: (per_cent * f64::from(Self::WHOLE) / 100.0).round() as u32 })
    }

    /// The number of per cent.
    pub fn per_cent(self) -> f64 {
        f64::from(self.millionths) * 100.0 / f64::from(Self::WHOLE)
    }

    /// The share of one.
    pub fn fraction(self) -> f64 {
        f64::from(self.millionths) / f64::from(Self::WHOLE)
    }

    /// Whether a draw from all 64-bit numbers falls on the candidate. A draw that does so for one weight does so
    /// for every greater one.
    pub fn takes(self, draw: u64) -> bool {
        u128::from(draw) * u128::from(Self::WHOLE) < u128::from(self.millionths) << 64
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.per_cent())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn weight(per_cent: f64) -> Weight {
        Weight::from_per_cent(per_cent).unwrap()
    }

    #[test]
    fn it_is_written_in_per_cent() {
        assert_eq!(weight(5.0).fraction(), 0.05);
        assert_eq!(weight(12.5).to_string(), "12.5 %");
        assert_eq!((weight(0.0), weight(100.0)), (Weight::NONE, Weight::ALL));
        for wrong in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Weight::from_per_cent(wrong), Err(InvalidWeight), "{wrong}");
        }
    }

    #[test]
    fn none_takes_nothing_and_all_takes_everything() {
        for draw in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(!Weight::NONE.takes(draw));
            assert!(Weight::ALL.takes(draw));
        }
        assert!(weight(50.0).takes(u64::MAX / 2) && !weight(50.0).takes(u64::MAX / 2 + 1));
    }

    proptest! {
        #[test]
        fn a_greater_weight_takes_what_a_smaller_one_takes(
            draw: u64, a in 0..=1_000_000u32, b in 0..=1_000_000u32,
        ) {
            let [a, b] = [a, b].map(|millionths| Weight { millionths });
            if a <= b && a.takes(draw) {
                prop_assert!(b.takes(draw));
            }
        }

        #[test]
        fn what_is_shown_is_what_was_written(millionths in 0..=1_000_000u32) {
            let weight = Weight { millionths };
            prop_assert_eq!(Weight::from_per_cent(weight.per_cent()), Ok(weight));
        }
    }
}
