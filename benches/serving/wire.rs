//! Just enough HTTP/1.1 to ask and to understand the answer, at a cost that does not show.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A POST request, ready to be sent again and again.
pub(crate) fn post(path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A GET request.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

/// An answer with status 200.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The fields of the head, in order.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// What two servers that answer alike have in common: all but the moment and the request's id.
    pub(crate) fn comparable(&self) -> (Vec<(&str, usize)>, &[u8]) {
        let mut fields: Vec<_> =
            self.fields.iter().map(|(name, value)| (name.as_str(), value.len())).collect();
        fields.sort_unstable();
        (fields, &self.body)
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Where the parts of an answer lie.
struct Extent {
    head: usize,
    whole: usize,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024] })
    }

    /// Asks, and gives the whole answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        let extent = self.exchange(request).await?;
        let head = String::from_utf8_lossy(&self.buffer[..extent.head]);
        let fields = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(Answer { fields, body: self.buffer[extent.head..extent.whole].to_vec() })
    }

    /// Asks, and makes sure that the answer has this body.
    pub(crate) async fn expect(&mut self, request: &[u8], body: &[u8]) -> io::Result<()> {
        let extent = self.exchange(request).await?;
        let got = &self.buffer[extent.head..extent.whole];
        if got == body {
            return Ok(());
        }
        let (expected, got) = (String::from_utf8_lossy(body), String::from_utf8_lossy(got));
        Err(io::Error::other(format!("wrong answer: expected {expected}, got {got}")))
    }

    async fn exchange(&mut self, request: &[u8]) -> io::Result<Extent> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(2 * filled, 0);
            }
            match self.stream.read(&mut self.buffer[filled..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => filled += more,
            }
            if let Some(extent) = extent(&self.buffer[..filled])?
                && extent.whole <= filled
            {
                return Ok(extent);
            }
        }
    }
}

/// Understands the head, once it is complete.
fn extent(answer: &[u8]) -> io::Result<Option<Extent>> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(head) = answer.windows(END.len()).position(|bytes| bytes == END) else {
        return Ok(None);
    };
    let text = &answer[..head];
    let body = text.split(|&byte| byte == b'\n').find_map(content_length);
    match body {
        Some(body) if text.starts_with(b"HTTP/1.1 200 ") => {
            let head = head + END.len();
            Ok(Some(Extent { head, whole: head + body }))
        }
        Some(_) | None => Err(io::Error::other(format!(
            "expected an answer with status 200 and a length, got {}",
            String::from_utf8_lossy(answer)
        ))),
    }
}

fn content_length(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let (name, value) = line.split_at_checked(NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    str::from_utf8(value).ok()?.trim().parse().ok()
}
