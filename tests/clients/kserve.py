"""The documented examples of KServe's two protocols, asked with `requests`."""

import sys

import requests

from server import Server, iris

checked = 0


def check(is_right: bool, what: str) -> None:
    global checked
    checked += 1
    if not is_right:
        raise SystemExit(f"FAILED: {what}")


ROWS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]
CLASSES = [1, 1]


def v1(root: str) -> None:
    answer = requests.get(f"{root}/v1/models", timeout=60)
    check(answer.json() == {"models": ["sklearn-iris"]}, answer.text)
    answer = requests.get(f"{root}/v1/models/sklearn-iris", timeout=60)
    told = answer.json()
    check((told["name"], told["ready"]) == ("sklearn-iris", True), answer.text)
    for key, result in (("instances", "predictions"), ("inputs", "outputs")):
        answer = requests.post(f"{root}/v1/models/sklearn-iris:predict", json={key: ROWS}, timeout=60)
        check((answer.status_code, answer.json()) == (200, {result: CLASSES}), answer.text)
        check(answer.headers["content-type"].startswith("application/json"), f"{answer.headers}")
    others = [[5.1, 3.5, 1.4, 0.2], [5.9, 3.0, 5.1, 1.8]]
    answer = requests.post(f"{root}/v1/models/sklearn-iris:predict", json={"instances": others}, timeout=60)
    check(answer.json() == {"predictions": [0, 2]}, answer.text)
    # An explainer is another server beside the model's.
    answer = requests.post(f"{root}/v1/models/sklearn-iris:explain", json={"instances": ROWS}, timeout=60)
    check(answer.status_code == 501 and ":explain" in answer.json()["error"], answer.text)
    answer = requests.post(f"{root}/v1/models/sklearn-iris:predict", json={"rows": ROWS}, timeout=60)
    check(answer.status_code == 400 and "error" in answer.json(), answer.text)
    for method, path in (("GET", "nobody"), ("POST", "nobody:predict")):
        answer = requests.request(method, f"{root}/v1/models/{path}", json={"instances": ROWS}, timeout=60)
        check(answer.status_code == 404 and "nobody" in answer.json()["error"], answer.text)


def request(data) -> dict:
    return {"inputs": [{"name": "input-0", "shape": [2, 4], "datatype": "FP32", "data": data}]}


def v2(root: str) -> None:
    for path, key in (("health/live", "live"), ("health/ready", "ready"), ("models/sklearn-iris/ready", "ready")):
        answer = requests.get(f"{root}/v2/{path}", timeout=60)
        check((answer.status_code, answer.json()[key]) == (200, True), f"{path}: {answer.text}")
    told = requests.get(f"{root}/v2", timeout=60).json()
    check(told["name"] == "greenroom" and "extensions" in told, f"{told}")
    told = requests.get(f"{root}/v2/models", timeout=60).json()
    check(told == {"models": ["sklearn-iris"]}, f"{told}")
    for path in ("", "/versions/1"):
        told = requests.get(f"{root}/v2/models/sklearn-iris{path}", timeout=60).json()
        check(told["inputs"] == [{"name": "input-0", "datatype": "FP32", "shape": [-1, 4]}], f"{told}")
        check(told["outputs"] == [{"name": "predict", "datatype": "INT64", "shape": [-1]}], f"{told}")
        for data in (ROWS, [number for row in ROWS for number in row]):
            answer = requests.post(f"{root}/v2/models/sklearn-iris{path}/infer", json=request(data), timeout=60)
            output = {"name": "predict", "datatype": "INT64", "shape": [2], "data": CLASSES}
            expected = {"model_name": "sklearn-iris", "model_version": "1", "outputs": [output]}
            check((answer.status_code, answer.json()) == (200, expected), answer.text)
    asked = request(ROWS) | {"id": "2ce7f3d7", "outputs": [{"name": "predict"}]}
    answer = requests.post(f"{root}/v2/models/sklearn-iris/infer", json=asked, timeout=60).json()
    check((answer["id"], answer["outputs"][0]["data"]) == ("2ce7f3d7", CLASSES), f"{answer}")
    # What the protocol leaves to servers is no mistake.
    more = request(ROWS) | {"parameters": {"content_type": "np", "round": 7, "raw": False}}
    more["inputs"][0]["parameters"] = {"content_type": "np"}
    answer = requests.post(f"{root}/v2/models/sklearn-iris/infer", json=more, timeout=60)
    check((answer.status_code, answer.json()["outputs"][0]["data"]) == (200, CLASSES), answer.text)
    for path in ("models/nobody", "models/nobody/ready", "models/sklearn-iris/versions/7"):
        answer = requests.get(f"{root}/v2/{path}", timeout=60)
        check(answer.status_code == 404 and "error" in answer.json(), f"{path}: {answer.text}")
    for wrong in ({"name": "input-1"}, {"datatype": "INT32"}, {"shape": [4, 2]}):
        asked = {"inputs": [request(ROWS)["inputs"][0] | wrong]}
        answer = requests.post(f"{root}/v2/models/sklearn-iris/infer", json=asked, timeout=60)
        check(answer.status_code == 400 and "inputs[0]" in answer.json()["error"], f"{wrong}: {answer.text}")
    wrong = request(ROWS[:1])
    answer = requests.post(f"{root}/v2/models/sklearn-iris/infer", json=wrong, timeout=60)
    check(answer.status_code == 400 and "error" in answer.json(), answer.text)
    answer = requests.post(f"{root}/v2/models/nobody/infer", json=wrong, timeout=60)
    check(answer.status_code == 404 and "nobody" in answer.json()["error"], answer.text)


def main() -> None:
    with Server(sys.argv[1], {"sklearn-iris": iris()}) as server:
        root = f"http://{server.address}"
        v1(root)
        v2(root)
    print(f"requests {requests.__version__}, as KServe documents it: {checked} checks passed")


if __name__ == "__main__":
    main()
