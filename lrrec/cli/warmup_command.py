"""lrrec warmup."""

import typer


def warmup() -> None:
    """Compile everything that is compiled at first use, for images of containers.

    The cache is where numba keeps it: set NUMBA_CACHE_DIR to a folder that is in the image and that its user can write
    to or read from.
    """
    import time

    from lrrec.linalg.jit import KERNELS

    begun = time.perf_counter()
    compile_kernels()
    folders = sorted(filter(None, {getattr(kernel._cache, "cache_path", None) for kernel in KERNELS}))
    typer.echo(f"{len(KERNELS)} kernels in {time.perf_counter() - begun:.0f} s")
    for folder in folders:
        typer.echo(folder)


def compile_kernels() -> None:
    """Use every model, with what is done with models, on the data that come with lrrec."""
    import io
    from importlib.util import find_spec

    import numpy as np

    import lrrec
    from lrrec import interop, linalg, models
    from lrrec.linalg.sparse import sparse_gram
    from lrrec.metrics import METRICS
    from lrrec.models.base.feature_model import fit_options

    data = lrrec.datasets.load("made-up").interactions()
    likes = data.binarize(min_value=4)
    split = lrrec.splits.by_user(likes, history=0.5, random_state=0)
    features = np.eye(data.n_items, 5)
    ranking = [f"{name}@10" for name, metric in METRICS.items() if metric.kind == "ranking"]
    for name in models.MODELS:
        if name == "NeuralMF" and not find_spec("torch"):
            continue
        model = getattr(lrrec, name)()
        short = {"n_iter": 2, "n_epochs": 1, "n_factors": 8}
        model.set_params(**{key: value for key, value in short.items() if key in model.get_params()})
        model.fit(data if name == "ALS" else split.train, **fit_options(model, features)).recommend(k=10)
    base = lrrec.IALS(8, solver="cholesky", objective="hu", n_iter=1).fit(split.train)
    lrrec.evaluate(base, split, metrics=ranking)
    lrrec.evaluate_lists(base.recommend_from(split.history).to_frame(), split.test)
    base.recommend(base.recommend(k=1).users[:1])
    lrrec.adapt.ItemItemScratch(reg=5.0).fit(split.test, base=base).recommend(k=1)
    adapter = lrrec.LowRankAdapter(guard=False, random_state=0).fit(split.test, base=base)
    lrrec.AdapterBank(base, {"a": adapter}).recommend(adapter.recommend(k=1).users[:2], ["a", "a"])
    base.fit(split.train, callback=lambda state: state.loss)
    linalg.truncated_svd(split.train.matrix, 4)
    sparse_gram(split.train.matrix)  # which models of many items need
    linalg.top_k(np.zeros((1, 100)), 5)
    linalg.kernels.take_places(np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int64), np.empty(1, dtype=np.int64))
    lrrec.Interactions.from_csv(io.StringIO("user,item\n1,2\n"))
    interop.from_factors(base.user_factors_, base.item_factors_)
