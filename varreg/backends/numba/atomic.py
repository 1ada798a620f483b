"""Whole numbers that several threads read and change, for compiled code."""

from __future__ import annotations

import sys

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Lets another thread have the core; to be called while waiting.
give_way = types.ExternalFunction(
    "SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32()
)


def _pointer(context, builder, signature, arguments):
    """Address of entry `index` of an int64 array."""
    kind = signature.args[0]
    array = context.make_array(kind)(context, builder, arguments[0])
    return cgutils.get_item_pointer(
        context, builder, kind, array, [arguments[1]], wraparound=False, boundscheck=False
    )


@intrinsic
def fetch_add(typing, array, index, amount):
    """array[index] += amount at once; what was there before."""
    signature = types.int64(array, types.intp, types.int64)

    def code(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, arguments)
        return builder.atomic_rmw("add", pointer, arguments[2], "seq_cst")

    return signature, code


@intrinsic
def load(typing, array, index):
    """array[index], and all that was written before it."""
    signature = types.int64(array, types.intp)

    def code(context, builder, signature, arguments):
        return builder.load_atomic(_pointer(context, builder, signature, arguments), "seq_cst", 8)

    return signature, code


@intrinsic
def store(typing, array, index, value):
    """array[index] = value, after all that was written before."""
    signature = types.void(array, types.intp, types.int64)

    def code(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, arguments)
        builder.store_atomic(arguments[2], pointer, "seq_cst", 8)
        return context.get_dummy_value()

    return signature, code
