"""Find the position of a slice in its tensor without reading any values.

A host cuts the tensors that it evaluates out of a tensor that it made before: rows out of a batch,
a timestep out of a schedule. The CPU knows the position of such a view, but it may have to
wait for a GPU to read the values.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


def place(part: Any, whole: Any) -> int | None:
    """Return the index in `whole` at which its slice `part` begins, along the first dimension,
    or None if `part` is no such slice."""
    if not (isinstance(whole, Tensor) and isinstance(part, Tensor) and len(part) and len(whole)):
        return None
    one_storage = part.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
    if not one_storage or part.stride() != whole.stride() or part.shape[1:] != whole.shape[1:]:
        return None
    distance = int(part.storage_offset() - whole.storage_offset())
    first, beside = divmod(distance, whole.stride(0))
    return first if not beside and 0 <= first <= len(whole) - len(part) else None
