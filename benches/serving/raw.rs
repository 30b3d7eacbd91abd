//! The raw `Run` loop: ONNX Runtime behind the crate's own session and nothing else, neither wire nor scheduler.
//!
//! What a server can at best make of a model. Each thread runs one row again and again; how many threads there are, and
//! how many the library has for one run, is tried out before, and the best pair counts.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use greenroom::domain::signature::{Dim, TensorSpec};
use greenroom::domain::tensor::Tensor;
use greenroom::onnx::{Runtime, Session, SessionOptions, StopFlag, random_tensor};
use greenroom::system::cores::Cores;

use crate::figures::{Span, Tally};
use crate::measure::sleep_until;

/// A loaded model, and how it is run.
pub(crate) struct RawLoop {
    session: Arc<Session>,
    inputs: Arc<Vec<Tensor>>,
    threads: usize,
    intra_op: usize,
    keeps_memory: bool,
}

impl RawLoop {
    /// With the settings that are the fastest when so many ask at once.
    pub(crate) fn fastest(
        runtime: &Runtime,
        model: &Path,
        at_once: usize,
        trial: Duration,
    ) -> Result<Self, Box<dyn Error>> {
        let cores = Cores::available().count;
        let side_by_side = at_once.min(cores);
        let mut splits = vec![(side_by_side, 1), (1, cores)];
        splits.dedup();
        let mut best: Option<(f64, Self)> = None;
        for (threads, intra_op) in splits {
            for keeps_memory in [false, true] {
                let mut tried = Self::load(runtime, model, threads, intra_op, keeps_memory)?;
                let per_second = tried.per_second(trial)?;
                if best.as_ref().is_none_or(|(fastest, _)| per_second > *fastest) {
                    best = Some((per_second, tried));
                }
            }
        }
        best.map(|(_, raw)| raw).ok_or_else(|| "there is no way to run a model".into())
    }

    fn load(
        runtime: &Runtime,
        model: &Path,
        threads: usize,
        intra_op: usize,
        keeps_memory: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let options = SessionOptions {
            intra_op_threads: intra_op,
            keeps_memory,
            ..SessionOptions::default()
        };
        let session = Session::load(runtime, model, options)?;
        let inputs = session.signature().inputs.iter().map(row).collect::<Option<_>>();
        let inputs = inputs.ok_or("the model has an input of an impossible shape")?;
        Ok(Self {
            session: session.into(),
            inputs: Arc::new(inputs),
            threads,
            intra_op,
            keeps_memory,
        })
    }

    fn per_second(&mut self, trial: Duration) -> io::Result<f64> {
        let from = Instant::now() + trial / 4;
        let (tally, ()) = self.drive(Span { from, until: from + trial }, || {})?;
        Ok(tally.requests / trial.as_secs_f64())
    }

    /// For people.
    pub(crate) fn settings(&self) -> String {
        let Self { threads, intra_op, keeps_memory, .. } = self;
        let memory = if *keeps_memory { "kept" } else { "given back" };
        format!("{threads} at once, {intra_op} threads each, memory {memory}")
    }

    /// Runs on threads of its own for as long as `meanwhile` does on the calling one: a thread that has ended has taken
    /// its time on a core with it.
    pub(crate) fn drive<T>(
        &mut self,
        span: Span,
        meanwhile: impl FnOnce() -> T,
    ) -> io::Result<(Tally, T)> {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let threads = (0..self.threads).map(|number| {
                let thread = std::thread::Builder::new().name(format!("raw-{number}"));
                thread.spawn_scoped(scope, || self.run_again_and_again(span, &is_over))
            });
            let threads = threads.collect::<io::Result<Vec<_>>>()?;
            let seen = meanwhile();
            sleep_until(span.until);
            is_over.store(true, Ordering::Relaxed);
            let mut tally = Tally::default();
            for thread in threads {
                tally.join(thread.join().map_err(|_| io::Error::other("a raw loop panicked"))??);
            }
            Ok((tally, seen))
        })
    }

    fn run_again_and_again(&self, span: Span, is_over: &AtomicBool) -> io::Result<Tally> {
        let stop = StopFlag::new().map_err(io::Error::other)?;
        let wanted: Vec<usize> = (0..self.session.signature().outputs.len()).collect();
        let mut tally = Tally::default();
        let mut asked = Instant::now();
        while !is_over.load(Ordering::Relaxed) {
            let outputs = self.session.run(&self.inputs, &wanted, &stop);
            drop(outputs.map_err(io::Error::other)?);
            let answered = Instant::now();
            tally.add(span, asked, answered);
            asked = answered;
        }
        Ok(tally)
    }
}

/// One row, where nothing else is said.
fn row(spec: &TensorSpec) -> Option<Tensor> {
    let sizes = spec.shape.dims()?.iter().map(|dim| match dim {
        Dim::Fixed(size) => *size,
        Dim::Symbol(_) | Dim::Any => 1,
    });
    random_tensor(sizes.collect(), spec.dtype)
}
