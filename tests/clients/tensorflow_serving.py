"""The documented examples of TensorFlow Serving's REST API, asked with `requests`."""

import base64
import json
import sys

import requests

from server import Server, echo, echoes, linear

checked = 0


def check(is_right: bool, what: str) -> None:
    global checked
    checked += 1
    if not is_right:
        raise SystemExit(f"FAILED: {what}")


class Api:
    def __init__(self, address: str) -> None:
        self.root = f"http://{address}/v1/models"

    def gives(self, path: str, expected) -> None:
        answer = requests.get(f"{self.root}/{path}", timeout=60)
        check((answer.status_code, answer.json()) == (200, expected), f"GET {path}: {answer.text}")

    def predicts(self, path: str, body, expected) -> None:
        data = body if isinstance(body, str) else json.dumps(body)
        answer = requests.post(f"{self.root}/{path}:predict", data=data, timeout=60)
        check(answer.headers["content-type"].startswith("application/json"), f"{answer.headers}")
        check((answer.status_code, answer.json()) == (200, expected), f"{path}: {body}: {answer.text}")

    def refuses(self, path: str, body: str, status: int, expected: str) -> None:
        answer = requests.post(f"{self.root}/{path}", data=body, timeout=60)
        is_right = answer.status_code == status and expected in answer.json()["error"]
        check(is_right, f"{path}: {body}: {answer.status_code} {answer.text}")


