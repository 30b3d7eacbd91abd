//! How often memory is asked for on the way of a small request, beyond what HTTP itself takes.
//!
//! Each time costs some 20 to 40 ns, more where another thread gives it back. What ONNX Runtime does is not seen here: it
//! has an allocator of its own. A change that makes a request ask more often than today fails here.

use std::alloc::System;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, Response};
use greenroom::app::App;
use greenroom::config::ServerConfig;
use greenroom::telemetry::metrics::Metrics;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Requests of one count. What happens now and then, such as a table that grows, is hardly seen among so many.
const REQUESTS: u32 = 2000;

/// What a request takes beyond HTTP, rounded: from the router to the answer's headers, with the way to a thread that runs
/// it and back.
const V1_JSON: u32 = 28;
const V2_JSON: u32 = 32;

#[test]
fn a_small_request_asks_for_memory_no_more_often_than_before() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (models, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/adder.onnx");
    std::fs::copy(example, models.path().join("adder.onnx")).unwrap();
    let server = start_ours(&runtime, models.path(), state.path());

    let v1 = request("/v1/models/adder:predict", r#"{"instances": [[1, 2]]}"#);
    let input = r#"{"name": "X", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}"#;
    let v2 = request("/v2/models/adder/infer", &format!(r#"{{"inputs": [{input}]}}"#));
    wait_until_answered(server, &v1);
    for (name, request, expected) in [("v1", v1, V1_JSON), ("v2", v2, V2_JSON)] {
        let floor = start_floor(&runtime, &mut Client::new(server).ask(&request));
        let (ours, floor) = (count(server, &request), count(floor, &request));
        let beyond = (ours - floor).round() as u32;
        println!(
            "{name}: {ours:.2} in all, {floor:.2} of them for HTTP alone, {beyond} beyond that"
        );
        assert_eq!(beyond, expected, "{name}");
    }
}

/// How often a request asks for memory, on average, in this whole process.
fn count(server: SocketAddr, request: &[u8]) -> f64 {
    let mut client = Client::new(server);
    for _ in 0..REQUESTS / 4 {
        client.ask(request);
    }
    let region = Region::new(ALLOCATOR);
    for _ in 0..REQUESTS {
        client.ask(request);
    }
    let change = region.change();
    (change.allocations + change.reallocations) as f64 / f64::from(REQUESTS)
}

fn request(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// One that asks for no memory itself.
struct Client {
    stream: TcpStream,
    buffer: [u8; 4096],
}

impl Client {
    fn new(server: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(server).unwrap(), buffer: [0; 4096] }
    }

    /// The whole answer.
    fn ask(&mut self, request: &[u8]) -> &[u8] {
        self.stream.write_all(request).unwrap();
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
            assert!(read > 0, "the server has closed the connection");
            filled += read;
            if is_whole(&self.buffer[..filled]) {
                return &self.buffer[..filled];
            }
        }
    }
}

/// Whether an answer is there with its whole body.
fn is_whole(answer: &[u8]) -> bool {
    let Some((head, body)) = parts(answer) else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| body.len() == length.parse::<usize>().unwrap())
}

fn parts(answer: &[u8]) -> Option<(&str, &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((std::str::from_utf8(&answer[..end]).unwrap(), &answer[end + 4..]))
}

fn wait_until_answered(server: SocketAddr, request: &[u8]) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !Client::new(server).ask(request).starts_with(b"HTTP/1.1 200") {
        assert!(Instant::now() < give_up, "the model is not served");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn start_ours(runtime: &Runtime, models: &Path, state: &Path) -> SocketAddr {
    let mut config = ServerConfig {
        models: models.to_path_buf(),
        state: state.to_path_buf(),
        ..ServerConfig::default()
    };
    config.repository.trial = false; // this program cannot be the child that tries models
    config.repository.settle = Duration::from_millis(10);
    // A look at the folder, and what it asks for memory, does not come between.
    config.repository.poll = Duration::from_secs(3600);
    config.http.listen = "127.0.0.1:0".parse().unwrap();
    config.grpc.listen = None;
    let app = runtime.block_on(App::bind(config, Metrics::install().unwrap())).unwrap();
    let address = app.addresses().http;
    runtime.spawn(app.run(std::future::pending()));
    address
}

/// A server that reads the same body and gives the same answer, with the same headers, and does nothing else.
fn start_floor(runtime: &Runtime, answer: &mut &[u8]) -> SocketAddr {
    let (head, body) = parts(answer).unwrap();
    let headers: Vec<(String, String)> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| !matches!(*name, "content-length" | "date"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut answer = Response::new(Full::new(Bytes::copy_from_slice(body)));
    for (name, value) in headers {
        let name: axum::http::HeaderName = name.parse().unwrap();
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer.clone();
            async move {
                let body = Body::new(request.into_body());
                assert!(!body.collect().await.unwrap().to_bytes().is_empty());
                Ok::<_, Infallible>(answer)
            }
        });
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    });
    address
}
