#!/usr/bin/env python3
"""Make the example models, the tests' models, and the answers a server must give.

    python3 -m venv /tmp/models-venv
    /tmp/models-venv/bin/pip install -r scripts/make_models.requirements.txt
    /tmp/models-venv/bin/python scripts/make_models.py            # write the files
    /tmp/models-venv/bin/python scripts/make_models.py --check    # compare with what is there
    /tmp/models-venv/bin/python scripts/make_models.py --bench target/bench/models    # the bench's

What it writes:

    models/NAME/VERSION.onnx, models/NAME/model.toml
        Real models, trained on data sets that scikit-learn brings along (nothing is downloaded).
        `scripts/serve` serves this folder as it is.
    tests/expectations/NAME-VERSION.json
        Requests and answers for every row of each data set. The answers come from scikit-learn, not
        from ONNX Runtime, so they also notice an error in the conversion. One request a line:
        `instances` is the body of `POST /v1/models/NAME/versions/VERSION:predict`, `predictions` is
        what must come back: numbers within 1e-5, labels exactly.
    tests/models/*.onnx
        Tiny hand-written models, each with one property that a test needs: "The tests' models".

Everything is first written to a temporary folder and verified there with ONNX Runtime: `answer`
does in Python what the server does with a request. Only then are the files put in their places.

All seeds are fixed: on one kind of processor two runs give the same bytes. Another processor may
sum in another order and so train slightly different weights; `--check` then verifies the files
that are there instead of comparing bytes.
"""

import argparse
import itertools
import json
import os
import shutil
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded, so before it

import numpy as np
import onnx
import onnxruntime
from bench_models import write_bench_models
from onnx import helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.sklapi import CastTransformer
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_wine
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

REPOSITORY = Path(__file__).resolve().parent.parent
MODELS = Path("models")
EXPECTATIONS = Path("tests/expectations")
TEST_MODELS = Path("tests/models")

SEED = 20
TOLERANCE = 1e-5  # absolute, between scikit-learn's answer and the server's
DECISIVE = (
    1e-4  # two best classes closer than this: rounding, not the model, would choose the label
)

# Old enough for ONNX Runtime 1.24 and long before, new enough for all operators used here.
OPSETS = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 8


# The trained models ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Trained:
    """One version of a model, with what is needed to write down its requests and answers."""

    model: str
    version: str
    graph: onnx.ModelProto
    rows: np.ndarray
    write_rows: Callable[[np.ndarray, int], list]  # rows and number of a request -> `instances`
    predict: Callable[[np.ndarray], list]  # rows -> `predictions`, by scikit-learn
    request_sizes: tuple[int, ...]
    score: float  # on the quarter of the rows that was not trained on


# An odd number of sizes, so that each size meets both ways to write a row (see `plain_or_named`).
MIXED_SIZES = (1, 2, 7, 32, 3)

IRIS_FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
WINE_CULTIVARS = ["barolo", "grignolino", "barbera"]  # classes 1, 2, 3 of the UCI data, in order

SETTINGS = {
    "iris": f"""\
# The columns of the one input `X`, so that a row may be written as an object by these names.
features = {json.dumps(IRIS_FEATURES)}
# Keep both versions loaded, so that either can be asked for by its number.
versions = "all"
""",
    "diabetes": f"""\
# The columns of the one input `X`: age, sex, body mass index, mean blood pressure, and six values
# of the blood serum (total cholesterol, LDL, HDL, total / HDL, log of triglycerides, glucose).
features = {json.dumps(load_diabetes().feature_names)}
""",
    "wine": f"""\
# The cultivars in the order of the classes 0, 1, 2: the model itself knows only the numbers.
labels = {json.dumps(WINE_CULTIVARS)}
""",
}


def train_models() -> list[Trained]:
    # With several threads the order of summation, and so the last bits, depend on their number.
    with threadpool_limits(limits=1):
        return [*train_iris(), train_diabetes(), train_digits(), train_wine()]


def train_iris() -> list[Trained]:
    """Two classifiers of different kinds: they disagree on a few rows, as real releases do."""
    iris = load_iris()
    rows, species = as_float32(iris.data), iris.target_names[iris.target]
    estimators = {
        "1": LogisticRegression(max_iter=1000),
        "2": make_pipeline(StandardScaler(), neural_network(hidden=8, alpha=0.1)),
    }
    return [
        train_iris_version(version, estimator, rows, species)
        for version, estimator in estimators.items()
    ]


def train_iris_version(
    version: str, estimator: BaseEstimator, rows: np.ndarray, species: np.ndarray
) -> Trained:
    score = fit(estimator, rows, species)
    # Unless told otherwise, skl2onnx ends a classifier with a ZipMap: each row's map by class name.
    graph = to_onnx(estimator, initial_types=one_input(4), target_opset=OPSETS, name="iris")
    return Trained(
        model="iris",
        version=version,
        graph=tidy(graph, ["label", "probabilities"]),
        rows=rows,
        write_rows=plain_or_named(IRIS_FEATURES),
        predict=lambda part: classified_by_name(estimator, part, estimator.classes_),
        request_sizes=MIXED_SIZES,
        score=score,
    )


