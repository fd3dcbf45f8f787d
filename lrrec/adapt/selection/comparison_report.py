"""The report of a comparison of adapters, as a frame."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lrrec.adapt.selection.candidate_result import CandidateResult, Z
from lrrec.adapt.selection.folds import WITH
from lrrec.data import frames


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


def _number(value: Any) -> float:
    return np.nan if value is None or isinstance(value, str) else float(value)
