"""Products of gathered rows by BLAS. A call of `np.dot` would do the same, and take a second longer to compile."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

BYTE, WORD = ir.IntType(8), ir.IntType(64)
POINTER = BYTE.as_pointer()
GEMM = ir.FunctionType(
    ir.IntType(32), [BYTE] * 3 + [WORD] * 3 + [POINTER, POINTER, WORD, POINTER, WORD, POINTER, POINTER, WORD]
)


def _gemm(context: Any, builder: Any, signature: Any, args: Any, *, by_columns: bool) -> Any:
    """Call BLAS's gemm for C-contiguous arrays, through the function that numba's linear algebra calls."""
    p, q, out = (context.make_array(signature.args[i])(context, builder, args[i]) for i in (0, 1, 3))
    dtype, n = signature.args[1].dtype, args[2]
    D = cgutils.unpack_tuple(builder, q.shape)[1]
    scalar = context.get_value_type(dtype)
    one, zero = (cgutils.alloca_once_value(builder, ir.Constant(scalar, value)) for value in (1.0, 0.0))
    (first_transposed, second_transposed), size, inner = (("n", "t"), D, n) if by_columns else (("t", "n"), n, D)
    kind = "s" if dtype == types.float32 else "d"
    letters = [ir.Constant(BYTE, ord(letter)) for letter in (kind, first_transposed, second_transposed)]
    ld_out = cgutils.unpack_tuple(builder, out.shape)[1]
    one, a, b, zero, c = (builder.bitcast(pointer, POINTER) for pointer in (one, q.data, p.data, zero, out.data))
    gemm = cgutils.get_or_insert_function(builder.module, GEMM, "numba_xxgemm")
    builder.call(gemm, [*letters, size, size, inner, one, a, D, b, D, zero, c, ld_out])
    return context.get_dummy_value()


def _intrinsic(by_columns: bool) -> Any:
    def product(typingctx: Any, p: Any, q: Any, n: Any, out: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _gemm(context, builder, signature, args, by_columns=by_columns)

        return types.void(p, q, types.intp, out), codegen

    return intrinsic(product)


column_products = _intrinsic(True)  # (p, q, n, out): out = p[:n]^T q[:n], for p and q (N, D) and out (D, D)
row_products = _intrinsic(False)  # (p, q, n, out): out[:n, :n] = p[:n] q[:n]^T
