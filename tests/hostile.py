# ruff: noqa: B008
"""The table of tests/test_hostile_input.py: every public callable, valid arguments for it, and bad ones by kind."""

import copy
import datetime
import functools
import inspect
import itertools
import types
from decimal import Decimal
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.neighbors import KNeighborsClassifier

import lrrec
import lrrec.evaluation
from lrrec import AdapterBank, IdMap, Interactions, adapt

USERS, ITEMS = np.arange(12), np.arange(8)
RNG = np.random.default_rng(0)
DENSE = np.where(RNG.random((12, 8)) < 0.6, RNG.integers(1, 5, (12, 8)), 0).astype(np.float32)
DATA = Interactions.from_matrix(DENSE)
TIMED = Interactions(DATA.matrix, DATA.users, DATA.items, times=np.arange(len(DATA)))
FRAME = TIMED.to_frame()
SPLIT = lrrec.splits.random(DATA, random_state=0)
TIMED_SPLIT = lrrec.splits.random(TIMED, random_state=0)
PEOPLE = FRAME.drop_duplicates("user")
WORDS = pd.DataFrame({"item": ITEMS, "word": ["red one", "blue one"] * 4, "vector": np.eye(8, 3).tolist()})
LOW_RANK = {"rank": 2, "reg": 0.1, "fold_in_reg": 0.1, "new_item_reg": 0.1, "n_iter": 1}
CHEAP = adapt.AdapterSelector([adapt.LowRank(**LOW_RANK)], blend=False, random_state=0)
PARAMS: dict[str, dict[str, Any]] = {
    "ALS": {"n_factors": 2, "n_iter": 2, "random_state": 0},
    "Blend": {"models": [lrrec.EASE(), lrrec.Popularity()], "weights": [0.5, 0.5]},
    "EASE": {},
    "EDLAE": {"n_factors": 2},
    "IALS": {"n_factors": 2, "n_iter": 2, "random_state": 0},
    "ItemContent": {},
    "ItemKNN": {"n_neighbors": 3},
    "NMF": {"n_factors": 2, "n_iter": 2, "random_state": 0},
    "NeuralMF": {"n_factors": 2, "n_hidden": 2, "n_epochs": 1, "init": "random", "random_state": 0},
    "Popularity": {},
    "RP3Beta": {},
    "SparseEASE": {"n_neighbors": 3},
    "SLIM": {},
    "GraphFilter": {"n_factors": 2},
    "TruncatedSVD": {"n_factors": 2, "random_state": 0},
}
ADAPTERS: dict[str, dict[str, Any]] = {
    "Anchored": {"reg": 0.1, "fold_in_reg": 0.1, "new_item_reg": 0.1, "n_iter": 1},
    "Blended": {"members": [adapt.FoldIn(), adapt.Scratch(reg=None)], "weights": [0.5, 0.5]},
    "ByHistory": {"with_history": adapt.FoldIn(), "without_history": adapt.Popular()},
    "FoldIn": {},
    "ItemItem": {"weight": 0.5, "reg": 5.0},
    "ItemItemScratch": {"reg": 5.0},
    "JoinedItemKNN": {"n_neighbors": 3, "shrink": 1.0},
    "LowRank": LOW_RANK,
    "Popular": {},
    "Scratch": {},
}
FIT_OPTIONS = {"JoinedItemKNN": {"same_users": True}}
TOWERS = {name: {"n_epochs": 1, "random_state": 0} for name in ("LowRankTowers", "FullRankTowers", "ScratchTowers")}


STEP_VALUES = dict.fromkeys(range(0, 8, 2), 1.0)
STEP_VECTORS = pd.DataFrame(np.eye(8, 3))


def model(name, **options):
    return getattr(lrrec, name)(**(PARAMS[name] | options))


@functools.cache
def fitted(name="IALS"):
    return model(name).fit(DATA, **features_for(name))


def features_for(name):
    """The options of fit that a model needs."""
    return {"item_features": np.eye(8, 3)} if name == "ItemContent" else {}


@functools.cache
def adapted(name="LowRank"):
    return getattr(adapt, name)(**ADAPTERS[name]).fit(DATA, base=fitted(), **FIT_OPTIONS.get(name, {}))


@functools.cache
def selected():
    return lrrec.AdapterSelector([adapt.LowRank(**LOW_RANK)], guard=False, random_state=0).fit(DATA, base=fitted())


@functools.cache
def bank():
    return AdapterBank(fitted(), {"a": adapted()})


@functools.cache
def compared():
    models = {"ials": model("IALS"), "popularity": model("Popularity")}
    return lrrec.compare(models, SPLIT, metrics=["ndcg@3"])


def evaluation():
    return compared().evaluations["ials"]


@functools.cache
def searched():
    return lrrec.tune(model("EASE"), SPLIT, space={"reg": [1.0, 9.0]}, metric="ndcg@3", n_trials=2)


def curve():
    values = pd.DataFrame({"draw": 0, "users": [2, 3], "method": "a", "user": 1, "ndcg@3": [0.5, 0.6]})
    return adapt.LearningCurve(fitted(), "ndcg@3", values, pd.DataFrame(columns=["draw", "users", "kept", "verdict"]))


