"""Which of the compared adapters is kept, and why."""

from collections.abc import Sequence

from lrrec.adapt.selection.candidate_result import CandidateResult, Z, near_best


def choose(
    results: Sequence[CandidateResult], prefer: str = "best", blend: CandidateResult | None = None
) -> tuple[CandidateResult, str]:
    """Return the result to keep, and why: the best by the mean; of equals, the one with the fewest parameters.

    The blend, whose weights are averaged over bootstrap samples, is kept unless an adapter is clearly better than it.
    Popularity is kept where nothing beats it. With prefer="small", all within a standard error of the best are equals.
    """
    compared = [*results, *([] if blend is None else [blend])]
    best = max(results, key=lambda result: result.mean)
    if prefer == "small":
        best = max(compared, key=lambda result: result.mean)
        kept = min(near_best(compared), key=lambda result: result.n_parameters)
    else:
        equals = [result for result in results if result.mean == best.mean]
        unbeaten = [result for result in equals if result.adapter.name == "popularity"]
        kept = best = min(unbeaten or equals, key=lambda result: result.n_parameters)
        if blend is not None and not unbeaten and not best.clearly_better_than(blend):
            kept = best = blend
    others = [result for result in compared if result is not kept]
    if not others:
        return kept, "nothing else was compared"
    runner_up = max(others, key=lambda result: result.mean)
    gain, error = kept.difference(runner_up)
    verdict = f"{kept.mean:.4f} on {len(kept.scores)} validation users, {runner_up.adapter.label} {runner_up.mean:.4f}"
    if abs(gain) <= Z * error:
        verdict += ": too close to be sure"
        if kept is blend and gain < 0:
            verdict += ", and a blend is the safer choice"
    return kept, verdict + ("" if kept is best else "; the smallest within a standard error of the best")
