//! Finding, loading and starting ONNX Runtime: once per process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::environment::Environment;
use ort::logging::LogLevel;

use super::error::{LookedAt, RuntimeError};
use super::library;

/// ONNX Runtime, loaded and started. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Runtime {
    environment: Environment,
    library: Arc<Path>,
    version: Arc<str>,
}

impl Runtime {
    /// Loads the library from `chosen`, or from the first usual place that has one.
    ///
    /// Call it once: the library allows one environment per process.
    ///
    /// # Errors
    /// [`RuntimeError`] with every place that was looked at and what to do.
    pub fn load(chosen: Option<&Path>) -> Result<Self, RuntimeError> {
        let mut looked_at = Vec::new();
        for place in library::places(chosen) {
            match library::library_at(&place)
                .and_then(|path| open(&path).map(|start| (path, start)))
            {
                Ok((path, builder)) => return start(builder, path),
                Err(reason) => looked_at.push(LookedAt { place, reason }),
            }
        }
        Err(RuntimeError::NotFound { minimum: ort::MINOR_VERSION, looked_at })
    }

    /// The library's file, for the start-up log.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The library's own version, such as `1.32.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }
}

fn open(path: &Path) -> Result<ort::environment::EnvironmentBuilder, String> {
    // Never `ort::init`: it panics when there is no library.
    ort::init_from(path).map_err(|error| match error {
        ort::LoadDynamicError::Dlopen { error, .. } => {
            std::error::Error::source(&error).map_or_else(|| error.to_string(), |s| s.to_string())
        }
        ort::LoadDynamicError::MissingApi { .. } => "not ONNX Runtime".to_owned(),
        ort::LoadDynamicError::InvalidVersionString => "its version cannot be read".to_owned(),
        ort::LoadDynamicError::BadVersion { version_str, .. } => {
            format!("version {version_str} is too old")
        }
    })
}

fn start(
    builder: ort::environment::EnvironmentBuilder,
    library: PathBuf,
) -> Result<Runtime, RuntimeError> {
    let environment = builder
        .with_name("greenroom")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, _category, _id, location, message| {
            forward_to_log(level, location, message);
        }))
        .build()
        .map_err(|error| RuntimeError::NotStarted {
            path: library.clone(),
            reason: error.message().to_owned(),
        })?;
    // The logger opens the environment at its most talkative level.
    environment.set_log_level(LogLevel::Warning);
    let version = version(&library).unwrap_or_else(|| "of an unknown version".to_owned());
    Ok(Runtime { environment, library: library.into(), version: version.into() })
}

/// `ort` does not pass on what the library says of itself.
fn version(library: &Path) -> Option<String> {
    type GetApiBase = unsafe extern "C" fn() -> *const ort::sys::OrtApiBase;
    // SAFETY: the library is loaded already and stays so, since `ort` never lets go of it: this only counts one
    // more user and runs no code of its initialisation. `OrtGetApiBase` has had this type in all versions; it
    // gives a static table, and `GetVersionString` a static text that ends with a NUL.
    let text = unsafe {
        let library = libloading::Library::new(library).ok()?;
        let get_api_base = library.get::<GetApiBase>(b"OrtGetApiBase").ok()?;
        let base = get_api_base().as_ref()?;
        std::ffi::CStr::from_ptr((base.GetVersionString)()).to_string_lossy().into_owned()
    };
    Some(text)
}

/// What fails is reported again by the call that failed, and logged once there; here it is detail.
fn forward_to_log(level: LogLevel, location: &str, message: &str) {
    match level {
        LogLevel::Fatal => tracing::error!(target: "onnxruntime", location, "{message}"),
        LogLevel::Error | LogLevel::Warning => {
            tracing::debug!(target: "onnxruntime", location, "{message}");
        }
        LogLevel::Info | LogLevel::Verbose => {
            tracing::trace!(target: "onnxruntime", location, "{message}");
        }
    }
}
