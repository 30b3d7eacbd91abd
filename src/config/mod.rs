//! Settings: of the server (`greenroom.toml`) and of one model (`model.toml`, Triton's `config.pbtxt`), right as a
//! whole or refused as a whole.
//!
//! A setting may come from four places: default < file < environment < flag. They are laid over each other
//! before any of them is understood, and every value remembers where it stands, so that each complaint
//! names the line, the variable or the flag that a person can go and change. A file is read to its end
//! and all its problems are told at once. [`ServerConfig`] and [`ModelConfig`] hold values that need no
//! second look: addresses are addresses, sizes are bytes, and combinations that cannot work do not exist.
//!
//! How it is made: `source` turns text into a tree with origins, `layers` are the environment and the
//! flags, a `section` reads typed keys out of both and remembers what it was asked for (that is how it
//! knows which keys are unknown and which known one is near), `value` has the kinds of values, and
//! `keys`, `model`, `rollout` and `gates` say what the keys are. `inactive` knows what has no effect beside
//! other settings. `triton` understands `config.pbtxt`, and `texts` lays `model.toml` over it.

mod error;
mod gates;
mod inactive;
mod keys;
mod layers;
mod load;
mod model;
mod rollout;
mod section;
mod server;
mod source;
mod texts;
mod triton;
mod value;

pub use error::{ConfigError, Problem};
pub use gates::{ErrorGate, GatesConfig, LatencyGate, OutputGate};
pub use layers::{Overrides, environment};
pub use model::{
    GraphOptimization, ModelConfig, ModelSchedulerConfig, OutputConfig, Provider, SessionConfig,
    VersionsKept,
};
pub use rollout::{RolloutConfig, ShadowStageConfig};
pub use server::{
    AdminConfig, AdminListener, CaptureConfig, CaptureMode, GrpcConfig, HttpConfig, LimitsConfig,
    LogConfig, LogFormat, LogLevel, MetricsCompat, MetricsConfig, MetricsListen, RepositoryConfig,
    ServerConfig, ServerSchedulerConfig, ShadowConfig, ShadowMode, ShutdownConfig, WebhookConfig,
};
pub use texts::{Beside, ModelTexts, SettingsText};
pub use triton::{
    Declared, DeclaredTensor, Fill, Outline, WARM_UP_FOLDER, WarmUpInput, WarmUpSample,
};
