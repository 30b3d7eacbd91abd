//! The floor: what the wire and the JSON cost without us.
//!
//! A handler as one would write it with axum, on a runtime of its own with as many threads as our server has.
//! It reads the same body, into the plainest type that fits, and answers what our server answered.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use greenroom::system::cores::Cores;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::scene::{Scene, path};
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
    let routes = v1_json(scene.model, answer)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(Cores::available().count)
        .thread_name("floor")
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
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

fn v1_json(model: &str, answer: &Answer) -> io::Result<Router> {
    let headers = headers(answer)?;
    let text = Bytes::copy_from_slice(&answer.body);
    let handler = move |body: Bytes| {
        let answered = match serde_json::from_slice::<Rows>(&body) {
            Ok(rows) if rows.instances.is_empty() => StatusCode::BAD_REQUEST.into_response(),
            Ok(_) => answer_with(text.clone(), &headers),
            Err(_) => StatusCode::BAD_REQUEST.into_response(),
        };
        std::future::ready(answered)
    };
    Ok(Router::new().route(&path(model), post(handler)))
}

fn answer_with(body: Bytes, headers: &HeaderMap) -> Response {
    let mut response = Response::new(body.into());
    *response.headers_mut() = headers.clone();
    response
}

/// The headers that our server adds; the others are hyper's.
fn headers(answer: &Answer) -> io::Result<HeaderMap> {
    let ours =
        answer.fields.iter().filter(|(name, _)| !matches!(&name[..], "date" | "content-length"));
    ours.map(|(name, value)| {
        let name = HeaderName::try_from(name).map_err(io::Error::other)?;
        Ok((name, HeaderValue::try_from(value).map_err(io::Error::other)?))
    })
    .collect()
}
