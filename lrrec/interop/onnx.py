"""Factor models as ONNX graphs: the user encoder, the scores of all items, and the best k."""

import json
from typing import Any

import numpy as np

from lrrec import files
from lrrec.errors import DataError, ParameterTypeError
from lrrec.linalg.sparse import power
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.model_files import fingerprint
from lrrec.models.edlae import EDLAE
from lrrec.models.neural.neural_mf import NeuralMF
from lrrec.models.truncated_svd import TruncatedSVD
from lrrec.typing import PathLike
from lrrec.validate import check_bool, check_int, import_extra

OPSET, IR_VERSION = 17, 8  # old enough for runtimes of 2022
MAX_BYTES = 2**31 - 1  # of a file of protobuf
ZERO, ONE, MINUS_INFINITY = (np.array(value, dtype=np.float32) for value in (0, 1, -np.inf))


def to_onnx(model: FactorModel, path: PathLike, k: int | None = None, *, exclude_seen: bool = True) -> None:
    """Write a fitted factor model as an ONNX file, which runs without Python.

    Parameters
    ----------
    model : FactorModel
        A NeuralMF, TruncatedSVD or EDLAE is exported with its user encoder. Other models fold users in by solving an
        equation for each, which is not exported: their graph takes the users' factors (`user_factors_` or `transform`).
    path : path
        Replaced atomically.
    k : int, optional
        Length of the lists, at most the number of items. Without it the graph returns the scores of all items.
    exclude_seen : bool, default True
        Whether lists leave out the items of the history.

    Raises
    ------
    MissingDependencyError
        If onnx is not installed.
    DataError
        If the file would have more than 2 GB, which ONNX cannot hold.

    Notes
    -----
    Inputs, float32, as far as the graph needs them:

    - "history" (n, n_items): the values of the users' items, 0 elsewhere;
    - "user_factors" (n, D).

    Outputs: "scores" (n, n_items) float32, -inf for items without evidence; with k, "scores" (n, k) and "indices"
    (n, k) int64, best first, -inf and -1 where no item is left. The metadata are "lrrec.items", the ids of the indices
    as JSON, and "lrrec.fingerprint". Users without a history get the scores of an empty one: check for them before. A
    user costs O(n_items D), as the history is dense.

    Examples
    --------
    With onnx, which `pip install 'lrrec[onnx]'` installs; onnxruntime runs the file:

    >>> import numpy as np
    >>> import lrrec
    >>> train = lrrec.Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> model = lrrec.TruncatedSVD(n_factors=2, reg=0.0).fit(train)
    >>> lrrec.interop.to_onnx(model, "model.onnx", k=1)  # doctest: +SKIP
    >>> from onnxruntime import InferenceSession  # doctest: +SKIP
    >>> session = InferenceSession("model.onnx")  # doctest: +SKIP
    >>> [indices] = session.run(["indices"], {"history": np.float32([[1, 0, 0]])})  # doctest: +SKIP
    >>> model.items_.ids[indices].tolist()  # doctest: +SKIP
    [['y']]
    """
    if not isinstance(model, FactorModel):
        raise ParameterTypeError(f"model must be a factor model, got {type(model).__name__}")
    model._check_inner_products("to_onnx()")
    n_items, n_factors = model.item_factors_.shape
    k = None if k is None else check_int(k, "k", low=1, high=n_items)
    check_bool(exclude_seen, "exclude_seen")
    graph = _Graph(import_extra("onnx", "onnx", "to_onnx()"))
    if isinstance(model, NeuralMF):
        users = _neural_users(graph, graph.input("history", n_items), model)
    elif isinstance(model, TruncatedSVD):
        users = _projected_users(graph, graph.input("history", n_items), model)
    elif isinstance(model, EDLAE):
        users = graph.add("MatMul", graph.input("history", n_items), model.item_encoders_)
    else:
        users = graph.input("user_factors", n_factors)
    scores = graph.add("MatMul", users, np.ascontiguousarray(model.item_factors_.T))
    if not model.item_evidence_.all():
        scores = graph.add("Where", model.item_evidence_, scores, MINUS_INFINITY)
    if k is None:
        graph.output("scores", scores, n_items)
    else:
        if exclude_seen:
            scores = graph.add("Where", _is_zero(graph, graph.input("history", n_items)), scores, MINUS_INFINITY)
        scores, indices = graph.add_all("TopK", scores, np.array([k]), n_outputs=2)
        none_left = graph.add("Equal", scores, MINUS_INFINITY)
        graph.output("indices", graph.add("Where", none_left, np.array(-1), indices), k, dtype=np.int64)
        graph.output("scores", scores, k)
    metadata = {"lrrec.items": json.dumps(model.items_.ids.tolist()), "lrrec.fingerprint": fingerprint(model)}
    content = graph.serialize(type(model).__name__, metadata)
    with files.replacing(path) as file:
        file.write(content)


