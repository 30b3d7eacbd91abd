//! One version of a model, loaded and shared by all threads.

use std::ffi::{CString, c_char, c_void};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::ptr::{self, NonNull};

use ort::memory::{Allocator, MemoryInfo};
use ort::session::Session as OrtSession;
use ort::session::builder::{AutoDevicePolicy, GraphOptimizationLevel};
use ort::sys::OrtValue;
use ort::value::{DynTensor, DynValue, TensorElementType};
use ort::{AsPointer, ortsys};
use smallvec::{SmallVec, smallvec};

use super::error::{LoadError, RunError, without_source_places};
use super::output::Output;
use super::rejection::Rejection;
use super::runtime::Runtime;
use super::signature;
use super::stop::StopFlag;
use crate::domain::signature::{Presented, Reshape, Signature};
use crate::domain::tensor::{ElementsView, Tensor, with_elements};
use crate::domain::wording::printable;

/// Of the library's words about a model, in characters.
const LONGEST_REASON: usize = 1000;

/// As many as most models have of something, without asking for memory.
type Few<T> = SmallVec<[T; 4]>;

/// How a session is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Threads inside one node. One is best for small models: the server's own threads run requests
    /// side by side.
    pub intra_op_threads: usize,
    /// Whether the library keeps the memory of a run for the next one. That spares the system's giving it anew, and
    /// costs as much as the largest run has ever taken.
    pub keeps_memory: bool,
    /// How much the library makes of the graph before it runs it.
    pub optimization: GraphOptimization,
}

/// How far a graph is rewritten into one that gives the same answers faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GraphOptimization {
    /// Not at all.
    Off,
    /// What is known before a run is computed once, and what nobody uses is left out.
    Basic,
    /// Nodes are joined as well.
    Extended,
    /// All that the library can do.
    #[default]
    All,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { intra_op_threads: 1, keeps_memory: false, optimization: GraphOptimization::All }
    }
}

/// A loaded model. `&self` is enough to run it, from any number of threads at once.
#[derive(Debug)]
pub struct Session {
    session: OrtSession,
    presented: Presented,
    input_names: Vec<CString>,
    output_names: Vec<CString>,
    cpu: MemoryInfo<'static>,
    threads: usize,
}

// SAFETY: `OrtSession` is `Send + Sync`, and the names and the memory description are never changed after
// they are made. `OrtApi::Run`, which `run` calls through `&self`, may be called from several threads
// at once on the CPU provider, the only one that sessions are built with here.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

impl Session {
    /// Loads a model from a file. External weights are looked for beside it.
    ///
    /// # Errors
    /// [`LoadError`] when ONNX Runtime does not accept the model or its signature has no form here.
    pub fn load(
        runtime: &Runtime,
        path: &Path,
        options: SessionOptions,
    ) -> Result<Self, LoadError> {
        // `ort` panics on some exotic types of inputs and outputs while it reads them.
        let session = std::panic::catch_unwind(AssertUnwindSafe(|| commit(runtime, path, options)))
            .map_err(|_| LoadError::Unreadable)?
            .map_err(|error| rejected(error.message()))?;
        let signature = signature::read(&session)?;
        let name = |text: &str| CString::new(text).map_err(|_| LoadError::Unreadable);
        let input_names =
            signature.inputs.iter().map(|spec| name(&spec.name)).collect::<Result<_, _>>()?;
        let output_names =
            signature.outputs.iter().map(|spec| name(spec.name())).collect::<Result<_, _>>()?;
        Ok(Self {
            session,
            presented: Presented::as_it_is(signature),
            input_names,
            output_names,
            cpu: MemoryInfo::default(),
            threads: options.intra_op_threads,
        })
    }

    /// Whether a run does all its work on the thread that asks for it.
    pub fn runs_on_one_thread(&self) -> bool {
        self.threads == 1
    }

    /// What the model takes and gives, as it is presented.
    pub fn signature(&self) -> &Signature {
        &self.presented.signature
    }

    /// The same model with other shapes for those who run it. Names and their order stay what they are.
    pub fn presented_as(self, presented: Presented) -> Self {
        Self { presented, ..self }
    }

