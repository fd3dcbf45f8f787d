"""Pictures: what is drawn are the numbers of the result, on the axes that were passed or in a new figure."""

import io
import itertools
import sys

import numpy as np
import pandas as pd
import pytest

import lrrec
from lrrec import Comparison, Evaluation, Tuning
from lrrec.adapt import LearningCurve, LowRank
from lrrec.errors import DataError, MissingDependencyError, NotFittedError, ParameterError, ParameterTypeError
from lrrec.evaluation import Candidates, Protocol
from lrrec.linalg import compact_svd
from lrrec.plots import drawings
from lrrec.plots.axes import COLOR_BLIND_SAFE, UNNAMED, named_series

pytest.importorskip("matplotlib")
from matplotlib import pyplot
from matplotlib.colors import to_hex

PLOTS = ["comparison", "curve", "history", "selector", "svd", "tuning"]
SIZES = np.array([0, 1, 3, 5, 7, 7, 20, 21])


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def evaluation(seed, metrics=("ndcg@10", "hit@10"), overall=None):
    rng = np.random.default_rng(seed)
    values = {name: rng.random(len(SIZES)) for name in metrics}
    return Evaluation(
        np.arange(len(SIZES)), values, SIZES, Protocol(metrics, Candidates("all", 9), len(SIZES)), overall or {}
    )


def compared(*names, **options):
    return Comparison({name: evaluation(seed, **options) for seed, name in enumerate(names)})


def tuned(values, states, metric="ndcg@10"):
    trials = pd.DataFrame({"number": range(len(values)), "value": values, "state": states, "seconds": 1.0})
    finished = [value for value, state in zip(values, states, strict=True) if state == "finished"]
    return Tuning({"reg": 1.0}, max(finished), lrrec.EASE(), trials, metric, "by hand", 0)


def learned(*methods, metric="ndcg@10"):
    rng = np.random.default_rng(0)
    rows = [(0, size, name, user, rng.random()) for size in (10, 50, 58) for name in methods for user in range(3)]
    values = pd.DataFrame(rows, columns=["draw", "users", "method", "user", metric])
    return LearningCurve(None, metric, values, pd.DataFrame(columns=["draw", "users", "kept", "verdict"]))


@pytest.fixture(scope="module")
def selector(source, target):
    base = lrrec.IALS(4, n_iter=3, random_state=0).fit(source)
    candidates = [LowRank(2, reg=1.0, fold_in_reg=0.02, new_item_reg=1.0)]
    return lrrec.AdapterSelector(candidates, random_state=0).fit(target, base=base)


@pytest.fixture
def plots(selector):
    """What draws each picture, by name."""
    return {
        "comparison": compared("a", "b").plot,
        "curve": learned("a", "b").plot,
        "history": evaluation(0).plot_by_history,
        "selector": selector.plot,
        "svd": compact_svd(np.diag([3.0, 2.0])).plot,
        "tuning": tuned([0.1, 0.2], ["finished", "finished"]).plot,
    }


def texts(labels):
    return [label.get_text() for label in labels]


def legend(axes):
    return texts(axes.get_legend().get_texts())


def unnamed(axes):
    """The lines without a name, as pairs of x and y."""
    return [(line.get_xdata(), line.get_ydata()) for line in axes.lines if line.get_label() == UNNAMED]


# What is drawn.


def test_means_and_intervals_of_models():
    comparison = compared("a", "b", "c")
    for axes, metric in ((comparison.plot(), "ndcg@10"), (comparison.plot("hit@10"), "hit@10")):
        names = comparison.best_first(metric)
        assert texts(axes.get_yticklabels()) == names
        assert axes.get_xlabel() == f"mean {metric}"
        table = comparison.summary().set_index("model")
        for place, name in enumerate(names):
            line = named_series(axes)[name]
            assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([table[metric][name]], [place])
            x, y = unnamed(axes)[place]
            assert (list(x), list(y)) == ([table[f"{metric} low"][name], table[f"{metric} high"][name]], [place, place])
        assert texts(axes.texts) == [f"{table[metric][name]:.4f}" for name in names]
        assert axes.yaxis_inverted()  # the best on top


