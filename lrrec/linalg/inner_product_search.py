"""Approximate search for the largest inner products, by the graphs (HNSW) of usearch, hnswlib and faiss.

The graphs connect vectors of large inner products. Vectors are centred first: the ranking stays the same, because
x . (y - m) = x . y - x . m, and a component that all share, such as a column of ones for users' biases, cannot outweigh
the others.

References: Malkov & Yashunin (2018), "Efficient and robust approximate nearest neighbor search using hierarchical
navigable small world graphs"; Morozov & Babenko (2018), "Non-metric similarity graphs for maximum inner product
search".
"""

import os
import tempfile
from abc import abstractmethod
from typing import Any, Self

import numpy as np

from lrrec.validate import import_extra

CONNECTIVITY, BUILD_WIDTH = 32, 200  # edges of a vector; candidates for them
ADDED_ALONE = 10_000  # vectors that one thread adds first to a graph of usearch, which does not connect vectors that
# are added at the same time: a small graph would lack vectors next to each other
SEARCH_WIDTH = 128  # candidates of a search, at least; twice the number of results where that is more


class Graph:
    """A graph of vectors (n, D), of one of the libraries in `GRAPHS`."""

    def __init__(self, native: Any, shape: tuple[int, ...]) -> None:
        self.native, self.shape = native, shape

    def __reduce__(self) -> Any:
        return type(self).from_bytes, (self.to_bytes(), self.shape)

    @classmethod
    def build(cls, vectors: np.ndarray) -> Self:
        """Index vectors (n, D), finite and of any norms."""
        centred = vectors - vectors.mean(axis=0, dtype=np.float64) if len(vectors) else vectors
        largest = np.sqrt(np.einsum("nd,nd->n", centred, centred).max(initial=0)) or 1.0  # factors may be 1e18
        return cls(cls._build((centred / largest).astype(np.float32)), vectors.shape)

    def search(self, queries: np.ndarray, count: int, n_threads: int = 1) -> np.ndarray:
        """Return about the `count` positions of the largest inner products for queries (B, D) other than 0.

        int64 (B, count), in no order that matters; -1 where the graph returns fewer.
        """
        norms = np.sqrt(np.einsum("bd,bd->b", queries, queries, dtype=np.float64))
        unit = (queries / norms[:, None]).astype(np.float32)
        return self._search(unit, count, max(SEARCH_WIDTH, 2 * count), n_threads)

    def to_bytes(self) -> bytes:
        """Return the index in the library's own format."""
        return self._pack()

    @classmethod
    def from_bytes(cls, blob: bytes, shape: tuple[int, ...]) -> Self:
        """Return the index of vectors of a shape that `to_bytes` wrote; ValueError or RuntimeError for another."""
        native, stored_shape = cls._unpack(blob, shape[1])
        if stored_shape != shape:
            raise ValueError(f"it has {stored_shape[0]} vectors of {stored_shape[1]} columns")
        return cls(native, shape)

    @staticmethod
    @abstractmethod
    def _build(vectors: np.ndarray) -> Any:
        """Return the library's index of vectors of norms up to 1."""

    @abstractmethod
    def _search(self, unit: np.ndarray, count: int, width: int, n_threads: int) -> np.ndarray:
        """Return the positions that `search` returns, for queries of norm 1, with so many candidates."""

    @abstractmethod
    def _pack(self) -> bytes:
        """Return the index in the library's own format."""

    @staticmethod
    @abstractmethod
    def _unpack(blob: bytes, n_columns: int) -> tuple[Any, tuple[int, int]]:
        """Return the library's index, and its numbers of vectors and columns."""


