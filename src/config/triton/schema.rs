//! Which fields a `config.pbtxt` may have, and of which type each is: Triton's `model_config.proto` in a table.
//!
//! What is refused as a whole wherever it stands ([`Type::Anything`]) need not be described.

/// A message: its name, and its fields.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) name: &'static str,
    pub(super) fields: &'static [(&'static str, Kind)],
}

/// Whether a field may be there more than once, and what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    One(Type),
    Many(Type),
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    Text,
    Switch,
    /// From the least to the greatest that there may be.
    Whole(i128, i128),
    /// One of these, which have the numbers 0, 1, 2 and so on.
    Word(&'static [&'static str]),
    Message(&'static Schema),
    /// A message that nobody looks into.
    Anything,
}

use Kind::{Many, One};
use Type::{Anything, Switch, Text, Whole, Word};

/// The largest batch that the settings of a model allow.
const MOST_ROWS: i128 = 65_536;

const INT32: Type = Whole(i32::MIN as i128, i32::MAX as i128);
const INT64: Type = Whole(i64::MIN as i128, i64::MAX as i128);
const UINT32: Type = Whole(0, u32::MAX as i128);
const UINT64: Type = Whole(0, u64::MAX as i128);

const DATA_TYPE: Type = Word(&[
    "TYPE_INVALID",
    "TYPE_BOOL",
    "TYPE_UINT8",
    "TYPE_UINT16",
    "TYPE_UINT32",
    "TYPE_UINT64",
    "TYPE_INT8",
    "TYPE_INT16",
    "TYPE_INT32",
    "TYPE_INT64",
    "TYPE_FP16",
    "TYPE_FP32",
    "TYPE_FP64",
    "TYPE_STRING",
    "TYPE_BF16",
]);

