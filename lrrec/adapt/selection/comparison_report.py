"""The report of a comparison of adapters, as a frame."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lrrec.adapt.selection.candidate_result import CandidateResult, Z
from lrrec.adapt.selection.folds import WITH
from lrrec.data import frames
from lrrec.plots import drawings
from lrrec.plots.axes import COLOR_BLIND_SAFE, add_legend, axes_for
from lrrec.typing import Axes


def report(compared: Mapping[str, tuple[list[CandidateResult], CandidateResult]], metric: str) -> Any:
    """A frame with a row for each group of users and adapter compared: (results, the one kept) of each group.

    Differences are to fold-in, or to the first adapter where the base does not fold in: the column's name says so.
    """
    rows: list[dict[str, Any]] = []
    references = {
        group: next((one for one in results if one.adapter.name == "fold-in"), results[0])
        for group, (results, _) in compared.items()
    }
    against = f"against {next(iter(references.values())).adapter.label}"
    pairs = [(name, result) for name, parts in compared.items() for result in parts[0]]
    for group, result in pairs:
        kept, reference = compared[group][1], references[group]
        gain, error = result.difference(reference)
        margin = 0.0 if result is reference else Z * error
        params = result.adapter.get_params()
        rows.append({
            "method": result.adapter.label + ("" if group == WITH else f", users {group}"),
            metric: result.mean,
            against: gain,
            "low": gain - margin,
            "high": gain + margin,
            "parameters": result.n_parameters,
            **{name: _number(params.get(name)) for name in ("reg", "fold_in_reg")},
            "users": len(result.scores),
            "kept": result is kept,
            "group": group,
        })  # fmt: skip
    return frames.make({name: np.array([row[name] for row in rows]) for name in rows[0]}, "pandas")


def plot_report(report: Any, ax: Any) -> Axes:
    """Draw the scores of a report on axes, or in a new figure: of each group of users the best on top."""
    metric, against = report.columns[1:3]
    places = {group: place for place, group in enumerate(dict.fromkeys(report["group"]))}
    rows = report.assign(place=report["group"].map(places)).sort_values(
        ["place", metric], ascending=[True, False], kind="stable"
    )
    means, references = rows[metric].to_numpy(), (rows[metric] - rows[against]).to_numpy()
    intervals = zip(rows["method"], means, references + rows["low"], references + rows["high"], strict=True)
    axes = axes_for(ax, "AdapterSelector.plot()", 1.0 + 0.4 * len(rows))
    reference, label = against.removeprefix("against "), f"{metric} on validation users"
    named = drawings.draw_scores(
        axes, list(intervals), rows["kept"], references, reference, label, COLOR_BLIND_SAFE
    )  # fmt: skip
    add_legend(axes, named)
    return axes


def _number(value: Any) -> float:
    return np.nan if value is None or isinstance(value, str) else float(value)