def n_lines(plot, **options):
    """The number of lines of a picture, drawn on new axes if none are passed."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    try:
        return len(plot(**({"ax": pyplot.figure().subplots()} | options)).lines)
    finally:
        pyplot.close("all")


def lists():
    return fitted().recommend(USERS, 3, exclude_seen=False)


def fit_model(name, data=DATA):
    """A constructor takes everything, as in scikit-learn: `fit` is where its parameters are judged."""
    return lambda **options: model(name, **options).fit(data, **features_for(name))


def with_models_for(name, options):
    """A model that takes the options of fit: for features, a blend of a model that takes them."""
    if name == "Blend" and "item_features" in options:
        return model(name, models=[model("IALS"), lrrec.EASE()])
    return model(name)


def fit_adapter(name):
    fit = {"base": fitted(), **FIT_OPTIONS.get(name, {})}
    return lambda **options: getattr(adapt, name)(**(ADAPTERS[name] | options)).fit(DATA, **fit)


@functools.cache
def featured():
    return model("IALS").fit(DATA, item_features=np.eye(8, 3))


@functools.cache
def neural():
    return model("NeuralMF").fit(DATA, item_features=np.eye(8, 3))


def fit_towers(name):
    return lambda **options: getattr(adapt, name)(**(TOWERS[name] | options)).fit(DATA, base=fitted("NeuralMF"))


def made_selector(kind, *arguments):
    return lambda **options: kind(
        *([] if "candidates" in options else arguments), **({"guard": False, "random_state": 0} | options)
    ).fit(DATA, base=fitted())


def encoder(columns=None, id="user"):
    return lrrec.features.FeatureEncoder({"value": "number"} if columns is None else columns, id=id)


def feature_calls():
    """Callable of `lrrec.features` -> call with arguments."""
    features = lrrec.features
    described = features.Features(np.eye(8, 3), ITEMS)

    def of(column):
        return encoder({"word": column}, "item").fit_transform(WORDS)

    return {
        "Category.__init__": lambda **o: of(features.Category(**o)),
        "Number.__init__": lambda **o: encoder({"value": features.Number(**o)}).fit_transform(PEOPLE),
        "Tags.__init__": lambda separator="|", **o: of(features.Tags(separator, **o)),
        "Text.__init__": lambda n_components=2, **o: of(features.Text(n_components, **o)),
        "Vector.__init__": lambda **o: encoder({"vector": features.Vector(**o)}, "item").fit_transform(WORDS),
        "FeatureEncoder.__init__": lambda columns=None, id="user": encoder(columns, id).fit_transform(PEOPLE),
        "FeatureEncoder.fit": lambda table: encoder().fit(table).transform(PEOPLE),
        "FeatureEncoder.transform": lambda table: encoder().fit(PEOPLE).transform(table),
        "FeatureEncoder.fit_transform": lambda table: encoder().fit_transform(table),
        "Features.__init__": lambda matrix=None, ids=ITEMS, names=None: features.Features(
            np.eye(8, 3) if matrix is None else matrix, ids, names
        ),
        "Features.select": lambda ids=ITEMS[:5], **o: described.select(ids, **o),
        "Features.reindex": lambda ids=ITEMS[:5]: described.reindex(ids),
    }


class Arg(NamedTuple):
    """The kind of a parameter, which decides the bad values, and a valid value that has equivalents."""

    kind: str
    value: Any = None


def ids(values):
    return Arg("ids", values)


MATRIX, INTERACTIONS, IDS = Arg("matrix", DENSE), Arg("interactions", DATA), ids(USERS[:5])
COUNT, NUMBER, FLAG, WORD, OBJECT = Arg("count", 2), Arg("number", 0.5), Arg("flag", True), Arg("word"), Arg("object")
ENDLESS = Arg("steps", 2)  # a huge number of them is a valid wish

# Parameter, or callable and parameter -> its kind. A parameter that is in neither form fails the test.
ARGS = {
    **dict.fromkeys(
        ["X", "histories", "new", "history", "seen", "data", "source", "interactions", "test", "train"], MATRIX
    ),
    **dict.fromkeys(["users", "items", "candidates", "catalogue", "exclude", "ids"], IDS),
    **dict.fromkeys(
        [
            "k",
            "n_threads",
            "n_jobs",
            "tune_on",
            "rank",
            "n_neighbors",
            "n",
            "n_folds",
            "n_windows",
            "folds",
            "batch_size",
            "n_negatives",
            "patience",
            "max_rows",
            "n_blocks",
            "n_components",
            "min_count",
        ],
        COUNT,
    ),
    **dict.fromkeys(
        ["n_iter", "cg_steps", "cd_steps", "n_epochs", "n_steps", "n_trials", "n_resamples", "n_factors", "n_hidden"],
        ENDLESS,
    ),
    **dict.fromkeys(
        [
            "reg",
            "feature_reg",
            "feature_weight",
            "content",
            "flatness",
            "low_pass_weight",
            "degree_power",
            "budget",
            "reg_exponent",
            "clip",
            "init_scale",
            "alpha",
            "beta",
            "shrink",
            "unobserved_weight",
            "confidence",
            "user_power",
            "item_power",
            "score_power",
            "tol",
            "l1_reg",
            "l2_reg",
            "dropout",
            "hidden_dropout",
            "init_reg",
            "init_unobserved_weight",
            "learning_rate",
            "weight_decay",
            "max_grad_norm",
            "level",
            "share",
            "size",
            "threshold",
            "min_value",
            "min_rating",
            "test_size",
            "fold_in_reg",
            "new_item_reg",
            "weight",
            "shrinkage",
            "source_weight",
            "anchor",
            "timeout",
            "at",
            "half_life",
            "width",
            "span",
            "statistics",
            "edges",
            "weights",
        ],
        NUMBER,
    ),
    **dict.fromkeys(
        [
            "exclude_seen",
            "float16",
            "same_users",
            "nonnegative",
            "guard",
            "deep",
            "mmap",
            "verify",
            "progress",
            "adapt_encoder",
            "balance",
            "blend",
            "log",
            "weighted",
        ],
        FLAG,
    ),
    **dict.fromkeys(
        [
            "unknown",
            "unknown_items",
            "objective",
            "solver",
            "loss",
            "precision",
            "device",
            "backend",
            "metric",
            "baseline",
            "user",
            "item",
            "value",
            "time",
            "duplicates",
            "time_format",
            "missing",
            "delimiter",
            "encoding",
            "header",
            "quoting",
            "decimal",
            "column",
            "kind",
            "repeats",
            "order",
            "by",
            "part",
            "name",
            "domain",
            "prefer",
            "scaling",
            "init",
            "metrics",
            "kinds",
            "storage",
            "title",
            "command",
            "titles",
            "separator",
            "filter",
            "unseen",
            "unit",
            "id",
            "label",
        ],
        WORD,
    ),
    **dict.fromkeys(
        [
            "y",
            "validation",
            "scorer",
            "callback",
            "base",
            "adapter",
            "adapters",
            "other",
            "teacher",
            "student",
            "model",
            "estimator",
            "models",
            "split",
            "space",
            "members",
            "with_history",
            "without_history",
            "checkpoint",
            "params",
            "make",
            "comparison",
            "evaluations",
            "tunings",
            "transfer",
            "curves",
            "query",
            "seed",
            "wide",
            "columns",
            "names",
            "ax",
        ],
        OBJECT,
    ),
    "random_state": Arg("random_state", 0),
    "path": Arg("path"),
    "data_home": Arg("path"),
    "model_path": Arg("path"),
    **dict.fromkeys(["df", "df_history", "df_test", "frame", "table"], Arg("frame", FRAME)),
    "vectors": Arg("array", np.eye(8, 3)),
    "relaxed": NUMBER,
    "IALS.__init__.unobserved_weight": Arg("number or auto", 0.5),
    "decay": NUMBER,
    "item_features": Arg("array", np.eye(8, 3)),
    "Adapter.fit.item_features": OBJECT,
    "AdapterSelector.fit.item_features": OBJECT,
    "user_features": Arg("array", np.eye(12, 3)),
    "lists": Arg("array", np.array([[0, 1, 2]] * 12)),
    "values": Arg("array", np.arange(1.0, 6.0)),
    "times": Arg("array", np.arange(5)),
    "mask": Arg("array", np.arange(len(DATA)) % 2 == 0),
    "key": Arg("array", np.arange(len(DATA)) / 99),
    "groups": Arg("array", np.array([*"abababab"])),
    # where one name has another kind
    "AdapterBank.fit_many.by": Arg("array", np.array(["a", "b"] * 6)),
    "AdapterBank.recommend.domain": Arg("array", np.array(["a"] * 5)),
    "AdapterBank.recommend_from.domain": Arg("array", np.array(["a"] * 12)),
    "AdapterSelector.__init__.candidates": OBJECT,
    "AdapterSelector.__init__.history": NUMBER,
    "LowRankAdapter.__init__.history": NUMBER,
    "Evaluation.by_group.groups": Arg("array", np.arange(8) % 2),
    "Explains.explain.item": WORD,
    "Explains.explain_from.history": Arg("matrix", DENSE[:1]),
    "IdMap.__contains__.value": WORD,
    "IdMap.range.n": ENDLESS,
    "repeated.n": ENDLESS,
    "Interactions.__init__.matrix": Arg("sparse", DATA.matrix),
    "Interactions.__init__.users": OBJECT,
    "Interactions.__init__.items": OBJECT,
    "Interactions.__init__.times": Arg("array", np.arange(len(DATA))),
    "Interactions.__init__.events": OBJECT,
    "Interactions.align_items.items": OBJECT,
    "Interactions.concat.parts": OBJECT,
    "Interactions.from_matrix.users": ids(USERS),
    "Interactions.from_matrix.items": ids(ITEMS),
    "Interactions.k_core.users": COUNT,
    "Interactions.k_core.items": COUNT,
    "FactorModel.similar_items.candidates": ids(ITEMS[:3]),
    "ItemItemModel.similar_items.candidates": ids(ITEMS[:3]),
    "ItemContent.similar_items.candidates": ids(ITEMS[:3]),
    "GraphFilter.similar_items.candidates": ids(ITEMS[:3]),
    "GraphFilter.__init__.order": COUNT,
    **{f"FeatureEncoder.{name}.table": Arg("frame", PEOPLE) for name in ("fit", "transform", "fit_transform")},
    "Features.__init__.matrix": Arg("array", np.eye(8, 3)),
    "Features.__init__.ids": ids(ITEMS),
    "Features.select.ids": ids(ITEMS[:5]),
    "Features.reindex.ids": ids(ITEMS[:5]),
    "FeatureModel.with_items.items": ids(np.array([20, 21])),
    "FeatureModel.with_items.item_features": Arg("array", np.eye(2, 3)),
    "Recommender.save.histories": FLAG,
    "Recommends.recommend_all.output": Arg("path"),
    "Adapter.save.histories": FLAG,
    "AdapterBank.save.histories": FLAG,
    "AdapterSelector.save.histories": FLAG,
    "Report.__init__.curves": OBJECT,
    "Split.from_frames.train": Arg("frame", FRAME),
    "Split.from_frames.test": Arg("frame", FRAME),
    "Split.from_frames.history": Arg("frame", FRAME),
    "Split.from_frames.validation": OBJECT,
    **dict.fromkeys([f"Split.__init__.{name}" for name in ("train", "history", "test", "candidates")], OBJECT),
    "by_item_group.users": ids(USERS),
    "by_user.history": NUMBER,
    "k_folds.history": NUMBER,
    "evaluate.candidates": ids(ITEMS[:4]),
    "evaluate_lists.users": ids(USERS),
    "from_factors.user_factors": Arg("array", np.eye(12, 2)),
    "from_factors.item_factors": Arg("array", np.eye(8, 2)),
    "from_factors.users": ids(USERS),
    "from_factors.items": ids(ITEMS),
    "from_sklearn.items": ids(ITEMS),
    "from_spark.users": ids(USERS),
    "from_spark.items": ids(ITEMS),
    **dict.fromkeys(
        [
            f"{name}.data"
            for name in (
                "by_time",
                "by_user",
                "cold_items",
                "cold_users",
                "history_mask",
                "k_folds",
                "leave_last",
                "random",
                "windows",
            )
        ],
        Arg("interactions", TIMED),
    ),
    "popularity_groups.train": INTERACTIONS,
    "seen_groups.train": INTERACTIONS,
    **dict.fromkeys([f"{step}.__call__.lists" for step in ("Boost", "MMR", "Quota")], OBJECT),
    "Boost.__init__.values": OBJECT,
    "MMR.__init__.vectors": OBJECT,
    "MMR.__init__.diversity": NUMBER,
    "Quota.__init__.categories": OBJECT,
    "Quota.__init__.at_most": COUNT,
    "evaluate_lists.test": INTERACTIONS,
    "evaluate_lists.train": INTERACTIONS,
    "by_item_group.test": INTERACTIONS,
    "LowRank.__init__.anchor": OBJECT,
    "Blend.__init__.weights": Arg("array", np.array([0.5, 0.5])),
    "Blended.__init__.weights": Arg("array", np.array([0.5, 0.5])),
    "ItemItem.__init__.source_weights": Arg("array", np.array([0.5])),
    "NeuralMF.fit.init": OBJECT,
    "IALS.fit.warm_start": OBJECT,
    "load.verify": FLAG,
    "learning_curve.source": OBJECT,
    "learning_curve.target": INTERACTIONS,
    "learning_curve.sizes": NUMBER,
    **dict.fromkeys([f"learning_curve.{name}" for name in ("n_test", "n_validation")], COUNT),
    "learning_curve.n_draws": ENDLESS,
    "is_name.text": WORD,
}

_EACH_MODEL = {
    "Recommends.recommend": lambda m: lambda users=USERS, **o: m().recommend(users, **{"k": 3, **o}),
    "Recommends.recommend_from": lambda m: lambda histories=DENSE, **o: m().recommend_from(histories, **{"k": 3, **o}),
    "Predicts.predict": lambda m: (
        lambda users=(0, 1, 2, 3, 4), items=(3, 1, 2, 0, 4), **o: m().predict(users, items, **o)
    ),
    "Recommender.score": lambda m: lambda X=DENSE, **o: m().score(X, **o),
    "Explains.explain": lambda m: lambda user=0, item=3: m().explain(user, item),
    "Explains.explain_from": lambda m: lambda history=DENSE[:1], item=3: m().explain_from(history, item),
}


def _of_models():
    """The calls of models: the bare name for IALS, `name[model]` for the others."""
    for name in PARAMS:
        mark = "" if name == "IALS" else f"[{name}]"
        get = functools.partial(fitted, name)
        for call, make in _EACH_MODEL.items():
            if name != "Blend" or "explain" not in call:
                yield call + mark, make(get)
        inherits = dict.fromkeys(("ALS", "EDLAE", "NMF"), "IterativeModel")
        owner = name if "fit" in vars(getattr(lrrec, name)) else inherits.get(name, "Recommender")
        yield (
            f"{owner}.fit{f'[{name}]'}",
            functools.partial(lambda n, X=DENSE, **o: with_models_for(n, o).fit(X, **(features_for(n) | o)), name),
        )
        yield (
            f"Recommender.update{mark}",
            functools.partial(lambda n, new=DENSE, **o: copy.copy(fitted(n)).update(new, **o), name),
        )
        if "__init__" in vars(getattr(lrrec, name)):
            yield f"{name}.__init__", fit_model(name)
        if name not in ("Popularity", "Blend"):
            kind = "ItemItemModel" if name in ("EASE", "ItemKNN", "RP3Beta", "SLIM", "SparseEASE") else "FactorModel"
            kind = name if name in ("ItemContent", "GraphFilter") else kind
            yield (
                f"{kind}.similar_items[{name}]",
                functools.partial(lambda get, items=ITEMS[:5], **o: get().similar_items(items, **{"k": 3, **o}), get),
            )


def _of_adapters():
    for name in ADAPTERS:
        if name != "Popular":
            yield f"{name}.__init__", fit_adapter(name)
        yield (
            f"Adapter.fit[{name}]",
            functools.partial(
                lambda n, X=DENSE, **o: getattr(adapt, n)(**ADAPTERS[n]).fit(
                    X, **({"base": fitted()} | FIT_OPTIONS.get(n, {}) | o)
                ),
                name,
            ),
        )
        yield (
            f"Adapter.update[{name}]",
            functools.partial(
                lambda n, new=DENSE, **o: (
                    getattr(adapt, n)(**ADAPTERS[n]).fit(DATA, base=fitted(), **FIT_OPTIONS.get(n, {})).update(new, **o)
                ),
                name,
            ),
        )
    for name in TOWERS:
        yield f"{name}.__init__", fit_towers(name)


def saved(folder):
    path = folder / "model"
    if not path.exists():
        fitted().save(path)
    return path


def saved_bank(folder):
    bank().save(folder / "saved bank")
    return folder / "saved bank"


def saved_by_spark(folder):
    """The factors of the model as Spark saves them."""
    path = folder / "spark"
    if not path.exists():
        (path / "metadata").mkdir(parents=True)
        kind = '{"class": "org.apache.spark.ml.recommendation.ALSModel"}'
        (path / "metadata" / "part-00000").write_text(kind)
        for name, factors in (("user", fitted().user_factors_), ("item", fitted().item_factors_)):
            table = pd.DataFrame({"id": np.arange(len(factors)), "features": [*factors]})
            table.to_parquet(path / f"{name}Factors")
    return path


def _of_spark(folder):
    """Of pandas frames, which are refused when everything else has been looked at: tests/test_spark.py has Spark's."""
    if find_spec("pyspark") is None:
        return {}
    from lrrec import spark

    path, bank = saved(folder), folder / "spark bank"
    return {
        "spark.recommend": lambda df=FRAME, model_path=path, **o: spark.recommend(df, model_path, **o),
        "spark.adapt": lambda df=FRAME, model_path=path, path=bank, **o: spark.adapt(df, model_path, path, **o),
        "spark.evaluate": lambda df_history=FRAME, df_test=FRAME, model_path=path, **o: spark.evaluate(
            df_history, df_test, model_path, **o
        ),
        "spark.fit_als": lambda df=FRAME, **o: spark.fit_als(df, **o),
    }