def test_the_best_model_is_on_top_for_errors_too():
    comparison = compared("a", "b", "c", metrics=("rmse",))
    means = {name: one.mean()["rmse"] for name, one in comparison.evaluations.items()}
    assert texts(comparison.plot().get_yticklabels()) == sorted(means, key=means.get)


def test_metrics_of_all_lists_have_no_interval():
    values = {"a": 0.2, "b": 0.4}
    results = {name: evaluation(0, overall={"coverage@10": value}) for name, value in values.items()}
    axes = Comparison(results).plot("coverage@10")
    assert axes.get_xlabel() == "coverage@10"
    assert [named_series(axes)[name].get_xdata()[0] for name in ("b", "a")] == [0.4, 0.2]
    assert np.isnan([x for x, _ in unnamed(axes)]).all()


@pytest.mark.parametrize("edges", [(1, 5, 20), [7]])
def test_means_by_history(edges):
    result = evaluation(0)
    axes = result.plot_by_history("hit@10", edges=edges)
    table = result.by_history(edges)
    table = table[table["metric"] == "hit@10"]
    (line,) = axes.lines
    assert line.get_ydata().tolist() == table["mean"].tolist()
    rows = zip(line.get_xdata(), axes.collections[0].get_segments(), table.itertuples(), strict=True)
    for x, bar, row in rows:
        assert np.isnan(row.low) if row.n == 1 else bar.tolist() == [[x, row.low], [x, row.high]]
    assert texts(axes.get_xticklabels()) == table["group"].tolist()
    assert axes.get_ylabel() == "mean hit@10"
    assert axes.get_legend() is None


def test_several_models_by_history():
    results = {f"model {seed}": evaluation(seed) for seed in range(4)}
    _, axes = pyplot.subplots()
    for name, result in results.items():
        assert result.plot_by_history(label=name, ax=axes) is axes
    assert legend(axes) == list(results)
    assert [line.get_ydata().tolist() for line in axes.lines] == [
        result.by_history().query("metric == 'ndcg@10'")["mean"].tolist() for result in results.values()
    ]
    assert len({line.get_xdata()[0] for line in axes.lines}) == 4  # no interval hides another
    other = Evaluation(np.arange(2), {"ndcg@10": np.ones(2)}, np.ones(2, int), results["model 0"].protocol)
    with pytest.raises(DataError, match="ax must show the same groups of users, 1 or more, got 0, 1 to 4"):
        other.plot_by_history(edges=[1], ax=axes)


@pytest.mark.parametrize(("metric", "best"), [("ndcg@10", np.fmax), ("rmse", np.fmin)])
def test_trials_and_the_best_so_far(metric, best):
    values = np.array([np.nan, 0.3, 0.2, 0.9, 0.1, 0.4])
    states = ["failed", "finished", "finished", "pruned", "pruned", "finished"]
    axes = tuned(values, states, metric).plot()
    finished = np.array(states) == "finished"
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 7))
    np.testing.assert_array_equal(line.get_ydata(), best.accumulate(np.where(finished, values, np.nan)))
    dots, crosses = (points.get_offsets().tolist() for points in axes.collections)
    assert dots == [[2, 0.3], [3, 0.2], [6, 0.4]]
    assert crosses == [[4, 0.9], [5, 0.1]]
    assert legend(axes) == ["EASE, best so far", "finished trial", "pruned trial"]
    assert axes.get_ylabel() == f"{metric} on validation"


def test_a_tuning_without_pruned_trials_names_none():
    assert legend(tuned([0.1], ["finished"]).plot()) == ["EASE, best so far", "finished trial"]