class USearch(Graph):
    """A graph of usearch."""

    @staticmethod
    def _build(vectors: np.ndarray) -> Any:
        usearch = _usearch()
        index = usearch.Index(
            ndim=vectors.shape[1], metric="ip", dtype="f32", connectivity=CONNECTIVITY, expansion_add=BUILD_WIDTH
        )
        positions = np.arange(len(vectors))
        for part, n_threads in ((positions[:ADDED_ALONE], 1), (positions[ADDED_ALONE:], 0)):
            if len(part):
                index.add(part, vectors[part], threads=n_threads)
        return index

    def _search(self, unit: np.ndarray, count: int, width: int, n_threads: int) -> np.ndarray:
        self.native.expansion_search = width
        matches = self.native.search(unit, count, threads=n_threads)
        positions = np.full((len(unit), count), -1, dtype=np.int64)
        if len(unit) == 1:  # the matches of a single query are flat
            positions[0, : len(matches.keys)] = matches.keys
            return positions
        return np.where(np.arange(count) < matches.counts[:, None], matches.keys.astype(np.int64), positions)

    def _pack(self) -> bytes:
        return bytes(self.native.save())

    @staticmethod
    def _unpack(blob: bytes, n_columns: int) -> tuple[Any, tuple[int, int]]:
        index = _usearch().Index.restore(blob)
        return index, (len(index), index.ndim)


class HNSWLib(Graph):
    """A graph of hnswlib, which reads and writes files alone."""

    @staticmethod
    def _build(vectors: np.ndarray) -> Any:
        hnswlib = _hnswlib()
        index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        index.init_index(max_elements=max(len(vectors), 1), M=CONNECTIVITY, ef_construction=BUILD_WIDTH)
        if len(vectors):
            index.add_items(vectors, np.arange(len(vectors)))
        return index

    def _search(self, unit: np.ndarray, count: int, width: int, n_threads: int) -> np.ndarray:
        self.native.set_ef(width)
        try:
            positions, _ = self.native.knn_query(unit, k=count, num_threads=n_threads)
        except RuntimeError:  # a query has fewer results
            return np.full((len(unit), count), -1, dtype=np.int64)
        result: np.ndarray = positions.astype(np.int64)
        return result

    def _pack(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "index")
            self.native.save_index(path)
            with open(path, "rb") as file:
                return file.read()

    @staticmethod
    def _unpack(blob: bytes, n_columns: int) -> tuple[Any, tuple[int, int]]:
        hnswlib = _hnswlib()
        index = hnswlib.Index(space="ip", dim=n_columns)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "index")
            with open(path, "wb") as file:
                file.write(blob)
            index.load_index(path)
        return index, (index.get_current_count(), n_columns)


class Faiss(Graph):
    """A graph of faiss, which uses the threads of OpenMP."""

    @staticmethod
    def _build(vectors: np.ndarray) -> Any:
        faiss = _faiss()
        index = faiss.IndexHNSWFlat(vectors.shape[1], CONNECTIVITY, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = BUILD_WIDTH
        index.add(vectors)
        return index

    def _search(self, unit: np.ndarray, count: int, width: int, n_threads: int) -> np.ndarray:
        faiss = _faiss()
        positions: np.ndarray = self.native.search(unit, count, params=faiss.SearchParametersHNSW(efSearch=width))[1]
        return positions

    def _pack(self) -> bytes:
        faiss = _faiss()
        blob: bytes = faiss.serialize_index(self.native).tobytes()
        return blob

    @staticmethod
    def _unpack(blob: bytes, n_columns: int) -> tuple[Any, tuple[int, int]]:
        faiss = _faiss()
        index = faiss.deserialize_index(np.frombuffer(blob, dtype=np.uint8))
        return index, (index.ntotal, index.d)


GRAPHS: dict[str, type[Graph]] = {"usearch": USearch, "hnswlib": HNSWLib, "faiss": Faiss}


def _usearch() -> Any:
    return import_extra("usearch.index", "index", "an index of kind 'usearch'")


def _hnswlib() -> Any:
    return import_extra("hnswlib", None, "an index of kind 'hnswlib'")


def _faiss() -> Any:
    return import_extra("faiss", None, "an index of kind 'faiss'", package="faiss-cpu")