def calls(folder):
    """Return what calls each public callable, with valid defaults for what is not passed."""
    csv, parquet = folder / "data.csv", folder / "data.parquet"
    FRAME.to_csv(csv, index=False)
    FRAME.to_parquet(parquet)
    json_lines = folder / "data.jsonl"
    FRAME.to_json(json_lines, orient="records", lines=True)
    DATA.save(folder / "interactions")
    adapted().save(folder / "adapter")
    others = {
        "Recommends.recommend_all": lambda output=folder / "lists", **o: fitted().recommend_all(
            output, **{"k": 3, **o}
        ),
        "Recommender.save": lambda path=folder / "saved", **o: fitted().save(path, **o),
        "FactorModel.compress": lambda n_factors: fitted().compress(n_factors),
        "FactorModel.similar_users": lambda users=USERS[:5], **o: fitted().similar_users(users, **{"k": 3, **o}),
        "FactorModel.transform": lambda X: fitted().transform(X),
        "FactorModel.to_index": lambda path=folder / "index", **o: fitted().to_index(path, **o),
        "EDLAE.compress": lambda n_factors: fitted("EDLAE").compress(n_factors),
        "NeuralMF.compress": lambda n_factors: neural().compress(n_factors),
        **feature_calls(),
        "FeatureModel.with_items": lambda items=(20, 21), item_features=np.eye(2, 3): featured().with_items(
            items, item_features
        ),
        "AdapterBank.__getitem__": lambda domain: bank()[domain],
        "AdapterBank.__init__": lambda base=None, adapters=None: AdapterBank(
            fitted() if base is None else base, adapters
        ),
        "AdapterBank.__setitem__": lambda domain="b", adapter=None: AdapterBank(fitted()).__setitem__(
            domain, adapted() if adapter is None else adapter
        ),
        "AdapterBank.fit_many": lambda interactions=DATA, by=["a", "b"] * 6, adapter=None, **o: (
            AdapterBank(fitted())
            .fit_many(
                interactions,
                by=by,
                adapter=(CHEAP if "tune_on" in o else adapt.LowRank(**LOW_RANK)) if adapter is None else adapter,
                **{"n_jobs": 1, **o},
            )
            .recommend(USERS[:4], ["a", "b"] * 2, k=2)
        ),
        "AdapterBank.save": lambda path=folder / "bank", **o: bank().save(path, **o),
        "AdapterBank.load": lambda path=saved_bank(folder), base=None: AdapterBank.load(
            path, fitted() if base is None else base
        ).recommend_from(DENSE, "a", k=3),
        "AdapterBank.recommend": lambda users=USERS[:5], domain=["a"] * 5, **o: bank().recommend(
            users, domain, **{"k": 3, **o}
        ),
        "AdapterBank.recommend_from": lambda histories=DENSE, domain=["a"] * 12, **o: bank().recommend_from(
            histories, domain, **{"k": 3, **o}
        ),
        "AdapterSelector.__init__": made_selector(lrrec.AdapterSelector, [adapt.LowRank(**LOW_RANK)]),
        "AdapterSelector.__add__": lambda other: selected() + other,
        "AdapterSelector.fit": lambda X=DATA, **o: lrrec.AdapterSelector(
            [adapt.LowRank(**LOW_RANK)], guard=False, random_state=0
        ).fit(X, **{"base": fitted(), **o}),
        "AdapterSelector.plot": lambda **o: n_lines(selected().plot, **o),
        "AdapterSelector.save": lambda path=folder / "selector", **o: selected().save(path, **o),
        "AdapterSelector.update": lambda new=DENSE, **o: (
            lrrec.AdapterSelector([adapt.LowRank(**LOW_RANK)], guard=False, random_state=0)
            .fit(DATA, base=fitted())
            .update(new, **o)
        ),
        "LowRankAdapter.__init__": made_selector(lrrec.LowRankAdapter),
        "FactorAdapter.__add__": lambda other: adapted() + other,
        "FactorAdapter.compress": lambda n_factors: adapted().compress(n_factors),
        "FactorAdapter.truncate": lambda rank: adapted().truncate(rank),
        "Adapter.save": lambda path=folder / "saved adapter", **o: adapted().save(path, **o),
        "Comparison.best_first": lambda metric: compared().best_first(metric),
        "Comparison.pairs": lambda metric="ndcg@3", **o: compared().pairs(metric, **{"n_resamples": 50, **o}),
        "Comparison.plot": lambda **o: n_lines(compared().plot, **o),
        "Comparison.summary": lambda **o: compared().summary(**o),
        "Comparison.to_frame": lambda **o: compared().to_frame(**o),
        "DomainFitter.__init__": lambda **o: lrrec.DomainFitter(
            **{"base": fitted(), "adapter": adapt.LowRank(**LOW_RANK), "domain": "domain", **o}
        )(FRAME.assign(domain="a")),
        "DomainFitter.__call__": lambda frame: lrrec.DomainFitter(fitted(), adapt.LowRank(**LOW_RANK))(frame),
        "DomainFitter.adapters": lambda table: [
            *lrrec.DomainFitter(fitted(), adapt.LowRank(**LOW_RANK)).adapters(table)
        ],
        "Evaluation.by_group": lambda groups=np.arange(len(evaluation().users)) % 2, **o: evaluation().by_group(
            groups, **o
        ),
        "Evaluation.by_history": lambda **o: evaluation().by_history(**o),
        "Evaluation.plot_by_history": lambda **o: n_lines(evaluation().plot_by_history, **o),
        "Evaluation.interval": lambda **o: evaluation().interval(**o),
        "Evaluation.summary": lambda **o: evaluation().summary(**o),
        "Evaluation.to_frame": lambda **o: evaluation().to_frame(**o),
        "Explanation.summary": lambda **o: fitted().explain(0, 3).summary(**o),
        "Explanation.to_frame": lambda **o: fitted().explain(0, 3).to_frame(**o),
        "IdMap.__contains__": lambda value: value in DATA.items,
        "IdMap.__init__": lambda ids: IdMap(ids),
        "IdMap.find": lambda ids: DATA.users.find(ids),
        "IdMap.indices": lambda ids: DATA.users.indices(ids),
        "IdMap.range": lambda n: len(IdMap.range(n)),
        "Interactions.__init__": lambda matrix=DATA.matrix, users=DATA.users, items=DATA.items, **o: Interactions(
            matrix, users, items, **o
        ),
        "Interactions.align_items": lambda items: DATA.align_items(items),
        "Interactions.binarize": lambda **o: DATA.binarize(**o),
        "Interactions.decayed": lambda half_life=2.0, **o: TIMED.decayed(half_life, **o).matrix.data,
        "Interactions.concat": lambda parts=(DATA,), **o: Interactions.concat(parts, **o),
        "Interactions.filter": lambda mask: DATA.filter(mask),
        "Interactions.filter_events": lambda mask: DATA.filter_events(mask),
        "Interactions.from_csv": lambda path=csv, **o: Interactions.from_csv(path, **o),
        "Interactions.save": lambda path=folder / "saved", **o: DATA.save(path, **o),
        "Interactions.open": lambda path=folder / "interactions", **o: Interactions.open(path, **o),
        "Interactions.from_parquet": lambda path=parquet, **o: Interactions.from_parquet(path, **o),
        "Interactions.from_json_lines": lambda path=json_lines, **o: Interactions.from_json_lines(path, **o),
        "Interactions.from_frame": lambda df=FRAME, **o: Interactions.from_frame(df, **o),
        "Interactions.from_matrix": lambda X=DENSE, **o: Interactions.from_matrix(X, **o),
        "Interactions.from_pairs": lambda users=USERS[:5], items=USERS[:5], **o: Interactions.from_pairs(
            users, items, **o
        ),
        "Interactions.k_core": lambda **o: DATA.k_core(**{"users": 2, "items": 2, **o}),
        "Interactions.to_frame": lambda **o: DATA.to_frame(**o),
        "_Lists.__contains__": lambda query: query in lists(),
        "_Lists.__getitem__": lambda query: [*lists()[query]],
        "_Lists.to_frame": lambda **o: lists().to_frame(**o),
        "Report.__init__": lambda title="title", **o: len(
            lrrec.Report(title, **{"comparison": compared(), **o}).html()
        ),
        "Report.save": lambda path: lrrec.Report("title", compared()).save(path),
        "Split.__init__": lambda train=SPLIT.train, history=SPLIT.train, test=SPLIT.test, **o: lrrec.Split(
            train, history, test, **o
        ),
        "Split.from_frames": lambda train=FRAME, test=FRAME, **o: lrrec.Split.from_frames(train, test, **o),
        "Split.decayed": lambda half_life: TIMED_SPLIT.decayed(half_life),
        "Split.summary": lambda **o: SPLIT.summary(**o),
        "LearningCurve.plot": lambda **o: n_lines(curve().plot, **o),
        "Tuning.plot": lambda **o: n_lines(searched().plot, **o),
        "Tuning.summary": lambda **o: searched().summary(**o),
        "Tuning.to_frame": lambda **o: searched().to_frame(**o),
        "by_item_group": lambda lists=np.array([[0, 1, 2]] * 12), test=DATA, groups=[*"abababab"], **o: (
            lrrec.by_item_group(lists, test, **{"groups": groups, "metrics": ["recall@3"], "users": USERS, **o})
        ),
        "compare": lambda models=None, split=SPLIT, **o: lrrec.compare(
            {"a": fitted()} if models is None else models, split, **{"metrics": ["ndcg@3"], **o}
        ).to_frame(),
        "distill": lambda teacher=None, student=None, data=DATA, **o: lrrec.distill(
            fitted() if teacher is None else teacher,
            model("IALS") if student is None else student,
            data,
            **{"n_iter": 1, "k": 3, **o},
        ),
        "evaluate": lambda model=None, split=SPLIT, **o: lrrec.evaluate(
            fitted() if model is None else model, split, **{"metrics": ["ndcg@3"], **o}
        ),
        "evaluate_lists": lambda lists=np.array([[0, 1, 2]] * 12), test=DATA, **o: lrrec.evaluate_lists(
            lists, test, **{"metrics": ["ndcg@3"], "users": USERS, **o}
        ),
        "load": lambda path=saved(folder), **o: lrrec.load(path, **o),
        "popularity_groups": lambda train=DATA, **o: lrrec.popularity_groups(train, **o),
        "seen_groups": lambda train=DATA: lrrec.seen_groups(train),
        "Boost.__init__": lambda values=STEP_VALUES, **o: lrrec.rerank.Boost(values, **o)(lists()),
        "Boost.__call__": lambda lists: lrrec.rerank.Boost(STEP_VALUES)(lists),
        "MMR.__init__": lambda vectors=STEP_VECTORS, **o: lrrec.rerank.MMR(vectors, **o)(lists()),
        "MMR.__call__": lambda lists: lrrec.rerank.MMR(STEP_VECTORS)(lists),
        "Quota.__init__": lambda categories=STEP_VALUES, at_most=2, **o: lrrec.rerank.Quota(categories, at_most, **o)(
            lists()
        ),
        "Quota.__call__": lambda lists: lrrec.rerank.Quota(STEP_VALUES, 2)(lists),
        "tune": lambda model=lrrec.EASE(), split=SPLIT, **o: (
            lrrec.tune(
                model, split, **{"metric": "ndcg@3", "n_trials": 1, "random_state": 0, "space": {"reg": [1.0]}, **o}
            ).best_params_
        ),
        "Dataset.interactions": lambda **o: made_up().interactions(**o),
        "Dataset.split": lambda **o: made_up().split(**o),
        "datasets.load": lambda name="made-up", **o: lrrec.datasets.load(name, **o).ratings,
        "is_name": lambda text: lrrec.datasets.is_name(text),
        "learning_curve": lambda source=None, target=DATA, **o: adapt.learning_curve(
            fitted() if source is None else source,
            target,
            **{"sizes": [3], "metric": "ndcg@3", "n_test": 4, **o},
        ).summary(),
        "recipe": lambda name: lrrec.datasets.recipe(name).title,
        "from_factors": lambda user_factors=np.eye(12, 2), item_factors=np.eye(8, 2), **o: lrrec.interop.from_factors(
            user_factors, item_factors, **o
        ),
        "from_sklearn": lambda estimator=None, **o: lrrec.interop.from_sklearn(
            decomposed() if estimator is None else estimator, **o
        ),
        "to_onnx": lambda model=None, path=folder / "onnx", **o: lrrec.interop.to_onnx(
            fitted() if model is None else model, path, **o
        ),
        "to_implicit": lambda model: lrrec.interop.to_implicit(model),
        "open_index": lambda path=saved(folder), model=None: lrrec.interop.open_index(
            path, fitted() if model is None else model
        ),
        "from_spark": lambda path=saved_by_spark(folder), **o: lrrec.interop.from_spark(path, **o),
        "by_time": lambda data=TIMED, **o: lrrec.splits.by_time(
            data, **({"test_size": 0.2} if "at" not in o else {}) | o
        ),
        "by_user": lambda data=TIMED, **o: lrrec.splits.by_user(data, **{"random_state": 0, **o}),
        "cold_items": lambda data=TIMED, **o: lrrec.splits.cold_items(data, **{"random_state": 0, **o}),
        "cold_users": lambda data=TIMED, **o: lrrec.splits.cold_users(data, **{"random_state": 0, **o}),
        "history_mask": lambda data=TIMED, share=0.5, key=np.arange(len(DATA)) / 99: lrrec.splits.history_mask(
            data, share, key
        ),
        "k_folds": lambda data=TIMED, **o: [*lrrec.splits.k_folds(data, **{"n_folds": 2, "random_state": 0, **o})],
        "leave_last": lambda data=TIMED, **o: lrrec.splits.leave_last(data, **o),
        "random": lambda data=TIMED, **o: lrrec.splits.random(data, **{"random_state": 0, **o}),
        "repeated": lambda make=None, **o: [
            *lrrec.splits.repeated(
                functools.partial(lrrec.splits.random, DATA) if make is None else make,
                **{"n": 2, "random_state": 0, **o},
            )
        ],
        "windows": lambda data=TIMED, **o: [*lrrec.splits.windows(data, **o)],
        "with_negatives": lambda split=SPLIT, **o: lrrec.splits.with_negatives(
            split, **{"n": 1, "random_state": 0, **o}
        ),
        "with_validation": lambda split=SPLIT, **o: lrrec.splits.with_validation(split, **o),
        "check_names": lambda metrics=("ndcg@3",), **o: lrrec.metrics.check_names(metrics, **o),
        "parse": lambda name="ndcg@3", **o: lrrec.metrics.parse(name, **o)[1],
    }
    return dict(_of_models()) | dict(_of_adapters()) | _of_spark(folder) | others


