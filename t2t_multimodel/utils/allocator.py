"""Settings of the C library's memory allocator."""

from __future__ import annotations

import ctypes
import sys

# From <malloc.h> of the GNU C library.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_LARGEST_MMAP_THRESHOLD = 32 << 20
_TOP_PAD = 64 << 20


def keep_freed_memory() -> bool:
    """Lets this process keep the memory that it frees; returns whether the C library can do so (the GNU C library can).

    A training step frees and allocates the same tensors again and again. If each goes back to the system, the system clears and
    maps every page anew. The peak of memory is the same; what is free again at the end of a peak stays with the process.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, _TOP_PAD))
    return all(mallopt(*setting) == 1 for setting in settings)