def train_diabetes() -> Trained:
    """A regressor: one output, a column of one number for each row."""
    diabetes = load_diabetes(scaled=False)  # the units that a doctor would send
    rows, progression = as_float32(diabetes.data), diabetes.target
    # Answers are near 150, where neighbouring float32 numbers are 1.5e-5 apart. To be right within
    # 1e-5 nonetheless, the model computes in double precision and rounds only the answer.
    in_double = CastTransformer(dtype=np.float64)
    estimator = make_pipeline(in_double, StandardScaler(), LinearRegression())
    score = fit(estimator, rows, progression)
    graph = to_onnx(estimator, initial_types=one_input(10), target_opset=OPSETS, name="diabetes")
    return Trained(
        model="diabetes",
        version="1",
        graph=tidy(round_output(graph), ["progression"]),
        rows=rows,
        write_rows=plain_or_named(diabetes.feature_names),
        predict=lambda part: [[as_json(value)] for value in estimator.predict(part)],
        request_sizes=MIXED_SIZES,
        score=score,
    )


def train_digits() -> Trained:
    """A classifier whose model and settings name no classes: it answers with numbers and lists."""
    digits = load_digits()
    rows, digit = as_float32(digits.data), digits.target
    estimator = make_pipeline(StandardScaler(), neural_network(hidden=32, alpha=1.0))
    score = fit(estimator, rows, digit)
    graph = to_onnx(
        estimator,
        initial_types=one_input(64),
        target_opset=OPSETS,
        options={"zipmap": False},
        name="digits",
    )
    return Trained(
        model="digits",
        version="1",
        graph=tidy(graph, ["label", "probabilities"]),
        rows=rows,
        write_rows=lambda part, _: plain(part),
        predict=lambda part: classified_by_number(estimator, part),
        request_sizes=(32,),
        score=score,
    )


def train_wine() -> Trained:
    """A classifier with an input for each feature, as tools for tables export it."""
    wine = load_wine()
    rows, cultivar = as_float32(wine.data), wine.target
    features = [name.replace("/", "_") for name in wine.feature_names]
    # skl2onnx joins several inputs only in front of a pipeline that asks for columns.
    join = make_column_transformer(("passthrough", list(range(len(features)))))
    boosting = GradientBoostingClassifier(
        n_estimators=40, max_depth=3, subsample=0.7, random_state=SEED
    )
    estimator = make_pipeline(join, boosting)
    score = fit(estimator, rows, cultivar)
    graph = to_onnx(
        estimator,
        initial_types=[(feature, FloatTensorType([None, 1])) for feature in features],
        target_opset=OPSETS,
        options={"zipmap": False},
        name="wine",
    )
    return Trained(
        model="wine",
        version="1",
        graph=tidy(graph, ["label", "probabilities"]),
        rows=rows,
        write_rows=lambda part, _: named(part, features),
        predict=lambda part: classified_by_name(estimator, part, WINE_CULTIVARS),
        request_sizes=MIXED_SIZES,
        score=score,
    )


def as_float32(values: np.ndarray) -> np.ndarray:
    """Round to what the model's input can hold, before training: a threshold between two values
    then parts the same rows here and in the server. The type stays float64, so that scikit-learn
    computes more exactly than the server and can judge it."""
    return values.astype(np.float32).astype(np.float64)


def fit(estimator: BaseEstimator, rows: np.ndarray, target: np.ndarray) -> float:
    """Train on three quarters of the rows, score on the rest: accuracy, or R² of a regressor."""
    train_rows, test_rows, train_target, test_target = train_test_split(
        rows, target, test_size=0.25, random_state=SEED
    )
    estimator.fit(train_rows, train_target)
    return estimator.score(test_rows, test_target)


def neural_network(hidden: int, alpha: float) -> MLPClassifier:
    # Not `adam`: it shrinks the weights of always empty pixels to denormal numbers, which are slow.
    return MLPClassifier(
        hidden_layer_sizes=(hidden,), alpha=alpha, solver="lbfgs", max_iter=4000, random_state=SEED
    )


def one_input(columns: int) -> list:
    return [("X", FloatTensorType([None, columns]))]


# The graph, made fit to publish ---------------------------------------------------------------


def tidy(graph: onnx.ModelProto, outputs: list[str]) -> onnx.ModelProto:
    """Name the batch dimension `N` and the outputs as given; keep nothing that is not the model,
    nor anything that comes out differently the next time."""
    rename_outputs(graph.graph, outputs)
    for value in [*graph.graph.input, *graph.graph.output]:
        name_batch_dimension(value.type)
    sort_opsets(graph)
    graph.ir_version = IR_VERSION
    graph.doc_string = graph.graph.doc_string = ""
    for node in graph.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(graph, full_check=True)
    return graph


