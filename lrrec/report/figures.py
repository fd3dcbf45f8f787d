"""Pictures of a report, as SVG in the colours of the page.

matplotlib draws in placeholder colours, which become CSS variables: the page decides what is light and what is dark.
Series differ by marker and line as well as by colour.
"""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import numpy as np

INK, FAINT = "#010203", "#040506"  # placeholders: text and axes, grid
SERIES = tuple(f"#0a0b{n:02x}" for n in range(8))  # placeholders: one a series, over again beyond eight
COLORS = {INK: "currentColor", FAINT: "var(--faint)"} | {color: f"var(--series-{n})" for n, color in enumerate(SERIES)}
MARKERS, LINES = "osD^vP*X", ("-", "--", "-.", ":")
WIDTH = 4.5  # inches: small enough for its letters to be read on a phone
LONGEST = 30  # letters of a name in a picture
PER_LINE = 70  # letters of names in a line of a legend

_STYLE: Any = {
    "svg.fonttype": "none",  # letters stay letters: searchable, and in the page's font
    "svg.hashsalt": "lrrec",
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # names are names
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "none",
}


@contextmanager
def canvas_of(name: str, height: float) -> Iterator["Canvas"]:
    """Yield an empty picture in the style of the page."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from (current )?font", UserWarning)  # browsers have more
        yield Canvas(name, Figure(figsize=(WIDTH, height), layout="constrained"))


class Canvas:
    """One picture: `axes` to draw on, `svg` to put into the page."""

    def __init__(self, name: str, figure: Any) -> None:
        self.name, self.figure, self.axes = name, figure, figure.subplots()
        self.series: dict[str, Any] = {}

    def line(self, place: int, x: Any, y: Any, name: str, *, joined: bool = True) -> str:
        """Draw a series in the style of its place; return its color."""
        color = SERIES[place % len(SERIES)]
        style = LINES[(place // 2 + place // 8) % len(LINES)] if joined else "none"
        (self.series[name],) = self.axes.plot(
            x, y, linestyle=style, color=color, marker=MARKERS[place % len(MARKERS)], markersize=4.5, linewidth=1.5
        )  # fmt: skip
        return color

    def legend(self) -> None:
        """Name the series above the axes, where there are several."""
        if len(self.series) > 1:
            names = [_short(name) for name in self.series]
            columns = max(1, min(len(names), 3, PER_LINE // (4 + max(map(len, names)))))
            self.figure.set_figheight(self.figure.get_figheight() + 0.17 * (-(-len(names) // columns) - 1))
            numbers = list(map(str, range(len(names))))  # matplotlib leaves out names that begin with an underscore
            legend = self.figure.legend(self.series.values(), numbers, loc="outside upper left", ncols=columns)
            for text, name in zip(legend.get_texts(), names, strict=True):
                text.set_text(name)

    def svg(self, alt: str) -> str:
        """Return the picture as an element of HTML; alt is its text for screen readers."""
        out = io.StringIO()
        self.figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
        text = out.getvalue()
        text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
        text = re.sub(r"<[a-z][^>]*>", lambda tag: self._of_the_page(tag[0]), text)
        head, body = text.split(">", 1)
        box = re.search(r'viewBox="([^"]*)"', head)
        assert box is not None  # matplotlib always writes one
        label = escape(alt, quote=True)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{box[1]}" role="img" aria-label="{label}"><title>{escape(alt)}</title>{body}'
        )

    def _of_the_page(self, tag: str) -> str:
        """A tag with ids that are the page's, not the picture's, and the page's colors."""
        tag = re.sub(r'(\sid="|url\(#|href="#)', rf"\g<1>{self.name}-", tag)
        return re.sub("#[0-9a-f]{6}", lambda color: COLORS.get(color[0], color[0]), tag)


