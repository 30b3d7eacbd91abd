//! The dashboard in `docs/grafana.json` shows every metric that there is, and none that there is not.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use serde_json::Value;

use super::describe;

/// Notes what is described.
#[derive(Default)]
struct Described(Mutex<BTreeSet<String>>);

impl Described {
    fn note(&self, name: &KeyName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.as_str().to_owned());
    }
}

impl Recorder for Described {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.note(&name);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.note(&name);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.note(&name);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// The names of metrics in a query; parts of a histogram go by its name.
fn names(query: &str) -> impl Iterator<Item = String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("greenroom_")).map(|word| {
        let parts = ["_bucket", "_sum", "_count"];
        let whole = parts.into_iter().find_map(|part| word.strip_suffix(part));
        whole.unwrap_or(word).to_owned()
    })
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let described = Described::default();
    with_local_recorder(&described, describe);
    let described = described.0.into_inner().unwrap();
    let dashboard: Value =
        serde_json::from_str(include_str!("../../../docs/grafana.json")).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter().filter_map(|it| it.get("targets"));
    let queries = targets.flat_map(|targets| targets.as_array().unwrap());
    let shown: BTreeSet<String> =
        queries.flat_map(|target| names(target["expr"].as_str().unwrap())).collect();
    assert_eq!(shown, described);
}
