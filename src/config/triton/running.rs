//! How ONNX Runtime runs the model: instances, threads, and what else there is to set.

use super::super::error::printable;
use super::super::model::{GraphOptimization, ModelConfig};
use super::fields::Fields;
use super::reader::Reader;
use super::text::Place;

/// The most that the settings of a model allow.
const MOST: i128 = 1024;

pub(super) fn read(fields: &Fields, config: &mut ModelConfig, reader: &mut Reader) {
    read_instances(fields, config, reader);
    read_parameters(fields, config, reader);
    let Some((optimization, _)) = fields.message("optimization") else { return };
    read_graph(optimization, config, reader);
    for (name, why) in [
        ("priority", "versions on trial have threads of their own"),
        ("cuda", "this build runs models on the CPU"),
        (
            "execution_accelerators",
            "this build runs models on the CPU, by ONNX Runtime's own provider",
        ),
        ("gather_kernel_buffer_threshold", "rows are gathered on the CPU"),
        ("eager_batching", "a batch is put together when a worker is free"),
    ] {
        reader.leave_out_field(optimization, name, why);
    }
}

/// The numbers mean what they mean to Triton, whose default is all that there is.
fn read_graph(optimization: &Fields, config: &mut ModelConfig, reader: &mut Reader) {
    let level = optimization.message("graph").and_then(|(graph, _)| graph.whole("level"));
    let Some((level, place)) = level else { return };
    config.session.optimization = match level {
        -1 => GraphOptimization::Basic,
        0 => GraphOptimization::All,
        1 => GraphOptimization::Extended,
        2 => GraphOptimization::Off,
        _ => {
            let told = format!("`level` must be -1, 0, 1 or 2, got `{level}`");
            return reader.refuse(place, told);
        }
    };
}

/// All instances share one session, so what counts is how many runs there are at once.
fn read_instances(fields: &Fields, config: &mut ModelConfig, reader: &mut Reader) {
    let mut sum = Some(0);
    for (group, place) in fields.messages("instance_group") {
        if let Some(("KIND_GPU", place)) = group.word("kind") {
            reader.refuse(
                place,
                "`KIND_GPU` is not supported: this build runs models on the CPU; use `KIND_CPU`",
            );
        } else if let Some(place) = group.place("gpus") {
            reader.refuse(
                place,
                "`gpus` is not supported: this build runs models on the CPU; leave it out",
            );
        }
        for (name, why) in [
            ("rate_limiter", "`max_concurrency` in `model.toml` limits the runs at once"),
            ("secondary_devices", "this build runs models on the CPU"),
            ("profile", "profiles are TensorRT's"),
            ("passive", "there is one session for all instances"),
            ("host_policy", "there is one session for all instances"),
        ] {
            reader.leave_out_field(group, name, why);
        }
        match group.whole("count") {
            Some((count, place)) if !(0..=MOST).contains(&count) => {
                let told =
                    format!("`count` must be a whole number from 0 to {MOST}, got `{count}`");
                reader.refuse(place, told);
            }
            Some((count, _)) if count > 0 => sum = sum.map(|sum| sum + count),
            // Left to the server, as the group is.
            Some(_) | None => sum = None,
        }
        if sum.is_some_and(|sum| sum > MOST) {
            reader.refuse(place, format!("there must be at most {MOST} instances"));
            return;
        }
    }
    let sum = sum.and_then(|sum| usize::try_from(sum).ok());
    config.scheduler.max_concurrency = sum.unwrap_or(config.scheduler.max_concurrency);
}

fn read_parameters(fields: &Fields, config: &mut ModelConfig, reader: &mut Reader) {
    for (entry, place) in fields.messages("parameters") {
        let key = entry.text("key").map_or("", |(key, _)| key);
        let value = entry.message("value").and_then(|(value, _)| value.text("string_value"));
        let (value, place) = value.unwrap_or(("", place));
        match key {
            "intra_op_thread_count" => {
                if let Some(count) = whole(key, value, place, reader) {
                    config.session.intra_op_threads = usize::try_from(count.max(0)).unwrap_or(0);
                }
            }
            "inter_op_thread_count" => {
                if whole(key, value, place, reader).is_some_and(|count| count > 1) {
                    leave_out(key, place, reader, "the nodes of a graph run one after another");
                }
            }
            "execution_mode" => match value.trim() {
                "0" => {}
                "1" => leave_out(key, place, reader, "the nodes of a graph run one after another"),
                _ => wrong(key, "0 or 1", value, place, reader),
            },
            "enable_mem_arena" => {
                if let Some(is_on) = switch(key, value, place, reader) {
                    config.session.keeps_memory = Some(is_on);
                }
            }
            "enable_mem_pattern" => {
                if let Some(false) = switch(key, value, place, reader) {
                    leave_out(key, place, reader, "ONNX Runtime plans the memory of a run");
                }
            }
            "memory.enable_memory_arena_shrinkage"
            | "session.use_device_allocator_for_initializers"
            | "cudnn_conv_algo_search"
            | "gpu_mem_limit"
            | "arena_extend_strategy"
            | "do_copy_in_default_stream" => {
                leave_out(key, place, reader, "the server looks after memory and devices itself");
            }
            other => leave_out(other, place, reader, "nothing here is called so"),
        }
    }
}

fn switch(key: &str, value: &str, place: Place, reader: &mut Reader) -> Option<bool> {
    match value.trim() {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => {
            wrong(key, "0, 1, true or false", value, place, reader);
            None
        }
    }
}

/// A number of threads, where it is one.
fn whole(key: &str, value: &str, place: Place, reader: &mut Reader) -> Option<i128> {
    let number = value.trim().parse().ok().filter(|number| *number <= MOST);
    if number.is_none() {
        wrong(key, &format!("a whole number of at most {MOST}"), value, place, reader);
    }
    number
}

fn wrong(key: &str, expected: &str, value: &str, place: Place, reader: &mut Reader) {
    let got = printable(&format!("{value:?}"));
    reader.refuse(place, format!("parameter `{key}` must be {expected}, got `{got}`"));
}

fn leave_out(key: &str, place: Place, reader: &mut Reader, why: &str) {
    let key = printable(key);
    reader.leave_out(place, format!("parameter `{key}` has no effect: {why}"));
}
