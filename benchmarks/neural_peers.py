"""Train one neural peer on a matrix from a file, and print its seconds and quality after every epoch.

Run by the Python of the peer's own environment, which needs numpy, scipy and the peer, and not lrrec:
`python neural_peers.py NAME train.npz test.npz --epochs 5`. The files hold binary users x items matrices of one shape
(scipy.sparse.save_npz). Every line is JSON; its seconds are those of training alone, without the conversion of the
data and without evaluation. Batch sizes, learning rates and numbers of negatives are the peers' defaults. The NeuMFs
have one shape: embeddings of F, layers of 2F and F.
"""

import contextlib
import importlib.metadata
import json
import os
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

TOP = 10
MAX_USERS = 1000  # users evaluated
BLOCK = 50  # users scored at a time

Score = Callable[[np.ndarray], np.ndarray]  # rows of users to scores, users x items
Report = Callable[[float, Score], None]  # called after every epoch, with its seconds


def recbole(kind: str, train: sp.csr_matrix, options: Namespace, report: Report) -> None:
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.data.interaction import Interaction
    from recbole.utils import get_model, get_trainer, init_seed

    settings = {
        "use_gpu": False,
        "seed": options.seed,
        "reproducibility": True,
        "show_progress": False,
        "data_path": ".",
        "load_col": {"inter": ["user_id", "item_id"]},
        "eval_args": {"split": {"RS": [1.0, 0.0, 0.0]}, "group_by": "none", "order": "RO", "mode": "full"},
        "epochs": options.epochs,
        "embedding_size": options.factors,
        "mf_embedding_size": options.factors,
        "mlp_embedding_size": options.factors,
        "mlp_hidden_size": [2 * options.factors, options.factors],
        **learning_rate(options, "learning_rate"),
    }
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # it writes logs to where it runs
        Path("peer").mkdir()
        pairs = np.column_stack(train.nonzero())
        np.savetxt("peer/peer.inter", pairs, "%d", "\t", header="user_id:token\titem_id:token", comments="")
        config = Config(model=kind, dataset="peer", config_dict=settings)
        init_seed(config["seed"], config["reproducibility"])
        torch.set_num_threads(options.threads)
        dataset = create_dataset(config)
        batches = data_preparation(config, dataset)[0]
        model = get_model(config["model"])(config, batches.dataset)
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
        users, items = (
            np.array([dataset.field2token_id[field].get(str(index), 0) for index in range(size)])  # 0: not seen
            for field, size in zip(("user_id", "item_id"), train.shape, strict=True)
        )

        @torch.no_grad()
        def score(rows: np.ndarray) -> np.ndarray:
            model.eval()
            user = torch.as_tensor(users[rows])
            if kind == "BPR":
                scores = model.full_sort_predict(Interaction({"user_id": user}))
            else:
                item = torch.arange(dataset.item_num).repeat(len(rows))
                user = user.repeat_interleave(dataset.item_num)
                scores = model.predict(Interaction({"user_id": user, "item_id": item}))
            return np.where(items > 0, scores.view(len(rows), -1).numpy()[:, items], -np.inf)

        for epoch in range(options.epochs):
            begun = time.perf_counter()
            trainer._train_epoch(batches, epoch)
            report(time.perf_counter() - begun, score)


def cornac(kind: str, train: sp.csr_matrix, options: Namespace, report: Report) -> None:
    from cornac.data import Dataset
    from cornac.models import BPR, GMF, NeuMF

    rows, columns = train.nonzero()
    uids, iids = ({index: index for index in range(size)} for size in train.shape)
    data = Dataset(*train.shape, uids, iids, (rows, columns, np.ones(len(rows))), seed=options.seed)
    data.csr_matrix.sort_indices()
    data.dok_matrix  # noqa: B018, cached before timing
    np.random.seed(options.seed)  # noqa: NPY002, what BPR draws from without a seed; with one it takes one thread

    def score(rows: np.ndarray) -> np.ndarray:
        return np.stack([model.score(row) for row in rows])

    if kind == "BPR":
        model = BPR(
            k=options.factors, max_iter=1, num_threads=options.threads, **learning_rate(options, "learning_rate")
        )
        for _ in range(options.epochs):
            begun = time.perf_counter()
            model.fit(data)  # continues from its factors
            report(time.perf_counter() - begun, score)
        return

    import torch

    class Timed(NeuMF if kind == "NeuMF" else GMF):
        """The peer, whose early-stopping check after every epoch reports it."""

        def early_stop(self, *_: Any, **__: Any) -> bool:
            report(time.perf_counter() - self.begun, score)
            self.begun = time.perf_counter()
            return False

    torch.set_num_threads(options.threads)
    settings = {
        "num_factors": options.factors,
        "num_epochs": options.epochs,
        "seed": options.seed,
        **learning_rate(options, "lr"),
    }
    if kind == "NeuMF":
        settings["layers"] = (2 * options.factors, 2 * options.factors, options.factors)  # the first: both embeddings
    model = Timed(backend="pytorch", early_stopping={}, verbose=False, **settings)
    model.begun = time.perf_counter()
    model.fit(data)


