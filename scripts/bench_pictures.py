#!/usr/bin/env python3
"""Draw what `cargo bench --bench serving` has measured; `scripts/bench` does so.

    scripts/bench_pictures.py target/bench/serving.json [FOLDER]

Writes throughput.svg and latency.svg, and the same as PNG, beside the file or into FOLDER.
"""

import argparse
import json
import statistics
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)

# Dark enough on white, and apart for those who do not see colours.
OURS = "#c0392b"
COLOURS = ["#2471a3", "#e59866", "#7d8590", "#58734b", "#76448a"]
PERCENTILES = (("p50_us", "p50"), ("p99_us", "p99"), ("p999_us", "p99.9"))


def contests(report: dict) -> list[dict]:
    return [scene for scene in report["scenes"] if "connections" in scene]


def title(scene: dict) -> str:
    rate = f", {scene['rate']:.0f} a second" if scene["rate"] else ""
    return scene["name"] + rate


def throughput(report: dict, folder: Path) -> None:
    """Requests a second, ours to each of the others."""
    scenes = [scene for scene in contests(report) if not scene["rate"]]
    if not scenes:
        return
    names = list(dict.fromkeys(name for scene in scenes for name in scene["ratios"]))
    figure, axes = plt.subplots(figsize=(7.2, 0.9 + 0.42 * len(scenes)))
    height = 0.8 / len(names)
    for at, name in enumerate(names):
        for place, scene in enumerate(scenes):
            if name not in scene["ratios"]:
                continue
            ratio = scene["ratios"][name]["requests_per_second"]["ours"]
            y = place + (at - (len(names) - 1) / 2) * height
            error = [[ratio["median"] - ratio["low"]], [ratio["high"] - ratio["median"]]]
            label = f"ours to {name}" if scene is first_with(scenes, name) else None
            axes.barh(y, ratio["median"], height * 0.9, color=COLOURS[at % len(COLOURS)], label=label, xerr=error,
                      error_kw={"linewidth": 0.8})
            axes.text(ratio["high"] + 0.01, y, f"{ratio['median']:.2f}", va="center", fontsize=7)
    axes.axvline(1, color="black", linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(scenes)), [title(scene) for scene in scenes])
    axes.invert_yaxis()
    axes.set(xlabel="requests per second as a ratio (median; line: middle half of the rounds)")
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18 * 10 / (4 + len(scenes))), ncols=len(names))
    save(figure, axes, folder, "throughput")


def first_with(scenes: list[dict], name: str) -> dict:
    return next(scene for scene in scenes if name in scene["ratios"])


def latency(report: dict, folder: Path) -> None:
    """Percentiles, ours and the others', in each scene."""
    scenes = contests(report)
    if not scenes:
        return
    figure, axes = plt.subplots(figsize=(7.2, 0.9 + 0.42 * len(scenes)))
    names = list(dict.fromkeys(name for scene in scenes for name in scene["ratios"]))
    for at, name in enumerate(["ours", *names]):
        colour = OURS if name == "ours" else COLOURS[(at - 1) % len(COLOURS)]
        for place, scene in enumerate(scenes):
            if name != "ours" and name not in scene["ratios"]:
                continue
            y = place + (at - len(names) / 2) * 0.8 / (len(names) + 1)
            points = [median(scene, name, figure_name) for figure_name, _ in PERCENTILES]
            axes.plot(points, [y] * len(points), color=colour, linewidth=0.8)
            for point, (_, label), marker in zip(points, PERCENTILES, "o|s"):
                is_first = scene is (scenes[0] if name == "ours" else first_with(scenes, name))
                axes.plot([point], [y], color=colour, marker=marker, markersize=4, linestyle="",
                          label=f"{name} {label}" if is_first else None)
    axes.set_yticks(range(len(scenes)), [title(scene) for scene in scenes])
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="µs")
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18 * 10 / (4 + len(scenes))), ncols=len(names) + 1,
                fontsize=7)
    save(figure, axes, folder, "latency")


def median(scene: dict, name: str, figure: str) -> float:
    if name == "ours":
        return statistics.median(one["ours"][figure] for one in scene["rounds"])
    return statistics.median(window[figure] for one in scene["rounds"] for window in one["others"][name])


def save(figure: plt.Figure, axes: plt.Axes, folder: Path, name: str) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    # Without what differs from one time to the next.
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    figure.savefig(folder / f"{name}.png", dpi=150, metadata={"Software": None}, bbox_inches="tight")
    plt.close(figure)
    print(f"drawn: {folder / name}.svg and .png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("folder", type=Path, nargs="?")
    arguments = parser.parse_args()
    folder = arguments.folder or arguments.report.parent
    folder.mkdir(parents=True, exist_ok=True)
    # Text stays text, so that a picture is small and can be searched.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "greenroom", "font.size": 8})
    report = json.loads(arguments.report.read_text())
    throughput(report, folder)
    latency(report, folder)


if __name__ == "__main__":
    main()
