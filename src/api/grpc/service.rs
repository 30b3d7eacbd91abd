//! Every call of the protocol.

use std::time::Instant;

use axum::http::HeaderMap;
use tonic::{Request, Response, Status, Streaming};

use super::arriving::Arrived;
use super::generated::grpc_inference_service_server::GrpcInferenceService;
use super::generated::model_metadata_response::TensorMetadata;
use super::generated::{
    ModelConfigRequest, ModelConfigResponse, ModelInferRequest, ModelInferResponse,
    ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
    ModelStatisticsRequest, ModelStatisticsResponse, RepositoryIndexRequest,
    RepositoryIndexResponse, RepositoryModelLoadRequest, RepositoryModelLoadResponse,
    RepositoryModelUnloadRequest, RepositoryModelUnloadResponse, ServerLiveRequest,
    ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest,
    ServerReadyResponse,
};
use super::stream::Answers;
use super::{infer, status, told};
use crate::api::models::not_routed;
use crate::api::problem::Problem;
use crate::api::v2::metadata::{EXTENSIONS, Metadata, PLATFORM, Port, SERVER, VERSION};
use crate::api::v2::{configuration, models, repository, statistics};
use crate::api::{Api, Guard};
use crate::domain::route::Pin;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Service {
    api: Api,
    /// Who may load and unload.
    guard: Guard,
}

impl Service {
    pub(super) fn new(api: Api, guard: Guard) -> Self {
        Self { api, guard }
    }

    fn may_load<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let headers: &HeaderMap = request.metadata().as_ref();
        self.guard.check_call(headers).map_err(|problem| status::of(&problem))
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Service {
    type ModelStreamInferStream = Answers;

    async fn server_live(
        &self,
        _request: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _request: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse { ready: self.api.readiness.is_ready() }))
    }

    /// A model that nobody knows is not ready either: clients ask this to get a yes or a no.
    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version } = request.into_inner();
        let pin = pin(&version).map_err(|problem| status::of(&problem))?;
        let route = self.api.router.route(&name);
        let ready = route.is_ok_and(|route| route.find(pin.as_ref()).is_ok());
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _request: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse {
            name: SERVER.to_owned(),
            version: VERSION.to_owned(),
            extensions: EXTENSIONS.iter().map(|&extension| extension.to_owned()).collect(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        let pin = pin(&version).map_err(|problem| status::of(&problem))?;
        let found = self.api.router.route(&name).and_then(|route| {
            let servable = route.find(pin.as_ref())?.clone();
            Ok(metadata(&Metadata::of(&route, &servable, pin.is_some())))
        });
        found.map(Response::new).map_err(|error| status::of(&not_routed(&self.api, &name, error)))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let arrived = extensions.get().map_or_else(Instant::now, |Arrived(at)| *at);
        let headers: &HeaderMap = metadata.as_ref();
        infer::infer(&self.api, headers, &message, arrived).await
    }

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let (metadata, extensions, messages) = request.into_parts();
        let (api, headers) = (self.api.clone(), metadata.into_headers());
        let open = extensions.get().cloned();
        Ok(Response::new(Answers::new(api, headers, open, messages)))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        let RepositoryIndexRequest { repository_name, ready } = request.into_inner();
        the_one_repository(&repository_name)?;
        let lines = repository::lines(&self.api.registry, ready);
        Ok(Response::new(told::index(lines)))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let ModelConfigRequest { name, version } = request.into_inner();
        let found = pin(&version)
            .and_then(|pin| configuration::of(&self.api, &name, pin.as_ref()))
            .map_err(|problem| status::of(&problem))?;
        Ok(Response::new(told::configuration(found)))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        let ModelStatisticsRequest { name, version } = request.into_inner();
        let lines = match name.as_str() {
            "" => Ok(statistics::all(&self.api)),
            name => pin(&version).and_then(|pin| statistics::of(&self.api, name, pin.as_ref())),
        };
        let lines = lines.map_err(|problem| status::of(&problem))?;
        Ok(Response::new(told::statistics(lines)))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        self.may_load(&request)?;
        let RepositoryModelLoadRequest { repository_name, model_name, parameters } =
            request.into_inner();
        the_one_repository(&repository_name)?;
        let parameters = parameters.keys().map(String::as_str);
        let loaded = repository::load(&self.api, &model_name, parameters).await;
        loaded.map_err(|problem| status::of(&problem))?;
        Ok(Response::new(RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        self.may_load(&request)?;
        let RepositoryModelUnloadRequest { repository_name, model_name, parameters: _ } =
            request.into_inner();
        the_one_repository(&repository_name)?;
        let unloaded = repository::unload(&self.api, &model_name).await;
        unloaded.map_err(|problem| status::of(&problem))?;
        Ok(Response::new(RepositoryModelUnloadResponse {}))
    }
}

fn the_one_repository(name: &str) -> Result<(), Status> {
    match name {
        "" => Ok(()),
        _ => Err(Status::unimplemented("there is one repository, which has no name")),
    }
}

/// The version or label in a message, where it names one.
fn pin(version: &str) -> Result<Option<Pin>, Problem> {
    match version {
        "" => Ok(None),
        version => models::pin(version).map(Some),
    }
}

fn metadata(metadata: &Metadata<'_>) -> ModelMetadataResponse {
    let port = |port: &Port<'_>| TensorMetadata {
        name: port.name.to_owned(),
        datatype: port.datatype.to_owned(),
        shape: port.shape.clone(),
    };
    ModelMetadataResponse {
        name: metadata.name.to_owned(),
        versions: metadata.versions.iter().map(|&version| version.to_owned()).collect(),
        platform: PLATFORM.to_owned(),
        inputs: metadata.inputs.iter().map(port).collect(),
        outputs: metadata.outputs.iter().map(port).collect(),
    }
}