def lenskit(kind: str, train: sp.csr_matrix, options: Namespace, report: Report) -> None:
    import pandas as pd
    from lenskit.data import ItemList, from_interactions_df
    from lenskit.flexmf import FlexMFImplicitScorer
    from lenskit.parallel import initialize
    from lenskit.training import TrainingOptions

    initialize(threads=options.threads, backend_threads=options.threads)
    rows, columns = train.nonzero()
    data = from_interactions_df(pd.DataFrame({"user_id": rows, "item_id": columns}))
    settings = {"embedding_size": options.factors, "epochs": options.epochs, **learning_rate(options, "learning_rate")}
    settings["loss" if kind == "logistic" else "preset"] = kind
    model = FlexMFImplicitScorer(**settings)
    eager = {"LK_TORCH_COMPILE": "0"}  # compiling costs more than it gains
    trainer = model.create_trainer(data, TrainingOptions(rng=options.seed, environment=eager))
    all_items = ItemList(item_ids=np.arange(train.shape[1]))

    def score(rows: np.ndarray) -> np.ndarray:
        model.model.eval()
        scores = np.stack([model(row, all_items).scores() for row in rows])
        model.model.train(True)
        return np.where(np.isnan(scores), -np.inf, scores)  # items without training interactions

    for _ in range(options.epochs):
        begun = time.perf_counter()
        trainer.train_epoch()
        report(time.perf_counter() - begun, score)


PEERS = {
    "recbole-bpr": (recbole, "BPR"),
    "recbole-neumf": (recbole, "NeuMF"),
    "cornac-bpr": (cornac, "BPR"),
    "cornac-gmf": (cornac, "GMF"),
    "cornac-neumf": (cornac, "NeuMF"),
    "lenskit-bpr": (lenskit, "bpr"),
    "lenskit-logistic": (lenskit, "logistic"),
}


def learning_rate(options: Namespace, name: str) -> dict[str, float]:
    """Return the learning rate as the peer's argument of that name, or nothing for the peer's default."""
    return {} if options.learning_rate is None else {name: options.learning_rate}


def ndcg(score: Score, users: np.ndarray, train: sp.csr_matrix, test: sp.csr_matrix) -> float:
    """Return the mean binary nDCG of the users, with all items ranked but those of the training part."""
    gains = 1 / np.log2(np.arange(TOP) + 2)
    ideal = np.concatenate([[0], np.cumsum(gains)])
    total = 0.0
    for start in range(0, len(users), BLOCK):
        rows = users[start : start + BLOCK]
        scores = np.array(score(rows), dtype=np.float64)
        scores[train[rows].nonzero()] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
        relevant = test[rows].toarray() != 0
        hits = np.take_along_axis(relevant, best, axis=1)
        total += ((hits * gains).sum(axis=1) / ideal[np.minimum(relevant.sum(axis=1), TOP)]).sum()
    return total / len(users)


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, help="default: the peer's own")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads leave the cores to others
    train, test = (sp.csr_matrix(sp.load_npz(file)) for file in (options.train, options.test))
    users = np.flatnonzero(np.diff(test.indptr))
    if len(users) > MAX_USERS:
        users = np.sort(np.random.default_rng(options.seed).choice(users, MAX_USERS, replace=False))
    peer, kind = PEERS[options.name]
    epoch_seconds: list[float] = []

    def report(seconds: float, score: Score) -> None:
        epoch_seconds.append(seconds)
        line = {
            "peer": options.name,
            "version": importlib.metadata.version(peer.__name__),
            "epoch": len(epoch_seconds),
            "seconds": round(seconds, 4),
            "total_seconds": round(sum(epoch_seconds), 4),
            f"ndcg@{TOP}": round(ndcg(score, users, train, test), 5),
        }
        print(json.dumps(line), flush=True)

    peer(kind, train, options, report)


if __name__ == "__main__":
    main()
