//! What a server tells, as it happens: reads a stream of server-sent events.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::Value;
use ureq::{Body, BodyReader};

use super::client::{AskError, is_timeout};

/// The events of a server.
pub(super) struct Events {
    lines: BufReader<BodyReader<'static>>,
    url: String,
    timeout: Option<Duration>,
}

impl Events {
    /// The events in an answer of the server at `url`, which come within `timeout`.
    pub(super) fn new(answer: Body, url: String, timeout: Option<Duration>) -> Self {
        Self { lines: BufReader::new(answer.into_reader()), url, timeout }
    }

    /// Waits for the next event of this name, and gives what it tells.
    pub(super) fn next(&mut self, name: &str) -> Result<Value, AskError> {
        let ended = || AskError::Ended(self.url.clone());
        match next_event(&mut self.lines, name) {
            Ok(Some(told)) => serde_json::from_str(&told).map_err(|_| ended()),
            Ok(None) => Err(ended()),
            Err(error) => match (ureq::Error::from(error), self.timeout) {
                (error, Some(timeout)) if is_timeout(&error) => Err(AskError::TimedOut(timeout)),
                _ => Err(ended()),
            },
        }
    }
}

/// Reads up to the end of the next event of this name. Lines that begin with a colon only say that there is nothing
/// to say.
fn next_event(lines: &mut impl BufRead, name: &str) -> std::io::Result<Option<String>> {
    let (mut told, mut is_it) = (String::new(), false);
    for line in lines.lines() {
        let line = line?;
        if line.is_empty() {
            if is_it {
                return Ok(Some(told));
            }
            told.clear();
        } else if let Some(event) = line.strip_prefix("event:") {
            is_it = event.trim() == name;
        } else if let Some(data) = line.strip_prefix("data:") {
            told.push_str(data.trim_start());
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_from_a_stream_with_pauses_and_others() {
        let stream = ":\n\nevent: other\ndata: 1\n\nevent: rollout\ndata: {\"a\":2}\nid: 7\n\n\
                      :\n\nevent: rollout\ndata: 3\n\nevent: rollout\ndata: cut o";
        let mut lines = stream.as_bytes();
        let mut next = || next_event(&mut lines, "rollout").unwrap();
        assert_eq!([next(), next(), next()], [Some("{\"a\":2}".into()), Some("3".into()), None]);
    }
}
