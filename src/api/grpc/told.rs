//! What is told of models beside the protocol itself, as messages.

use super::generated::model_instance_group::Kind;
use super::generated::repository_index_response::ModelIndex;
use super::generated::{
    DataType, InferBatchStatistics, InferStatistics, MemoryUsage, ModelConfig, ModelConfigResponse,
    ModelDynamicBatching, ModelInput, ModelInstanceGroup, ModelOutput, ModelStatistics,
    ModelStatisticsResponse, RepositoryIndexResponse, StatisticDuration,
};
use crate::api::v2::configuration::{BACKEND, Configuration, Part};
use crate::api::v2::metadata::PLATFORM;
use crate::api::v2::{repository, statistics};
use crate::telemetry::statistics::{Batches, Tally};

/// Every version of every model, and how it stands.
pub(super) fn index(lines: Vec<repository::Line>) -> RepositoryIndexResponse {
    let line = |line| {
        let repository::Line { model: name, version, state, reason } = line;
        ModelIndex { name, version, state: state.to_owned(), reason }
    };
    RepositoryIndexResponse { models: lines.into_iter().map(line).collect() }
}

/// How a version is run.
pub(super) fn configuration(configuration: Configuration) -> ModelConfigResponse {
    let Configuration { model, max_batch_size, is_batched, inputs, outputs, concurrency } =
        configuration;
    let number = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let batching = ModelDynamicBatching {
        preferred_batch_size: vec![number(max_batch_size)],
        max_queue_delay_microseconds: 0,
    };
    let group = ModelInstanceGroup {
        name: model.clone(),
        count: number(concurrency),
        kind: Kind::Cpu.into(),
    };
    let data_type = |part: &Part| DataType::from_str_name(&part.data_type).unwrap_or_default();
    let input = |part: Part| ModelInput {
        data_type: data_type(&part).into(),
        name: part.name,
        dims: part.dims,
    };
    let output = |part: Part| ModelOutput {
        data_type: data_type(&part).into(),
        name: part.name,
        dims: part.dims,
    };
    let config = ModelConfig {
        name: model,
        platform: PLATFORM.to_owned(),
        max_batch_size: number(max_batch_size),
        input: inputs.into_iter().map(input).collect(),
        output: outputs.into_iter().map(output).collect(),
        instance_group: vec![group],
        dynamic_batching: is_batched.then_some(batching),
        backend: BACKEND.to_owned(),
    };
    ModelConfigResponse { config: Some(config) }
}

/// What versions have done.
pub(super) fn statistics(lines: Vec<statistics::Line>) -> ModelStatisticsResponse {
    ModelStatisticsResponse { model_stats: lines.into_iter().map(of_version).collect() }
}

fn of_version(line: statistics::Line) -> ModelStatistics {
    let statistics::Line { model, version, told, memory } = line;
    let memory = memory.map(|byte_size| MemoryUsage { r#type: "CPU".to_owned(), id: 0, byte_size });
    ModelStatistics {
        name: model,
        version,
        last_inference: told.last,
        inference_count: told.inferences,
        execution_count: told.executions,
        inference_stats: Some(InferStatistics {
            success: tally(told.success),
            fail: tally(told.failure()),
            queue: tally(told.queue),
            compute_input: tally(told.reading),
            compute_infer: tally(told.running),
            compute_output: tally(told.writing),
            cache_hit: tally(Tally::default()),
            cache_miss: tally(Tally::default()),
        }),
        batch_stats: told.batches.into_iter().map(of_size).collect(),
        memory_usage: memory.into_iter().collect(),
    }
}

fn of_size((rows, batches): (usize, Batches)) -> InferBatchStatistics {
    InferBatchStatistics {
        batch_size: rows as u64,
        compute_input: tally(batches.gathering),
        compute_infer: tally(batches.running),
        compute_output: tally(batches.sharing()),
    }
}

fn tally(tally: Tally) -> Option<StatisticDuration> {
    Some(StatisticDuration { count: tally.count, ns: tally.nanoseconds })
}
