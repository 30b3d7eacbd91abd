//! By what a receiver tells our messages from others'.

use std::fmt;

use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What only we and the receiver know. It is never shown.
pub(super) struct Secret(Hmac<Sha256>);

impl Secret {
    /// A key of any length will do; one that is longer than a block is hashed first.
    pub(super) fn new(secret: &str) -> Result<Self, InvalidLength> {
        Hmac::new_from_slice(secret.as_bytes()).map(Self)
    }

    /// The signature of a message: of its time, too, so that an old one that somebody recorded can be told from a new
    /// one.
    pub(super) fn sign(&self, timestamp: u64, body: &str) -> String {
        let mut signed = self.0.clone();
        signed.update(format!("{timestamp}.").as_bytes());
        signed.update(body.as_bytes());
        let digest = signed.finalize().into_bytes();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256={hex}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are from `printf 'TIMESTAMP.BODY' | openssl dgst -sha256 -hmac SECRET`.
    #[test]
    fn a_signature_is_what_others_compute() {
        let long = "k".repeat(100);
        for (secret, timestamp, body, expected) in [
            (
                "hush",
                1_790_000_000,
                r#"{"id":"1"}"#,
                "7b1785f3daa9924ec55dc176fc1d08b04d8bc894f83af67d2f73032f07d85213",
            ),
            ("grün", 0, "", "22ee5c31130cf5aabfd1c53fd3efdd9a974eb9b5f1a13f8e39edb0cadfd66d62"),
            (&long, 17, "{}", "62cfdd0a2f13389301f223bf7fd30ed7a8364f69786d7d486446ad2e2e417f66"),
        ] {
            let signature = Secret::new(secret).unwrap().sign(timestamp, body);
            assert_eq!(signature, format!("sha256={expected}"), "{secret}");
        }
    }
}
