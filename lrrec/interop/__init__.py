"""Models of other libraries as lrrec models, and lrrec models in the formats of other libraries."""

from lrrec.interop.factors import from_factors
from lrrec.interop.hub import from_hub, push_to_hub
from lrrec.interop.implicit import ImplicitModel, from_implicit, to_implicit
from lrrec.interop.index import open_index
from lrrec.interop.onnx import to_onnx
from lrrec.interop.sklearn import from_sklearn
from lrrec.interop.spark_als import from_spark
from lrrec.models.base.item_index import ItemIndex

__all__ = [
    "ImplicitModel", "ItemIndex", "from_factors", "from_hub", "from_implicit", "from_sklearn", "from_spark",
    "open_index", "push_to_hub", "to_implicit", "to_onnx",
]  # fmt: skip
