"""Fit one peer that takes features of items, for several settings, and write its lists of new items.

Run by the Python of the peer's own environment, which needs numpy, scipy and the peer, and not lrrec:
`python hybrid_peers.py NAME folder`. The folder has train.npz (users x items, binary) and features.npz (items x
features), both by scipy.sparse.save_npz, candidates.npy (item indices), users.npy (user indices), and settings.json: a
list of keyword arguments. A line of JSON for each setting has the seconds of the fit; its lists, the 20 best candidates
of each user, go to lists-N.npy.
"""

import importlib.metadata
import json
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

TOP = 20
THREADS = 2

Score = Callable[[np.ndarray], np.ndarray]  # rows of users to scores of all candidates


def irspack(train: sp.csr_matrix, features: sp.csr_matrix, candidates: np.ndarray, settings: dict[str, Any]) -> Score:
    """Feature-aware iALS."""
    from irspack.recommenders import IALSRecommender

    model = IALSRecommender(train, item_features=features, n_threads=THREADS, random_seed=0, **settings)
    model.learn()
    users, items = model.get_user_embedding(), model.compute_item_embedding(train)
    described = np.asarray(model.trainer.transform_item_feature(features[candidates]))
    seen = np.diff(train.tocsc().indptr)[candidates] > 0
    vectors = np.where(seen[:, None], items[candidates], described)
    return lambda rows: users[rows] @ vectors.T


def lightfm(train: sp.csr_matrix, features: sp.csr_matrix, candidates: np.ndarray, settings: dict[str, Any]) -> Score:
    """WARP, with a vector for each item and one for each feature."""
    from lightfm import LightFM

    n_epochs = settings.pop("epochs")
    both = sp.hstack([sp.eye(train.shape[1], format="csr"), features], format="csr", dtype=np.float32)
    known = np.diff(train.tocsc().indptr) > 0
    both[~known, : train.shape[1]] = 0  # the vectors of new items were never trained
    both.eliminate_zeros()
    model = LightFM(loss="warp", random_state=0, **settings)
    model.fit(train.tocoo(), item_features=both, epochs=n_epochs, num_threads=THREADS)
    biases, vectors = model.get_item_representations(both[candidates])
    _, users = model.get_user_representations()
    return lambda rows: users[rows] @ vectors.T + biases


PEERS = {"irspack": irspack, "lightfm": lightfm}


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    train, features = (sp.csr_matrix(sp.load_npz(options.folder / f"{name}.npz")) for name in ("train", "features"))
    candidates, users = (np.load(options.folder / f"{name}.npy") for name in ("candidates", "users"))
    for number, settings in enumerate(json.loads((options.folder / "settings.json").read_text())):
        begun = time.perf_counter()
        score = PEERS[options.name](train, features, candidates, dict(settings))
        seconds = time.perf_counter() - begun
        lists = [
            candidates[np.argsort(-score(part), axis=1, kind="stable")[:, :TOP]] for part in np.array_split(users, 20)
        ]
        np.save(options.folder / f"lists-{number}.npy", np.concatenate(lists))
        line = {"setting": number, "seconds": round(seconds, 4), "version": version(options.name)}
        print(json.dumps(line), flush=True)


def version(name: str) -> str:
    """The version of a peer, which for LightFM may be that of a fork."""
    for distribution in (name, f"{name}-next"):
        try:
            return f"{distribution} {importlib.metadata.version(distribution)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return name


if __name__ == "__main__":
    main()
