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

use super::error::{LoadError, RunError, without_source_places};
use super::output::Output;
use super::rejection::Rejection;
use super::runtime::Runtime;
use super::signature;
use super::stop::StopFlag;
use crate::domain::signature::Signature;
use crate::domain::tensor::{ElementsView, Tensor, with_elements};
use crate::domain::wording::printable;

/// Of the library's words about a model, in characters.
const LONGEST_REASON: usize = 1000;

/// How a session is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Threads inside one node. One is best for small models: the server's own threads run requests
    /// side by side.
    pub intra_op_threads: usize,
    /// Whether the library keeps the memory of a run for the next one. That spares the system's giving it anew, and
    /// costs as much as the largest run has ever taken.
    pub keeps_memory: bool,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { intra_op_threads: 1, keeps_memory: false }
    }
}

/// A loaded model. `&self` is enough to run it, from any number of threads at once.
#[derive(Debug)]
pub struct Session {
    session: OrtSession,
    signature: Signature,
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
            signature,
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

    /// What the model takes and gives.
    pub fn signature(&self) -> &Signature {
        &self.signature
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
        let values =
            inputs.iter().map(|tensor| self.borrow(tensor)).collect::<Result<Vec<_>, _>>()?;
        let input_names: Vec<*const c_char> =
            self.input_names.iter().map(|name| name.as_ptr()).collect();
        let inputs: Vec<*const OrtValue> = values.iter().map(Input::ptr).collect();
        let output_names = wanted
            .iter()
            .map(|&index| self.output_names.get(index).map(|name| name.as_ptr()))
            .collect::<Option<Vec<*const c_char>>>()
            .ok_or_else(|| RunError::Failed {
                message: "an output that does not exist".to_owned(),
            })?;
        let mut outputs = vec![ptr::null_mut::<OrtValue>(); wanted.len()];
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
        let outputs: Vec<Option<DynValue>> =
            outputs.into_iter().map(|value| NonNull::new(value).map(own)).collect();
        // SAFETY: the status comes from the call above and is consumed here, once.
        if let Err(error) = unsafe { ort::Error::result_from_status(status) } {
            return Err(run_error(&error, stop));
        }
        outputs
            .into_iter()
            .map(|value| match value {
                Some(value) => Output::new(value),
                None => Err(RunError::Failed { message: "an output is missing".to_owned() }),
            })
            .collect()
    }

