//! Greenroom: an ONNX inference server that releases new model versions safely.
//!
//! # The architecture on one page
//!
//! Two loops meet in one snapshot:
//!
//! ```text
//! ANSWER   bytes → api → serving::router → serving::scheduler → onnx → api → bytes
//! (request)                    ▲                      │ sampled, once it is answered
//!                     Snapshot │ one ArcSwap          ├─▶ capture: kept on disk
//!                              │                      └─▶ shadow: run on two versions → compare ─▶ report
//!                              │                                                          │ verdict
//! RELEASE  models/ → repository: look → store → load → warm up → ready                    │
//! (version)                    │                                                          ▼
//!          routes ◀── delivery::controller ── asks ──▶ domain::rollout (decides) ◀────────┘
//!                              └── writes ──▶ delivery::journal ── outbox ──▶ webhooks
//! ```
//!
//! A request reads one immutable [`serving::Snapshot`], so it sees a model either before a change or after it,
//! never in between. A version is made ready by [`repository`] without any request noticing.
//!
//! # The parts, in the order in which a request meets them
//!
//! - [`cli`] and [`app`] start the process and put the parts together; [`config`] says how.
//! - [`api`] speaks HTTP and gRPC: routes, limits, JSON and protobuf in and out, errors.
//! - [`serving`] answers: which version, when, on which thread.
//! - [`onnx`] is the only part that knows ONNX Runtime.
//! - [`repository`] makes versions available: from files to warm, loaded models.
//! - [`shadow`] runs sampled requests again, on two versions, and compares what they answer.
//! - [`capture`] keeps a sample of requests and answers on disk, for whoever asks a model the same again, and those that
//!   are to be run on two versions when there is time.
//! - [`delivery`] gives them traffic: asks the domain, writes down what it decides, and shows it.
//! - [`webhooks`] tell others of every change, beside [`api`]: from what [`delivery`] has written down.
//! - [`telemetry`] tells: log and metrics.
//! - [`system`] does what only the operating system can do.
//! - [`domain`] decides, and can do nothing: the words of the trade as types, and rules that need only data.
//!
//! Dependencies point inward: `cli → app → {api, webhooks} → delivery → {repository, shadow, capture} → serving → onnx → domain`. `telemetry` and
//! `system` may be called by all and know only `domain`; `domain` knows nobody. `unsafe` lives in `onnx` and
//! `system` alone. A test (`tests/integration/architecture.rs`) keeps it so.

pub mod api;
pub mod app;
pub mod capture;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod domain;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod onnx;
pub mod repository;
pub mod serving;
pub mod shadow;
pub mod system;
pub mod telemetry;
pub mod webhooks;
