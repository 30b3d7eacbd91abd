//! What happens, as it happens: streams of server-sent events.
//!
//! A stream ends when the server does, which would otherwise wait for it. A listener who reads more slowly than
//! things happen misses some of them, and is told how many.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::{Api, rollouts};
use crate::delivery::{Board, News};

/// How often a line says that there is nothing to say, so that both sides notice when the other one is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /admin/v1/events`: every transition of every model, and whose pairs are to be fewer.
pub(super) async fn all(State(api): State<Api>) -> Response {
    response(transitions(Listener::new(&api)))
}

/// The rollout of a model, at once and after each change; none when there was none yet.
pub(super) fn watch(api: &Api, model: &str) -> Option<Response> {
    // Listening begins before the first look, so that no change falls between the two.
    let listener = Listener::new(api);
    let view = api.board.release(model)?;
    let first = Told { seq: view.seq, rollout: rollouts::current(model, &view)? };
    let watching = Watching { model: model.to_owned(), board: api.board.clone(), listener, seq: 0 };
    Some(response(watching.stream(first)))
}

fn response(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// One who listens until the server ends.
struct Listener {
    news: broadcast::Receiver<Arc<News>>,
    ending: watch::Receiver<bool>,
}

/// What a listener hears.
#[derive(Debug, PartialEq)]
enum Heard {
    /// Something happened.
    News(Arc<News>),
    /// So much happened too fast.
    Missed(u64),
}

impl Listener {
    fn new(api: &Api) -> Self {
        Self { news: api.board.news(), ending: api.ending.clone() }
    }

    /// None when nothing will be heard any more.
    async fn hear(&mut self) -> Option<Heard> {
        tokio::select! {
            biased;
            _ = self.ending.wait_for(|ending| *ending) => None,
            news = self.news.recv() => match news {
                Ok(news) => Some(Heard::News(news)),
                Err(RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
                Err(RecvError::Closed) => None,
            },
        }
    }
}

fn transitions(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold(listener, |mut listener| async move {
        let event = match listener.hear().await? {
            Heard::News(news) => match &*news {
                News::Change(change) => {
                    event("transition", &change.document()).id(change.seq.to_string())
                }
                News::FewerPairs(fewer) => event("shadow-interference", &fewer.document()),
            },
            Heard::Missed(missed) => event("lagged", &json!({ "missed": missed })),
        };
        Some((Ok(event), listener))
    })
}

/// One who follows the rollouts of one model.
struct Watching {
    model: String,
    board: Arc<Board>,
    listener: Listener,
    /// The number of the change that was told last.
    seq: u64,
}

/// A rollout, after a change.
struct Told {
    seq: u64,
    rollout: Value,
}

impl Watching {
    fn stream(self, first: Told) -> impl Stream<Item = Result<Event, Infallible>> {
        unfold((self, Some(first)), |(mut watching, first)| async move {
            let Told { seq, rollout } = match first {
                Some(first) => first,
                None => watching.next().await?,
            };
            watching.seq = seq;
            let event = event("rollout", &rollout).id(seq.to_string());
            Some((Ok(event), (watching, None)))
        })
    }

    /// The next change of the model that was not told yet. One who missed some is told how things are now.
    async fn next(&mut self) -> Option<Told> {
        loop {
            let heard = self.listener.hear().await?;
            let now = self.board.release(&self.model);
            let told = match heard {
                Heard::News(news) => match &*news {
                    News::Change(change) if change.model.as_str() == self.model => {
                        let rollout = rollouts::changed(change, now.as_ref());
                        Some(Told { seq: change.seq, rollout })
                    }
                    News::Change(_) | News::FewerPairs(_) => None,
                },
                Heard::Missed(_) => now.and_then(|view| {
                    let rollout = rollouts::current(&self.model, &view)?;
                    Some(Told { seq: view.seq, rollout })
                }),
            };
            if let Some(told) = told.filter(|told| told.seq > self.seq) {
                return Some(told);
            }
        }
    }
}

fn event(name: &str, told: &Value) -> Event {
    Event::default().event(name).data(told.to_string())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::delivery::{Announcement, FewerPairs};
    use crate::domain::model::Digest;
    use crate::domain::rollout::{
        Context, Event as Happening, Place, Plan, Release, RolloutId, Seen, Transition,
    };
    use crate::domain::time::{Moment, WallTime};

    /// Somebody who tells what happens, and a server that does not end yet.
    struct Source {
        news: broadcast::Sender<Arc<News>>,
        ending: watch::Sender<bool>,
    }

    impl Source {
        fn new(backlog: usize) -> Self {
            Self { news: broadcast::channel(backlog).0, ending: watch::channel(false).0 }
        }

        fn listener(&self) -> Listener {
            Listener { news: self.news.subscribe(), ending: self.ending.subscribe() }
        }

        fn announce(&self, seq: u64, model: &str) {
            let (model, transition) = (model.parse().unwrap(), transition());
            let change = Announcement { seq, model, transition };
            self.news.send(Arc::new(News::Change(Box::new(change)))).unwrap();
        }

        /// All that a stream tells, up to the last change.
        async fn all_of(
            self,
            events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
        ) -> String {
            drop(self.news);
            let told = Sse::new(events).into_response().into_body().collect().await.unwrap();
            String::from_utf8(told.to_bytes().to_vec()).unwrap()
        }
    }

    fn transition() -> Transition {
        let seen = Seen {
            place: Place::Labelled("1".parse().unwrap()),
            digest: Digest::from_bytes([1; 32]),
        };
        let now = Moment { monotonic: Duration::ZERO, wall: WallTime(0) };
        let context =
            Context { now, plan: &Plan::default(), next_id: RolloutId(7), has_recordings: false };
        let step = Release::default().step(Happening::Seen(vec![seen]), context).unwrap();
        step.transitions.into_iter().next().unwrap()
    }

    /// Each event's fields but the data, which others look at.
    fn names(told: &str) -> Vec<String> {
        let events = told.split_terminator("\n\n");
        let of = |event: &str| {
            let lines = event.lines().filter(|line| !line.starts_with("data: {\"seq\""));
            lines.collect::<Vec<_>>().join(" ")
        };
        events.map(of).collect()
    }

    #[tokio::test]
    async fn every_transition_is_an_event_with_its_number() {
        let source = Source::new(8);
        let events = transitions(source.listener());
        source.announce(1, "iris");
        source.announce(2, "wine");
        let told = source.all_of(events).await;
        assert_eq!(names(&told), ["event: transition id: 1", "event: transition id: 2"]);
        assert!(told.contains(r#""rollout":"r-000007""#), "{told}");
    }

    #[tokio::test]
    async fn fewer_pairs_are_an_event_without_a_number() {
        let source = Source::new(8);
        let events = transitions(source.listener());
        let (model, rollout) = ("iris".parse().unwrap(), RolloutId(7));
        let fewer = FewerPairs { at: WallTime(0), model, rollout, times: 1 };
        source.news.send(Arc::new(News::FewerPairs(fewer))).unwrap();
        let told = source.all_of(events).await;
        assert!(told.starts_with("event: shadow-interference\ndata: {"), "{told}");
        assert!(told.contains(r#""backed_off":1"#) && !told.contains("id: "), "{told}");
    }

    #[tokio::test]
    async fn one_who_is_too_slow_is_told_how_much_it_missed() {
        let source = Source::new(2);
        let events = transitions(source.listener());
        (1..=5).for_each(|seq| source.announce(seq, "iris"));
        let expected = [
            r#"event: lagged data: {"missed":3}"#,
            "event: transition id: 4",
            "event: transition id: 5",
        ];
        assert_eq!(names(&source.all_of(events).await), expected);
    }

    #[tokio::test]
    async fn a_watcher_is_told_how_it_is_and_then_each_change_of_its_model_once() {
        let source = Source::new(8);
        let watching = Watching {
            model: "iris".to_owned(),
            board: Arc::default(),
            listener: source.listener(),
            seq: 0,
        };
        let events = watching.stream(Told { seq: 2, rollout: json!({ "seq": 2 }) });
        for (seq, model) in [(1, "iris"), (2, "iris"), (3, "wine"), (4, "iris"), (5, "iris")] {
            source.announce(seq, model);
        }
        let told = source.all_of(events).await;
        let expected = ["event: rollout id: 2", "event: rollout id: 4", "event: rollout id: 5"];
        assert_eq!(names(&told), expected);
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_server() {
        let source = Source::new(8);
        let mut listener = source.listener();
        source.announce(1, "iris");
        assert!(matches!(listener.hear().await, Some(Heard::News(_))));
        source.ending.send_replace(true);
        source.announce(2, "iris");
        assert_eq!(listener.hear().await, None);
    }
}
