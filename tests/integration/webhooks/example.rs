//! What `docs/webhooks.md` shows is what is sent, and its example understands it.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use greenroom::domain::rollout::Phase;
use serde_json::Value;

use super::receiver::{Message, Mood, Receiver};
use super::{SECRET, release, server, signature, takes_all};
use crate::support::package;

/// The code in the page's block of a language.
fn block(language: &str) -> String {
    let page = fs::read_to_string(package().join("docs/webhooks.md")).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// The last message of a rollout, as a receiver got it.
fn recorded() -> Message {
    let receiver = Receiver::new(Mood::Answers(200));
    let server = server(&receiver);
    release(&server, 2);
    takes_all(&receiver, &server);
    receiver.came().pop().unwrap()
}

/// What the page's function thinks of a message.
fn is_genuine(secret: &str, timestamp: &str, signature: &str, body: &str) -> bool {
    let ask = "\nimport sys\n_, secret, *headers = sys.argv\n\
               print(is_genuine(secret.encode(), *headers, sys.stdin.buffer.read()))";
    let mut python = Command::new("python3")
        .args(["-c", &(block("python") + ask), secret, timestamp, signature])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    match String::from_utf8(output.stdout).unwrap().trim() {
        "True" => true,
        "False" => false,
        other => panic!("{other}"),
    }
}

#[test]
fn the_example_tells_genuine_messages_from_others() {
    let message = recorded();
    let header = |name| message.header(name).unwrap();
    let (timestamp, signed) = (header("x-greenroom-timestamp"), header("x-greenroom-signature"));
    assert!(is_genuine(SECRET, timestamp, signed, &message.body));
    let changed = message.body.replace("baking", "completed");
    assert!(!is_genuine(SECRET, timestamp, signed, &changed));
    assert!(!is_genuine("other", timestamp, signed, &message.body));
    let old = (timestamp.parse::<u64>().unwrap() - 600).to_string();
    assert!(!is_genuine(SECRET, &old, signed, &message.body));
    assert!(!is_genuine(SECRET, &old, &signature(&old, &message.body), &message.body));
}

#[test]
fn the_message_on_the_page_has_the_fields_that_are_sent() {
    let fields =
        |message: &Value| -> Vec<String> { message.as_object().unwrap().keys().cloned().collect() };
    let shown: Value = serde_json::from_str(&block("json")).unwrap();
    assert_eq!(fields(&shown), fields(&recorded().json()));
}

#[test]
fn the_page_names_every_phase() {
    let page = fs::read_to_string(package().join("docs/webhooks.md")).unwrap();
    for phase in Phase::NAMES {
        assert!(page.contains(&format!("`{phase}`")), "{phase}");
    }
}
