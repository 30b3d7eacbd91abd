"""Triton's own gRPC client asks the server for everything that it offers of the Open Inference Protocol."""

import queue
import sys
from importlib.metadata import version

import ml_dtypes
import numpy
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from server import TYPES, Server, identity, sum_and_difference

# Values of each type. numpy itself has no bfloat16.
VALUES = {
    "BOOL": numpy.array([[True, False], [False, True]]),
    "UINT8": numpy.array([[0, 255], [1, 2]], numpy.uint8),
    "UINT16": numpy.array([[0, 65535], [1, 2]], numpy.uint16),
    "UINT32": numpy.array([[0, 2**32 - 1], [1, 2]], numpy.uint32),
    "UINT64": numpy.array([[0, 2**64 - 1], [1, 2]], numpy.uint64),
    "INT8": numpy.array([[-128, 127], [1, 2]], numpy.int8),
    "INT16": numpy.array([[-(2**15), 2**15 - 1], [1, 2]], numpy.int16),
    "INT32": numpy.array([[-(2**31), 2**31 - 1], [1, 2]], numpy.int32),
    "INT64": numpy.array([[-(2**63), 2**63 - 1], [1, 2]], numpy.int64),
    "FP16": numpy.array([[0.5, -65504], [numpy.inf, 6e-8]], numpy.float16),
    "BF16": numpy.array([[0.5, -2.0], [numpy.inf, 1e38]], ml_dtypes.bfloat16),
    "FP32": numpy.array([[0.1, -1e38], [numpy.inf, 1e-45]], numpy.float32),
    "FP64": numpy.array([[0.1, -1e308], [numpy.nan, 5e-324]], numpy.float64),
    "BYTES": numpy.array([["", "ä"], ["a\0b", "\""]], numpy.object_),
}

checked = 0


def check(is_right: bool, what: str) -> None:
    global checked
    checked += 1
    if not is_right:
        raise SystemExit(f"FAILED: {what}")


def same(got, expected) -> bool:
    if got is None:
        return False
    if expected.dtype == numpy.object_:
        texts = [text.decode() if isinstance(text, bytes) else text for text in got.flatten()]
        return got.shape == expected.shape and texts == list(expected.flatten())
    if expected.dtype == ml_dtypes.bfloat16:
        return got.tobytes() == expected.tobytes()
    return numpy.array_equal(got, expected, equal_nan=expected.dtype.kind == "f")


def x(values, datatype: str):
    given = triton.InferInput("X", list(values.shape), datatype)
    given.set_data_from_numpy(values)
    return given


def every_type(client) -> None:
    for datatype, values in VALUES.items():
        answer = client.infer(datatype.lower(), [x(values, datatype)], request_id="7")
        check(same(answer.as_numpy("Y"), values), f"{datatype}: {answer.as_numpy('Y')}")
        check(answer.get_response().id == "7", f"the id of {datatype}")
        check(answer.get_output("Y").datatype == datatype, f"the type of {datatype}")


def large_tensors(client) -> None:
    values = numpy.arange(1 << 21, dtype=numpy.float32).reshape(-1, 2)
    answer = client.infer("fp32", [x(values, "FP32")])
    check(same(answer.as_numpy("Y"), values), "a large tensor")


def several_inputs_and_outputs(client) -> None:
    a = numpy.arange(16, dtype=numpy.int32).reshape(1, 16)
    b = numpy.ones((1, 16), numpy.int32)
    inputs = [triton.InferInput(name, [1, 16], "INT32") for name in ("b", "a")]
    inputs[0].set_data_from_numpy(b)
    inputs[1].set_data_from_numpy(a)
    answer = client.infer("sums", inputs)
    check(same(answer.as_numpy("sum"), a + b), "sum")
    check(same(answer.as_numpy("difference"), a - b), "difference")
    wanted = [triton.InferRequestedOutput("difference")]
    answer = client.infer("sums", inputs, outputs=wanted)
    check(answer.as_numpy("sum") is None, "an output that nobody asked for")
    check(same(answer.as_numpy("difference"), a - b), "the one output that was asked for")
    answers = queue.Queue()
    for _ in range(50):
        client.async_infer("sums", inputs, lambda result, error: answers.put((result, error)), outputs=wanted)
    for _ in range(50):
        result, error = answers.get(timeout=60)
        check(error is None and same(result.as_numpy("difference"), a - b), f"requests at the same time: {error}")


def streams(client) -> None:
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(20):
        values = numpy.full((1, 2), number, numpy.float32)
        client.async_stream_infer("fp32" if number != 7 else "other", [x(values, "FP32")], request_id=str(number))
    for number in range(20):
        result, error = answers.get(timeout=60)
        if number == 7:
            check(error is not None and "`other`" in str(error), f"a mistake in a stream: {error}")
        else:
            check(error is None and result.get_response().id == str(number), f"the order of a stream: {error}")
            check(result.as_numpy("Y")[0, 0] == number, "an answer of a stream")
    client.stop_stream()


