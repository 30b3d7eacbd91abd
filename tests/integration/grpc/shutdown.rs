//! A server that ends answers the calls that it has taken, and may do without a listener for them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tonic::Code;

use super::{Caller, numbers_of, row};
use crate::support::{Models, TestServer, adder, within};

#[test]
fn under_load_no_call_that_was_taken_is_lost_when_the_server_ends() {
    let models = Models::made().file("adder.onnx", adder(1.0));
    let mut server = TestServer::with_models(models).start();
    let callers: Vec<Caller> = (0..4).map(|_| Caller::of(&server)).collect();
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let answered = &answered;
        let threads: Vec<_> = callers
            .iter()
            .map(|caller| {
                scope.spawn(move || {
                    loop {
                        match caller.infer(row([1.0, 2.0])) {
                            Ok(response) => {
                                let raw = &response.into_inner().raw_output_contents[0];
                                assert_eq!(numbers_of(raw), [2.0, 3.0]);
                                answered.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(status) => break status,
                        }
                    }
                })
            })
            .collect();
        let load = || (answered.load(Ordering::Relaxed) > 400).then_some(());
        within(Duration::from_secs(60), "load", load);
        server.terminate();
        for thread in threads {
            // The client could not connect again: nobody has taken its call.
            let status = thread.join().unwrap();
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            assert!(format!("{status:?}").contains("ConnectError"), "{status:?}");
        }
    });
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn a_server_may_do_without_grpc() {
    let models = Models::made().file("adder.onnx", adder(1.0));
    let server = TestServer::with_models(models).flags(&["--grpc", "off"]).start();
    let here = std::fs::read_to_string(server.server_file()).unwrap();
    let here: Value = serde_json::from_str(&here).unwrap();
    assert_eq!(here["grpc"], Value::Null);
    assert!(!server.log().contains("gRPC"));
}
