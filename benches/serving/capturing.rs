//! What recording every request costs: a server that does, held against one that does not.
//!
//! Both run in this process and are asked the same in turn, as ours and the floor are elsewhere.

use std::error::Error;
use std::sync::Arc;

use greenroom::config::CaptureMode;

use crate::load::{Client, Exchange};
use crate::measure::{Contest, Plan, Round};
use crate::ours::Ours;
use crate::scene::Scene;

/// Of this scene.
pub(crate) const NAME: &str =
    "small model, v1 JSON, 64 connections, with every request recorded; the floor is ours without";

/// Who is asked, and what.
pub(crate) struct Capturing<'b> {
    pub(crate) client: &'b Client,
    pub(crate) ours: &'b Ours,
    pub(crate) scene: &'b Scene,
}

impl Capturing<'_> {
    /// All rounds, and how many of the requests were not recorded.
    pub(crate) fn rounds(&self, plan: Plan) -> Result<Vec<Round>, Box<dyn Error>> {
        let capturing = self.ours.another(|config| {
            config.capture.mode = CaptureMode::On;
            config.capture.sample = 1.0;
        })?;
        let Scene { protocol, request, connections, .. } = self.scene;
        let answer = self.client.ask(self.ours.address(), *protocol, request)?;
        let exchange =
            Exchange { protocol: *protocol, request: request.clone(), body: answer.body };
        let exchange = Arc::new(exchange);
        let mut contest = Contest {
            ours: self.client.connect(capturing.address(), *connections, exchange.clone())?,
            floor: self.client.connect(self.ours.address(), *connections, exchange)?,
        };
        let rounds = contest.rounds(plan);
        drop(contest);
        let told = capturing.captured();
        capturing.stop()?;
        println!("\nof all requests that were to be recorded: {told}");
        rounds
    }

    /// The same scene under this one's name.
    pub(crate) fn named(&self) -> Scene {
        let Scene { protocol, model, connections, .. } = *self.scene;
        Scene { name: NAME, protocol, model, request: self.scene.request.clone(), connections }
    }
}
