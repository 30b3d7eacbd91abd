"""ONNX's own tests of its operators, asked over the Open Inference Protocol: as JSON, and as bytes.

A test counts as right when both answers are what ONNX expects. Those that give or take something else than tensors, or
elements of types that the protocol has no name for, cannot be asked; those that the server does not load are listed by
what it says of them.
"""

import collections
import http.client
import json
import sys

import ml_dtypes
import numpy
import onnx.backend.test.loader as loader
from onnx import numpy_helper

from server import Server

NAMES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64", "float16": "FP16",
    "bfloat16": "BF16", "float32": "FP32", "float64": "FP64", "object": "BYTES",
}
TYPES = {name: numpy.dtype(dtype if dtype != "bfloat16" else ml_dtypes.bfloat16) for dtype, name in NAMES.items()}


def arrays(values):
    """The values as arrays of types that have a name, or none."""
    out = []
    for value in values:
        if not isinstance(value, numpy.ndarray):
            if not hasattr(value, "data_type"):
                return None
            value = numpy_helper.to_array(value)
        if value.dtype.kind in "US":
            value = value.astype(numpy.object_)
        if value.dtype.name not in NAMES:
            return None
        out.append(value)
    return out


def data(array) -> list:
    """The elements as Python's JSON writes them."""
    if array.dtype == numpy.object_:
        return [text.decode() if isinstance(text, bytes) else text for text in array.flatten()]
    if array.dtype == ml_dtypes.bfloat16:
        array = array.astype(numpy.float32)
    return array.flatten().tolist()


def raw(array) -> bytes:
    if array.dtype != numpy.object_:
        return numpy.ascontiguousarray(array).tobytes()
    texts = [text if isinstance(text, bytes) else text.encode() for text in array.flatten()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def from_raw(content: bytes, datatype: str):
    if datatype != "BYTES":
        return numpy.frombuffer(content, TYPES[datatype])
    texts = []
    while content:
        length = int.from_bytes(content[:4], "little")
        texts.append(content[4 : 4 + length].decode())
        content = content[4 + length :]
    return numpy.array(texts, numpy.object_)


class Refused(Exception):
    pass


def infer(connection, model: str, names: list, inputs: list, binary: bool) -> list:
    blobs, tensors = b"", []
    for name, array in zip(names, inputs):
        tensor = {"name": name, "shape": list(array.shape), "datatype": NAMES[array.dtype.name]}
        if binary:
            blob = raw(array)
            blobs += blob
            tensor["parameters"] = {"binary_data_size": len(blob)}
        else:
            tensor["data"] = data(array)
        tensors.append(tensor)
    text = json.dumps({"inputs": tensors, "parameters": {"binary_data_output": binary}}).encode()
    length = {"Inference-Header-Content-Length": str(len(text))} if binary else {}
    connection.request("POST", f"/v2/models/{model}/infer", text + blobs, length)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise Refused(f"{response.status} {json.loads(body)['error']}")
    length = int(response.headers.get("Inference-Header-Content-Length") or len(body))
    text, rest = json.loads(body[:length]), body[length:]
    outputs = []
    for output in text["outputs"]:
        datatype = output["datatype"]
        if "data" in output:
            array = numpy.array(output["data"], TYPES[datatype])
        else:
            size = output["parameters"]["binary_data_size"]
            array, rest = from_raw(rest[:size], datatype), rest[size:]
        outputs.append(array.reshape(output["shape"]))
    return outputs


def same(got, expected, case) -> bool:
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return False
    if expected.dtype == numpy.object_:
        return data(got) == data(expected)
    if expected.dtype.kind in "biu":
        return numpy.allclose(got.astype(float), expected.astype(float), case.rtol, case.atol)
    got, expected = got.astype(numpy.float64), expected.astype(numpy.float64)
    return numpy.allclose(got, expected, case.rtol, case.atol, equal_nan=True)


def main() -> None:
    told, cases = collections.Counter(), {}
    for case in loader.load_model_tests(kind="node"):
        graph = case.model.graph
        asked = []
        for given, expected in case.data_sets:
            given, expected = arrays(given), arrays(expected)
            if given is None or expected is None or len(graph.input) != len(given):
                break
            asked.append((given, expected))
        else:
            cases[case.name] = (case, asked)
            continue
        told["cannot be asked"] += 1
    models = {name: case.model.SerializeToString() for name, (case, _) in cases.items()}
    environment = {"GREENROOM_REPOSITORY__TRIAL": "false"}
    with Server(sys.argv[1], models, environment=environment) as server:
        host, port = server.address.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        for name, (case, asked) in cases.items():
            connection.request("GET", f"/v2/models/{name}/ready")
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                told["not loaded"] += 1
                connection.request("GET", f"/admin/v1/models/{name}")
                versions = json.load(connection.getresponse())["versions"]
                print(f"not loaded: {name}: {versions[0]['reason'] if versions else 'there is no file'}")
                continue
            names = [given.name for given in case.model.graph.input]
            try:
                right = all(
                    len(got) == len(expected) and all(map(same, got, expected, [case] * len(got)))
                    for given, expected in asked
                    for binary in (False, True)
                    for got in [infer(connection, name, names, given, binary)]
                )
            except Refused as error:
                told["refused"] += 1
                print(f"refused: {name}: {error}")
                continue
            told["right" if right else "wrong"] += 1
            if not right:
                print(f"wrong: {name}")
    print(", ".join(f"{count} {what}" for what, count in sorted(told.items())))


if __name__ == "__main__":
    main()