def rename_outputs(graph: onnx.GraphProto, names: list[str]) -> None:
    # Swapped, because the new name may be that of a value inside (`label` before an Identity).
    swap = {}
    for output, name in zip(graph.output, names, strict=True):
        swap |= {name: output.name, output.name: name}
        output.name = name
    for node in graph.node:
        node.input[:] = [swap.get(value, value) for value in node.input]
        node.output[:] = [swap.get(value, value) for value in node.output]


def sort_opsets(graph: onnx.ModelProto) -> None:
    """skl2onnx keeps them in a set, which comes out in another order at every start of Python."""
    in_order = sorted(graph.opset_import, key=lambda opset: opset.domain)
    del graph.opset_import[:]
    graph.opset_import.extend(in_order)


def name_batch_dimension(value: onnx.TypeProto) -> None:
    if value.HasField("tensor_type"):  # a sequence of maps has no dimensions to name
        value.tensor_type.shape.dim[0].dim_param = "N"


def round_output(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Make the one double output a float32 output."""
    (output,) = graph.graph.output
    rounded = helper.make_node("Cast", [output.name], ["rounded"], to=onnx.TensorProto.FLOAT)
    graph.graph.node.append(rounded)
    output.name = "rounded"
    output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return graph


# Requests and answers as JSON -----------------------------------------------------------------


def as_json(value: float) -> float:
    """The number whose shortest decimal reads back as the same float32."""
    return float(str(np.float32(value)))


def without_fraction(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def plain(rows: np.ndarray) -> list:
    return [[without_fraction(as_json(value)) for value in row] for row in rows]


def named(rows: np.ndarray, features: list[str]) -> list:
    return [dict(zip(features, row, strict=True)) for row in plain(rows)]


def plain_or_named(features: list[str]) -> Callable[[np.ndarray, int], list]:
    """Every other request names its features. Never both ways in one: the protocol forbids that."""
    return lambda rows, number: named(rows, features) if number % 2 else plain(rows)


def classified_by_name(
    estimator: BaseEstimator, rows: np.ndarray, class_names: list[str]
) -> list[dict]:
    labels, probabilities = classify(estimator, rows)
    return [
        {
            "label": str(class_names[label]),
            "probabilities": dict(zip(class_names, row, strict=True)),
        }
        for label, row in zip(labels, probabilities, strict=True)
    ]


def classified_by_number(estimator: BaseEstimator, rows: np.ndarray) -> list[dict]:
    labels, probabilities = classify(estimator, rows)
    return [
        {"label": label, "probabilities": row}
        for label, row in zip(labels, probabilities, strict=True)
    ]


def classify(estimator: BaseEstimator, rows: np.ndarray) -> tuple[list[int], list[list[float]]]:
    """The position of each row's class, and its probabilities, by scikit-learn."""
    labels = np.searchsorted(estimator.classes_, estimator.predict(rows))
    probabilities = estimator.predict_proba(rows)
    second, first = np.sort(probabilities, axis=1)[:, -2:].T
    if (first - second).min() < DECISIVE:
        raise SystemExit("a row is undecided between two classes: change a seed")
    return labels.tolist(), [[as_json(value) for value in row] for row in probabilities]


def write_expectations(trained: Trained, path: Path) -> None:
    """One request a line: short to read, and a failing request is found by its line."""
    requests = [
        compact(
            {"instances": trained.write_rows(rows, number), "predictions": trained.predict(rows)}
        )
        for number, rows in enumerate(split_rows(trained.rows, trained.request_sizes))
    ]
    head = compact({"model": trained.model, "version": trained.version})
    body = ",\n".join(requests)
    path.write_text(f'{head[:-1]},"requests":[\n{body}\n]}}\n')


def split_rows(rows: np.ndarray, sizes: tuple[int, ...]) -> list[np.ndarray]:
    """All rows, shuffled: else a batch is of one class, and mixed-up rows go unnoticed."""
    shuffled = rows[np.random.default_rng(SEED).permutation(len(rows))]
    ends = itertools.accumulate(itertools.cycle(sizes))
    cuts = list(itertools.takewhile(lambda end: end < len(rows), ends))
    return np.split(shuffled, cuts)


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


# Verification: what the server does, in Python ------------------------------------------------


def verify_models(root: Path) -> None:
    for path in sorted((root / EXPECTATIONS).glob("*.json")):
        expected = json.loads(path.read_text())
        largest = verify_expectations(root / MODELS / expected["model"], expected)
        rows = sum(len(request["instances"]) for request in expected["requests"])
        print(f"{path.name}: {rows} rows agree with ONNX Runtime, largest difference {largest:.1e}")


def verify_expectations(folder: Path, expected: dict) -> float:
    """The largest difference; a request that differs by more than the tolerance is an error."""
    settings = read_settings(folder)
    session = load(folder / f"{expected['version']}.onnx")
    differences = [
        difference(answer(session, settings, request["instances"]), request["predictions"])
        for request in expected["requests"]
    ]
    worst = int(np.argmax(differences))
    if differences[worst] > TOLERANCE:
        raise SystemExit(
            f"{expected['model']} {expected['version']}, request {worst}: "
            f"ONNX Runtime and scikit-learn differ by {differences[worst]:.1e}"
        )
    return differences[worst]


def read_settings(folder: Path) -> dict:
    path = folder / "model.toml"
    return tomllib.loads(path.read_text()) if path.exists() else {}


def load(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # some models are made to fail; that is no news
    return onnxruntime.InferenceSession(path, options)


def answer(session: onnxruntime.InferenceSession, settings: dict, instances: list) -> list:
    """`predictions` for `instances`, in the row format of TensorFlow Serving."""
    names = [output.name for output in session.get_outputs()]
    outputs = session.run(names, feeds(session, settings.get("features"), instances))
    columns = [
        name_classes(name, listed(output), settings.get("labels"))
        for name, output in zip(names, outputs, strict=True)
    ]
    if len(columns) == 1:
        return columns[0]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def feeds(
    session: onnxruntime.InferenceSession, features: list[str] | None, instances: list
) -> dict[str, np.ndarray]:
    names = [value.name for value in session.get_inputs()]
    if len(names) > 1:
        return {name: column([row[name] for row in instances]) for name in names}
    if isinstance(instances[0], dict):
        instances = [[row[feature] for feature in features] for row in instances]
    return {names[0]: np.array(instances, dtype=np.float32)}


def column(values: list) -> np.ndarray:
    return np.array(values, dtype=np.float32).reshape(-1, 1)


def listed(output: np.ndarray | list) -> list:
    return output if isinstance(output, list) else output.tolist()


def name_classes(output: str, values: list, labels: list[str] | None) -> list:
    if labels is None:
        return values
    if output == "label":
        return [labels[value] for value in values]
    return [dict(zip(labels, row, strict=True)) for row in values]


def difference(got: object, expected: object) -> float:
    """The largest difference of two JSON values; infinite where form, label or integer differ."""
    match expected:
        case float():
            # As a server writes it: the shortest decimal. No model here answers NaN.
            return abs(as_json(got) - expected) if np.isfinite(got) else np.inf
        case dict() if list(got) == list(expected):
            return difference(list(got.values()), list(expected.values()))
        case list() if len(got) == len(expected):
            return max(map(difference, got, expected))
        case _:
            return 0.0 if got == expected else np.inf


# The tests' models ----------------------------------------------------------------------------

# A test makes as many different models as it needs: it replaces the four bytes of this number,
# which stand once in adder.onnx, by the bytes of another float32.
ADDED = np.float32(12345.678)

# X + ADDED
ADDER = """
adder (float[N, 2] X) => (float[N, 2] Y) {
  Y = Add (X, c)
}
"""

# X + loops, the slow way: each turn of the loop takes about 1 ms on one core and adds 1, the
# largest cosine of 327680 zeros. So a test chooses the duration by `loops` (a scalar: shape []),
# and a run can be stopped within a millisecond or two, because ONNX Runtime looks between nodes
# whether it should. The zeros come from X, else the optimizer would compute the cosines once, when
# the model is loaded.
SLOW = """
slow (float[N, 2] X, int64 loops) => (float[N, 2] Y)
<float zero = {0}, int64[1] size = {327680}>
{
  true = Constant <value = bool {1}> ()
  sum = ReduceSum <keepdims = 0> (X)
  nothing = Mul (sum, zero)
  zeros = Expand (nothing, size)
  Y = Loop <body = turn (int64 number, bool go, float[N, 2] y) => (bool go_on, float[N, 2] y_next) {
    ones = Cos (zeros)
    one = ReduceMax <keepdims = 0> (ones)
    y_next = Add (y, one)
    go_on = Identity (go)
  }> (loops, true, X)
}
"""

# As `slow`, but the loops are counted by the largest X: the zeros of a warm-up cost nothing, and a request chooses
# how long this model takes while another one with the same inputs answers at once.
PATIENT = """
patient (float[N, 2] X) => (float[N, 2] Y)
<float zero = {0}, int64[1] size = {327680}>
{
  true = Constant <value = bool {1}> ()
  largest = ReduceMax <keepdims = 0> (X)
  positive = Relu (largest)
  loops = Cast <to = 7> (positive)
  sum = ReduceSum <keepdims = 0> (X)
  nothing = Mul (sum, zero)
  zeros = Expand (nothing, size)
  Y = Loop <body = turn (int64 number, bool go, float[N, 2] y) => (bool go_on, float[N, 2] y_next) {
    ones = Cos (zeros)
    one = ReduceMax <keepdims = 0> (ones)
    y_next = Add (y, one)
    go_on = Identity (go)
  }> (loops, true, X)
}
"""

# As `patient`, but three times as slow.
SLUGGISH = PATIENT.replace("patient", "sluggish").replace(
    "<float zero = {0},", "<float three = {3}, float zero = {0},"
).replace(
    "  loops = Cast <to = 7> (positive)\n",
    "  thrice = Mul (positive, three)\n  loops = Cast <to = 7> (thrice)\n",
)

# As `patient`, but all the time goes into one node, so that a run cannot be stopped: ONNX Runtime looks between nodes
# alone. The node sums up a window of 131072 zeros for each whole number up to the largest X, and once more.
STUBBORN = """
stubborn (float[N, 2] X) => (float[N, 2] Y)
<int64[2] one_signal = {1, 1}, int64[1] window = {131072}, int64[1] flat = {-1}>
{
  largest = ReduceMax <keepdims = 0> (X)
  positive = Relu (largest)
  number = Cast <to = 7> (positive)
  steps = Reshape (number, flat)
  length = Add (steps, window)
  shape = Concat <axis = 0> (one_signal, length)
  zero = Sub (largest, largest)
  zeros = Expand (zero, shape)
  sums = LpPool <kernel_shape = [131072]> (zeros)
  nothing = ReduceMax <keepdims = 0> (sums)
  summand = Add (positive, nothing)
  Y = Add (X, summand)
}
"""

# Each input comes back as it is: one for every type that requests are often made of.
TYPES = """
types (bool[N] b, int32[N] i, int64[N] l, float[N] f, double[N] d, string[N] s)
  => (bool[N] b_out, int32[N] i_out, int64[N] l_out,
      float[N] f_out, double[N] d_out, string[N] s_out)
{
  b_out = Identity (b)
  i_out = Identity (i)
  l_out = Identity (l)
  f_out = Identity (f)
  d_out = Identity (d)
  s_out = Identity (s)
}
"""

# Looks X up in a table of three: loads well, but a run with an index outside -3 to 2 fails.
FAILS = """
fails (int64[N] X) => (float[N] Y)
<float[3] table = {10, 20, 30}>
{
  Y = Gather (table, X)
}
"""

# `total` is one number for the whole request, `sums` one for each row: so rows of different
# requests must not be run together, and the row format cannot write the answer.
SCALAR = """
scalar (float[N, 2] X) => (float total, float[N] sums)
<int64[1] columns = {1}>
{
  total = ReduceSum <keepdims = 0> (X)
  sums = ReduceSum <keepdims = 0> (X, columns)
}
"""

# For X = 0: Y is NaN, Z is infinite (with the sign of the zero).
NAN = """
nan (float[N] X) => (float[N] Y, float[N] Z)
<float one = {1}>
{
  Y = Div (X, X)
  Z = Div (one, X)
}
"""

# X + 2, but for a 13: then a run fails, ...
FAILS_AT_13 = """
fails_at_13 (float[N, 2] X) => (float[N, 2] Y)
<float thirteen = {13}, int64 far = {9}, float[1] table = {2}>
{
  is_13 = Equal (X, thirteen)
  ones = Cast <to = 7> (is_13)
  any = ReduceMax <keepdims = 0> (ones)
  index = Mul (any, far)
  two = Gather (table, index)
  Y = Add (X, two)
}
"""

# ... or the answer is NaN there.
NAN_AT_13 = """
nan_at_13 (float[N, 2] X) => (float[N, 2] Y)
<float thirteen = {13}, float two = {2}>
{
  sum = Add (X, two)
  difference = Sub (X, thirteen)
  nothing = Div (difference, difference)
  one_less = Sub (sum, nothing)
  one = Div (two, two)
  Y = Add (one_less, one)
}
"""

# Three models whose rows must not be run beside those of other requests. Nothing in their shapes
# says so: each row's answer is a share of all rows' answers, ...
SOFTMAX_OVER_ROWS = """
softmax_over_rows (float[N, 2] X) => (float[N, 2] Y)
{
  Y = Softmax <axis = 0> (X)
}
"""

# ... or the sum of the rows before it: the first dimension is time, ...
SEQUENCE = """
sequence (float[time, 2] X) => (float[time, 2] Y)
<int64 axis = {0}>
{
  Y = CumSum (X, axis)
}
"""

# ... or rounded on a scale that spans all rows.
QUANTIZED = """
quantized (float[N, 2] X) => (float[N, 2] Y)
{
  q, scale, zero = DynamicQuantizeLinear (X)
  Y = DequantizeLinear (q, scale, zero)
}
"""


def write_test_models(root: Path) -> None:
    folder = root / TEST_MODELS
    graphs = {
        "adder": adder(),
        "slow": parse(SLOW),
        "patient": parse(PATIENT),
        "sluggish": parse(SLUGGISH),
        "stubborn": parse(STUBBORN),
        "types": parse(TYPES),
        "fails": parse(FAILS),
        "scalar": parse(SCALAR),
        "nan": parse(NAN),
        "fails_at_13": parse(FAILS_AT_13),
        "nan_at_13": parse(NAN_AT_13),
        "softmax_over_rows": parse(SOFTMAX_OVER_ROWS),
        "sequence": parse(SEQUENCE),
        "quantized": parse(QUANTIZED),
    }
    for name, graph in (graphs | candidates(root)).items():
        onnx.checker.check_model(graph, full_check=True)
        save(graph, folder / f"{name}.onnx")
    (folder / "truncated.onnx").write_bytes(first_half(root / MODELS / "iris/1.onnx"))
    (folder / "text.onnx").write_text("This is a text file, not a model.\n")


# Candidates for the trained models, each wrong in one way, or not at all ----------------------


def candidates(root: Path) -> dict[str, onnx.ModelProto]:
    """The models of `models/`, changed at their very end. The names say how."""
    digits, diabetes = (onnx.load(root / MODELS / f"{name}/1.onnx") for name in ("digits", "diabetes"))
    again = onnx.load(root / MODELS / "digits/1.onnx")
    again.producer_version, again.graph.name = "exported again", "digits_again"
    # A class file in another order: threes are eights and eights are threes.
    order = np.arange(10)
    order[[3, 8]] = order[[8, 3]]
    swapped = with_tail(
        digits,
        ["label", "probabilities"],
        [("Gather", ["order", "label_before"], "label", {"axis": 0}),
         ("Gather", ["probabilities_before", "order"], "probabilities", {"axis": 1})],
        {"order": order.astype(np.int64)},
    )
    sex = {"sex": np.array([1], np.int64), "one_and_a_half": np.array([1.5], np.float32)}
    of_sex_2 = [
        ("Gather", ["X", "sex"], "x_sex", {"axis": 1}),
        ("Greater", ["x_sex", "one_and_a_half"], "is_2", {}),
    ]
    # No answer for the oldest of one sex: a division by a standard deviation of nobody.
    nan = with_tail(
        diabetes,
        ["progression"],
        [*of_sex_2,
         ("Gather", ["X", "age"], "x_age", {"axis": 1}),
         ("Greater", ["x_age", "seventy"], "is_old", {}),
         ("And", ["is_2", "is_old"], "is_nobody", {}),
         ("Where", ["is_nobody", "nan", "progression_before"], "progression", {})],
        sex | {"age": np.array([0], np.int64), "seventy": np.array([70], np.float32),
               "nan": np.array([np.nan], np.float32)},
    )
    # A unit that was mistaken for one sex: its answers are 1 % too high.
    off = with_tail(
        diabetes,
        ["progression"],
        [*of_sex_2,
         ("Where", ["is_2", "much", "right"], "factor", {}),
         ("Mul", ["progression_before", "factor"], "progression", {})],
        sex | {"much": np.array([1.01], np.float32), "right": np.array([1], np.float32)},
    )
    return {
        "digits_again": again,
        "digits_swapped": swapped,
        "diabetes_nan": nan,
        "diabetes_off": off,
    }


def with_tail(
    graph: onnx.ModelProto,
    outputs: list[str],
    nodes: list[tuple[str, list[str], str, dict]],
    constants: dict[str, np.ndarray],
) -> onnx.ModelProto:
    """The same model with more nodes at its end: what was an output is called `…_before` there."""
    changed = onnx.ModelProto.FromString(graph.SerializeToString())
    for node in changed.graph.node:
        for values in (node.input, node.output):
            values[:] = [f"{name}_before" if name in outputs else name for name in values]
    for kind, inputs, output, attributes in nodes:
        changed.graph.node.append(onnx.helper.make_node(kind, inputs, [output], **attributes))
    for name, value in constants.items():
        changed.graph.initializer.append(numpy_helper.from_array(value, name))
    return changed


def parse(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: {IR_VERSION}, opset_import: ["": 18]> {text}')


def adder() -> onnx.ModelProto:
    graph = parse(ADDER)
    graph.graph.initializer.append(numpy_helper.from_array(np.array(ADDED), "c"))
    return graph


def first_half(path: Path) -> bytes:
    content = path.read_bytes()
    return content[: len(content) // 2]


def verify_test_models(root: Path) -> None:
    """Each model has the property that it was made for."""
    folder = root / TEST_MODELS
    verify_adder(folder)
    verify_slow(folder)
    verify_patient(folder)
    verify_sluggish(folder)
    verify_stubborn(folder)
    verify_types(folder)
    verify_neighbours(folder)
    verify_candidates(root)
    verify_fails(folder)
    verify_scalar(folder)
    verify_nan(folder)
    verify_at_13(folder)
    demand(is_refused(lambda: load(folder / "text.onnx")), "text: refused")
    demand(is_refused(lambda: load(folder / "truncated.onnx")), "truncated: refused")
    half = first_half(root / MODELS / "iris/1.onnx")
    demand((folder / "truncated.onnx").read_bytes() == half, "truncated: half of iris 1")
    print("tests/models: every model does what it was made for")


TWO_ROWS = np.array([[1, 2], [3, 4]], dtype=np.float32)


def verify_adder(folder: Path) -> None:
    content = (folder / "adder.onnx").read_bytes()
    demand(content.count(ADDED.tobytes()) == 1, "adder: the number stands once in the file")
    (Y,) = run(folder, "adder", X=TWO_ROWS)
    demand(np.array_equal(Y, TWO_ROWS + ADDED), "adder: Y = X + c")


def verify_slow(folder: Path) -> None:
    (Y,) = run(folder, "slow", X=TWO_ROWS, loops=np.array(5))
    demand(np.array_equal(Y, TWO_ROWS + 5), "slow: Y = X + loops")


def verify_patient(folder: Path) -> None:
    (Y,) = run(folder, "patient", X=TWO_ROWS)
    demand(np.array_equal(Y, TWO_ROWS + 4), "patient: Y = X + its largest")
    (Y,) = run(folder, "patient", X=-TWO_ROWS)
    demand(np.array_equal(Y, -TWO_ROWS), "patient: no loop for negative numbers")


def verify_stubborn(folder: Path) -> None:
    (Y,) = run(folder, "stubborn", X=TWO_ROWS)
    demand(np.array_equal(Y, TWO_ROWS + 4), "stubborn: Y = X + its largest")
    options = onnxruntime.RunOptions()
    timer = threading.Timer(0.1, setattr, (options, "terminate", True))
    began = time.monotonic()
    timer.start()
    session = load(folder / "stubborn.onnx")
    is_stopped = is_refused(lambda: session.run(None, {"X": TWO_ROWS + 1000}, options))
    demand(is_stopped and time.monotonic() - began > 0.3, "stubborn: stopped when the node is done")


def verify_sluggish(folder: Path) -> None:
    x = np.array([[1, 2], [3, 0]], np.float32)
    (y,) = run(folder, "sluggish", X=x)
    demand(np.allclose(y, x + 9, rtol=0, atol=1e-5), "sluggish turns three times for each")


def verify_fails(folder: Path) -> None:
    (Y,) = run(folder, "fails", X=np.array([2, 0]))
    demand(Y.tolist() == [30, 10], "fails: looks up")
    demand(is_refused(lambda: run(folder, "fails", X=np.array([99]))), "fails: fails at 99")


def verify_scalar(folder: Path) -> None:
    total, sums = run(folder, "scalar", X=TWO_ROWS)
    demand(total.shape == () and total == 10, "scalar: the sum of all")
    demand(sums.tolist() == [3, 7], "scalar: the sum of each row")


def verify_nan(folder: Path) -> None:
    Y, Z = run(folder, "nan", X=np.array([0, 2], dtype=np.float32))
    demand(np.isnan(Y[0]) and Y[1] == 1, "nan: Y = X / X")
    demand(np.isposinf(Z[0]) and Z[1] == 0.5, "nan: Z = 1 / X")


def verify_at_13(folder: Path) -> None:
    good = np.array([[0, 1000], [5, -3]], np.float32)
    bad = np.array([[0, 1], [13, 7]], np.float32)
    for name in ["fails_at_13", "nan_at_13"]:
        (y,) = run(folder, name, X=good)
        demand(np.allclose(y, good + 2, rtol=0, atol=1e-5), f"{name} adds 2")
    demand(is_refused(lambda: run(folder, "fails_at_13", X=bad)), "fails_at_13 fails at 13")
    (y,) = run(folder, "nan_at_13", X=bad)
    demand(np.isnan(y).tolist() == [[False, False], [True, False]], "nan_at_13 is NaN at 13")


def verify_types(folder: Path) -> None:
    inputs = {
        "b": np.array([True, False]),
        "i": np.array([-(2**31), 2**31 - 1], dtype=np.int32),
        "l": np.array([-(2**63), 2**63 - 1]),
        "f": np.array([0.1, -3.4e38], dtype=np.float32),
        "d": np.array([0.1, 1.7e308]),
        "s": np.array(["", "grün 🌱"], dtype=object),
    }
    outputs = run(folder, "types", **inputs)
    same = [np.array_equal(*pair) for pair in zip(inputs.values(), outputs, strict=True)]
    demand(all(same), "types: every input comes back")


def verify_neighbours(folder: Path) -> None:
    for name in ["softmax_over_rows", "sequence", "quantized"]:
        (together,) = run(folder, name, X=TWO_ROWS)
        alone = np.concatenate([run(folder, name, X=row[np.newaxis])[0] for row in TWO_ROWS])
        demand(together.shape == alone.shape, f"{name}: a row for each row")
        demand(np.abs(together - alone).max() > 1e-3, f"{name}: depends on the rows beside it")


def verify_candidates(root: Path) -> None:
    folder = root / TEST_MODELS
    pixels = load_digits().data.astype(np.float32)
    label, probabilities = load(root / MODELS / "digits/1.onnx").run(None, {"X": pixels})
    again = run(folder, "digits_again", X=pixels)
    same = np.array_equal(again[0], label) and np.array_equal(again[1], probabilities)
    demand(same, "digits_again: answers what digits answers")
    swapped = run(folder, "digits_swapped", X=pixels)
    demand(set(label[swapped[0] != label]) == {3, 8}, "digits_swapped: only 3 and 8 differ")
    demand(np.array_equal(swapped[1].argmax(axis=1), swapped[0]), "digits_swapped: consistent")

    patients = load_diabetes(scaled=False).data.astype(np.float32)
    (right,) = load(root / MODELS / "diabetes/1.onnx").run(None, {"X": patients})
    is_2 = patients[:, 1:2] > 1.5
    (nan,) = run(folder, "diabetes_nan", X=patients)
    demand(0 < np.isnan(nan).sum() < 20, "diabetes_nan: NaN for a few")
    demand(np.array_equal(nan[~np.isnan(nan)], right[~np.isnan(nan)]), "diabetes_nan: else right")
    (off,) = run(folder, "diabetes_off", X=patients)
    demand(np.array_equal(off[~is_2], right[~is_2]), "diabetes_off: right for one sex")
    demand(np.allclose(off[is_2], 1.01 * right[is_2]), "diabetes_off: 1 % more for the other")


def run(folder: Path, name: str, **inputs: np.ndarray) -> list[np.ndarray]:
    return load(folder / f"{name}.onnx").run(None, inputs)


def is_refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except Exception:  # ONNX Runtime's exceptions have no base of their own
        return True
    return False


def demand(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"tests/models: not so: {what}")


# Build, install, check ------------------------------------------------------------------------


def build(root: Path) -> None:
    """Write and verify all files below `root`."""
    for folder in [EXPECTATIONS, TEST_MODELS, *(MODELS / model for model in [*SETTINGS, "digits"])]:
        (root / folder).mkdir(parents=True)
    for trained in train_models():
        save(trained.graph, root / MODELS / trained.model / f"{trained.version}.onnx")
        write_expectations(trained, root / EXPECTATIONS / f"{trained.model}-{trained.version}.json")
        print(f"{trained.model} {trained.version}: scores {trained.score:.3f} on held-out rows")
    for model, settings in SETTINGS.items():
        (root / MODELS / model / "model.toml").write_text(settings)
    write_test_models(root)
    verify(root)


def save(graph: onnx.ModelProto, path: Path) -> None:
    path.write_bytes(graph.SerializeToString(deterministic=True))


def verify(root: Path) -> None:
    verify_models(root)
    verify_test_models(root)


def files(root: Path) -> list[Path]:
    return sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())


def install(built: Path) -> None:
    for path in files(built):
        (REPOSITORY / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(built / path, REPOSITORY / path)
        print(f"{path}: {(REPOSITORY / path).stat().st_size} bytes")


def check(built: Path) -> None:
    """Are the files there those that were built? If not: do the trained models answer right?"""
    missing = [path for path in files(built) if not (REPOSITORY / path).exists()]
    if missing:
        raise SystemExit(f"missing: {', '.join(map(str, missing))}")
    other = [path for path in files(built) if not same_content(built / path, REPOSITORY / path)]
    not_trained = [path for path in other if not depends_on_training(path)]
    if not_trained:
        raise SystemExit(f"not as this script makes them: {', '.join(map(str, not_trained))}")
    if not other:
        print("every file is, byte for byte, as this script makes it")
        return
    print(f"trained with other rounding: {', '.join(map(str, other))}; so the rows are verified:")
    verify(REPOSITORY)


def same_content(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def depends_on_training(path: Path) -> bool:
    if path.is_relative_to(TEST_MODELS):
        return path.name == "truncated.onnx" or path.name.startswith(("digits_", "diabetes_"))
    return path.suffix in {".onnx", ".json"}


def main() -> None:
    summary = __doc__.partition("\n")[0]
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--check", action="store_true", help="write nothing; compare what is there")
    parser.add_argument(
        "--bench", type=Path, metavar="DIR", help="write only the bench's large models, there"
    )
    arguments = parser.parse_args()
    if arguments.bench:
        write_bench_models(arguments.bench)
        return
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder)
        build(built)
        check(built) if arguments.check else install(built)


if __name__ == "__main__":
    main()