def _is_zero(graph: "_Graph", name: str) -> str:
    return graph.add("Equal", name, ZERO)


def _neural_users(graph: "_Graph", history: str, model: NeuralMF) -> str:
    """User factors as of `lrrec.models.neural.encoder.encode`."""
    tower = model._encoder()
    is_empty, squares = _is_zero(graph, history), graph.add("Mul", history, history)
    squares = graph.add("ReduceSum", squares, np.array([1]), keepdims=1)  # (n, 1)
    without_history = _is_zero(graph, squares)
    norms = graph.add("Where", without_history, ONE, graph.add("Sqrt", squares))
    centered = graph.add("Where", is_empty, ZERO, graph.add("Sub", history, tower["center_"]))
    x = graph.add("MatMul", graph.add("Div", centered, norms), tower["embedding_"])
    u = graph.add("Add", x, tower["output_bias_"])
    if tower["hidden_"].size:
        hidden = graph.add("Add", graph.add("MatMul", x, tower["hidden_"]), tower["hidden_bias_"])
        u = graph.add("Add", u, graph.add("MatMul", graph.add("Relu", hidden), tower["output_"]))
    u = graph.add("Where", without_history, ZERO, u)
    projected = graph.add("MatMul", u, tower["projection_"][:-1])
    return graph.add("Add", projected, tower["projection_"][-1])


def _projected_users(graph: "_Graph", history: str, model: TruncatedSVD) -> str:
    """User factors as of a TruncatedSVD: D_u^-p X D_i^-q V."""
    projection = model._projection() * power(model.item_counts_, -float(model.item_power))[:, None]
    users = graph.add("MatMul", history, projection)
    if not model.user_power:
        return users
    count = graph.add("ReduceSum", graph.add("Where", _is_zero(graph, history), ZERO, ONE), np.array([1]), keepdims=1)
    scale = graph.add("Pow", graph.add("Max", count, ONE), np.array(-model.user_power, dtype=np.float32))
    return graph.add("Mul", users, scale)


class _Graph:
    """An ONNX graph in the making; its values have names."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: dict[str, Any] = {}
        self.outputs: list[Any] = []

    def input(self, name: str, width: int) -> str:
        """Declare an input (n, width) of the graph, once; return its name."""
        self.inputs[name] = self._declare(name, width, np.float32)
        return name

    def output(self, name: str, value: str, width: int, dtype: Any = np.float32) -> None:
        """Declare a value (n, width) an output of the graph."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [name]))
        self.outputs.append(self._declare(name, width, dtype))

    def add(self, operator: str, *inputs: str | np.ndarray, **attributes: Any) -> str:
        """Add an operator of values and constants; return the name of its result."""
        return self.add_all(operator, *inputs, **attributes)[0]

    def add_all(self, operator: str, *inputs: str | np.ndarray, n_outputs: int = 1, **attributes: Any) -> list[str]:
        """Add an operator; return the names of its results."""
        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        results = [f"{operator}.{len(self.nodes)}.{number}" for number in range(n_outputs)]
        self.nodes.append(self.onnx.helper.make_node(operator, names, results, **attributes))
        return results

    def _constant(self, array: np.ndarray) -> str:
        name = f"constant.{len(self.constants)}"
        self.constants[name] = array
        return name

    def _declare(self, name: str, width: int, dtype: Any) -> Any:
        helper = self.onnx.helper
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), ["n", width])

    def serialize(self, name: str, metadata: dict[str, str]) -> bytes:
        """Return the contents of the graph's file."""
        n_bytes = sum(array.nbytes for array in self.constants.values()) + sum(map(len, metadata.values()))
        if n_bytes > MAX_BYTES * 0.99:
            raise DataError(
                f"the graph has {n_bytes:,} bytes, and ONNX files at most 2 GB: compress() the model, or export one of "
                "fewer items"
            )
        helper, to_tensor = self.onnx.helper, self.onnx.numpy_helper.from_array
        tensors = [to_tensor(np.ascontiguousarray(array), name) for name, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, name, list(self.inputs.values()), self.outputs, tensors)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, producer_name="lrrec", opset_imports=opsets, ir_version=IR_VERSION)
        helper.set_model_props(model, metadata)
        content: bytes = model.SerializeToString()
        return content