const fn message(name: &'static str, fields: &'static [(&'static str, Kind)]) -> Schema {
    Schema { name, fields }
}

/// The whole file.
pub(super) static MODEL_CONFIG: Schema = message(
    "ModelConfig",
    &[
        ("name", One(Text)),
        ("platform", One(Text)),
        ("backend", One(Text)),
        ("runtime", One(Text)),
        ("version_policy", One(Type::Message(&VERSION_POLICY))),
        ("max_batch_size", One(Whole(0, MOST_ROWS))),
        ("input", Many(Type::Message(&INPUT))),
        ("output", Many(Type::Message(&OUTPUT))),
        ("batch_input", Many(Anything)),
        ("batch_output", Many(Anything)),
        ("optimization", One(Type::Message(&OPTIMIZATION))),
        ("dynamic_batching", One(Type::Message(&DYNAMIC_BATCHING))),
        ("sequence_batching", One(Anything)),
        ("ensemble_scheduling", One(Anything)),
        ("instance_group", Many(Type::Message(&INSTANCE_GROUP))),
        ("default_model_filename", One(Text)),
        ("cc_model_filenames", Many(Type::Message(&TEXT_ENTRY))),
        ("metric_tags", Many(Type::Message(&TEXT_ENTRY))),
        ("parameters", Many(Type::Message(&PARAMETER_ENTRY))),
        ("model_warmup", Many(Type::Message(&WARM_UP))),
        ("model_operations", One(Type::Message(&OPERATIONS))),
        ("model_transaction_policy", One(Type::Message(&TRANSACTION_POLICY))),
        ("model_repository_agents", One(Anything)),
        ("response_cache", One(Type::Message(&ENABLED))),
        ("model_metrics", One(Anything)),
    ],
);

static VERSION_POLICY: Schema = message(
    "ModelVersionPolicy",
    &[
        ("latest", One(Type::Message(&LATEST))),
        ("all", One(Type::Message(&ALL))),
        ("specific", One(Type::Message(&SPECIFIC))),
    ],
);
static LATEST: Schema = message("Latest", &[("num_versions", One(UINT32))]);
static ALL: Schema = message("All", &[]);
static SPECIFIC: Schema = message("Specific", &[("versions", Many(INT64))]);

static INPUT: Schema = message(
    "ModelInput",
    &[
        ("name", One(Text)),
        ("data_type", One(DATA_TYPE)),
        ("format", One(Word(&["FORMAT_NONE", "FORMAT_NHWC", "FORMAT_NCHW"]))),
        ("dims", Many(INT64)),
        ("reshape", One(Type::Message(&RESHAPE))),
        ("is_shape_tensor", One(Switch)),
        ("allow_ragged_batch", One(Switch)),
        ("optional", One(Switch)),
        ("is_non_linear_format_io", One(Switch)),
    ],
);
static OUTPUT: Schema = message(
    "ModelOutput",
    &[
        ("name", One(Text)),
        ("data_type", One(DATA_TYPE)),
        ("dims", Many(INT64)),
        ("reshape", One(Type::Message(&RESHAPE))),
        ("label_filename", One(Text)),
        ("is_shape_tensor", One(Switch)),
        ("is_non_linear_format_io", One(Switch)),
    ],
);
static RESHAPE: Schema = message("ModelTensorReshape", &[("shape", Many(INT64))]);

static OPTIMIZATION: Schema = message(
    "ModelOptimizationPolicy",
    &[
        ("graph", One(Type::Message(&GRAPH))),
        ("priority", One(Word(&["PRIORITY_DEFAULT", "PRIORITY_MAX", "PRIORITY_MIN"]))),
        ("cuda", One(Anything)),
        ("execution_accelerators", One(Type::Message(&ACCELERATORS))),
        ("input_pinned_memory", One(Type::Message(&ENABLED))),
        ("output_pinned_memory", One(Type::Message(&ENABLED))),
        ("gather_kernel_buffer_threshold", One(UINT32)),
        ("eager_batching", One(Switch)),
    ],
);
static GRAPH: Schema = message("Graph", &[("level", One(INT32))]);
static ACCELERATORS: Schema = message(
    "ExecutionAccelerators",
    &[
        ("gpu_execution_accelerator", Many(Type::Message(&ACCELERATOR))),
        ("cpu_execution_accelerator", Many(Type::Message(&ACCELERATOR))),
    ],
);
static ACCELERATOR: Schema = message(
    "Accelerator",
    &[("name", One(Text)), ("parameters", Many(Type::Message(&TEXT_ENTRY)))],
);

static DYNAMIC_BATCHING: Schema = message(
    "ModelDynamicBatching",
    &[
        ("preferred_batch_size", Many(INT32)),
        ("max_queue_delay_microseconds", One(UINT64)),
        ("preserve_ordering", One(Switch)),
        ("priority_levels", One(UINT64)),
        ("default_priority_level", One(UINT64)),
        ("default_queue_policy", One(Type::Message(&QUEUE_POLICY))),
        ("priority_queue_policy", Many(Type::Message(&QUEUE_POLICY_ENTRY))),
    ],
);
static QUEUE_POLICY: Schema = message(
    "ModelQueuePolicy",
    &[
        ("timeout_action", One(Word(&["REJECT", "DELAY"]))),
        ("default_timeout_microseconds", One(UINT64)),
        ("allow_timeout_override", One(Switch)),
        ("max_queue_size", One(UINT32)),
    ],
);
static QUEUE_POLICY_ENTRY: Schema = message(
    "priority_queue_policy",
    &[("key", One(UINT64)), ("value", One(Type::Message(&QUEUE_POLICY)))],
);

static INSTANCE_GROUP: Schema = message(
    "ModelInstanceGroup",
    &[
        ("name", One(Text)),
        ("kind", One(Word(&["KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL"]))),
        ("count", One(INT32)),
        ("rate_limiter", One(Anything)),
        ("gpus", Many(INT32)),
        ("secondary_devices", Many(Anything)),
        ("profile", Many(Text)),
        ("passive", One(Switch)),
        ("host_policy", One(Text)),
    ],
);

static WARM_UP: Schema = message(
    "ModelWarmup",
    &[
        ("name", One(Text)),
        ("batch_size", One(UINT32)),
        ("inputs", Many(Type::Message(&WARM_UP_ENTRY))),
        ("count", One(UINT32)),
    ],
);
static WARM_UP_ENTRY: Schema =
    message("inputs", &[("key", One(Text)), ("value", One(Type::Message(&WARM_UP_INPUT)))]);
static WARM_UP_INPUT: Schema = message(
    "ModelWarmup.Input",
    &[
        ("data_type", One(DATA_TYPE)),
        ("dims", Many(INT64)),
        ("zero_data", One(Switch)),
        ("random_data", One(Switch)),
        ("input_data_file", One(Text)),
    ],
);

static OPERATIONS: Schema = message("ModelOperations", &[("op_library_filename", Many(Text))]);
static TRANSACTION_POLICY: Schema =
    message("ModelTransactionPolicy", &[("decoupled", One(Switch))]);
static ENABLED: Schema = message("Switch", &[("enable", One(Switch))]);
static TEXT_ENTRY: Schema = message("map", &[("key", One(Text)), ("value", One(Text))]);
static PARAMETER_ENTRY: Schema =
    message("parameters", &[("key", One(Text)), ("value", One(Type::Message(&PARAMETER)))]);
static PARAMETER: Schema = message("ModelParameter", &[("string_value", One(Text))]);