    /// Runs the model: `inputs` in the order of the signature, borrowed, and of the outputs only those
    /// whose indices are in `wanted`, in that order.
    ///
    /// # Errors
    /// [`RunError::Stopped`] when `stop` was raised, [`RunError::Failed`] with the library's words
    /// otherwise; also when `inputs` or `wanted` do not fit the signature.
    pub fn run(
        &self,
        inputs: &[Tensor],
        wanted: &[usize],
        stop: &StopFlag,
    ) -> Result<Vec<Output>, RunError> {
        // The library reads as many names as it is told there are values.
        if inputs.len() != self.input_names.len() {
            let (expected, got) = (self.input_names.len(), inputs.len());
            return Err(RunError::Failed {
                message: format!("expected {expected} inputs, got {got}"),
            });
        }
        let values = inputs
            .iter()
            .enumerate()
            .map(|(index, tensor)| self.borrow(tensor, reshape_of(&self.presented.inputs, index)))
            .collect::<Result<Few<_>, _>>()?;
        let input_names: Few<*const c_char> =
            self.input_names.iter().map(|name| name.as_ptr()).collect();
        let inputs: Few<*const OrtValue> = values.iter().map(Input::ptr).collect();
        let output_names = wanted
            .iter()
            .map(|&index| self.output_names.get(index).map(|name| name.as_ptr()))
            .collect::<Option<Few<*const c_char>>>()
            .ok_or_else(|| RunError::Failed {
                message: "an output that does not exist".to_owned(),
            })?;
        let mut outputs: Few<*mut OrtValue> = smallvec![ptr::null_mut(); wanted.len()];
        // SAFETY: names and values have the lengths that are passed, all pointers are alive until the call
        // returns (`values` and `stop` are borrowed for longer), and `Run` does not change its inputs. The
        // session is not changed through the pointer in a way that others could see: see `Sync` above.
        let status = ortsys![unsafe Run(
            self.session.ptr().cast_mut(),
            stop.options(),
            input_names.as_ptr(),
            inputs.as_ptr(),
            inputs.len(),
            output_names.as_ptr(),
            output_names.len(),
            outputs.as_mut_ptr()
        )];
        let allocator = Allocator::default();
        let own = |value| {
            // SAFETY: `Run` made it for us to own, which happens here, once; also when it failed half-way.
            unsafe { DynValue::from_ptr(value, Some(&allocator)) }
        };
        let outputs: Few<Option<DynValue>> =
            outputs.into_iter().map(|value| NonNull::new(value).map(own)).collect();
        // SAFETY: the status comes from the call above and is consumed here, once.
        if let Err(error) = unsafe { ort::Error::result_from_status(status) } {
            return Err(run_error(&error, stop));
        }
        outputs
            .into_iter()
            .zip(wanted)
            .map(|(value, &index)| match value {
                Some(value) => {
                    Output::new(value)?.reshaped(reshape_of(&self.presented.outputs, index))
                }
                None => Err(RunError::Failed { message: "an output is missing".to_owned() }),
            })
            .collect()
    }

    fn borrow<'a>(
        &self,
        tensor: &'a Tensor,
        reshape: Option<&Reshape>,
    ) -> Result<Input<'a>, RunError> {
        let elements = tensor.view().elements;
        let shape: Few<usize> = match reshape {
            Some(reshape) => reshape
                .inward(tensor.shape())
                .ok_or_else(|| RunError::Failed {
                    message: format!(
                        "an input of shape {:?} has no form for the model",
                        tensor.shape()
                    ),
                })?
                .into(),
            None => tensor.shape().into(),
        };
        // A dimension never exceeds the number of bytes in memory, so it fits.
        let shape: Few<i64> = shape.into_iter().map(|size| size as i64).collect();
        let (bytes, length) = with_elements!(
            ElementsView,
            elements,
            numbers => (numbers.as_ptr().cast::<c_void>(), size_of_val(numbers)),
            texts => return copy_texts(shape.into_vec(), texts)
        );
        let mut value = ptr::null_mut();
        // SAFETY: `bytes` and `length` are those of a live slice of the element type that is told, whose number of
        // elements is the shape's product (`Tensor` guarantees it, and a reshape keeps it). The value only borrows: `Input`
        // carries the slice's lifetime, and `Run` takes its inputs as constants.
        let status = ortsys![unsafe CreateTensorWithDataAsOrtValue(
            self.cpu.ptr(),
            bytes.cast_mut(),
            length,
            shape.as_ptr(),
            shape.len(),
            signature::element_type(elements.dtype()).into(),
            &mut value
        )];
        // SAFETY: the status comes from the call above and is consumed here, once.
        unsafe { ort::Error::result_from_status(status) }.map_err(|error| failed(&error))?;
        let value = NonNull::new(value)
            .ok_or_else(|| RunError::Failed { message: "no input value".to_owned() })?;
        Ok(Input::Borrowed { value, _elements: std::marker::PhantomData })
    }
}