@functools.cache
def decomposed():
    return TruncatedSVD(2, random_state=0).fit(DENSE)


@functools.cache
def made_up():
    return lrrec.datasets.load("made-up")


# What needs no entry, and why.
RESULTS = (  # made by lrrec of what it has checked
    "Candidates",
    "Catalogue",
    "Comparison",
    "Dataset",
    "Evaluation",
    "Explanation",
    "Hits",
    "Metric",
    "Protocol",
    "Recipe",
    "Recommendations",
    "Tuning",
)
EXEMPT = {
    "FeatureEncoder.reads": "says whether something is a frame",
    "FeatureEncoder.from_arrays": "called by load, with what a file holds: tests/test_feature_encoder.py",
    **{f"{name}.__init__": "a result" for name in RESULTS},
    **dict.fromkeys(
        ["Catalogue.of", "Hits.count", "Hits.sum", "measure", "count_hits", "find_hits"],
        "arrays of indices that evaluation has made",
    ),
    **dict.fromkeys(
        ["Adapter.is_affordable", "Adapter.search_space", "ItemItem.is_affordable", "ItemItemScratch.is_affordable"],
        "called by the selector, with a Domain of its own",
    ),
    "ItemIndex.__init__": "made by open_index",
    "LearningCurve.__init__": "a result",
    "LearningCurve.summary": "of learning_curve, which is called",
    "Blend.get_params": "as in scikit-learn",
    **dict.fromkeys(
        ["from_implicit", "ImplicitModel.__init__", "ImplicitModel.recommend", "ImplicitModel.recommend_from"],
        "needs the package implicit: tests/test_interop.py",
    ),
    **dict.fromkeys(["from_hub", "push_to_hub"], "would ask the network: tests/test_hub.py"),
}


