//! From which class to which rows moved, where there may be more kinds of moves than memory.

use serde::{Deserialize, Serialize};

use super::classes::{Class, ClassRef};

/// How many kinds of moves are counted at a time.
const ROOM: usize = 128;

/// The most frequent moves.
///
/// Space-Saving (Metwally, Agrawal, El Abbadi, 2005): a new kind takes the place of the rarest one, and its count as
/// what it may have been counted too much. Rows that did not move are counted elsewhere, so that they, by far the
/// most frequent, leave the room to those that did.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Transitions {
    /// By `from` and `to`.
    cells: Vec<Cell>,
}

/// One kind of move.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
struct Cell {
    from: Class,
    to: Class,
    /// How often, at most.
    count: u64,
    /// How much of that may be others' moves.
    excess: u64,
}

impl Cell {
    fn key(&self) -> (ClassRef<'_>, ClassRef<'_>) {
        (self.from.as_ref(), self.to.as_ref())
    }
}

impl Transitions {
    /// Counts the move of one row.
    pub(super) fn add(&mut self, from: ClassRef<'_>, to: ClassRef<'_>) {
        let key = (from.shortened(), to.shortened());
        match self.cells.binary_search_by(|cell| cell.key().cmp(&key)) {
            Ok(place) => self.cells[place].count += 1,
            Err(place) => {
                let cell = |excess| Cell {
                    from: from.to_class(),
                    to: to.to_class(),
                    count: excess + 1,
                    excess,
                };
                if self.cells.len() < ROOM {
                    self.cells.insert(place, cell(0));
                } else if let Some(rarest) = self.take_rarest() {
                    let place = place - usize::from(rarest.key() < key);
                    self.cells.insert(place, cell(rarest.count));
                }
            }
        }
    }

    fn take_rarest(&mut self) -> Option<Cell> {
        let counts = self.cells.iter().enumerate();
        let (place, _) = counts.min_by_key(|(_, cell)| cell.count)?;
        Some(self.cells.remove(place))
    }

    /// What both have counted: a kind that one of them does not have may have happened there as often as its rarest.
    pub(super) fn merge(&mut self, other: &Self) {
        let (ours, theirs) = (self.least(), other.least());
        for cell in &mut self.cells {
            match other.cells.binary_search_by(|their| their.key().cmp(&cell.key())) {
                Ok(place) => {
                    cell.count += other.cells[place].count;
                    cell.excess += other.cells[place].excess;
                }
                Err(_) => {
                    cell.count += theirs;
                    cell.excess += theirs;
                }
            }
        }
        for cell in &other.cells {
            if let Err(place) = self.cells.binary_search_by(|our| our.key().cmp(&cell.key())) {
                let (count, excess) = (cell.count + ours, cell.excess + ours);
                self.cells.insert(place, Cell { count, excess, ..cell.clone() });
            }
        }
        while self.cells.len() > ROOM {
            self.take_rarest();
        }
    }

    /// How often a kind that is not here may have happened.
    fn least(&self) -> u64 {
        let is_full = self.cells.len() >= ROOM;
        self.cells.iter().map(|cell| cell.count).min().filter(|_| is_full).unwrap_or(0)
    }

    /// The moves, most frequent first, with how often they happened at least.
    pub(super) fn by_count(&self) -> Vec<(&Class, &Class, u64)> {
        let sure = self.cells.iter().map(|cell| (&cell.from, &cell.to, cell.count - cell.excess));
        let mut moves: Vec<_> = sure.filter(|(_, _, count)| *count > 0).collect();
        moves.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use ClassRef::Number;

    fn of(moves: impl IntoIterator<Item = (i64, i64)>) -> Transitions {
        let mut transitions = Transitions::default();
        moves.into_iter().for_each(|(from, to)| transitions.add(Number(from), Number(to)));
        transitions
    }

    fn told(transitions: &Transitions, most: usize) -> Vec<(Class, Class, u64)> {
        let moves = transitions.by_count().into_iter().take(most);
        moves.map(|(from, to, count)| (from.clone(), to.clone(), count)).collect()
    }

    #[test]
    fn few_kinds_are_counted_exactly_however_they_are_split() {
        let moves = [(0, 1), (1, 0), (0, 1), (2, 1), (0, 1)];
        let (front, back) = moves.split_at(2);
        let mut merged = of(front.iter().copied());
        merged.merge(&of(back.iter().copied()));
        assert_eq!(merged, of(moves));
        assert_eq!(told(&merged, 1), [(Class::Number(0), Class::Number(1), 3)]);
    }

    #[test]
    fn a_frequent_move_is_found_among_thousands() {
        let rare = (0..20_000).map(|number| if number % 20 == 0 { (7, 3) } else { (number, 0) });
        let transitions = of(rare);
        assert_eq!(transitions.cells.len(), ROOM);
        let [(from, to, count)] = &told(&transitions, 1)[..] else { panic!() };
        assert_eq!((from, to), (&Class::Number(7), &Class::Number(3)));
        assert!((900..=1000).contains(count), "{count}");
    }

    #[test]
    fn merging_never_tells_more_than_happened() {
        let rare = |offset: i64| {
            (0..5000).map(move |n| if n % 10 == 0 { (7, 3) } else { (n + offset, 0) })
        };
        let mut merged = of(rare(0));
        merged.merge(&of(rare(5000)));
        assert_eq!(merged.cells.len(), ROOM);
        let [(_, _, count)] = &told(&merged, 1)[..] else { panic!() };
        assert!((800..=1000).contains(count), "{count}");
    }
}
