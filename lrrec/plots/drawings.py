"""One function a picture: it draws data on axes in the colors of a palette, and adds to what the axes show already."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lrrec.plots.axes import UNNAMED, Palette, add_series, as_written, n_series, shortened
from lrrec.typing import Axes

Interval = tuple[str, float, float, float]  # name, mean, low, high
Trials = tuple[np.ndarray, np.ndarray]  # values, whether they finished
HISTORY = "interactions in the user's history"
APART = 0.08  # of the distance of two groups, between series


def draw_intervals(axes: Axes, rows: Sequence[Interval], label: str, palette: Palette) -> None:
    """Draw means with their intervals, the first row on top; bounds may be NaN."""
    for place, (name, mean, low, high) in enumerate(rows):
        color = add_series(axes, [mean], [place], name, palette, joined=False)
        axes.plot([low, high], [place, place], color=color, linewidth=2, label=UNNAMED)
        if np.isfinite(mean):
            axes.annotate(
                f"{mean:.4f}", (mean, place), (0, 6), textcoords="offset points", ha="center", fontsize="small"
            )
    axes.set_yticks(range(len(rows)))
    as_written(axes.set_yticklabels([shortened(row[0]) for row in rows]))
    axes.set_xlabel(label)
    axes.set_ylim(len(rows) - 0.4, -0.7)
    axes.margins(x=0.1)  # for the numbers
    axes.grid(visible=False, axis="y")


def draw_scores(
    axes: Axes, rows: Sequence[Interval], kept: Iterable[bool], references: Iterable[float], reference: str, label: str,
    palette: Palette,
) -> dict[str, Any]:  # fmt: skip
    """Draw scores of methods with intervals of their differences to a reference, and mark those that are kept.

    references : the score of the reference in each row, drawn as a line. reference : what the line is called. Returns
    what a legend has to name: this line, and the mark.
    """
    draw_intervals(axes, rows, label, palette)
    series: dict[str, Any] = {}
    names = axes.get_yticklabels()
    for place, (row, is_kept, score) in enumerate(zip(rows, kept, references, strict=True)):
        (series[reference],) = axes.plot(
            [score, score], [place - 0.5, place + 0.5], color=palette.faint, linestyle="--", linewidth=1, label=UNNAMED
        )
        if is_kept:
            (series["kept"],) = axes.plot(
                [row[1]], [place], color=palette.faint, marker="o", markersize=11, fillstyle="none", linestyle="none",
                label=UNNAMED,
            )  # fmt: skip
            names[place].set_fontweight("bold")
    return series


def draw_by_group(
    axes: Axes, groups: Sequence[str], series: Mapping[str, np.ndarray], metric: str, palette: Palette
) -> None:
    """Draw means of groups of users: for each series an array (n_groups, 3) of mean, low, high."""
    for name, values in series.items():
        place = n_series(axes)
        side = 1 if place % 2 else -1
        x = np.arange(len(groups)) + side * APART * ((place + 1) // 2)
        color = add_series(axes, x, values[:, 0], name, palette)
        axes.vlines(x, values[:, 1], values[:, 2], color=color, linewidth=1, label=UNNAMED)
    axes.set_xticks(range(len(groups)))
    axes.set_xticklabels(groups)
    axes.set(xlabel=HISTORY, ylabel=f"mean {metric}")


def draw_curves(
    axes: Axes, series: Mapping[str, tuple[Sequence[int], Sequence[float]]], metric: str, palette: Palette
) -> None:
    """Draw the metric of each method by the number of target users: (numbers, values) of each."""
    for name, (sizes, values) in series.items():
        add_series(axes, sizes, values, name, palette)
    sizes = sorted({size for sizes, _ in series.values() for size in sizes})
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set(xlabel="target users adapted to", ylabel=metric)


def draw_trials(
    axes: Axes, series: Mapping[str, Trials], metric: str, palette: Palette, *, lower: bool, named: bool = False
) -> None:
    """Draw the metric of each trial as a dot, a cross if it did not finish, and the best so far as a line.

    named : whether a legend is to name the dots and crosses.
    """
    for name, (values, finished) in series.items():
        numbers, best = np.arange(1, len(values) + 1), best_so_far(values, finished, lower=lower)
        changes = np.append(True, best[1:] != best[:-1])[: len(best)]
        color = add_series(
            axes, numbers, best, name, palette, drawstyle="steps-post", markevery=np.flatnonzero(changes).tolist()
        )
        for kind, shown, marker in (("finished trial", finished, "o"), ("pruned trial", ~finished, "x")):
            shown = shown & np.isfinite(values)
            label = kind if named and shown.any() else UNNAMED
            axes.scatter(
                numbers[shown], values[shown], color=color, s=14, alpha=0.5, linewidths=1, marker=marker, label=label
            )
    axes.set(xlabel="trial", ylabel=f"{metric} on validation")
    _count_on(axes.xaxis)


def best_so_far(values: np.ndarray, finished: np.ndarray, *, lower: bool) -> np.ndarray:
    """Return the best value of the finished trials up to each; NaN before the first."""
    best = np.fmin if lower else np.fmax
    return best.accumulate(np.where(finished, values, np.nan))


def draw_spectrum(axes: Axes, values: np.ndarray, noise: float | None, palette: Palette) -> None:
    """Draw singular values on a logarithmic axis, without those that are 0, and a line at the size of the noise."""
    from matplotlib.ticker import LogFormatter

    positive = values > 0
    numbers = np.arange(1, len(values) + 1)
    add_series(axes, numbers, np.where(positive, values, np.nan), "singular values", palette, markersize=3)
    if noise is not None:
        above = f"noise {noise:.4g} ({(values > noise).sum()} above)"
        axes.axhline(noise, color=palette.series[1], linestyle="--", linewidth=1.5, label=above)
    if positive.any():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(LogFormatter())
        axes.yaxis.set_minor_formatter(LogFormatter())
    axes.set(xlabel="number of the singular value", ylabel="singular value")
    _count_on(axes.xaxis)


def draw_long_tail(axes: Axes, x: np.ndarray, y: np.ndarray, palette: Palette) -> None:
    """Draw which share y of interactions the most popular items have, a share x of all, both in percent."""
    axes.plot(x, y, color=palette.series[0], linewidth=2)
    axes.plot([0, 100], [0, 100], color=palette.faint, linestyle="--")
    axes.set(xlabel="most popular items, %", ylabel="of interactions, %", xlim=(0, 100), ylim=(0, 101))


def draw_activity(axes: Axes, counts: np.ndarray, palette: Palette) -> None:
    """Draw how many users have how many interactions; counts (n_users,) > 0."""
    edges = np.unique(np.rint(np.geomspace(counts.min(), counts.max() + 1, 25)).astype(int))
    if len(edges) > 1:
        heights, _ = np.histogram(counts, edges)
        axes.stairs(heights, edges, fill=True, color=palette.series[0])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set(xlabel="interactions of the user", ylabel="users")


def _count_on(axis: Any) -> None:
    """Put ticks at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
