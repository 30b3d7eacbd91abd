"""Triton's own HTTP client asks the server for everything that it offers of the Open Inference Protocol."""

import sys
from importlib.metadata import version

import ml_dtypes
import numpy
import tritonclient.http as triton
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
    if expected.dtype == numpy.object_:
        texts = [text.decode() if isinstance(text, bytes) else text for text in got.flatten()]
        return got.shape == expected.shape and texts == list(expected.flatten())
    if expected.dtype == ml_dtypes.bfloat16:
        return got.tobytes() == expected.tobytes()
    return numpy.array_equal(got, expected, equal_nan=expected.dtype.kind == "f")


def every_type_in_every_form(client) -> None:
    for datatype, values in VALUES.items():
        forms = [(True, True)]
        if datatype not in ("FP16", "BF16"):  # the client itself has no JSON for these
            forms += [(True, False), (False, True), (False, False)]
        for binary_in, binary_out in forms:
            given = triton.InferInput("X", list(values.shape), datatype)
            if datatype == "FP64" and not binary_in:
                values = numpy.nan_to_num(values)  # it quotes no NaN, and Python's JSON has one
            given.set_data_from_numpy(values, binary_data=binary_in)
            wanted = [triton.InferRequestedOutput("Y", binary_data=binary_out)]
            for compression in (None, "gzip", "deflate"):
                answer = client.infer(
                    datatype.lower(), [given], outputs=wanted, request_id="7",
                    request_compression_algorithm=compression, response_compression_algorithm=compression,
                )
                got = answer.as_numpy("Y")
                what = f"{datatype}, binary in {binary_in}, out {binary_out}, {compression}: {got}"
                check(same(got, values), what)
                check(answer.get_response()["id"] == "7", f"the id of {what}")
                check(answer.get_output("Y")["datatype"] == datatype, f"the type of {what}")


def large_tensors(client) -> None:
    values = numpy.arange(1 << 20, dtype=numpy.float32).reshape(-1, 2)
    given = triton.InferInput("X", list(values.shape), "FP32")
    given.set_data_from_numpy(values)
    for compression in (None, "gzip", "deflate"):
        algorithms = {"request_compression_algorithm": compression, "response_compression_algorithm": compression}
        answer = client.infer("fp32", [given], **algorithms)
        check(same(answer.as_numpy("Y"), values), f"a large tensor, {compression}")


def several_inputs_and_outputs(client) -> None:
    a = numpy.arange(16, dtype=numpy.int32).reshape(1, 16)
    b = numpy.ones((1, 16), numpy.int32)
    inputs = [triton.InferInput(name, [1, 16], "INT32") for name in ("b", "a")]
    inputs[0].set_data_from_numpy(b, binary_data=False)
    inputs[1].set_data_from_numpy(a)
    answer = client.infer("sums", inputs)
    check(same(answer.as_numpy("sum"), a + b), "sum")
    check(same(answer.as_numpy("difference"), a - b), "difference")
    wanted = [triton.InferRequestedOutput("difference", binary_data=False)]
    answer = client.infer("sums", inputs, outputs=wanted)
    check(answer.as_numpy("sum") is None, "an output that nobody asked for")
    check(same(answer.as_numpy("difference"), a - b), "the one output that was asked for")
    asked = [client.async_infer("sums", inputs, outputs=wanted) for _ in range(50)]
    check(all(same(it.get_result().as_numpy("difference"), a - b) for it in asked), "requests at the same time")


def classes(client) -> None:
    values = numpy.array([[0.25, 0.75]], numpy.float32)
    given = triton.InferInput("X", [1, 2], "FP32")
    given.set_data_from_numpy(values)
    for binary in (True, False):
        wanted = [triton.InferRequestedOutput("Y", binary_data=binary, class_count=1)]
        best = client.infer("fp32", [given], outputs=wanted).as_numpy("Y")
        text = best.flatten()[0]
        text = text.decode() if isinstance(text, bytes) else text
        check((best.shape, text) == ((1, 1), "0.75:1:yes"), f"the best class, {best}")


def everything_that_is_told(client) -> None:
    check(client.is_server_live() and client.is_server_ready(), "the server lives")
    check(client.is_model_ready("fp32") and client.is_model_ready("fp32", "1"), "a model is ready")
    check(not client.is_model_ready("other"), "a model that is not there")
    check("binary_tensor_data" in client.get_server_metadata()["extensions"], "extensions")
    metadata = client.get_model_metadata("bytes")
    check(metadata["inputs"] == [{"name": "X", "datatype": "BYTES", "shape": [-1, 2]}], f"{metadata}")
    check(metadata["versions"] == ["1"] and metadata["platform"] == "onnxruntime_onnx", f"{metadata}")


def refused(client, what: str, expected: str, ask) -> None:
    try:
        ask()
    except InferenceServerException as error:
        check(expected in str(error), f"{what}: {error}")
    else:
        check(False, f"{what} is not refused")


def what_was_done(client) -> None:
    config = client.get_model_config("fp32")
    check(config["max_batch_size"] > 1 and config["input"][0]["dims"] == [2], f"{config}")
    done = client.get_inference_statistics("fp32")["model_stats"]
    check(len(done) == 1 and done[0]["inference_count"] > 0, f"{done}")
    times = done[0]["inference_stats"]
    check(times["success"]["count"] > 0 and times["compute_infer"]["ns"] > 0, f"{times}")
    check(len(client.get_inference_statistics()["model_stats"]) == len(TYPES) + 1, "statistics of all models")
    index = client.get_model_repository_index()
    check({"name": "fp32", "version": "1", "state": "READY", "reason": ""} in index, f"{index}")


def models_that_come_and_go(client) -> None:
    client.unload_model("int8")
    check(not client.is_model_ready("int8"), "an unloaded model is not ready")
    client.load_model("int8")
    check(client.is_model_ready("int8"), "a loaded model is ready")
    refused(client, "a model that is nowhere", "[404]", lambda: client.load_model("other"))
    refused(client, "an upload", "[501]", lambda: client.load_model("fp32", config="{}"))


def mistakes(client) -> None:
    values = numpy.zeros((1, 2), numpy.float32)
    given = triton.InferInput("X", [1, 2], "FP32")
    given.set_data_from_numpy(values)
    refused(client, "a model that is not there", "[404]", lambda: client.infer("other", [given]))
    refused(client, "a type that the model does not take", "INT32", lambda: client.infer("int32", [given]))
    refused(client, "a missing input", "[400]", lambda: client.infer("sums", []))
    wanted = [triton.InferRequestedOutput("Z")]
    refused(client, "an output that is not there", "`Z`", lambda: client.infer("fp32", [given], outputs=wanted))
    given.set_shape([1, 3])
    refused(client, "a shape that is another", "[400]", lambda: client.infer("fp32", [given]))
    given.set_shape([3, 2])
    refused(client, "too few bytes", "[400]", lambda: client.infer("fp32", [given]))


def main() -> None:
    models = {datatype.lower(): identity(datatype) for datatype in TYPES} | {"sums": sum_and_difference()}
    settings = {"fp32": 'labels = ["no", "yes"]\n'}
    with Server(sys.argv[1], models, settings) as server:
        client = triton.InferenceServerClient(server.address, concurrency=8)
        everything_that_is_told(client)
        every_type_in_every_form(client)
        large_tensors(client)
        several_inputs_and_outputs(client)
        classes(client)
        what_was_done(client)
        models_that_come_and_go(client)
        mistakes(client)
        client.close()
    print(f"tritonclient {version('tritonclient')} over HTTP: {checked} checks passed")


if __name__ == "__main__":
    main()
