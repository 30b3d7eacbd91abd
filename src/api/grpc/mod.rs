//! The Open Inference Protocol over gRPC, as KServe's and Triton's clients speak it.
//!
//! Only the wire is here: `service` answers each call of the protocol, `infer` an inference, whose message `wire` reads
//! and whose answer it writes; `contents` are elements in typed fields, `parameters` what is said beside them, `deadline`
//! how long a client waits, `status` what went wrong, and `told` what
//! there is. Beside the protocol there are `health`
//! and reflection, which many tools ask. `connection`, `arriving` and `outgoing`
//! take calls off the wire and send what they are answered, within the limits. What
//! the protocol means is in `v2`, and how a request is answered in `exchange`.

mod arriving;
mod codec;
mod connection;
mod contents;
mod deadline;
mod generated;
mod health;
mod infer;
mod outgoing;
mod parameters;
mod service;
mod status;
mod stream;
mod told;
mod wire;

use axum::Router as Routes;
use tonic::service::Routes as Services;

use self::generated::grpc_inference_service_server::GrpcInferenceServiceServer;
use self::health::Health;
use self::service::Service;
use super::{Api, Guard};

#[cfg(feature = "fuzzing")]
pub(super) use wire::decode_for_fuzzing;

pub(super) use arriving::MessageLimits;
pub(super) use connection::{Calls, settings};

/// Every call that is answered. `guard` stands before the two that load and unload models.
pub fn routes(api: &Api, guard: Guard) -> Routes {
    let inference = GrpcInferenceServiceServer::new(Service::new(api.clone(), guard))
        .max_decoding_message_size(api.grpc.max_message);
    let mut services = Services::new(inference);
    services = services.add_service(Health::service(api.clone()));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(generated::DESCRIPTOR)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Clients of either version are about. What is told was made when this was built, and can be read.
    if let (Ok(v1), Ok(v1alpha)) = (reflection().build_v1(), reflection().build_v1alpha()) {
        services = services.add_service(v1).add_service(v1alpha);
    }
    services.into_axum_router()
}
