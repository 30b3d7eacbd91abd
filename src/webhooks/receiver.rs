//! Posts a message to whoever is to be told, and hears what it says to that.

use std::io::Read;
use std::time::Duration;

use ureq::Agent;
use ureq::http::StatusCode;
use ureq::tls::{RootCerts, TlsConfig};

use super::hook::Hook;
use super::message::Message;
use crate::delivery::Announcement;
use crate::domain::time::WallTime;

/// From the look-up of the host to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So much of an answer is read and thrown away, so that one who has just written it sees no broken connection.
const MOST_READ: u64 = 4 * 1024;

/// One who is told.
#[derive(Debug)]
pub(super) struct Receiver {
    hook: Hook,
    agent: Agent,
}

/// What came of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// An answer.
    Status {
        /// Its status.
        status: u16,
        /// Its header `Retry-After`.
        retry_after: Option<String>,
    },
    /// None, and why.
    None(String),
}

impl Receiver {
    pub(super) fn new(hook: Hook) -> Self {
        // What the machine trusts, where an operator adds the authority of a company.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(TIMEOUT))
            .tls_config(tls)
            .user_agent(concat!("greenroom/", env!("CARGO_PKG_VERSION")))
            // Changes are rare. A connection that was kept may be closed just when it is used again.
            .max_idle_connections(0)
            .build()
            .into();
        Self { hook, agent }
    }

    /// Tells it a change, signed as of now.
    pub(super) fn post(&self, change: &Announcement, now: WallTime) -> Answer {
        let Message { id, event, body } = Message::from(change);
        let timestamp = now.0 / 1000;
        let mut request = self
            .agent
            .post(&self.hook.target)
            .header("content-type", "application/json")
            .header("x-greenroom-event", event)
            .header("x-greenroom-delivery", id)
            .header("x-greenroom-timestamp", timestamp.to_string());
        if let Some(secret) = &self.hook.secret {
            request = request.header("x-greenroom-signature", secret.sign(timestamp, &body));
        }
        if let Some(authorization) = &self.hook.authorization {
            request = request.header("authorization", authorization);
        }
        match request.send(body) {
            Ok(mut response) => {
                let header = response.headers().get("retry-after");
                let retry_after = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
                // The status has been heard, so whatever becomes of the rest does not matter.
                let body = response.body_mut().as_reader();
                let _ = std::io::copy(&mut body.take(MOST_READ), &mut std::io::sink());
                Answer::Status { status: response.status().as_u16(), retry_after }
            }
            Err(error) => Answer::None(why(&error)),
        }
    }
}

impl Answer {
    /// In words, for the log.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Status { status, .. } => {
                let reason = StatusCode::from_u16(*status).ok();
                let reason = reason.and_then(|status| status.canonical_reason());
                format!("it answers {status} {}", reason.unwrap_or_default()).trim_end().to_owned()
            }
            Self::None(why) => why.clone(),
        }
    }
}

/// What went wrong. Of the library's own words only those are shown that cannot hold any of the URL.
fn why(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Timeout(_) => format!("no answer within {} s", TIMEOUT.as_secs()),
        ureq::Error::HostNotFound => "its host is not known".to_owned(),
        ureq::Error::ConnectionFailed => "there is no connection".to_owned(),
        ureq::Error::Tls(why) => format!("no secure connection: {why}"),
        ureq::Error::Rustls(why) => format!("no secure connection: {why}"),
        ureq::Error::Protocol(_) => "its answer is not HTTP".to_owned(),
        // The library's errors are not ours, and more may come.
        _ => "the message cannot be sent".to_owned(),
    }
}