# Values that are wrong nearly everywhere.
JUNK = {
    "None": None,
    "object": object(),
    "text": "text",
    "empty text": "",
    "unicode": "\N{PILE OF POO}\u202e\0",
    "surrogate": "\ud800",
    "bytes": b"x",
    "nan": np.nan,
    "inf": np.inf,
    "-inf": -np.inf,
    "-1": -1,
    "0": 0,
    "huge": 10**9,
    "1e308": 1e308,
    "tiny": 5e-324,
    "2**63": 2**63,
    "-2**63": -(2**63) - 1,
    "True": True,
    "complex": 3 + 4j,
    "list": [],
    "dict": {},
    "set": {1},
    "tuple": (),
    "nested": [[]],
    "[None]": [None],
    "[nan]": [np.nan],
    "mixed": ["a", 1],
    "ragged": [[1, 2], [3]],
    "function": lambda *a: 1,
    "class": int,
    "module": np,
    "generator": (x for x in ()),
    "array of nan": np.array(np.nan),
    "no array": np.array([]),
    "0-d": np.array(3),
    "NaT": np.datetime64("NaT"),
    "NA": pd.NA,
    "empty frame": pd.DataFrame(),
    "frame": pd.DataFrame({"a": [1, 2]}),
    "series": pd.Series([1.0, np.nan]),
    "polars": pl.DataFrame({"a": [1]}),
    "sparse": sp.csr_array((1, 1)),
    "decimal": Decimal("NaN"),
    "date": datetime.date(2024, 1, 1),
    "float32": np.float32(1.5),
    "estimator": KNeighborsClassifier(),
    "masked": np.ma.array([1.0, 2, 3], mask=True),
    "model": lrrec.EASE(),
    "namespace": types.SimpleNamespace(shape=(1, 1), dtype=float),
    "structured": np.zeros(2, [("a", int), ("b", float)]),
    "3-d": np.zeros((2, 2, 2)),
    "objects": np.array([object(), None], dtype=object),
    "strings": np.array(["a", "b"]),
    "dates": np.array(["2024-01-01"], "M8[D]"),
    "interactions": DATA,
    "split": SPLIT,
    "id map": DATA.items,
    "adapter": adapt.FoldIn(),
}
# Combinations that are right otherwise, or wrong in another way than by their value.
_MADE_BY_SCIPY = (
    "a sparse cell of nan",
    "a sparse cell of inf",
    "a sparse cell of -inf",
    "indices beyond",
    "indptr falls",
)
ALLOWED = {
    *(("Interactions.__init__", "matrix", label) for label in _MADE_BY_SCIPY),  # from_matrix checks what a matrix holds
    ("Interactions.__init__", "times", "some nan"),
    ("Interactions.__init__", "times", "all nan"),
    ("Interactions.__init__", "times", "all inf"),
    ("Interactions.__init__", "times", "all -inf"),
    *(
        ("Interactions.__init__", "matrix", label)
        for label in ("unsorted", "duplicates", "csc", "coo", "csr_matrix", "lil", "dok")
    ),
    *(("Interactions.__init__", "times", label) for label in ("list", "objects", "series", "polars", "tuple")),
    # refused, with what to pass
    *((name, "weights", label) for name in ("Blend.__init__", "Blended.__init__") for label in ("series", "polars")),
    *((f"AdapterBank.{name}", "domain", "polars") for name in ("recommend", "recommend_from")),
    ("Interactions.filter", "mask", "objects"),
    ("Interactions.filter_events", "mask", "objects"),
    ("history_mask", "key", "objects"),
    # groups of one user have no interval; labels that are not those of the users
    ("Evaluation.by_group", "groups", "id map"),
    ("Evaluation.by_group", "groups", "series"),
    # open: to be mended
    ("NeuralMF.__init__", "learning_rate", "2**63"),
    ("NeuralMF.__init__", "n_hidden", "uint64"),
    ("FeatureModel.with_items", "item_features", "None"),
    ("by_item_group", "test", "swapped csr"),
    ("evaluate_lists", "test", "swapped csr"),
    ("learning_curve", "target", "swapped csr"),
}
SLOW = {
    "AdapterSelector.__init__",
    "learning_curve",
    "LowRankAdapter.__init__",
    "Report.__init__",
    "tune",
}  # seconds a parameter: the long form
HUGE = ("huge", "2**63", "-2**63")


