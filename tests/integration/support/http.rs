//! A small HTTP/1.1 client that hides nothing: raw bytes where a test wants them, keep-alive, deadlines.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long a test waits for bytes of the server before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { method, path, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", path).body(body)
    }

    /// `POST /v1/models/{model}:predict`
    pub(crate) fn predict(model: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::post(&format!("/v1/models/{model}:predict"), body)
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// `host` and `content-length` are added where the test does not give its own.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !self.has("host") {
            head.push_str("host: localhost\r\n");
        }
        if !self.has("content-length") && !self.has("transfer-encoding") {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

/// An answer, complete.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {} {}", self.status, self.text()))
    }

    /// The JSON of an answer that must be 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// Whether the server wants no further request on this connection.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    fn body_length(&self, method_is_head: bool) -> usize {
        let has_no_body = method_is_head || matches!(self.status, 204 | 304);
        let announced = self.header("content-length").map(|value| value.parse().unwrap());
        if has_no_body { 0 } else { announced.unwrap_or(0) }
    }
}

/// One connection, kept alive for as many requests as a test wants.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// The same connection, for another thread.
    pub(crate) fn another(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), received: Vec::new() }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        // A server that refuses a body while it is being sent has answered nevertheless.
        let written = self.write(&request.bytes());
        match self.read_answer(request.method == "HEAD") {
            Ok(answer) => Ok(answer),
            Err(error) => written.and(Err(error)),
        }
    }

    /// Reads one whole answer; an end before its last byte is an error.
    pub(crate) fn read_answer(&mut self, method_is_head: bool) -> io::Result<Answer> {
        loop {
            let end = loop {
                match self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                    Some(position) => break position + 4,
                    None => self.receive()?,
                }
            };
            let head = String::from_utf8_lossy(&self.received[..end]).into_owned();
            self.received.drain(..end);
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            let status = status.ok_or_else(|| io::Error::other(format!("no status: {head}")))?;
            if status == 100 {
                continue;
            }
            let mut answer = Answer { status, head, body: Vec::new() };
            let length = answer.body_length(method_is_head);
            while self.received.len() < length {
                self.receive()?;
            }
            answer.body = self.received.drain(..length).collect();
            return Ok(answer);
        }
    }

    /// Whether the server has closed the connection and sent nothing more.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.received.is_empty()
            && self.receive().is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
    }

    /// Waits for the first byte of an answer, and reads nothing. Whether there is one.
    pub(crate) fn has_begun_to_answer(&self) -> bool {
        self.stream.peek(&mut [0]).is_ok_and(|length| length > 0)
    }

    /// The client's port.
    pub(crate) fn port(&self) -> u16 {
        self.stream.local_addr().unwrap().port()
    }

    /// Whether the server has closed the connection, whatever it has sent before.
    pub(crate) fn is_closed(&mut self) -> bool {
        use io::ErrorKind::{ConnectionReset, UnexpectedEof};
        loop {
            if let Err(error) = self.receive() {
                return [ConnectionReset, UnexpectedEof].contains(&error.kind());
            }
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut chunk = [0; 64 << 10];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.received.extend_from_slice(&chunk[..length]);
                Ok(())
            }
        }
    }
}