def _short(name: str) -> str:
    """A name without its middle if it is long."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 12]}…{name[-11:]}"


def intervals(rows: Sequence[tuple[str, float, float, float]], metric: str) -> str:
    """Means with their intervals, a row (name, mean, low, high) a model, the first on top."""
    with canvas_of("models", 0.9 + 0.32 * len(rows)) as canvas:
        for place, (name, mean, low, high) in enumerate(rows):
            color = canvas.line(place, [mean], [place], name, joined=False)
            canvas.axes.plot([low, high], [place, place], color=color, linewidth=2)
            canvas.axes.annotate(
                f"{mean:.4f}", (mean, place), (0, 6), textcoords="offset points", ha="center", fontsize=8
            )
        canvas.axes.set(yticks=range(len(rows)), yticklabels=[_short(row[0]) for row in rows], xlabel=f"mean {metric}")
        canvas.axes.set_ylim(len(rows) - 0.4, -0.7)
        canvas.axes.grid(visible=False, axis="y")
        means = "; ".join(
            f"{name} {mean:.4f}" + ("" if np.isnan(low) else f" ({low:.4f} to {high:.4f})")
            for name, mean, low, high in rows
        )
        return canvas.svg(f"Mean {metric} and 95 % interval of each model: {means}.")


def by_group(groups: list[str], series: dict[str, np.ndarray], metric: str) -> str:
    """Means of groups of users: for each model an array (n_groups, 3) of mean, low, high."""
    with canvas_of("history", 3.4) as canvas:
        for place, (name, values) in enumerate(series.items()):
            x = np.arange(len(groups)) + 0.08 * (place - (len(series) - 1) / 2)
            color = canvas.line(place, x, values[:, 0], name)
            canvas.axes.vlines(x, values[:, 1], values[:, 2], color=color, linewidth=1)
        canvas.axes.set(xticks=range(len(groups)), xticklabels=groups)
        canvas.axes.set(xlabel="interactions in the user's history", ylabel=f"mean {metric}")
        canvas.legend()
        ends = "; ".join(f"{name} from {values[0, 0]:.3f} to {values[-1, 0]:.3f}" for name, values in series.items())
        return canvas.svg(f"{metric} against history length, from {groups[0]} to {groups[-1]} interactions: {ends}.")


def long_tail(counts: np.ndarray) -> str:
    """The share of interactions that the most popular items have; counts (n_items,) > 0."""
    with canvas_of("tail", 2.6) as canvas:
        ordered = np.sort(counts)[::-1]
        x = np.linspace(0, 100, 201)
        y = (
            100
            * np.interp(x * len(ordered) / 100, np.arange(len(ordered) + 1), np.append(0, ordered.cumsum()))
            / ordered.sum()
        )
        canvas.axes.plot(x, y, color=SERIES[0], linewidth=2)
        canvas.axes.plot([0, 100], [0, 100], color=FAINT, linestyle="--")
        canvas.axes.set(xlabel="most popular items, %", ylabel="of interactions, %", xlim=(0, 100), ylim=(0, 101))
        top = np.interp(10, x, y)
        return canvas.svg(f"Long tail: the most popular 10 % of items have {top:.0f} % of the interactions.")


def activity(counts: np.ndarray) -> str:
    """How many users have how many interactions; counts (n_users,) > 0."""
    with canvas_of("activity", 2.6) as canvas:
        edges = np.unique(np.rint(np.geomspace(counts.min(), counts.max() + 1, 25)).astype(int))
        if len(edges) > 1:
            heights, _ = np.histogram(counts, edges)
            canvas.axes.stairs(heights, edges, fill=True, color=SERIES[0])
        canvas.axes.set_xscale("log")
        canvas.axes.xaxis.set_major_formatter("{x:g}")
        canvas.axes.xaxis.set_minor_formatter("")
        canvas.axes.set(xlabel="interactions of the user", ylabel="users")
        low, middle, high = np.quantile(counts, [0.1, 0.5, 0.9])
        return canvas.svg(
            f"Activity: the median user has {middle:.0f} interactions, a tenth at most {low:.0f}, "
            f"a tenth {high:.0f} or more."
        )


def curves(series: dict[str, tuple[list[Any], list[Any]]], metric: str) -> str:
    """Learning curves of a transfer: for each method the numbers of target users, and the metric."""
    with canvas_of("curves", 3.6) as canvas:
        for place, (name, (sizes, values)) in enumerate(series.items()):
            canvas.line(place, sizes, values, name)
        sizes = sorted({size for sizes, _ in series.values() for size in sizes})
        canvas.axes.set_xscale("log")
        canvas.axes.set_xticks(sizes, [str(size) for size in sizes])
        canvas.axes.minorticks_off()
        canvas.axes.set(xlabel="target users adapted to", ylabel=metric)
        canvas.legend()
        ends = "; ".join(f"{name} from {values[0]:.3f} to {values[-1]:.3f}" for name, (_, values) in series.items())
        return canvas.svg(f"{metric} by number of target users, {sizes[0]} to {sizes[-1]}: {ends}.")


def tuning(series: dict[str, np.ndarray], metric: str, *, lower: bool) -> str:
    """The validation metric of each trial, and the best so far; values may be NaN."""
    with canvas_of("tuning", 3.4) as canvas:
        best = np.fmin if lower else np.fmax
        for place, (name, values) in enumerate(series.items()):
            so_far = best.accumulate(values)
            numbers = np.arange(1, len(values) + 1)
            color = canvas.line(place, numbers, so_far, name)
            canvas.axes.scatter(numbers, values, color=color, s=9, alpha=0.4, linewidths=0)
        canvas.axes.set(xlabel="trial", ylabel=f"{metric} on validation")
        canvas.axes.xaxis.get_major_locator().set_params(integer=True)
        canvas.legend()
        ends = "; ".join(f"{name} {best.reduce(values):.4f}" for name, values in series.items())
        return canvas.svg(f"Best {metric} on validation after each trial. At the end: {ends}.")
