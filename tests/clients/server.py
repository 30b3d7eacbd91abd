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


def constant(name: str, value: float | list) -> bytes:
    """A number, a row of numbers or a table that a graph has in itself."""
    sizes, numbers = [], [value]
    while isinstance(numbers[0], list):
        sizes.append(len(numbers[0]))
        numbers = [number for row in numbers for number in row]
    dims = [number(1, size) for size in sizes]
    content = part(9, struct.pack(f"<{len(numbers)}f", *numbers))
    return part(5, *dims, number(2, TYPES["FP32"]), part(8, name.encode()), content)


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


def iris() -> bytes:
    """KServe's example: tells three irises apart, here by the last of the four numbers alone, the petal's width."""
    weights = [[0.0, 0.0, 0.0]] * 3 + [[0.0, 1.0, 2.0]]
    numbers = constant("weights", weights), constant("limits", [0.0, -0.8, -2.55])
    nodes = node("MatMul", ["input-0", "weights"], "sums"), node("Add", ["sums", "limits"], "scores")
    best = node("ArgMax", ["scores"], "predict", axis=1, keepdims=0)
    ports = port(11, "input-0", TYPES["FP32"], ["N", 4]), port(12, "predict", TYPES["INT64"], ["N"])
    return model(*nodes, best, *numbers, *ports)


def linear(slope: float, start: float) -> bytes:
    """Any number of numbers, of each the product and the sum."""
    numbers = constant("slope", slope), constant("start", start)
    nodes = node("Mul", ["x", "slope"], "products"), node("Add", ["products", "start"], "y")
    return model(*nodes, *numbers, port(11, "x", TYPES["FP32"], ["N"]), port(12, "y", TYPES["FP32"], ["N"]))


def echo(datatype: str, *dims: int, output: str = "y") -> bytes:
    """Gives back what it is given: any number of rows of this shape."""
    ports = [port(field, name, TYPES[datatype], ["N", *dims]) for field, name in ((11, "x"), (12, output))]
    return model(node("Identity", ["x"], output), *ports)


def echoes(inputs: dict) -> bytes:
    """Gives back each input: by its name its type, its shape, and the name of its output."""
    ports = [
        port(field, name, TYPES[datatype], dims)
        for given, (datatype, dims, output) in inputs.items()
        for field, name in ((11, given), (12, output))
    ]
    return model(*(node("Identity", [given], output) for given, (*_, output) in inputs.items()), *ports)


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
