//! One who is told: an HTTP server that writes down what it gets, and behaves as badly as a test wants.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::support::within;

const PATIENCE: Duration = Duration::from_secs(60);

/// What the receiver does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Answers with this status.
    Answers(u16),
    /// Answers with this status and header.
    Says(u16, &'static str),
    /// Closes the connection.
    Closes,
    /// Says nothing, until it is in another mood or the sender has had enough.
    Hangs,
}

/// A message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) head: String,
    pub(super) body: String,
}

impl Message {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let mut of_that_name = fields.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        of_that_name.next().map(|(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn id(&self) -> u64 {
        self.header("x-greenroom-delivery").unwrap().parse().unwrap()
    }
}

pub(super) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
}

struct Desk {
    mood: Mood,
    /// All that came, also what was not answered.
    came: Vec<Message>,
    /// What was answered with success.
    taken: Vec<Message>,
    /// How many senders had enough of waiting.
    left: usize,
}

impl Receiver {
    pub(super) fn new(mood: Mood) -> Self {
        Self::with(mood, None)
    }

    /// One that speaks TLS. What proves who it is is written to a file.
    pub(super) fn secure(mood: Mood, certificate: &Path) -> Self {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(certificate, own.cert.pem()).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        Self::with(mood, Some(Arc::new(config)))
    }

    fn with(mood: Mood, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Desk { mood, came: Vec::new(), taken: Vec::new(), left: 0 };
        let shared = Arc::new(Shared { desk: Mutex::new(desk), changed: Condvar::new() });
        let for_thread = shared.clone();
        // It lives as long as the process, as one does that nobody waits for.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared, tls) = (stream.unwrap(), for_thread.clone(), tls.clone());
                std::thread::spawn(move || {
                    let socket = stream.try_clone().unwrap();
                    // One who breaks off has its reasons, which the test knows.
                    let _ = match tls {
                        None => shared.serve(stream, &socket),
                        Some(tls) => {
                            let connection = ServerConnection::new(tls).unwrap();
                            shared.serve(StreamOwned::new(connection, stream), &socket)
                        }
                    };
                });
            }
        });
        Self { address, shared }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it behaves so, to those who wait for an answer, too.
    pub(super) fn becomes(&self, mood: Mood) {
        self.shared.desk().mood = mood;
        self.shared.changed.notify_all();
    }

    pub(super) fn came(&self) -> Vec<Message> {
        self.shared.desk().came.clone()
    }

    pub(super) fn taken(&self) -> Vec<Message> {
        self.shared.desk().taken.clone()
    }

    /// Waits for the first message.
    #[track_caller]
    pub(super) fn has_begun(&self) {
        within(PATIENCE, "a first message", || (!self.came().is_empty()).then_some(()));
    }

    /// Waits until so many messages have come since it had `before`.
    #[track_caller]
    pub(super) fn gets(&self, more: usize) {
        let before = self.came().len();
        within(PATIENCE, "a message", || (self.came().len() >= before + more).then_some(()));
    }

    /// Waits until somebody has had enough of waiting.
    #[track_caller]
    pub(super) fn is_left(&self) {
        within(PATIENCE, "a sender that has enough", || {
            (self.shared.desk().left > 0).then_some(())
        });
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap()
    }

    fn serve(&self, mut stream: impl Read + Write, socket: &TcpStream) -> io::Result<()> {
        let message = read(&mut stream)?;
        self.desk().came.push(message.clone());
        let (status, header) = match self.mood(socket)? {
            Mood::Closes | Mood::Hangs => return Ok(()),
            Mood::Answers(status) => (status, "x-mood: fine"),
            Mood::Says(status, header) => (status, header),
        };
        if (200..300).contains(&status) {
            self.desk().taken.push(message);
        }
        let answer = format!("HTTP/1.1 {status} So\r\n{header}\r\ncontent-length: 2\r\n\r\nok");
        stream.write_all(answer.as_bytes())?;
        stream.flush()
    }

    /// Waits while it hangs.
    fn mood(&self, socket: &TcpStream) -> io::Result<Mood> {
        socket.set_nonblocking(true)?;
        let mut desk = self.desk();
        while desk.mood == Mood::Hangs {
            // Nothing more is to come but the end.
            if !matches!(socket.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            {
                desk.left += 1;
                return Ok(Mood::Hangs);
            }
            desk = self.changed.wait_timeout(desk, Duration::from_millis(5)).unwrap().0;
        }
        let mood = desk.mood;
        socket.set_nonblocking(false)?;
        Ok(mood)
    }
}

fn read(stream: &mut impl Read) -> io::Result<Message> {
    let mut received = Vec::new();
    loop {
        let end = received.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8(received[..end].to_vec()).unwrap();
            let message = Message { head, body: String::new() };
            let length: usize = message.header("content-length").unwrap().parse().unwrap();
            if received.len() >= end + 4 + length {
                let body = String::from_utf8(received[end + 4..].to_vec()).unwrap();
                return Ok(Message { body, ..message });
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => received.extend_from_slice(&chunk[..length]),
        }
    }
}
