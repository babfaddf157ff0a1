"""Where a tensor lies in another one, which tells what it is without reading it.

A host cuts what it evaluates out of a tensor that it made before: rows of a batch, a timestep of
a schedule. The place of such a view is known to the CPU; its value may be a wait for a GPU away.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


def place(part: Any, whole: Any) -> int | None:
    """The index in `whole` that `part`, a slice of it along the first dimension, begins with;
    None if it is no such slice."""
    if not (isinstance(whole, Tensor) and isinstance(part, Tensor) and len(part) and len(whole)):
        return None
    one_storage = part.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
    if not one_storage or part.stride() != whole.stride() or part.shape[1:] != whole.shape[1:]:
        return None
    distance = int(part.storage_offset() - whole.storage_offset())
    first, beside = divmod(distance, whole.stride(0))
    return first if not beside and 0 <= first <= len(whole) - len(part) else None
