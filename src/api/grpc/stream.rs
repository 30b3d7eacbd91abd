//! Many inferences in one call, answered in their order. What goes wrong with one is told in its place, and the others
//! are answered all the same.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::http::HeaderMap;
use futures_util::{Stream, StreamExt, stream};
use tonic::{Status, Streaming};

use super::connection::{Call, Open};
use super::generated::infer_parameter::ParameterChoice;
use super::generated::{
    InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
};
use super::infer::infer;
use super::parameters;
use crate::api::Api;

type Answer = Result<ModelStreamInferResponse, Status>;

/// The answers, as they are made.
pub(super) struct Answers(Pin<Box<dyn Stream<Item = Answer> + Send>>);

impl Answers {
    /// To messages of one call, which came with these headers. Its connection is at work while one is answered.
    pub(super) fn new(
        api: Api,
        headers: HeaderMap,
        open: Option<Arc<Open>>,
        messages: Streaming<ModelInferRequest>,
    ) -> Self {
        let begin = (api, headers, open, messages);
        let answers = stream::unfold(begin, |(api, headers, open, mut messages)| async {
            let answer = match next(&api, &mut messages).await? {
                Ok(message) => {
                    let _under_way = open.as_ref().map(Call::begin);
                    Ok(answer(&api, &headers, &message).await)
                }
                // Not one request is broken but the call, and this is its end.
                Err(status) => Err(status),
            };
            Some((answer, (api, headers, open, messages)))
        });
        Self(Box::pin(answers))
    }
}

impl Stream for Answers {
    type Item = Answer;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Answer>> {
        self.0.as_mut().poll_next(context)
    }
}

/// A server that ends answers what has come, and waits for no more.
async fn next(
    api: &Api,
    messages: &mut Streaming<ModelInferRequest>,
) -> Option<Result<ModelInferRequest, Status>> {
    let mut ending = api.ending.clone();
    tokio::select! {
        biased;
        message = messages.next() => message,
        _ = ending.wait_for(|ending| *ending) => {
            Some(Err(Status::unavailable("the server is shutting down")))
        }
    }
}

async fn answer(
    api: &Api,
    headers: &HeaderMap,
    message: &ModelInferRequest,
) -> ModelStreamInferResponse {
    match infer(api, headers, message, Instant::now()).await {
        Ok(reply) => {
            let mut reply = reply.into_inner();
            // What was wrong with its parameters would have been told by now.
            let parameters = parameters::read(&message.parameters, "").unwrap_or_default();
            if parameters.marks_final == Some(true) {
                let is_final = ParameterChoice::BoolParam(true);
                let is_final = InferParameter { parameter_choice: Some(is_final) };
                reply.parameters.insert("triton_final_response".to_owned(), is_final);
            }
            ModelStreamInferResponse { error_message: String::new(), infer_response: Some(reply) }
        }
        // The answer says which request it belongs to.
        Err(status) => ModelStreamInferResponse {
            error_message: status.message().to_owned(),
            infer_response: Some(ModelInferResponse {
                id: message.id.clone(),
                ..ModelInferResponse::default()
            }),
        },
    }
}
