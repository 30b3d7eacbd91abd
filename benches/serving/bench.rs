//! What every scene is given, and the table of scenes that are not in [`scene`](crate::scene).

use std::error::Error;
use std::net::SocketAddr;

use crate::load::Client;
use crate::measure::Plan;
use crate::ours::Ours;
use crate::report::Report;
use crate::scene::{Protocol, Scene};
use crate::{hanging, hostile_files, loading, shadow_shares, shadowing, swap_memory, swapping};

/// Servers, settings, and the report.
pub(crate) struct Bench<'b> {
    pub(crate) client: &'b Client,
    pub(crate) ours: &'b Ours,
    pub(crate) plan: Plan,
    pub(crate) connections: Vec<usize>,
    /// Of an open loop, where it is not to be found out.
    pub(crate) rate: Option<f64>,
    pub(crate) sizes: Sizes,
    pub(crate) report: Report,
    /// The small model over v1.
    pub(crate) small: Scene,
}

/// How much a scene does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Of a large model, in MiB.
    pub(crate) large_mebibytes: u64,
    /// Hot swaps under load in a round.
    pub(crate) swaps: u32,
    /// Swaps after which memory is looked at.
    pub(crate) memory_swaps: u32,
    /// Of the model that is swapped then, in MiB.
    pub(crate) swapped_mebibytes: u64,
}

impl Bench<'_> {
    /// Where our server speaks it.
    pub(crate) fn address(&self, protocol: Protocol) -> SocketAddr {
        match protocol {
            Protocol::V1Json | Protocol::V2Json | Protocol::V2Bytes => self.ours.address(),
            Protocol::Grpc => self.ours.grpc(),
        }
    }
}

/// Measures a scene, and adds it to the report.
pub(crate) type Measure = fn(&mut Bench<'_>) -> Result<(), Box<dyn Error>>;

/// The scenes in which something happens beside the requests.
pub(crate) const EVENTS: [(&str, Measure); 7] = [
    (loading::NAME, loading::measure),
    (swapping::NAME, swapping::measure),
    (swap_memory::NAME, swap_memory::measure),
    (shadow_shares::NAME, shadow_shares::measure),
    (shadowing::NAME, shadowing::measure),
    (hanging::NAME, hanging::measure),
    (hostile_files::NAME, hostile_files::measure),
];
