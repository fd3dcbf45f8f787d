"""Pictures of a report: the drawings of `lrrec.plots`, as SVG in the colors of the page, with a text for each.

matplotlib draws in placeholder colors, which become CSS variables: the page decides what is light and what is dark.
"""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import numpy as np

from lrrec.plots import drawings
from lrrec.plots.axes import Palette, add_legend, named_series, shortened
from lrrec.plots.drawings import Interval, Trials

INK, FAINT = "#010203", "#040506"  # placeholders: text and axes, grid
SERIES = tuple(f"#0a0b{n:02x}" for n in range(8))  # placeholders: one a series, over again beyond eight
COLORS = {INK: "currentColor", FAINT: "var(--faint)"} | {color: f"var(--series-{n})" for n, color in enumerate(SERIES)}
PALETTE = Palette(SERIES, FAINT)
WIDTH = 4.5  # inches: small enough for its letters to be read on a phone
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

    def legend(self) -> None:
        """Name the series above the axes, where there are several."""
        series = named_series(self.axes)
        if len(series) > 1:
            longest = max(len(shortened(name)) for name in series)
            columns = max(1, min(len(series), 3, PER_LINE // (4 + longest)))
            self.figure.set_figheight(self.figure.get_figheight() + 0.17 * (-(-len(series) // columns) - 1))
            add_legend(self.figure, series, loc="outside upper left", ncols=columns)

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


def intervals(rows: Sequence[Interval], metric: str) -> str:
    """Means with their intervals, a row (name, mean, low, high) a model, the first on top."""
    with canvas_of("models", 0.9 + 0.32 * len(rows)) as canvas:
        drawings.draw_intervals(canvas.axes, rows, f"mean {metric}", PALETTE)
        means = "; ".join(
            f"{name} {mean:.4f}" + ("" if np.isnan(low) else f" ({low:.4f} to {high:.4f})")
            for name, mean, low, high in rows
        )
        return canvas.svg(f"Mean {metric} and 95 % interval of each model: {means}.")


def by_group(groups: list[str], series: dict[str, np.ndarray], metric: str) -> str:
    """Means of groups of users: for each model an array (n_groups, 3) of mean, low, high."""
    with canvas_of("history", 3.4) as canvas:
        drawings.draw_by_group(canvas.axes, groups, series, metric, PALETTE)
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
        drawings.draw_long_tail(canvas.axes, x, y, PALETTE)
        top = np.interp(10, x, y)
        return canvas.svg(f"Long tail: the most popular 10 % of items have {top:.0f} % of the interactions.")


def activity(counts: np.ndarray) -> str:
    """How many users have how many interactions; counts (n_users,) > 0."""
    with canvas_of("activity", 2.6) as canvas:
        drawings.draw_activity(canvas.axes, counts, PALETTE)
        low, middle, high = np.quantile(counts, [0.1, 0.5, 0.9])
        return canvas.svg(
            f"Activity: the median user has {middle:.0f} interactions, a tenth at most {low:.0f}, "
            f"a tenth {high:.0f} or more."
        )


def curves(series: dict[str, tuple[list[Any], list[Any]]], metric: str) -> str:
    """Learning curves of a transfer: for each method the numbers of target users, and the metric."""
    with canvas_of("curves", 3.6) as canvas:
        drawings.draw_curves(canvas.axes, series, metric, PALETTE)
        canvas.legend()
        sizes = sorted({size for sizes, _ in series.values() for size in sizes})
        ends = "; ".join(f"{name} from {values[0]:.3f} to {values[-1]:.3f}" for name, (_, values) in series.items())
        return canvas.svg(f"{metric} by number of target users, {sizes[0]} to {sizes[-1]}: {ends}.")


def tuning(series: dict[str, Trials], metric: str, *, lower: bool) -> str:
    """The validation metric of each trial, and the best so far: for each model the values, and which trials finished.

    Values may be NaN.
    """
    with canvas_of("tuning", 3.4) as canvas:
        drawings.draw_trials(canvas.axes, series, metric, PALETTE, lower=lower)
        canvas.legend()
        last = {name: drawings.best_so_far(*trials, lower=lower)[-1] for name, trials in series.items()}
        ends = "; ".join(f"{name} {value:.4f}" for name, value in last.items())
        return canvas.svg(f"Best {metric} on validation after each trial. At the end: {ends}.")
