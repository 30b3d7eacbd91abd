//! Which records are kept when there is no room for all: those that were drawn lowest.
//!
//! Each record carries the number that was drawn for it, and only those below a bound are made. When the records take
//! more room than they may, the bound is lowered and whatever is not below it goes, old and new alike. What is left was
//! kept with the same chance, whenever it came: a fair sample of the whole window, not of its first or last hour.
//! (Sampling with a threshold; it is the "bottom-k" sketch with a bound on bytes in place of k.)

/// Into how many steps a bound can be lowered.
const STEPS: usize = 4096;

/// How many bytes were drawn how low.
#[derive(Clone, Debug)]
pub struct Drawn {
    bound: u64,
    bytes: Vec<u64>,
}

impl Drawn {
    /// Of records that were drawn below a bound.
    pub fn below(bound: u64) -> Self {
        Self { bound, bytes: vec![0; STEPS] }
    }

    /// Counts a record. One that was not drawn below the bound will not be kept.
    pub fn add(&mut self, priority: u64, bytes: u64) {
        if priority < self.bound {
            self.bytes[Self::step(priority, self.bound)] += bytes;
        }
    }

    fn step(priority: u64, bound: u64) -> usize {
        // Below `STEPS`, since the priority is below the bound.
        (u128::from(priority) * STEPS as u128 / u128::from(bound)) as usize
    }

    /// The highest bound below which there are no more than so many bytes; never none at all, so that it goes on.
    pub fn bound_for(&self, most: u64) -> u64 {
        let mut sum = 0u64;
        let fits = self.bytes.iter().take_while(|bytes| {
            sum = sum.saturating_add(**bytes);
            sum <= most
        });
        let steps = fits.count();
        if steps == STEPS {
            return self.bound;
        }
        // The lowest draw of the step that does not fit any more.
        let bound = (u128::from(self.bound) * steps as u128).div_ceil(STEPS as u128) as u64;
        bound.max(self.bound / STEPS as u64).max(1)
    }
}

/// The bound when there is plenty of room again: twice as high, up to what the settings say.
pub fn raised(bound: u64, ceiling: u64) -> u64 {
    bound.saturating_mul(2).min(ceiling)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::sampling::{Purpose, draw};

    #[test]
    fn what_is_left_is_as_much_of_every_hour() {
        const EACH: u64 = 20_000;
        let (hours, most) = (10, 100 * 10_000);
        let priority = |number| draw(number, 5, Purpose::Capture);
        let (mut bound, mut drawn) = (u64::MAX, Drawn::below(u64::MAX));
        let mut kept: Vec<u64> = Vec::new();
        for number in 0..hours * EACH {
            if priority(number) >= bound {
                continue;
            }
            kept.push(number);
            drawn.add(priority(number), 100);
            if kept.len() as u64 * 100 > most {
                bound = drawn.bound_for(most / 4 * 3);
                kept.retain(|number| priority(*number) < bound);
                drawn = Drawn::below(bound);
                kept.iter().for_each(|number| drawn.add(priority(*number), 100));
            }
        }
        assert!((6_000..=10_000).contains(&kept.len()), "{}", kept.len());
        let expected = kept.len() as f64 / hours as f64;
        for hour in 0..hours {
            let of_hour = kept.iter().filter(|number| **number / EACH == hour).count() as f64;
            assert!((of_hour - expected).abs() < 5.0 * expected.sqrt(), "hour {hour}: {of_hour}");
        }
    }

    #[test]
    fn a_bound_goes_up_again_to_where_the_settings_have_it() {
        assert_eq!(raised(3, 100), 6);
        assert_eq!(raised(60, 100), 100);
        assert_eq!(raised(u64::MAX, u64::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn what_is_below_a_bound_fits(
            records in proptest::collection::vec((any::<u64>(), 1u64..1000), 1..300),
            bound in 1u64..,
            most in 1u64..100_000,
        ) {
            let mut drawn = Drawn::below(bound);
            records.iter().for_each(|(priority, bytes)| drawn.add(*priority, *bytes));
            let lowered = drawn.bound_for(most);
            let below = |bound| records.iter().filter(move |(priority, _)| *priority < bound);
            let bytes: u64 = below(lowered).map(|(_, bytes)| bytes).sum();
            prop_assert!(lowered >= 1 && lowered <= bound);
            // The lowest step of all is kept in any case.
            prop_assert!(bytes <= most || lowered <= bound / STEPS as u64 + 1);
        }
    }
}
