//! Tells what happens: the log and the metrics.
//!
//! Everything may call this; it knows nothing but the words of the domain. Metrics are defined once, with
//! unit and help, and recorded by functions that name the event.

pub mod logs;
pub mod metrics;
pub mod statistics;
pub mod triton;