def _bad_matrices():
    """Matrices with something wrong, or odd: as many rows and columns where nothing else is the matter."""
    for value in (np.nan, np.inf, -np.inf, -1.0, 1e39, 1e38, 1e-38, 1e-46):
        bad = DENSE.astype(np.float64)
        bad[3, 3] = value
        yield f"a cell of {value}", bad
        yield f"a sparse cell of {value}", sp.csr_array(bad)
    yield "one row", DENSE[:1]
    yield "one column", DENSE[:, :1]
    yield "one cell", DENSE[:1, :1] + 1
    yield "all equal", np.ones((12, 8))
    yield "all zero", np.zeros((12, 8))
    yield "no rows", DENSE[:0]
    yield "no columns", DENSE[:, :0]
    yield "more columns", np.ones((12, 9))
    yield "sparse nothing", sp.csr_array((0, 0))
    yield "sparse zeros", sp.csr_array((12, 8))
    yield "text cells", DENSE.astype(str)
    yield "complex cells", DENSE.astype(complex)
    yield "date cells", np.full((12, 8), "2024-01-01", "M8[D]")
    yield "None cells", np.where(DENSE > 0, DENSE, None)
    yield "> 2**31 cells", sp.csr_array(([1.0, 2, 3], ([0, 5, 2_999_999], [1, 799, 3])), shape=(3_000_000, 800))
    broken = sp.csr_array(DENSE)
    broken.indices = np.where(broken.indices == 3, 99, broken.indices)
    yield "indices beyond", broken
    broken = sp.csr_array(DENSE)
    broken.indptr = broken.indptr[::-1].copy()
    yield "indptr falls", broken


