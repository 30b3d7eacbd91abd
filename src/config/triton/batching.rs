//! How requests wait and run together.

use std::time::Duration;

use super::super::model::{ModelConfig, ModelSchedulerConfig};
use super::fields::Fields;
use super::reader::Reader;
use crate::domain::batching::Batching;

/// The most that the settings of a model allow.
const MOST_WAITING: i128 = 1_048_576;
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// The largest batch, 0 where requests do not run together.
pub(super) fn max_batch_size(fields: &Fields) -> i128 {
    fields.whole("max_batch_size").map_or(0, |(size, _)| size)
}

pub(super) fn read(fields: &Fields, config: &mut ModelConfig, reader: &mut Reader) {
    let scheduler = &mut config.scheduler;
    let size = max_batch_size(fields);
    if let Some(size) = usize::try_from(size).ok().filter(|size| *size > 0) {
        scheduler.max_batch_size = size;
    }
    let dynamic = fields.message("dynamic_batching");
    // A file that leaves the tensors to the model leaves it to the model, too, whether its rows are independent.
    let is_complete = fields.place("input").is_some() && fields.place("output").is_some();
    if is_complete && (size == 0 || dynamic.is_none()) {
        scheduler.batching = Batching::Off;
    }
    let Some((dynamic, place)) = dynamic else { return };
    if is_complete && size == 0 {
        let told = "`dynamic_batching` has no effect: `max_batch_size` is 0";
        reader.leave_out(place, told);
    }
    for (preferred, place) in dynamic.wholes("preferred_batch_size") {
        if preferred < 1 || (size > 0 && preferred > size) {
            let told = format!(
                "`preferred_batch_size` must be from 1 to `max_batch_size`, which is {size}, got `{preferred}`"
            );
            reader.refuse(place, told);
        }
    }
    for (name, why) in [
        ("preferred_batch_size", "a batch is whatever waits when a worker is free"),
        ("preserve_ordering", "each answer belongs to its own request"),
        ("priority_levels", "requests are run in the order in which they came"),
        ("default_priority_level", "requests are run in the order in which they came"),
        ("priority_queue_policy", "there is one queue for each version"),
    ] {
        reader.leave_out_field(dynamic, name, why);
    }
    if let Some((policy, _)) = dynamic.message("default_queue_policy") {
        read_queue(policy, scheduler, reader);
    }
    if let Some((delay, place)) = dynamic.whole("max_queue_delay_microseconds") {
        scheduler.max_queue_delay = microseconds(delay);
        if scheduler.max_queue_delay >= scheduler.deadline {
            let told = "`max_queue_delay_microseconds` must be shorter than a request may take";
            reader.refuse(place, told);
        }
    }
}

fn read_queue(policy: &Fields, scheduler: &mut ModelSchedulerConfig, reader: &mut Reader) {
    if let Some((most, _)) = policy.whole("max_queue_size").filter(|(most, _)| *most > 0) {
        scheduler.max_queue =
            usize::try_from(most.min(MOST_WAITING)).unwrap_or(scheduler.max_queue);
    }
    let timeout = policy.whole("default_timeout_microseconds").filter(|(timeout, _)| *timeout > 0);
    if let Some((timeout, _)) = timeout {
        scheduler.deadline = microseconds(timeout);
    }
    if let Some(("DELAY", place)) = policy.word("timeout_action") {
        let told = "`DELAY` has no effect: a request that waited too long is refused (504)";
        reader.leave_out(place, told);
    }
}

fn microseconds(count: i128) -> Duration {
    u64::try_from(count).map_or(LONGEST, Duration::from_micros).min(LONGEST)
}
