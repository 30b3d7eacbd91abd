//! What tools ask any gRPC server: whether it wants traffic, and what it can be asked.

use futures_util::{StreamExt, stream};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::Caller;
use crate::support::{Models, TestServer, adder};

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[test]
fn the_servers_health_is_told_and_its_end_to_those_who_watch() {
    let models = Models::made().file("adder.onnx", adder(1.0));
    let mut server = TestServer::with_models(models).settings("shutdown.drain = \"2s\"").start();
    let caller = Caller::of(&server);
    let mut client = HealthClient::new(caller.channel.clone());
    for service in ["", "inference.GRPCInferenceService"] {
        let answer = caller.wait(client.check(about(service))).unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
    }
    let status = caller.wait(client.check(about("other"))).unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let mut watching = caller.wait(client.watch(about(""))).unwrap().into_inner();
    let mut next = || caller.wait(watching.next()).unwrap().unwrap().status();
    assert_eq!(next(), ServingStatus::Serving);
    server.terminate();
    assert_eq!(next(), ServingStatus::NotServing);
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn the_server_says_what_it_can_be_asked() {
    let server = TestServer::with_models(Models::made().file("adder.onnx", adder(1.0))).start();
    let caller = Caller::of(&server);
    let mut client = ServerReflectionClient::new(caller.channel.clone());
    let all = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(all) };
    let answer = caller.wait(async {
        let answers = client.server_reflection_info(stream::iter([request])).await.unwrap();
        answers.into_inner().next().await.unwrap().unwrap()
    });
    let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let names: Vec<&str> = services.service.iter().map(|service| service.name.as_str()).collect();
    for expected in ["inference.GRPCInferenceService", "grpc.health.v1.Health"] {
        assert!(names.contains(&expected), "{names:?}");
    }
}