def _bad_ids():
    yield from {
        "unknown": [77],
        "negative": [-1],
        "floats": [0.0, 1.5],
        "whole floats": [0.0, 1.0],
        "nan": [0.0, np.nan],
        "huge": [2**63],
        "mixed": [0, "a"],
        "unicode": ["\u202e", "\N{PILE OF POO}"],
        "booleans": [True, False],
        "duplicates": [1, 1],
        "2-d": [[0, 1], [2, 3]],
        "bytes": [b"a"],
        "numbers as text": ["0", "1"],
        "None inside": [0, None],
        "nothing": [],
        "dates": pd.to_datetime(["2024-01-01"]),
        "tuples": [(0, 1)],
        "surrogates": ["\ud800"],
        "complex": [1j],
        "one": [0],
        "out of int64": np.array([2**64 - 1], np.uint64),
        "masked": np.ma.array([1, 2], mask=[1, 0]),
        "scalar": 3,
    }.items()


def _bad_frames():
    for column in ("user", "item", "value", "time"):
        yield f"no {column}", FRAME.drop(columns=column)
        for label, value in {
            "nan": np.nan,
            "inf": np.inf,
            "text": "a",
            "None": None,
            "list": [1],
            "huge": 2**70,
            "negative": -3,
            "1e300": 1e300,
        }.items():
            yield (
                f"{column} of {label}",
                FRAME.astype(object).assign(
                    **{
                        column: FRAME[column]
                        .astype(object)
                        .where(FRAME.index != 3, pd.Series([value] * len(FRAME), index=FRAME.index, dtype=object))
                    }
                ),
            )
    yield "no rows", FRAME[:0]
    yield "one row", FRAME[:1]
    yield "repeated columns", pd.concat([FRAME, FRAME], axis=1)
    yield "levels of columns", pd.concat({"a": FRAME}, axis=1)
    yield "duplicated rows", pd.concat([FRAME, FRAME])


