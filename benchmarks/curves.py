"""Draw nDCG@20 against the number of target users, one picture for each transfer, from the stored details."""

import json
import sys
from typing import Any

from benchmarks.report import RESULTS, save_picture

SHOWN = {  # method: label, color, line
    "low rank 8": ("low rank 8", "#c0392b", "-"),
    "auto, guarded": ("guarded", "#e67e22", "--"),
    "auto, guarded on its own": ("guarded, no validation users", "#f1c40f", "--"),
    "item-item": ("item-item", "#d35fb7", "-"),
    "anchored": ("full rank, anchored", "#8e44ad", ":"),
    "pooled": ("pooled retraining (needs the source)", "#2c7fb8", "-."),
    "scratch": ("from scratch", "#7f8c8d", "-"),
    "scratch, item-item": ("from scratch, item-item", "#7f8c8d", "--"),
    "fold-in": ("fold-in (no adaptation)", "#2c3e50", ":"),
    "continued": ("ALS continued on the target", "#16a085", ":"),
}


def draw(name: str) -> None:
    """Write the SVG of a transfer beside its results."""
    from matplotlib.figure import Figure

    details: list[dict[str, Any]] = json.loads((RESULTS / f"adapt-{name}-details.json").read_text())
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for method, (label, color, style) in SHOWN.items():
        points = [(row["users"], row["ndcg@20"]) for row in details if row["method"] == method]
        if points:
            axes.plot(*zip(*points, strict=True), style, color=color, label=label, marker="o", markersize=3)
    sizes = sorted({row["users"] for row in details})
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    title = details[0]["transfer"]
    axes.set(xlabel="target users that the model is adapted to", ylabel="nDCG@20 on new users", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, framealpha=0.9, edgecolor="none")
    save_picture(figure, f"adapt-{name}")


if __name__ == "__main__":
    draw(sys.argv[1])
