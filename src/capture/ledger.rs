//! Who is told what the thread that writes has done, and says what may go.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::sync::Arc;

use super::place::Series;
use super::shelf::{Gone, Shelf};
use super::stock::{LostBy, Position, Stock};
use crate::domain::model::ModelName;
use crate::domain::rollout::RolloutId;
use crate::telemetry::metrics::capture::{CaptureMeter, Dropped};

/// See the module.
#[derive(Clone, Debug)]
pub(super) enum Ledger {
    /// Of recorded requests, which are read by others and taken by nobody.
    Capture(Arc<CaptureMeter>),
    /// Of those that are taken out again.
    Spool(Arc<Stock>),
}

fn model(series: &Series) -> Option<&ModelName> {
    match series {
        Series::Model(model) => Some(model),
        Series::Rollout(_) => None,
    }
}

fn rollout(series: &Series) -> Option<RolloutId> {
    match series {
        Series::Rollout(rollout) => Some(*rollout),
        Series::Model(_) => None,
    }
}

impl Ledger {
    /// Whether more is to be written of a series.
    pub(super) fn is_wanted(&self, series: &Series) -> bool {
        match self {
            Self::Capture(_) => true,
            Self::Spool(stock) => rollout(series).is_some_and(|rollout| stock.is_open(rollout)),
        }
    }

    /// So many were written.
    pub(super) fn recorded(&self, series: &Series, count: u64) {
        match (self, model(series)) {
            (Self::Capture(meter), Some(model)) => meter.recorded(model, count),
            (Self::Capture(_) | Self::Spool(_), _) => {}
        }
    }

    /// So many were to be written and were not.
    pub(super) fn dropped(&self, series: &Series, reason: Dropped, count: u64) {
        match self {
            Self::Capture(meter) => meter.dropped(reason, count),
            Self::Spool(_) => self.gone(series, count, LostBy::Dropped(reason)),
        }
    }

    /// So many will never be taken out.
    pub(super) fn gone(&self, series: &Series, count: u64, reason: LostBy) {
        match (self, rollout(series)) {
            (Self::Spool(stock), Some(rollout)) => stock.lost(rollout, count, reason),
            (Self::Capture(_) | Self::Spool(_), _) => {}
        }
    }

    /// Files were opened: what is in them is found out, where that matters.
    pub(super) fn opened(&self, shelf: &mut Shelf) -> io::Result<()> {
        match self {
            Self::Capture(_) => {}
            Self::Spool(stock) => {
                let mut highest: BTreeMap<RolloutId, u64> = BTreeMap::new();
                shelf.count(|series, head| {
                    if let Some(rollout) = rollout(series) {
                        let known = highest.entry(rollout).or_default();
                        *known = head.number.max(*known);
                    }
                })?;
                highest.into_iter().for_each(|(rollout, number)| stock.had(rollout, number));
                self.taken(shelf);
                self.shows(shelf);
            }
        }
        Ok(())
    }

    /// Tells what there is now.
    pub(super) fn shows(&self, shelf: &Shelf) {
        match self {
            Self::Capture(meter) => meter.bytes(shelf.bytes()),
            Self::Spool(stock) => {
                let records = shelf.records();
                stock.shows(records.filter_map(|(series, number, records)| {
                    Some((rollout(series)?, number, records))
                }));
            }
        }
    }

    /// Tells the files up to where records were taken out.
    pub(super) fn taken(&self, shelf: &mut Shelf) {
        match self {
            Self::Capture(_) => {}
            Self::Spool(stock) => {
                let taken = stock.taken().into_iter();
                shelf.taken =
                    taken.map(|(rollout, place)| (Series::Rollout(rollout), place)).collect();
            }
        }
    }

    /// Whether anything may have to go.
    pub(super) fn has_orders(&self) -> bool {
        match self {
            Self::Capture(_) => false,
            Self::Spool(stock) => stock.has_orders(),
        }
    }

    /// Whether a segment is not needed any more.
    pub(super) fn is_done_with(&self, series: &Series, number: u64, records: u64) -> bool {
        match (self, rollout(series)) {
            (Self::Spool(stock), Some(rollout)) => stock.is_done_with(rollout, number, records),
            (Self::Capture(_) | Self::Spool(_), _) => false,
        }
    }

    /// Writes files again. Nothing is taken out of them meanwhile.
    pub(super) fn while_changing(
        &self,
        shelf: &mut Shelf,
        change: impl FnOnce(&mut Shelf) -> io::Result<(u64, Gone)>,
    ) -> io::Result<u64> {
        let stock = match self {
            Self::Capture(_) => return change(shelf).map(|(bound, _)| bound),
            Self::Spool(stock) => stock,
        };
        stock.begin_change();
        self.taken(shelf);
        let changed = change(shelf);
        self.shows(shelf);
        let of_rollout = |(series, place): (&Series, &Position)| Some((rollout(series)?, *place));
        stock.end_change(&shelf.taken.iter().filter_map(of_rollout).collect());
        let (bound, gone) = changed?;
        gone.iter().for_each(|(series, count)| self.gone(series, *count, LostBy::Room));
        Ok(bound)
    }

    /// What the log says when the disk cannot be written.
    pub(super) fn cannot_write(&self, folder: &dyn Display, error: &io::Error) -> String {
        match self {
            Self::Capture(_) => format!(
                "requests cannot be recorded in `{folder}`: {error}; they are answered all the same. Make room there, or lower `capture.max_bytes`: recording goes on by itself"
            ),
            Self::Spool(_) => format!(
                "sampled requests cannot be put aside in `{folder}`: {error}; they are answered all the same, and not run again. Make room there: it goes on by itself"
            ),
        }
    }

    /// And when it can be again.
    pub(super) fn works_again(&self) -> &'static str {
        match self {
            Self::Capture(_) => "requests are recorded again",
            Self::Spool(_) => "sampled requests are put aside again",
        }
    }
}
