//! The floor: what the wire and the text cost without us.
//!
//! A handler as one would write it with axum, or with tonic, on a runtime of its own with as many threads as our server
//! has. It reads the same body, into the plainest type that fits, and answers what our server answered.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use greenroom::system::cores::Cores;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_prost::ProstCodec;

use crate::call;
use crate::inference::{ModelInferRequest, ModelInferResponse};
use crate::scene::{Protocol, Scene, TEXT_LENGTH, path};
use crate::wire::Answer;

/// The floor while it runs.
pub(crate) struct Floor {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Floor {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Starts a server that answers the scene's request with `answer`.
pub(crate) fn start(scene: &Scene, answer: &Answer) -> io::Result<Floor> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(Cores::available().count)
        .thread_name("floor")
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let routes = match scene.protocol {
        Protocol::V1Json => json::<Rows>(scene, answer)?,
        Protocol::V2Json => json::<Inputs>(scene, answer)?,
        Protocol::V2Bytes => bytes_behind_text(scene, answer)?,
        Protocol::Grpc => {
            let service = Inference::new(answer)?;
            let incoming = {
                // It takes the listener for its runtime's.
                let _runtime = runtime.enter();
                TcpIncoming::from(listener).with_nodelay(Some(true))
            };
            let serving = Server::builder().add_service(service).serve_with_incoming(incoming);
            runtime.spawn(serving);
            return Ok(Floor { address, _runtime: runtime });
        }
    };
    let listener = listener.tap_io(|stream| {
        // Without it the floor would wait for acknowledgements, which the server does not.
        let _ = stream.set_nodelay(true);
    });
    runtime.spawn(axum::serve(listener, routes).into_future());
    Ok(Floor { address, _runtime: runtime })
}

#[derive(Deserialize)]
struct Rows {
    instances: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Inputs {
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    #[serde(default)]
    data: Vec<f32>,
}

/// What a body of JSON is read into.
trait Content: for<'b> Deserialize<'b> + 'static {
    /// Looks at all of it, so that none of the reading can be left out.
    fn is_there(&self) -> bool;
}

impl Content for Rows {
    fn is_there(&self) -> bool {
        self.instances.iter().all(|row| !row.is_empty()) && !self.instances.is_empty()
    }
}

impl Content for Inputs {
    fn is_there(&self) -> bool {
        let is_there = |input: &Input| {
            !input.name.is_empty() && !input.shape.is_empty() && !input.datatype.is_empty()
        };
        self.inputs.iter().all(is_there) && self.inputs.iter().any(|input| input.data.len() != 1)
    }
}

fn json<C: Content>(scene: &Scene, answer: &Answer) -> io::Result<Router> {
    let headers = headers(answer)?;
    let text = Bytes::copy_from_slice(&answer.body);
    let handler = move |body: Bytes| {
        let answered = match serde_json::from_slice::<C>(&body) {
            Ok(content) if content.is_there() => answer_with(text.clone(), &headers),
            Ok(_) | Err(_) => StatusCode::BAD_REQUEST.into_response(),
        };
        std::future::ready(answered)
    };
    Ok(Router::new()
        .route(&path(scene.protocol, &scene.model), post(handler))
        .layer(DefaultBodyLimit::disable()))
}

fn bytes_behind_text(scene: &Scene, answer: &Answer) -> io::Result<Router> {
    let headers = headers(answer)?;
    let text = Bytes::copy_from_slice(&answer.body);
    let handler = move |asked: HeaderMap, body: Bytes| {
        let length = asked.get(TEXT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let parts = length.and_then(|length: usize| body.split_at_checked(length));
        let content = parts.and_then(|(text, bytes)| {
            let content = serde_json::from_slice::<Inputs>(text).ok()?;
            (content.is_there() && !bytes.is_empty()).then_some(content)
        });
        let answered = match content {
            Some(_) => answer_with(text.clone(), &headers),
            None => StatusCode::BAD_REQUEST.into_response(),
        };
        std::future::ready(answered)
    };
    Ok(Router::new()
        .route(&path(scene.protocol, &scene.model), post(handler))
        .layer(DefaultBodyLimit::disable()))
}

/// The one call, as tonic's generated code has it, with a handler that answers always the same.
#[derive(Clone)]
struct Inference {
    reply: ModelInferResponse,
    metadata: HeaderMap,
}

impl Inference {
    fn new(answer: &Answer) -> io::Result<Self> {
        Ok(Self { reply: call::message(&answer.body)?, metadata: headers(answer)? })
    }
}

impl NamedService for Inference {
    const NAME: &'static str = "inference.GRPCInferenceService";
}

impl tower::Service<Request<tonic::body::Body>> for Inference {
    type Response = hyper::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let handler = Handler(self.clone());
        Box::pin(async move {
            let codec = ProstCodec::<ModelInferResponse, ModelInferRequest>::default();
            Ok(Grpc::new(codec).unary(handler, request).await)
        })
    }
}

struct Handler(Inference);

impl UnaryService<ModelInferRequest> for Handler {
    type Response = ModelInferResponse;
    type Future = std::future::Ready<Result<tonic::Response<ModelInferResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<ModelInferRequest>) -> Self::Future {
        let Inference { reply, metadata } = &self.0;
        let metadata = MetadataMap::from_headers(metadata.clone());
        std::future::ready(match request.get_ref().raw_input_contents.is_empty() {
            true => Err(Status::invalid_argument("there are no inputs")),
            false => {
                let extensions = tonic::Extensions::default();
                Ok(tonic::Response::from_parts(metadata, reply.clone(), extensions))
            }
        })
    }
}

/// tonic says itself what an answer is.
fn is_of_grpc(answer: &Answer) -> bool {
    answer.fields.iter().any(|(_, value)| value == "application/grpc")
}

fn answer_with(body: Bytes, headers: &HeaderMap) -> Response {
    let mut response = Response::new(body.into());
    *response.headers_mut() = headers.clone();
    response
}

/// The headers that our server adds; the others are hyper's.
fn headers(answer: &Answer) -> io::Result<HeaderMap> {
    let ours = answer.fields.iter().filter(|(name, _)| {
        let is_of_hyper = matches!(&name[..], "date" | "content-length" | "grpc-status");
        let is_of_tonic = name == "content-type" && is_of_grpc(answer);
        !is_of_hyper && !is_of_tonic
    });
    ours.map(|(name, value)| {
        let name = HeaderName::try_from(name).map_err(io::Error::other)?;
        Ok((name, HeaderValue::try_from(value).map_err(io::Error::other)?))
    })
    .collect()
}