    fn borrow<'a>(&self, tensor: &'a Tensor) -> Result<Input<'a>, RunError> {
        let elements = tensor.view().elements;
        let (bytes, length) = with_elements!(
            ElementsView,
            elements,
            numbers => (numbers.as_ptr().cast::<c_void>(), size_of_val(numbers)),
            texts => return copy_texts(tensor.shape(), texts)
        );
        // A dimension never exceeds the number of bytes in memory, so it fits.
        let shape: Vec<i64> = tensor.shape().iter().map(|&size| size as i64).collect();
        let mut value = ptr::null_mut();
        // SAFETY: `bytes` and `length` are those of a live slice of the element type that is told, whose number of
        // elements is the shape's product (`Tensor` guarantees it). The value only borrows: `Input`
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
fn copy_texts<'a>(shape: &[usize], texts: &[String]) -> Result<Input<'a>, RunError> {
    let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
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
        .with_optimization_level(GraphOptimizationLevel::All)?
        // The arena never gives memory back; without it an idle model costs its weights.
        .with_execution_providers([ort::ep::CPU::default()
            .with_arena_allocator(options.keeps_memory)
            .build()
            .error_on_failure()])?
        .commit_from_file(path)
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
mod tests {
    use std::time::{Duration, Instant};

    use super::super::testing::{file, runtime, session};
    use super::*;
    use crate::domain::signature::{ClassKey, OutputSpec};
    use crate::domain::tensor::{DType, Elements, ValueView};

    fn tensor(shape: &[usize], elements: Elements) -> Tensor {
        Tensor::new(shape.to_vec(), elements).unwrap()
    }

    fn run(
        session: &Session,
        inputs: &[Tensor],
        wanted: &[usize],
    ) -> Result<Vec<Output>, RunError> {
        session.run(inputs, wanted, &StopFlag::new().unwrap())
    }

    #[test]
    fn the_signature_is_what_the_model_declares() {
        let session = session("models/iris/1.onnx");
        let signature = session.signature();
        assert_eq!(signature.inputs[0].name, "X");
        assert_eq!(signature.inputs[0].to_string(), "f32[N, 4]");
        let [OutputSpec::Tensor(label), OutputSpec::ClassScores { name, key }] =
            &signature.outputs[..]
        else {
            panic!("{:?}", signature.outputs);
        };
        assert_eq!((label.name.as_str(), label.dtype), ("label", DType::String));
        assert_eq!((name.as_str(), *key), ("probabilities", ClassKey::String));
    }

    #[test]
    fn only_the_outputs_that_are_asked_for_are_given_in_that_order() {
        let session = session("tests/models/nan.onnx");
        let input = [tensor(&[2], Elements::F32(vec![2.0, 4.0]))];
        let outputs = run(&session, &input, &[1]).unwrap();
        let expected = tensor(&[2], Elements::F32(vec![0.5, 0.25]));
        assert_eq!(outputs.len(), 1);
        assert_eq!(outputs[0].view(), ValueView::Tensor(expected.view()));
        assert_eq!(run(&session, &input, &[1, 0]).unwrap().len(), 2);
    }

    #[test]
    fn every_element_type_goes_in_and_comes_out_unchanged() {
        let session = session("tests/models/types.onnx");
        let inputs = [
            tensor(&[2], Elements::Bool(vec![true, false])),
            tensor(&[2], Elements::I32(vec![i32::MIN, i32::MAX])),
            tensor(&[2], Elements::I64(vec![i64::MIN, i64::MAX])),
            tensor(&[2], Elements::F32(vec![f32::MIN_POSITIVE, -0.0])),
            tensor(&[2], Elements::F64(vec![f64::MAX, f64::EPSILON])),
            tensor(&[2], Elements::String(vec![String::new(), "grün\0".to_owned()])),
        ];
        let outputs = run(&session, &inputs, &[0, 1, 2, 3, 4, 5]).unwrap();
        for (input, output) in inputs.iter().zip(&outputs) {
            assert_eq!(output.view(), ValueView::Tensor(input.view()));
        }
    }

    #[test]
    fn what_does_not_fit_the_signature_is_an_error_and_not_a_crash() {
        let session = session("tests/models/adder.onnx");
        let rows = tensor(&[1, 2], Elements::F32(vec![0.0; 2]));
        assert!(run(&session, &[], &[0]).is_err());
        assert!(run(&session, &[rows.clone(), rows.clone()], &[0]).is_err());
        assert!(run(&session, &[tensor(&[1, 3], Elements::F32(vec![0.0; 3]))], &[0]).is_err());
        assert!(run(&session, &[tensor(&[1, 2], Elements::I64(vec![0; 2]))], &[0]).is_err());
        assert!(run(&session, &[rows], &[1]).is_err());
    }

    #[test]
    fn a_run_that_is_told_to_stop_stops_and_the_next_one_runs() {
        let session = session("tests/models/slow.onnx");
        let inputs = |loops| {
            [tensor(&[1, 2], Elements::F32(vec![0.0; 2])), tensor(&[], Elements::I64(vec![loops]))]
        };
        let stop = StopFlag::new().unwrap();
        std::thread::scope(|scope| {
            let (stop, started) = (&stop, Instant::now());
            let run = scope.spawn(|| session.run(&inputs(60_000), &[0], stop).map(drop));
            stop.raise();
            assert_eq!(run.join().unwrap(), Err(RunError::Stopped));
            assert!(started.elapsed() < Duration::from_secs(30), "the run went on to its end");
        });
        assert_eq!(session.run(&inputs(1), &[0], &stop).map(drop), Err(RunError::Stopped));
        stop.lower();
        assert!(session.run(&inputs(1), &[0], &stop).is_ok());
    }

    #[test]
    fn one_session_runs_on_many_threads_at_once() {
        let session = session("models/digits/1.onnx");
        let input = |seed: usize| {
            let pixels = (0..64).map(|pixel| ((pixel * seed) % 17) as f32).collect();
            [tensor(&[1, 64], Elements::F32(pixels))]
        };
        let alone: Vec<Vec<Output>> =
            (0..8).map(|seed| run(&session, &input(seed), &[1]).unwrap()).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..400 {
                        let together = run(&session, &input(round % 8), &[1]).unwrap();
                        assert_eq!(together[0].view(), alone[round % 8][0].view());
                    }
                });
            }
        });
    }

    #[test]
    fn a_file_that_is_no_model_is_rejected() {
        for name in
            ["tests/models/text.onnx", "tests/models/truncated.onnx", "tests/models/missing.onnx"]
        {
            let error =
                Session::load(runtime(), &file(name), SessionOptions::default()).unwrap_err();
            assert!(matches!(error, LoadError::Rejected { .. }), "{name}: {error}");
        }
    }
}
