"""Products of gathered rows by BLAS, and a factorization by LAPACK.

Calls of `np.dot` and `np.linalg.cholesky` would do the same, and take a second longer to compile.
"""

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
POTRF = ir.FunctionType(ir.IntType(32), [BYTE, BYTE, WORD, POINTER, WORD])


def _gemm(context: Any, builder: Any, signature: Any, args: Any, *, by_columns: bool) -> Any:
    """Call BLAS's gemm for C-contiguous arrays, through the function that numba's linear algebra calls."""
    p, q, out = (context.make_array(signature.args[i])(context, builder, args[i]) for i in (0, 1, 5))
    dtype, (n, first, count) = signature.args[1].dtype, args[2:5]
    D = cgutils.unpack_tuple(builder, q.shape)[1]
    scalar = context.get_value_type(dtype)
    number = {value: ir.Constant(scalar, value) for value in (1.0, 0.0)}
    is_first = builder.icmp_signed("==", first, WORD(0))
    added = builder.select(is_first, number[0.0], number[1.0])  # of what is in out already
    alpha, beta = (cgutils.alloca_once_value(builder, value) for value in (number[1.0], added))
    transposed, size, skipped = (("n", "t"), D, builder.mul(first, D)) if by_columns else (("t", "n"), n, first)
    kind = "s" if dtype == types.float32 else "d"
    letters = [ir.Constant(BYTE, ord(letter)) for letter in (kind, *transposed)]
    ld_out = cgutils.unpack_tuple(builder, out.shape)[1]
    parts = (builder.gep(array.data, [skipped]) for array in (q, p))
    alpha, a, b, beta, c = (builder.bitcast(pointer, POINTER) for pointer in (alpha, *parts, beta, out.data))
    gemm = cgutils.get_or_insert_function(builder.module, GEMM, "numba_xxgemm")
    builder.call(gemm, [*letters, size, size, count, alpha, a, D, b, D, beta, c, ld_out])
    return context.get_dummy_value()


def _intrinsic(by_columns: bool) -> Any:
    def product(typingctx: Any, p: Any, q: Any, n: Any, first: Any, count: Any, out: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _gemm(context, builder, signature, args, by_columns=by_columns)

        return types.void(p, q, types.intp, types.intp, types.intp, out), codegen

    return intrinsic(product)


# (p, q, n, first, count, out) for p and q (N, D): add p[part]^T q[part] to out (D, D), or p[:n, part] q[:n, part]^T to
# out[:n, :n], for the part first : first + count of the rows, or of the columns. The part from 0 overwrites out.
add_column_products = _intrinsic(True)
add_row_products = _intrinsic(False)


@intrinsic
def factor_cholesky(typingctx: Any, A: Any, n: Any) -> Any:
    """Overwrite the lower half of A[:n, :n], A C-contiguous, with L, A = L L^T; return 0, or > 0 for no such L."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        kind = "s" if signature.args[0].dtype == types.float32 else "d"
        letters = [ir.Constant(BYTE, ord(letter)) for letter in (kind, "u")]  # lower by rows is upper by columns
        order = cgutils.unpack_tuple(builder, array.shape)[1]
        potrf = cgutils.get_or_insert_function(builder.module, POTRF, "numba_xxpotrf")
        return builder.call(potrf, [*letters, args[1], builder.bitcast(array.data, POINTER), order])

    return types.int32(A, types.intp), codegen
