//! Where one webhook is, and what is secret about it.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use ureq::http::Uri;

use super::signature::Secret;
use crate::config::WebhookConfig;
use crate::delivery::Subscriber;

/// One webhook, ready to be told.
///
/// Its URL may hold a password or a token, so nothing but the host is ever shown.
pub struct Hook {
    /// What its rows in the outbox are found by: a digest, which gives nothing of the URL away.
    key: String,
    host: String,
    /// Without a name and a password.
    pub(super) target: Uri,
    /// The header with the name and the password that the URL had.
    pub(super) authorization: Option<String>,
    pub(super) secret: Option<Secret>,
}

/// Why a webhook cannot be told. Each is one sentence for the person who started the server.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// Its URL is none.
    #[error("the URL of a webhook cannot be understood: {0}")]
    Url(String),
    /// Its secret cannot be read.
    #[error("the secret in `{}` of the webhook at `{host}` cannot be used: {reason}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// Whose.
        host: String,
        /// Why not.
        reason: String,
    },
}

impl Hook {
    /// Reads its URL and its secret.
    ///
    /// # Errors
    /// [`HookError`], when either cannot be used.
    pub fn read(config: &WebhookConfig) -> Result<Self, HookError> {
        let understood = |error: ureq::http::uri::InvalidUri| HookError::Url(error.to_string());
        let url: Uri = config.url.parse().map_err(understood)?;
        let authority = url.authority().map_or("", |authority| authority.as_str());
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host.to_owned()),
            None => (None, authority.to_owned()),
        };
        let authorization = userinfo.map(basic);
        let mut parts = url.into_parts();
        parts.authority = Some(host.parse().map_err(understood)?);
        let target = Uri::from_parts(parts).map_err(|error| HookError::Url(error.to_string()))?;
        let secret = config.secret_file.as_deref().map(|path| {
            read_secret(path).map_err(|reason| {
                let (path, host) = (path.to_path_buf(), host.clone());
                HookError::Secret { path, host, reason }
            })
        });
        let secret = secret.transpose()?;
        Ok(Self { key: key(&config.url), host, target, authorization, secret })
    }

    /// The part of its URL that may be shown.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How the journal knows it.
    pub fn subscriber(&self) -> Subscriber {
        Subscriber { key: self.key.clone(), host: self.host.clone() }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("host", &self.host).finish_non_exhaustive()
    }
}

fn key(url: &str) -> String {
    Sha256::digest(url).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `Authorization`, of what stands before the `@` in a URL.
fn basic(userinfo: &str) -> String {
    let (name, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let mut credentials: Vec<u8> = percent_decode_str(name).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(password));
    format!("Basic {}", BASE64_STANDARD.encode(credentials))
}

fn read_secret(path: &Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    match text.trim() {
        "" => Err("the file is empty".to_owned()),
        secret => Secret::new(secret).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Hook {
        Hook::read(&WebhookConfig { url: url.to_owned(), secret_file: None }).unwrap()
    }

    #[test]
    fn only_the_host_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "hush\n").unwrap();
        let url = "https://ada:pass@hooks.example:8443/in?token=t0ken".to_owned();
        let hook = Hook::read(&WebhookConfig { url, secret_file: Some(file) }).unwrap();
        assert_eq!(hook.host(), "hooks.example:8443");
        assert_eq!(hook.target, "https://hooks.example:8443/in?token=t0ken");
        let shown = format!("{hook:?} {:?} {:?}", hook.subscriber(), hook.secret);
        for secret in ["ada", "pass", "t0ken", "hush"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn a_name_and_a_password_become_a_header() {
        assert_eq!(read("http://a.example/").authorization, None);
        for (url, credentials) in [
            ("http://ada:pass@a.example/", "ada:pass"),
            ("http://ada@a.example/", "ada:"),
            ("http://a%40b:p%3Aw@a.example/", "a@b:p:w"),
        ] {
            let expected = format!("Basic {}", BASE64_STANDARD.encode(credentials));
            assert_eq!(read(url).authorization, Some(expected), "{url}");
        }
    }

    #[test]
    fn a_hook_is_known_by_its_whole_url() {
        let keys =
            ["http://a/x", "http://a/y", "http://b@a/x"].map(|url| read(url).subscriber().key);
        assert_eq!(read("http://a/x").subscriber().key, keys[0]);
        assert!(keys[0] != keys[1] && keys[0] != keys[2], "{keys:?}");
        assert!(keys[0].len() == 64 && !keys[0].contains("http"), "{keys:?}");
    }

    #[test]
    fn a_secret_that_is_empty_or_not_there_is_told_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let complaint = || {
            let (url, secret_file) = ("http://u:p@a.example/".to_owned(), Some(file.clone()));
            let error = Hook::read(&WebhookConfig { url, secret_file }).unwrap_err().to_string();
            error.replace(&file.display().to_string(), "FILE")
        };
        let told = "the secret in `FILE` of the webhook at `a.example` cannot be used";
        assert_eq!(complaint(), format!("{told}: No such file or directory (os error 2)"));
        std::fs::write(&file, " \n").unwrap();
        assert_eq!(complaint(), format!("{told}: the file is empty"));
    }
}