/// Texts are the one element type that the library keeps in a form of its own. They may hold any character, also
/// NUL, so they are written by length.
fn copy_texts<'a>(shape: Vec<i64>, texts: &[String]) -> Result<Input<'a>, RunError> {
    let tensor = DynTensor::new(&Allocator::default(), TensorElementType::String, shape);
    let tensor = tensor.map_err(|error| failed(&error))?;
    for (index, text) in texts.iter().enumerate() {
        let mut buffer: *mut c_char = ptr::null_mut();
        // SAFETY: the tensor is alive and ours alone, and `index` is below its number of elements, which is the
        // number of texts (`Tensor` guarantees it).
        let status = ortsys![unsafe GetResizedStringTensorElementBuffer(
            tensor.ptr().cast_mut(),
            index,
            text.len(),
            &mut buffer
        )];
        // SAFETY: the status comes from the call above and is consumed here, once.
        unsafe { ort::Error::result_from_status(status) }.map_err(|error| failed(&error))?;
        // SAFETY: the successful call above gave room for as many bytes as the text has.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), text.len()) };
    }
    Ok(Input::Owned(tensor.into_dyn()))
}

fn commit(runtime: &Runtime, path: &Path, options: SessionOptions) -> ort::Result<OrtSession> {
    OrtSession::builder(runtime.environment())?
        // `ort` picks an accelerator by itself otherwise; answers must not depend on the machine's.
        .with_auto_device(AutoDevicePolicy::PreferCPU)?
        .with_intra_threads(options.intra_op_threads)?
        .with_inter_threads(1)?
        // A thread that spins while it waits takes a core from those that have work.
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_optimization_level(level(options.optimization))?
        // The arena never gives memory back; without it an idle model costs its weights.
        .with_execution_providers([ort::ep::CPU::default()
            .with_arena_allocator(options.keeps_memory)
            .build()
            .error_on_failure()])?
        .commit_from_file(path)
}

fn level(optimization: GraphOptimization) -> GraphOptimizationLevel {
    match optimization {
        GraphOptimization::Off => GraphOptimizationLevel::Disable,
        GraphOptimization::Basic => GraphOptimizationLevel::Level1,
        GraphOptimization::Extended => GraphOptimizationLevel::Level2,
        GraphOptimization::All => GraphOptimizationLevel::All,
    }
}

fn reshape_of(reshapes: &[Option<Reshape>], index: usize) -> Option<&Reshape> {
    reshapes.get(index)?.as_ref()
}

fn rejected(message: &str) -> LoadError {
    tracing::debug!("ONNX Runtime's own words on a model that it does not accept: {message}");
    let reason = Rejection::of(message);
    LoadError::Rejected {
        reason,
        message: printable(&without_source_places(message), LONGEST_REASON),
    }
}

fn run_error(error: &ort::Error, stop: &StopFlag) -> RunError {
    if stop.is_raised() { RunError::Stopped } else { failed(error) }
}

fn failed(error: &ort::Error) -> RunError {
    RunError::Failed { message: error.message().to_owned() }
}

/// A value that the library may read during a run.
enum Input<'a> {
    /// It looks at elements of ours.
    Borrowed { value: NonNull<OrtValue>, _elements: std::marker::PhantomData<&'a [u8]> },
    /// It has a copy of its own.
    Owned(DynValue),
}

impl Input<'_> {
    fn ptr(&self) -> *const OrtValue {
        match self {
            Self::Borrowed { value, .. } => value.as_ptr(),
            Self::Owned(value) => value.ptr(),
        }
    }
}

impl Drop for Input<'_> {
    fn drop(&mut self) {
        if let Self::Borrowed { value, .. } = self {
            // SAFETY: made by `CreateTensorWithDataAsOrtValue`, owned by this `Input` alone, released once.
            // The elements it looks at are not freed with it.
            ortsys![unsafe ReleaseValue(value.as_ptr())];
        }
    }
}

#[cfg(test)]
mod tests;