def _bad_arrays(value):
    yield "one too few", value[1:]
    yield "one too many", np.concatenate([value, value[:1]])
    yield "2-d", value[:, None]
    yield "row", value[None]
    yield "text", np.full(value.shape, "a")
    yield "nothing", value[:0]
    yield "complex", np.full(value.shape, 1j)
    yield "dates", np.full(value.shape, "2024-01-01", "M8[D]")
    yield "NaT", np.full(value.shape, "NaT", "M8[ns]")
    for number in (np.nan, np.inf, -np.inf, -1.0, 1e300, 0.0, 1.0, 5e-324):
        yield f"all {number}", np.full(value.shape, number)
    if value.dtype.kind in "if":
        some = value.astype(np.float64)
        some[len(some) // 2] = np.nan
        yield "some nan", some
    yield "objects", np.full(value.shape, object(), dtype=object)


def bad(arg):
    """Every bad value for a parameter, by label."""
    found = {name: value for name, value in JUNK.items() if arg.kind != "steps" or name not in HUGE}
    if arg.kind in ("matrix", "sparse"):
        found |= dict(_bad_matrices())
    if arg.kind == "ids":
        found |= {f"ids: {label}": value for label, value in _bad_ids()}
    if arg.kind == "frame":
        found |= dict(_bad_frames())
    if arg.kind == "array":
        found |= dict(_bad_arrays(arg.value))
    return found


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def _swapped(array):
    return array.astype(array.dtype.newbyteorder()) if array.dtype.kind in "iuf" else array


def _as_csr(dense, index=np.int32, data=np.float32, shuffle=False, split=False):
    """A csr matrix of other types of indices and values, unsorted, or with each cell in two halves."""
    matrix = sp.csr_array(dense)
    indptr, indices, values = matrix.indptr.astype(index), matrix.indices.astype(index), matrix.data.astype(data)
    if shuffle:
        for start, stop in itertools.pairwise(indptr):
            indices[start:stop], values[start:stop] = indices[start:stop][::-1].copy(), values[start:stop][::-1].copy()
    if split:
        indptr, indices, values = indptr * 2, indices.repeat(2), values.repeat(2) / 2
    made = sp.csr_array((values, indices, indptr), shape=matrix.shape)
    made.has_canonical_format = made.has_sorted_indices = not (shuffle or split)
    return made


def _frozen_csr(dense):
    made = _as_csr(dense)
    for part in (made.data, made.indices, made.indptr):
        part.flags.writeable = False
    return made


def same(arg):
    """Other forms of the valid value, by label, which mean the same."""
    value = arg.value
    if arg.kind in ("matrix", "sparse"):
        dense = value.toarray() if sp.issparse(value) else value
        found = {
            "csr": _as_csr(dense),
            "int64 indices": _as_csr(dense, np.int64),
            "float64": _as_csr(dense, data=np.float64),
            "integers": _as_csr(dense, data=np.int8),
            "unsorted": _as_csr(dense, shuffle=True),
            "duplicates": _as_csr(dense, split=True),
            "read-only csr": _frozen_csr(dense),
            "swapped csr": _as_csr(dense, data=">f4"),
            "csc": sp.csc_array(dense),
            "coo": sp.coo_array(dense),
            "csr_matrix": sp.csr_matrix(dense),
            "lil": sp.lil_array(dense),
            "dok": sp.dok_array(dense),
            "swapped csr doubles": _as_csr(dense, data=">f8"),
            "longdouble": _as_csr(dense, data=np.longdouble),
        }
        if arg.kind == "matrix":
            found |= {
                "read-only": _read_only(dense),
                "Fortran": np.asfortranarray(dense),
                "swapped": _swapped(dense),
                "uint8": dense.astype(np.uint8),
                "list": dense.tolist(),
                "strided": np.repeat(dense, 2, 1)[:, ::2],
                "reversed": dense[::-1].copy()[::-1],
                "objects": dense.astype(object),
                "float16": dense.astype(np.float16),
                "frame": pd.DataFrame(dense),
            }
        return found
    if arg.kind == "interactions":
        matrices = same(Arg("sparse", value.matrix))
        return {"again": Interactions(value.matrix.copy(), value.users, value.items, value.times)} | {
            label: Interactions(matrices[label], value.users, value.items, value.times)
            for label in ("int64 indices", "float64", "read-only csr", "swapped csr")
        }
    if arg.kind in ("ids", "array"):
        value = np.asarray(value)
        found = {
            "list": value.tolist(),
            "read-only": _read_only(value),
            "Fortran": np.asfortranarray(value),
            "swapped": _swapped(value),
            "strided": np.repeat(value, 2, 0)[::2],
            "reversed": value[::-1].copy()[::-1],
            "objects": value.astype(object),
            "wide": value.astype(np.float64) if value.dtype.kind == "f" else value,
        }
        if value.ndim == 1:
            found |= {"series": pd.Series(value), "polars": pl.Series(value.tolist()), "tuple": tuple(value.tolist())}
        if value.dtype.kind == "i":
            found |= {"int8": value.astype(np.int8), "uint64": value.astype(np.uint64)}
        return found
    if arg.kind == "frame":
        return {
            "copy": value.copy(),
            "polars": pl.DataFrame(value.to_dict("list")),
            "objects": value.astype(object),
            "nullable": value.convert_dtypes(),
            "other index": value.set_axis(value.index[::-1]),
            "swapped": value.assign(user=_swapped(value["user"].to_numpy()), value=_swapped(value["value"].to_numpy())),
        }
    if arg.kind in ("count", "steps"):
        return {"int8": np.int8(value), "uint64": np.uint64(value)}
    if arg.kind == "number":
        return {"float32": np.float32(value), "float64": np.float64(value)}
    if arg.kind == "flag":
        return {"bool_": np.bool_(value)}
    return {"int64": np.int64(value)} if arg.kind == "random_state" else {}


def parameters(function):
    """The names of a function's parameters, without self."""
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