def test_scores_of_adapters_and_the_one_kept(selector):
    axes, report = selector.plot(), selector.report_.set_index("method")
    names = report.sort_values("ndcg@20", ascending=False, kind="stable").index.tolist()
    reference = report["ndcg@20"]["fold-in"]
    (kept,) = report.index[report["kept"]]
    assert [name for name in named_series(axes) if name in names] == names
    for place, name in enumerate(names):
        assert named_series(axes)[name].get_xdata().tolist() == [report["ndcg@20"][name]]
        bounds = reference + report.loc[name, ["low", "high"]].to_numpy(dtype=float)
        np.testing.assert_allclose(unnamed(axes)[place][0], bounds, rtol=1e-12)
    marks = unnamed(axes)[len(names) :]
    ring = [(x, y) for x, y in marks if len(x) == 1]
    assert ring == [([report["ndcg@20"][kept]], [names.index(kept)])]
    np.testing.assert_allclose([x for x, _ in marks if len(x) == 2], reference)
    bold = [label.get_text() for label in axes.get_yticklabels() if label.get_fontweight() == "bold"]
    assert bold == [text for text, name in zip(texts(axes.get_yticklabels()), names, strict=True) if name == kept]
    assert sorted(legend(axes)) == ["fold-in", "kept"]


def test_groups_of_users_are_below_each_other(selector):
    """As with same_users: each group has a reference and a winner."""
    report = pd.DataFrame({
        "method": ["fold-in", "a", "b, users without history", "c, users without history"],
        "ndcg@20": [0.1, 0.3, 0.8, 0.2], "against fold-in": [0, 0.2, 0, -0.6], "low": [0, 0.1, 0, -0.7],
        "high": [0, 0.3, 0, -0.5], "kept": [False, True, True, False],
        "group": ["with history"] * 2 + ["without history"] * 2,
    })  # fmt: skip
    other = lrrec.AdapterSelector()
    vars(other).update(vars(selector) | {"report_": report})
    axes = other.plot()
    assert list(named_series(axes)) == ["a", "fold-in", *report["method"][2:]]
    assert [x[0] for x, _ in unnamed(axes)[4:] if len(x) == 2] == pytest.approx([0.1, 0.1, 0.8, 0.8])
    assert [y for x, y in unnamed(axes) if len(x) == 1] == [[0], [2]]


def test_learning_curves():
    curve = learned("popularity", "low-rank 8", "guarded")
    axes, table = curve.plot("ndcg@10"), curve.summary()
    assert legend(axes) == ["popularity", "low-rank 8", "guarded"]
    for name, line in named_series(axes).items():
        of_method = table[table["method"] == name]
        assert line.get_xdata().tolist() == of_method["users"].tolist()
        assert line.get_ydata().tolist() == of_method["ndcg@10"].tolist()
    assert texts(axes.get_xticklabels()) == ["10", "50", "58"]
    assert axes.get_xscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("target users adapted to", "ndcg@10")


def test_singular_values_and_the_noise():
    svd = compact_svd(np.diag([8.0, 4.0, 2.0, 0.0]), rtol=0)
    svd = type(svd)(svd.U, np.append(svd.s, 0.0), svd.Vt)
    axes = svd.plot(noise=3)
    values, noise = axes.lines
    np.testing.assert_array_equal(values.get_ydata(), [8, 4, 2, np.nan])
    np.testing.assert_array_equal(values.get_xdata(), [1, 2, 3, 4])
    assert list(noise.get_ydata()) == [3, 3]
    assert legend(axes) == ["singular values", "noise 3 (2 above)"]
    assert axes.get_yscale() == "log"
    assert svd.plot().get_legend() is None
    assert compact_svd(np.zeros((2, 2))).plot().get_yscale() == "linear"


def test_series_differ_without_colors():
    curve = learned(*map(str, range(8)))
    lines = curve.plot().lines
    assert len({line.get_marker() for line in lines}) == 8
    assert len({line.get_linestyle() for line in lines}) == 4
    assert [to_hex(line.get_color()) for line in lines] == [*COLOR_BLIND_SAFE.series, COLOR_BLIND_SAFE.series[0]]
    for one, other in itertools.combinations(lines, 2):
        assert (one.get_color(), one.get_marker()) != (other.get_color(), other.get_marker())


# Where it is drawn.


@pytest.mark.parametrize("name", PLOTS)
def test_a_new_figure_is_one_of_pyplot(name, plots):
    axes = plots[name]()
    assert pyplot.get_fignums() == [axes.figure.number]
    axes.figure.savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize("name", PLOTS)