def the_last_answer(client) -> None:
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    values = numpy.zeros((1, 2), numpy.float32)
    for asks in (True, False):
        client.async_stream_infer("fp32", [x(values, "FP32")], enable_empty_final_response=asks)
        result, error = answers.get(timeout=60)
        is_final = error is None and "triton_final_response" in result.get_response().parameters
        check(is_final == asks, f"the mark of the last answer: {error}")
    client.stop_stream()


def classes(client) -> None:
    values = numpy.array([[0.25, 0.75]], numpy.float32)
    wanted = [triton.InferRequestedOutput("Y", class_count=1)]
    best = client.infer("fp32", [x(values, "FP32")], outputs=wanted).as_numpy("Y")
    check((best.shape, best.flatten()[0]) == ((1, 1), b"0.75:1:yes"), f"the best class, {best}")


def everything_that_is_told(client) -> None:
    check(client.is_server_live() and client.is_server_ready(), "the server lives")
    check(client.is_model_ready("fp32") and client.is_model_ready("fp32", "1"), "a model is ready")
    check(not client.is_model_ready("other"), "a model that is not there")
    check("binary_tensor_data" in client.get_server_metadata().extensions, "extensions")
    metadata = client.get_model_metadata("bytes", as_json=True)
    check(metadata["inputs"] == [{"name": "X", "datatype": "BYTES", "shape": ["-1", "2"]}], f"{metadata}")
    check(metadata["versions"] == ["1"] and metadata["platform"] == "onnxruntime_onnx", f"{metadata}")
    index = client.get_model_repository_index(as_json=True)["models"]
    check({"name": "fp32", "version": "1", "state": "READY"} in index, f"{index}")


def what_was_done(client) -> None:
    config = client.get_model_config("fp32").config
    check(config.max_batch_size > 1 and list(config.input[0].dims) == [2], f"{config}")
    done = client.get_inference_statistics("fp32").model_stats
    check(len(done) == 1 and done[0].inference_count > 0, f"{done}")
    check(done[0].inference_stats.compute_infer.ns > 0, f"{done}")
    check(len(client.get_inference_statistics().model_stats) == len(TYPES) + 1, "statistics of all models")


def models_that_come_and_go(client) -> None:
    client.unload_model("int8")
    check(not client.is_model_ready("int8"), "an unloaded model is not ready")
    client.load_model("int8")
    check(client.is_model_ready("int8"), "a loaded model is ready")


def refused(what: str, status: str, expected: str, ask) -> None:
    try:
        ask()
    except InferenceServerException as error:
        check(error.status() == f"StatusCode.{status}" and expected in str(error), f"{what}: {error}")
    else:
        check(False, f"{what} is not refused")


def mistakes(client) -> None:
    given = x(numpy.zeros((1, 2), numpy.float32), "FP32")
    refused("a model that is not there", "NOT_FOUND", "`other`", lambda: client.infer("other", [given]))
    refused("another type", "INVALID_ARGUMENT", "INT32", lambda: client.infer("int32", [given]))
    refused("a missing input", "INVALID_ARGUMENT", "`a`", lambda: client.infer("sums", []))
    wanted = [triton.InferRequestedOutput("Z")]
    refused("no such output", "INVALID_ARGUMENT", "`Z`", lambda: client.infer("fp32", [given], outputs=wanted))
    given.set_shape([3, 2])
    refused("too few bytes", "INVALID_ARGUMENT", "inputs[0]", lambda: client.infer("fp32", [given]))
    refused("a model that is nowhere", "NOT_FOUND", "`other`", lambda: client.load_model("other"))
    refused("shared memory", "UNIMPLEMENTED", "is not offered", client.get_system_shared_memory_status)


def main() -> None:
    models = {datatype.lower(): identity(datatype) for datatype in TYPES} | {"sums": sum_and_difference()}
    settings = {"fp32": 'labels = ["no", "yes"]\n'}
    with Server(sys.argv[1], models, settings) as server:
        client = triton.InferenceServerClient(server.grpc)
        everything_that_is_told(client)
        every_type(client)
        large_tensors(client)
        several_inputs_and_outputs(client)
        streams(client)
        the_last_answer(client)
        classes(client)
        what_was_done(client)
        models_that_come_and_go(client)
        mistakes(client)
        client.close()
    print(f"tritonclient {version('tritonclient')} over gRPC: {checked} checks passed")


if __name__ == "__main__":
    main()
