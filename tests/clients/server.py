"""The real server for a client's tests, with models that are written by hand."""

import json
import os
import pathlib
import struct
import subprocess
import tempfile
import time
import urllib.request

# The types of elements by the names of the protocol, with their numbers in ONNX.
TYPES = {
    "FP32": 1, "UINT8": 2, "INT8": 3, "UINT16": 4, "INT16": 5, "INT32": 6, "INT64": 7, "BYTES": 8,
    "BOOL": 9, "FP16": 10, "FP64": 11, "UINT32": 12, "UINT64": 13, "BF16": 16,
}


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def part(field: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return varint(field << 3 | 2) + varint(len(content)) + content


def port(field: int, name: str, dtype: int, dims: list) -> bytes:
    sizes = [part(1, number(1, dim) if isinstance(dim, int) else part(2, dim.encode())) for dim in dims]
    tensor = part(1, number(1, dtype), part(2, *sizes))
    return part(field, part(1, name.encode()), part(2, tensor))


def node(operator: str, inputs: list, output: str, **attributes: int) -> bytes:
    names = [part(1, name.encode()) for name in inputs]
    numbers = [part(5, part(1, name.encode()), number(3, value), number(20, 2)) for name, value in attributes.items()]
    return part(1, *names, part(2, output.encode()), part(4, operator.encode()), *numbers)


def constant(name: str, value: float) -> bytes:
    """A number that a graph has in itself."""
    return part(5, number(2, TYPES["FP32"]), part(8, name.encode()), part(9, struct.pack("<f", value)))


def model(*graph: bytes) -> bytes:
    return number(1, 8) + part(8, number(2, 18)) + part(7, part(2, b"g"), *graph)


def identity(datatype: str) -> bytes:
    """A model that gives back what it is given: any number of rows of two columns."""
    dtype = TYPES[datatype]
    ports = port(11, "X", dtype, ["N", 2]), port(12, "Y", dtype, ["N", 2])
    return model(node("Identity", ["X"], "Y"), *ports)


def sum_and_difference() -> bytes:
    inputs = [port(11, name, TYPES["INT32"], ["N", 16]) for name in ("a", "b")]
    outputs = [port(12, name, TYPES["INT32"], ["N", 16]) for name in ("sum", "difference")]
    nodes = node("Add", ["a", "b"], "sum"), node("Sub", ["a", "b"], "difference")
    return model(*nodes, *inputs, *outputs)


def half_plus_three() -> bytes:
    """TensorFlow Serving's example: any number of numbers, of each the half and three more."""
    numbers = constant("half", 0.5), constant("three", 3.0)
    nodes = node("Mul", ["x", "half"], "halves"), node("Add", ["halves", "three"], "y")
    return model(*nodes, *numbers, port(11, "x", TYPES["FP32"], ["N"]), port(12, "y", TYPES["FP32"], ["N"]))


def largest_of_four() -> bytes:
    """A classifier in the form of those that tell irises apart: four numbers a row, and the place of the largest."""
    ports = port(11, "input-0", TYPES["FP32"], ["N", 4]), port(12, "predict", TYPES["INT64"], ["N"])
    return model(node("ArgMax", ["input-0"], "predict", axis=1, keepdims=0), *ports)


def three_inputs() -> bytes:
    """Gives back a text, five numbers and a table of each row: the inputs of TensorFlow Serving's larger examples."""
    dims = {"tag": ("BYTES", []), "signal": ("FP32", [5]), "sensor": ("FP32", [2, 2])}
    inputs = [port(11, name, TYPES[dtype], ["N", *rest]) for name, (dtype, rest) in dims.items()]
    outputs = [port(12, f"{name}_out", TYPES[dtype], ["N", *rest]) for name, (dtype, rest) in dims.items()]
    return model(*(node("Identity", [name], f"{name}_out") for name in dims), *inputs, *outputs)


class Server:
    """A server with these models, each a name and the bytes of a file, until the end of the block."""

    def __init__(self, binary: str, models: dict, settings: dict | None = None, environment: dict | None = None) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="greenroom-clients-")
        root = pathlib.Path(self.folder.name)
        repository = root / "models"
        repository.mkdir()
        for name, content in models.items():
            file = repository / f"{name}.onnx"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
        for name, text in (settings or {}).items():
            (repository / f"{name}.toml").write_text(text)
        (root / "greenroom.toml").write_text("")
        self.log = root / "log"
        state = root / "state"
        flags = ["--models", repository, "--state", state, "--config", root / "greenroom.toml"]
        flags += ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen([binary, "serve", *flags], stdout=log, stderr=log, env=os.environ | (environment or {}))
        here = self.wait(lambda: json.loads((state / "server.json").read_text()))
        address, self.grpc = here["http"], here["grpc"]
        self.address = address.removeprefix("http://")
        self.wait(lambda: urllib.request.urlopen(f"{address}/v2/health/ready").status == 200)

    def wait(self, look):
        deadline = time.monotonic() + 600
        while True:
            try:
                if found := look():
                    return found
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"no server:\n{self.log.read_text()}")
            time.sleep(0.01)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        self.folder.cleanup()