def status_and_metadata(api: Api) -> None:
    status = {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("half_plus_three", "half_plus_three/versions/123", "half_plus_three/labels/stable"):
        answer = requests.get(f"{api.root}/{path}", timeout=60)
        check(answer.status_code == 200, f"{path}: {answer.text}")
        check(answer.json()["model_version_status"] == [status], f"{path}: {answer.text}")
        metadata = requests.get(f"{api.root}/{path}/metadata", timeout=60).json()
        check(metadata["model_spec"]["name"] == "half_plus_three", f"{metadata}")
        check(metadata["model_spec"]["version"] == "123", f"{metadata}")
        signatures = metadata["metadata"]["signature_def"]["signature_def"]
        x = signatures["serving_default"]["inputs"]["x"]
        check(x["dtype"] == "DT_FLOAT" and [dim["size"] for dim in x["tensor_shape"]["dim"]] == ["-1"], f"{x}")


def rows(api: Api) -> None:
    values = {"instances": [1.0, 2.0, 5.0]}
    expected = {"predictions": [3.5, 4.0, 5.5]}
    for path in ("half_plus_three", "half_plus_three/versions/123", "half_plus_three/labels/stable"):
        api.predicts(path, values, expected)
    api.predicts("half_plus_three", {"signature_name": "serving_default", **values}, expected)
    api.predicts("half_plus_three", {"instances": [{"x": 1.0}, {"x": 2.0}, {"x": 5.0}]}, expected)
    api.predicts("half_plus_three", {"instances": [0]}, {"predictions": [3.0]})
    api.predicts("half_plus_two", {"instances": [1.0, 2.0, 5.0]}, {"predictions": [2.5, 3.0, 4.5]})
    api.predicts("nested", {"instances": [[[1, 2]], [[3, 4]]]}, {"predictions": [[[1, 2]], [[3, 4]]]})


def elements(api: Api) -> None:
    for model, values in (("texts", ["foo", "bar", "baz"]), ("truths", [True, False]), ("integers", [1, -10, 0])):
        api.predicts(model, {"instances": values}, {"predictions": values})
        api.predicts(model, {"inputs": values}, {"outputs": values})
    api.predicts("half_plus_three", '{"instances": [1.1e1, -1E+1, 0]}', {"predictions": [8.5, -2.0, 3.0]})


def binary(content: bytes) -> dict:
    return {"b64": base64.b64encode(content).decode()}


def bytes_as_base64(api: Api) -> None:
    image, other = binary(b"image bytes"), binary(b"awesome image bytes")
    api.predicts("texts", {"instances": [image, "b"]}, {"predictions": ["image bytes", "b"]})
    # An output whose name ends so is given as bytes.
    api.predicts("image", {"instances": [image, other]}, {"predictions": [image, other]})
    api.predicts("image", {"instances": [{"x": image}]}, {"predictions": [image]})
    api.predicts("image", {"inputs": {"x": [image]}}, {"outputs": [image]})
    rows = [{"image": image, "caption": "seaside"}, {"image": other, "caption": "mountains"}]
    answered = [{"image_bytes": row["image"], "title": row["caption"]} for row in rows]
    api.predicts("captioned", {"instances": rows}, {"predictions": answered})


ROWS = [
    {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
    {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]},
]


def named(api: Api) -> None:
    answered = [{f"{name}_out": value for name, value in row.items()} for row in ROWS]
    api.predicts("three", {"instances": ROWS}, {"predictions": answered})
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    answered = {f"{name}_out": value for name, value in columns.items()}
    api.predicts("three", {"inputs": columns}, {"outputs": answered})


def columns(api: Api) -> None:
    api.predicts("half_plus_three", {"inputs": [1.0, 2.0, 5.0]}, {"outputs": [3.5, 4.0, 5.5]})
    api.predicts("half_plus_three", {"inputs": {"x": [1.0, 2.0]}}, {"outputs": [3.5, 4.0]})
    # Only so may inputs have different numbers of rows.
    api.predicts("apart", {"inputs": {"a": [1, 2, 3], "b": [4]}}, {"outputs": {"a_out": [1, 2, 3], "b_out": [4]}})


def numbers_that_json_lacks(api: Api) -> None:
    answer = requests.post(f"{api.root}/half_plus_three:predict", data='{"instances": [NaN, Infinity, -Infinity]}', timeout=60)
    check(answer.text.replace(" ", "") == '{"predictions":[NaN,Infinity,-Infinity]}', answer.text)


def mistakes(api: Api) -> None:
    predict = "half_plus_three:predict"
    api.refuses(predict, "{", 400, "")
    api.refuses(predict, "{}", 400, "instances")
    api.refuses(predict, '{"instances": [1], "inputs": [1]}', 400, "inputs")
    api.refuses(predict, '{"instances": []}', 400, "instances")
    api.refuses(predict, '{"instances": 1}', 400, "instances")
    api.refuses(predict, '{"instances": [1, {"x": 2}]}', 400, "instances[1]")
    api.refuses(predict, '{"instances": ["a"]}', 400, "instances[0]")
    api.refuses(predict, '{"signature_name": "other", "instances": [1]}', 400, "signature_name")
    api.refuses("three:predict", '{"instances": [1]}', 400, "instances[0]")
    api.refuses("three:predict", json.dumps({"instances": [{"tag": "foo"}]}), 400, "instances[0]")
    api.refuses("nobody:predict", '{"instances": [1]}', 404, "nobody")
    api.refuses("half_plus_three/versions/7:predict", '{"instances": [1]}', 404, "7")
    api.refuses("three:predict", json.dumps({"instances": [ROWS[0] | {"more": 1}]}), 400, "instances[0].more")
    api.refuses("three:predict", json.dumps({"inputs": {"tag": ["foo"]}}), 400, "inputs")
    api.refuses("texts:predict", '{"instances": [{"b64": "!"}]}', 400, "base64")
    api.refuses("integers:predict", '{"instances": [0.5]}', 400, "instances[0]")
    api.refuses("half_plus_three/labels/other:predict", '{"instances": [1]}', 404, "label")
    api.refuses("half_plus_three:other", '{"instances": [1]}', 400, ":predict")
    for path in ("nobody", "nobody/metadata", "half_plus_three/versions/7", "half_plus_three/versions/7/metadata"):
        answer = requests.get(f"{api.root}/{path}", timeout=60)
        check(answer.status_code == 404 and "error" in answer.json(), answer.text)
    answer = requests.get(f"{api.root}/half_plus_three/other", timeout=60)
    expected = "Malformed request: GET /v1/models/half_plus_three/other"
    check((answer.status_code, answer.json()["error"]) == (400, expected), answer.text)


def what_is_not_offered(api: Api) -> None:
    """Signatures other than that of `:predict` are TensorFlow's own."""
    body = {"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}, {"x": 2.0}]}
    for verb in ("regress", "classify"):
        api.refuses(f"half_plus_three:{verb}", json.dumps(body), 501, ":predict")


def main() -> None:
    three = {"tag": ("BYTES", ["N"]), "signal": ("FP32", ["N", 5]), "sensor": ("FP32", ["N", 2, 2])}
    models = {
        "half_plus_three/123": linear(0.5, 3.0),
        "half_plus_two": linear(0.5, 2.0),
        "texts": echo("BYTES"),
        "truths": echo("BOOL"),
        "integers": echo("INT64"),
        "nested": echo("FP32", 1, 2),
        "image": echo("BYTES", output="x_bytes"),
        "captioned": echoes({"image": ("BYTES", ["N"], "image_bytes"), "caption": ("BYTES", ["N"], "title")}),
        "apart": echoes({"a": ("FP32", ["N"], "a_out"), "b": ("FP32", ["M"], "b_out")}),
        "three": echoes({name: (*port, f"{name}_out") for name, port in three.items()}),
    }
    with Server(sys.argv[1], models) as server:
        api = Api(server.address)
        status_and_metadata(api)
        rows(api)
        elements(api)
        bytes_as_base64(api)
        named(api)
        columns(api)
        numbers_that_json_lacks(api)
        mistakes(api)
        what_is_not_offered(api)
    print(f"requests {requests.__version__}, as TensorFlow Serving documents it: {checked} checks passed")


if __name__ == "__main__":
    main()
