"""The large models of the bench, in the shapes of models that people serve. `make_models.py --bench DIR` writes them.

Their structure is real and their weights are random, with a fixed seed: how long a run takes depends
on shapes, not on what was learned. Nothing of this is kept in the repository: together they have 140 MB.

    DIR/resnet50/1.onnx       ResNet-50: `image` f32[N, 3, 224, 224] -> `scores` f32[N, 1000]
    DIR/transformer/1.onnx    6 encoder layers of 384 and 6 heads: `ids` i64[N, 128] -> `embedding` f32[N, 384]
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEED = 20
OPSET, IR_VERSION = 18, 8

RESNET_BLOCKS = (3, 4, 6, 3)
LAYERS, HIDDEN, HEADS, SEQUENCE, WORDS = 6, 384, 6, 128, 8192


def write_bench_models(folder: Path) -> None:
    for name, make in (("resnet50", resnet50), ("transformer", transformer)):
        path = folder / name / "1.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        model = make()
        onnx.checker.check_model(model)
        # In one step: whoever finds the file, finds all of it.
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(model.SerializeToString(deterministic=True))
        unfinished.replace(path)
        print(f"{path}: {path.stat().st_size} bytes")


class Graph:
    """Nodes and weights in the order in which they are asked for."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(SEED)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: object) -> str:
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, values: np.ndarray) -> str:
        name = f"w_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def weight(self, *shape: int, fan_in: int) -> str:
        """Numbers of a size that keeps what flows through as large as it was."""
        values = self.random.standard_normal(shape, dtype=np.float32)
        return self.constant(values * np.float32(np.sqrt(2 / fan_in)))

    def filled(self, size: int, value: float) -> str:
        return self.constant(np.full(size, value, np.float32))

    def model(self, name: str, takes: onnx.ValueInfoProto, result: str, gives: onnx.ValueInfoProto) -> onnx.ModelProto:
        self.nodes.append(helper.make_node("Identity", [result], [gives.name]))
        graph = helper.make_graph(self.nodes, name, [takes], [gives], self.weights)
        return helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])


def resnet50() -> onnx.ModelProto:
    graph = Graph()

    def convolution(x: str, channels: int, filters: int, size: int, stride: int = 1) -> str:
        weight = graph.weight(filters, channels, size, size, fan_in=channels * size * size)
        x = graph.node("Conv", x, weight, kernel_shape=[size, size], strides=[stride, stride], pads=[size // 2] * 4)
        scale, mean, variance = graph.filled(filters, 1), graph.filled(filters, 0), graph.filled(filters, 1)
        return graph.node("BatchNormalization", x, scale, graph.filled(filters, 0), mean, variance)

    def bottleneck(x: str, channels: int, width: int, stride: int, is_first: bool) -> str:
        shortcut = convolution(x, channels, 4 * width, 1, stride) if is_first else x
        x = graph.node("Relu", convolution(x, channels, width, 1))
        x = graph.node("Relu", convolution(x, width, width, 3, stride))
        x = convolution(x, width, 4 * width, 1)
        return graph.node("Relu", graph.node("Add", x, shortcut))

    x = graph.node("Relu", convolution("image", 3, 64, 7, 2))
    x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for stage, blocks in enumerate(RESNET_BLOCKS):
        width = 64 << stage
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            x = bottleneck(x, channels, width, stride, block == 0)
            channels = 4 * width
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    x = graph.node("Gemm", x, graph.weight(channels, 1000, fan_in=channels), graph.filled(1000, 0))
    takes = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 224, 224])
    gives = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 1000])
    return graph.model("resnet50", takes, graph.node("Softmax", x, axis=1), gives)


def transformer() -> onnx.ModelProto:
    graph = Graph()
    of_heads = graph.constant(np.array([0, SEQUENCE, HEADS, HIDDEN // HEADS], np.int64))
    together = graph.constant(np.array([0, SEQUENCE, HIDDEN], np.int64))
    to_size = graph.constant(np.array(1 / np.sqrt(HIDDEN // HEADS), np.float32))
    half, one = graph.constant(np.array(0.5, np.float32)), graph.constant(np.array(1, np.float32))
    root_of_half = graph.constant(np.array(np.sqrt(0.5), np.float32))

    def dense(x: str, inputs: int, outputs: int) -> str:
        product = graph.node("MatMul", x, graph.weight(inputs, outputs, fan_in=2 * inputs))
        return graph.node("Add", product, graph.filled(outputs, 0))

    def normalized(x: str) -> str:
        return graph.node("LayerNormalization", x, graph.filled(HIDDEN, 1), graph.filled(HIDDEN, 0), axis=-1)

    def heads(x: str, order: list[int]) -> str:
        return graph.node("Transpose", graph.node("Reshape", dense(x, HIDDEN, HIDDEN), of_heads), perm=order)

    def attention(x: str) -> str:
        query, key, value = heads(x, [0, 2, 1, 3]), heads(x, [0, 2, 3, 1]), heads(x, [0, 2, 1, 3])
        scores = graph.node("Mul", graph.node("MatMul", query, key), to_size)
        mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
        mixed = graph.node("Reshape", graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), together)
        return dense(mixed, HIDDEN, HIDDEN)

    def gelu(x: str) -> str:
        erf = graph.node("Erf", graph.node("Mul", x, root_of_half))
        return graph.node("Mul", graph.node("Mul", x, graph.node("Add", erf, one)), half)

    x = graph.node("Gather", graph.weight(WORDS, HIDDEN, fan_in=2), "ids")
    x = normalized(graph.node("Add", x, graph.weight(1, SEQUENCE, HIDDEN, fan_in=2)))
    for _ in range(LAYERS):
        x = normalized(graph.node("Add", x, attention(x)))
        x = normalized(graph.node("Add", x, dense(gelu(dense(x, HIDDEN, 4 * HIDDEN)), 4 * HIDDEN, HIDDEN)))
    x = graph.node("ReduceMean", x, graph.constant(np.array([1], np.int64)), keepdims=0)
    takes = helper.make_tensor_value_info("ids", TensorProto.INT64, ["N", SEQUENCE])
    gives = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", HIDDEN])
    return graph.model("transformer", takes, x, gives)
