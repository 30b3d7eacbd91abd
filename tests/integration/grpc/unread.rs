//! Clients who ask for much and read nothing of it, and messages that are none.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::codegen::{Body, Bytes};
use tonic::{Code, Status};

use super::generated::ModelInferRequest;
use super::{Caller, address, bytes_of, input, row, to};
use crate::support::{Models, TestServer, adder, within};

const PATIENCE: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;
/// What all answers may take that nobody has taken is eight times the largest body.
const ROOM: usize = 8 * MIB;

/// Somebody who sends what it likes, and reads when it likes.
struct Rude {
    sender: SendRequest<Full<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
    origin: String,
}

impl Rude {
    async fn of(server: &TestServer) -> Self {
        let stream = TcpStream::connect(address(server)).await.unwrap();
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(64 << 20)
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let connection = tokio::spawn(connection);
        Self { sender, connection, origin: format!("http://{}", address(server)) }
    }

    /// Asks for an inference with these bytes as its message.
    async fn ask(&mut self, message: &[u8]) -> hyper::Result<hyper::Response<Incoming>> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let body: Bytes = [&[0], &length[..], message].concat().into();
        let request = hyper::Request::post(format!(
            "{}/inference.GRPCInferenceService/ModelInfer",
            self.origin
        ))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(body))
        .unwrap();
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }
}

/// A message that is answered with as many bytes as it has.
fn large() -> Vec<u8> {
    let count = 2 * MIB / 8;
    let mut message = to("adder", vec![input("X", "FP32", &[count as i64, 2])]);
    message.raw_input_contents = vec![bytes_of(&vec![1.0; 2 * count])];
    message.encode_to_vec()
}

/// The status that an answer ends with, after so many bytes.
async fn end(mut body: Incoming) -> hyper::Result<(usize, Option<Code>)> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await.transpose()? {
        match frame.into_data() {
            Ok(piece) => bytes += piece.len(),
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                let code = Status::from_header_map(&trailers).map(|status| status.code());
                return Ok((bytes, code));
            }
        }
    }
    Ok((bytes, None))
}

#[test]
fn answers_that_nobody_takes_are_no_more_than_there_is_room_for() {
    let models = Models::made().file("adder.onnx", adder(1.0));
    let server = TestServer::with_models(models).settings("http.max_body = \"1MiB\"").start();
    let caller = Caller::of(&server);
    let message = large();
    caller.wait(async {
        let mut rude = Rude::of(&server).await;
        let (mut held, mut refused) = (Vec::new(), 0);
        for _ in 0..12 {
            let body = rude.ask(&message).await.unwrap().into_body();
            // One that is refused has nothing but its end.
            if body.is_end_stream() {
                refused += 1;
            } else {
                held.push(body);
            }
        }
        let mut whole = 0;
        for body in held {
            match end(body).await.unwrap() {
                (0, code) => {
                    assert_eq!(code, Some(Code::Unavailable));
                    refused += 1;
                }
                (bytes, code) => {
                    assert!(bytes > 2 * MIB, "{bytes}");
                    assert_eq!(code, Some(Code::Ok));
                    whole += 1;
                }
            }
        }
        assert!(whole <= ROOM / (2 * MIB) && whole > 0 && refused > 0, "{whole} and {refused}");
        let again = rude.ask(&message).await.unwrap().into_body();
        assert_eq!(end(again).await.unwrap().1, Some(Code::Ok), "there is room again");
    });
}

#[test]
fn who_takes_nothing_is_closed_and_nobody_else() {
    let models = Models::made().file("adder.onnx", adder(1.0));
    let server = TestServer::with_models(models).settings("http.body_timeout = \"2s\"").start();
    let caller = Caller::of(&server);
    let mut rude = caller.wait(Rude::of(&server));
    let body = caller.wait(rude.ask(&large())).unwrap().into_body();
    within(PATIENCE, "the end of the connection", || {
        caller.infer(row([1.0, 2.0])).unwrap();
        rude.connection.is_finished().then_some(())
    });
    let end = caller.wait(end(body));
    assert!(end.is_err(), "{end:?}");
}

#[test]
fn bytes_that_are_no_message_are_the_clients_mistake() {
    let models = Models::made().file("adder.onnx", adder(1.0));
    let server = TestServer::with_models(models).start();
    let caller = Caller::of(&server);
    caller.wait(async {
        let mut rude = Rude::of(&server).await;
        let message = row([1.0, 2.0]).encode_to_vec();
        assert!(ModelInferRequest::decode(&message[..message.len() - 1]).is_err());
        let answer = rude.ask(&message[..message.len() - 1]).await.unwrap();
        let status = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("proto/inference.proto"), "{status}");
        let (_, code) = end(rude.ask(&message).await.unwrap().into_body()).await.unwrap();
        assert_eq!(code, Some(Code::Ok));
    });
}
