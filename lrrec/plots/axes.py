"""What all pictures share: axes to draw on, the style of a series, legends."""

import re
from dataclasses import dataclass
from typing import Any

from lrrec.errors import ParameterTypeError
from lrrec.typing import Axes
from lrrec.validate import import_extra

MARKERS, LINES = "osD^vP*X", ("-", "--", "-.", ":")
LONGEST = 30  # letters of a name in a picture
UNNAMED = "_nolegend_"  # for matplotlib: the label of what no legend names
WIDTH = 6.4  # inches of a new figure
MAX_WITHIN = 3  # names of a legend that hides no data


@dataclass(frozen=True)
class Palette:
    """Colors, as matplotlib takes them.

    series : one a series, over again beyond the last. faint : of lines to compare with.
    """

    series: tuple[str, ...]
    faint: str


# Safe for people who are color blind: Okabe & Ito (2008), "Color universal design", their yellow and black replaced by
# gray, which can be seen on white and on black.
COLOR_BLIND_SAFE = Palette(("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f"), "#8c8c8c")


def axes_for(ax: Any, purpose: str, height: float) -> Axes:
    """Return ax if it is matplotlib Axes, or those of a new figure of pyplot, which notebooks show, if it is None.

    purpose : what needs matplotlib, for the error where it is not installed.
    """
    kind = import_extra("matplotlib.axes", "report", purpose).Axes
    if ax is None:
        _, ax = import_extra("matplotlib.pyplot", "report", purpose).subplots(
            figsize=(WIDTH, height), layout="constrained"
        )
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.3)
        ax.set_axisbelow(True)
    if not isinstance(ax, kind):
        raise ParameterTypeError(f"ax must be matplotlib Axes, got {type(ax).__name__}")
    return ax


def n_series(axes: Axes) -> int:
    """Return the number of lines that are series: the place of the next one, which decides its style."""
    return sum(line.get_label() != UNNAMED for line in axes.lines)


def add_series(axes: Axes, x: Any, y: Any, name: str, palette: Palette, *, joined: bool = True, **style: Any) -> str:
    """Draw a series, whose color, marker and line differ from those before it; return its color."""
    place = n_series(axes)
    color = palette.series[place % len(palette.series)]
    line = LINES[(place // 2 + place // 8) % len(LINES)] if joined else "none"
    marker = MARKERS[place % len(MARKERS)]
    looks = {"linestyle": line, "marker": marker, "markersize": 4.5, "linewidth": 1.5} | style
    axes.plot(x, y, color=color, label=name or " ", **looks)  # matplotlib replaces an empty label
    return color


def named_series(axes: Axes) -> dict[str, Any]:
    """Return what is drawn on axes and has a name: lines, then points, by name."""
    artists = [*axes.lines, *axes.collections]
    return {one.get_label(): one for one in artists if not re.fullmatch(rf"_child\d+|{UNNAMED}", one.get_label())}


def add_legend(owner: Any, series: dict[str, Any], **options: Any) -> None:
    """Name series in a legend of axes or of a figure, whatever their names begin with or contain."""
    numbers = list(map(str, range(len(series))))  # matplotlib leaves out names that begin with an underscore
    texts = owner.legend(list(series.values()), numbers, **options).get_texts()
    for text, name in zip(texts, series, strict=True):
        text.set_text(shortened(name))
    as_written(texts)


def name_series(axes: Axes) -> None:
    """Name what is drawn on axes in a legend: within, or beside them if it is long and the layout can make room."""
    series = named_series(axes)
    if len(series) <= MAX_WITHIN:
        add_legend(axes, series)
    elif axes.figure.get_layout_engine() is not None:
        add_legend(axes, series, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    else:
        add_legend(axes, series, fontsize="small")


def as_written(texts: Any) -> None:
    """Show texts as they are: a dollar is no formula."""
    for text in texts:
        text.set_parse_math(False)


def shortened(name: str) -> str:
    """Return a name without its middle if it is long."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 12]}…{name[-11:]}"
