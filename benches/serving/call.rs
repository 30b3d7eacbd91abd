//! The same over gRPC: calls with a message that was written once, on a connection that is kept, one at a time.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;

use crate::wire::Answer;

/// What is called.
pub(crate) const PATH: &str = "/inference.GRPCInferenceService/ModelInfer";

/// The bytes that stand before a message: a flag, and its length.
const PREFIX: usize = 5;

/// A message as it is sent.
pub(crate) fn framed(message: &impl Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], &message].concat()
}

/// The message in what was sent so.
pub(crate) fn message<M: Message + Default>(framed: &[u8]) -> io::Result<M> {
    let message = framed.get(PREFIX..).unwrap_or_default();
    M::decode(message).map_err(io::Error::other)
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Calls {
    sender: SendRequest<Full<Bytes>>,
    origin: String,
}

impl Calls {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { sender, origin: format!("http://{address}{PATH}") })
    }

    /// Calls, and gives the whole answer.
    pub(crate) async fn ask(&mut self, message: &Bytes) -> io::Result<Answer> {
        let request = hyper::Request::post(&self.origin)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(message.clone()))
            .map_err(io::Error::other)?;
        self.sender.ready().await.map_err(io::Error::other)?;
        let answer = self.sender.send_request(request).await.map_err(io::Error::other)?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?;
        let status = body.trailers().and_then(|trailers| trailers.get("grpc-status"));
        if status.is_none_or(|status| status != "0") {
            let (headers, trailers) = (head.headers, body.trailers());
            return Err(io::Error::other(format!("not answered: {headers:?} {trailers:?}")));
        }
        let field = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let fields = head.headers.iter().map(field).collect();
        Ok(Answer { fields, body: body.to_bytes().into() })
    }

    /// Calls, and makes sure that the answer has this body.
    pub(crate) async fn expect(&mut self, message: &Bytes, body: &[u8]) -> io::Result<()> {
        let answer = self.ask(message).await?;
        match answer.body == body {
            true => Ok(()),
            false => Err(io::Error::other("wrong answer over gRPC")),
        }
    }
}
