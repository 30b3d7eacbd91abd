//! gRPC's own question whether a server wants traffic, which load balancers and Kubernetes ask.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, stream};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{self, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::generated::grpc_inference_service_server::SERVICE_NAME;
use crate::api::Api;

/// How often somebody who watches is told of a change, if there was one.
const LOOK: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Health {
    api: Api,
}

impl Health {
    pub(super) fn service(api: Api) -> HealthServer<Self> {
        HealthServer::new(Self { api })
    }

    fn status(&self) -> ServingStatus {
        match self.api.readiness.is_ready() {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        }
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match is_ours(&request.get_ref().service) {
            true => Ok(Response::new(told(self.status()))),
            false => Err(Status::not_found("there is no such service")),
        }
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let is_ours = is_ours(&request.get_ref().service);
        let status = move |health: &Self| match is_ours {
            true => health.status(),
            false => ServingStatus::ServiceUnknown,
        };
        let begin = (self.clone(), None);
        let changes = stream::unfold(begin, move |(health, mut before)| async move {
            let mut ending = health.api.ending.clone();
            loop {
                let now = status(&health);
                if before.replace(now) != Some(now) {
                    return Some((Ok(told(now)), (health, before)));
                }
                // A server that ends does not wait for those who watch it.
                let ends = ending.wait_for(|ending| *ending);
                if tokio::time::timeout(LOOK, ends).await.is_ok() {
                    return None;
                }
            }
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

/// The server as a whole has no name.
fn is_ours(service: &str) -> bool {
    service.is_empty() || service == SERVICE_NAME
}

fn told(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
