//! Clients that ask two adders all the time, and hold every answer to what the version that it names would give.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Answer, Request};
use super::releases::Finally;
use super::server::TestServer;

/// What clients of one model ask for.
pub(crate) struct Traffic<'t> {
    pub(crate) server: &'t TestServer,
    pub(crate) model: &'t str,
    pub(crate) clients: usize,
    /// Each so many-th request holds a 13; 0: none does.
    pub(crate) thirteen_each: u64,
    /// The number in the first request, which grows by one with each.
    pub(crate) from: u64,
    /// Between two requests of a client.
    pub(crate) pause: Duration,
}

/// What they got, by `version role fallback`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answers(BTreeMap<String, u64>);

impl Answers {
    /// How many answers of a kind there were.
    pub(crate) fn count(&self, is_kind: impl Fn(&str) -> bool) -> u64 {
        self.0.iter().filter(|(kind, _)| is_kind(kind)).map(|(_, count)| count).sum()
    }
}

impl<'t> Traffic<'t> {
    pub(crate) fn of(server: &'t TestServer, model: &'t str) -> Self {
        let pause = Duration::from_millis(2);
        Self { server, model, clients: 4, thirteen_each: 0, from: 0, pause }
    }

    /// Asks while something is done. A client that gets no answer, or one that the version in its header would not
    /// have given (version k adds k), fails the test.
    #[track_caller]
    pub(crate) fn during<T>(&self, act: impl FnOnce() -> T) -> (T, Answers) {
        let is_over = AtomicBool::new(false);
        let number = AtomicU64::new(self.from);
        let answers = Mutex::new(Answers::default());
        let done = std::thread::scope(|scope| {
            let _over = Finally(|| is_over.store(true, Ordering::Relaxed));
            for _ in 0..self.clients {
                scope.spawn(|| {
                    // A client that fails ends the others, and the test.
                    let _over = Finally(|| is_over.store(true, Ordering::Relaxed));
                    let mut connection = self.server.connect();
                    let mut mine = Answers::default();
                    while !is_over.load(Ordering::Relaxed) {
                        let number = number.fetch_add(1, Ordering::Relaxed);
                        let first = self.first(number);
                        let body = json!({ "instances": [[first, number]] }).to_string();
                        let answer = connection.ask(&Request::predict(self.model, body)).unwrap();
                        *mine.0.entry(self.kind(&answer, first, number)).or_default() += 1;
                        std::thread::sleep(self.pause);
                    }
                    let mut answers = answers.lock().unwrap();
                    for (kind, count) in mine.0 {
                        *answers.0.entry(kind).or_default() += count;
                    }
                });
            }
            act()
        });
        (done, answers.into_inner().unwrap())
    }

    fn first(&self, number: u64) -> u64 {
        if self.thirteen_each > 0 && number.is_multiple_of(self.thirteen_each) { 13 } else { 1 }
    }

    #[track_caller]
    fn kind(&self, answer: &Answer, first: u64, number: u64) -> String {
        let header = |name| answer.header(name).unwrap_or("-").to_owned();
        let version = header("x-model-version");
        let added: u64 = version.parse().unwrap_or_else(|_| panic!("{}", answer.text()));
        let expected =
            json!({ "predictions": [[(first + added) as f64, (number + added) as f64]] });
        let got: Value = answer.ok();
        assert_eq!(got, expected, "{}", answer.head);
        format!("{version} {} {}", header("x-model-role"), header("x-model-fallback"))
    }
}
