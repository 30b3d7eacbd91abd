"""The real server for a client's tests, with models that are written by hand."""

import json
import os
import pathlib
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


def node(operator: str, inputs: list, output: str) -> bytes:
    names = [part(1, name.encode()) for name in inputs]
    return part(1, *names, part(2, output.encode()), part(4, operator.encode()))


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


class Server:
    """A server with these models, each a name and the bytes of a file, until the end of the block."""

    def __init__(self, binary: str, models: dict, settings: dict | None = None, environment: dict | None = None) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="greenroom-clients-")
        root = pathlib.Path(self.folder.name)
        repository = root / "models"
        repository.mkdir()
        for name, content in models.items():
            (repository / f"{name}.onnx").write_bytes(content)
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
