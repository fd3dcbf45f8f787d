"""Models of other libraries as lrrec models, and lrrec models in the formats of other libraries."""

from lrrec.interop.factors import from_factors
from lrrec.interop.implicit import ImplicitModel, from_implicit

__all__ = ["ImplicitModel", "from_factors", "from_implicit"]
