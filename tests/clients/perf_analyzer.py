"""Triton's perf_analyzer measures the server over HTTP and gRPC, and reports what the server says of itself.

It comes in an old wheel of Triton's client, and two libraries that it needs from a package of Debian's and another wheel.
All is unpacked below the build's folder, and nothing installed. Where one of them cannot be had, that is said.
"""

import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import urllib.request
import zipfile

from server import Server, identity

WHEELS = ("tritonclient==2.51.0", "nvidia-cuda-runtime-cu12==12.9.79")
PACKAGE = "libb64-0d"


def skip(reason: str):
    print(f"SKIPPED: perf_analyzer: {reason}")
    sys.exit(0)


def fetch(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    pip += ["--platform", "manylinux1_x86_64", "--platform", "manylinux_2_17_x86_64", "--only-binary=:all:"]
    for command in (*([*pip, wheel] for wheel in WHEELS), ["apt-get", "download", "--quiet", PACKAGE]):
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        except (OSError, subprocess.TimeoutExpired) as error:
            skip(f"`{command[-1]}` cannot be fetched: {error}")
        if done.returncode != 0:
            skip(f"`{command[-1]}` cannot be fetched: {done.stderr.strip().splitlines()[-1:]}")
    for wheel in folder.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package.name, "."], cwd=folder, check=True)


def analyzer(folder: pathlib.Path) -> pathlib.Path:
    found = lambda: next(folder.glob("tritonclient-*.data/data/bin/perf_analyzer"), None)
    # The library is unpacked last: where it is, there is everything.
    if found() is None or not any(folder.glob("usr/lib/*/libb64.so.0d")):
        fetch(folder)
    program = found() or skip("it is not in its wheel")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def number(report: str, name: str) -> int:
    line = re.search(rf"{name}: (\d+)", report)
    if line is None:
        raise SystemExit(f"FAILED: there is no `{name}`:\n{report}")
    return int(line.group(1))


def main() -> None:
    binary, folder = sys.argv[1], pathlib.Path(sys.argv[2]).absolute()
    program = analyzer(folder)
    libraries = [folder / "nvidia/cuda_runtime/lib", *(folder / "usr/lib").glob("*-linux-gnu")]
    environment = os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
    with Server(binary, {"fp32": identity("FP32")}) as server:
        for protocol, address in (("http", server.address), ("grpc", server.grpc)):
            command = [program, "-m", "fp32", "-i", protocol, "-u", address, "-b", "4", "--concurrency-range", "2"]
            # However much two windows differ: nothing is compared here.
            command += ["--measurement-interval", "500", "--stability-percentage", "999"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
            report = done.stdout + done.stderr
            if "error while loading shared libraries" in report:
                skip(report.strip())
            if done.returncode != 0:
                raise SystemExit(f"FAILED: perf_analyzer over {protocol}:\n{report}")
            _, client, of_server = re.split("Client:|Server:", report, maxsplit=2)
            if min(number(client, "Request count"), number(of_server, "Successful request count")) == 0:
                raise SystemExit(f"FAILED: no request was answered over {protocol}:\n{report}")
            number(of_server, "Execution count")
            stats = json.load(urllib.request.urlopen(f"http://{server.address}/v2/models/fp32/stats"))
            failed = stats["model_stats"][0]["inference_stats"]["fail"]["count"]
            if failed != 0:
                raise SystemExit(f"FAILED: {failed} requests were not answered over {protocol}:\n{report}")
            told = of_server.strip().split("\n\n")[0].strip()
            print(f"perf_analyzer over {protocol}: {number(client, 'Request count')} requests\n    {told}")


if __name__ == "__main__":
    main()