def test_an_existing_figure_keeps_what_it_shows(name, plots):
    figure, (left, right) = pyplot.subplots(1, 2)
    (line,) = left.plot([1, 2], [0.1, 0.2], label="mine")
    left.set_title("title")
    plots[name]()
    assert not right.has_data()
    n_figures = len(pyplot.get_fignums())
    assert plots[name](ax=left) is left
    assert len(pyplot.get_fignums()) == n_figures
    assert line in left.lines
    assert len(left.lines) > 1
    assert left.get_title() == "title"
    assert not right.has_data()
    figure.savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize("wrong", ["axes", 3, np.array([None])], ids=repr)
def test_what_is_no_axes_is_refused(name, wrong, plots):
    with pytest.raises(ParameterTypeError, match=f"ax must be matplotlib Axes, got {type(wrong).__name__}"):
        plots[name](ax=wrong)
    with pytest.raises(ParameterTypeError, match="ax must be matplotlib Axes, got Figure"):
        plots[name](ax=pyplot.figure())


def test_wrong_arguments_are_refused_before_a_figure_is_made():
    for call, message in (
        (lambda: compared("a").plot("hit@3"), "metric must be one of 'ndcg@10', 'hit@10', got 'hit@3'"),
        (lambda: compared("a").plot(3), "metric must be one of"),
        (lambda: evaluation(0, overall={"gini@10": 1}).plot_by_history("gini@10"), "metric must be one of 'ndcg"),
        (lambda: evaluation(0, ()).plot_by_history(), "needs a metric with a value for each user, got none"),
        (lambda: evaluation(0).plot_by_history(edges=[5, 1]), "edges must be rising integers"),
        (lambda: learned("a").plot("ndcg@20"), "metric must be one of 'ndcg@10', got 'ndcg@20'"),
        (lambda: compact_svd(np.eye(2)).plot(noise=0), "noise must be a finite number > 0, got 0"),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=message):
            call()
    with pytest.raises(ParameterTypeError, match="label must be a name, got 3"):
        evaluation(0).plot_by_history(label=3)
    with pytest.raises(NotFittedError):
        lrrec.LowRankAdapter().plot()
    assert not pyplot.get_fignums()


@pytest.mark.parametrize("name", PLOTS)
def test_without_matplotlib_the_error_says_what_to_install(name, plots, monkeypatch):
    for module in [module for module in sys.modules if module.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"plot\w*\(\) needs matplotlib: pip install 'lrrec\[report\]'"):
        plots[name]()


def test_names_are_texts():
    """No formulas, none left out; long ones without their middle."""
    names = ["$x_1$ \\alpha $", "_hidden", "", "a" * 40, "$\\bad{$", "%s {name}"]
    shown = ["$x_1$ \\alpha $", "_hidden", "", "a" * 18 + "…" + "a" * 11, "$\\bad{$", "%s {name}"]
    axes = compared(*names).plot()
    assert sorted(texts(axes.get_yticklabels())) == sorted(shown)
    axes.figure.savefig(io.BytesIO(), format="svg")
    axes = learned(*names).plot()
    assert [name.strip() for name in legend(axes)] == shown
    axes.figure.savefig(io.BytesIO(), format="svg")


def test_the_report_has_the_same_drawings(monkeypatch):
    """One function draws for both, in other colors."""
    pytest.importorskip("jinja2")
    called = []
    for name in ("draw_intervals", "draw_by_group", "draw_trials", "draw_curves"):
        draw = getattr(drawings, name)

        def spied(axes, *args, draw=draw, name=name, **options):
            called.append(name)
            return draw(axes, *args, **options)

        monkeypatch.setattr(drawings, name, spied)
    comparison, tuning, curve = compared("a", "b"), tuned([0.1, 0.2], ["finished", "pruned"]), learned("a", "b")
    curve.choices.loc[0] = [0, 10, "a", "the best mean"]
    lrrec.Report("x", comparison, tunings={"a": tuning}, curves=curve).html()
    of_report = called.copy()
    called.clear()
    comparison.plot()
    evaluation(0).plot_by_history()
    curve.plot()
    tuning.plot()
    assert of_report == called == ["draw_intervals", "draw_by_group", "draw_curves", "draw_trials"]
