"""Memory that is freed stays with the process, since the next batch asks for the same again."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER = 2**31 - 1
"""Bytes at the end of the heap, the largest number that mallopt takes."""


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for the next allocation, for the rest of the process.

    By default it takes every block of 32 MiB and more from the system and gives it back at once,
    and the system clears each page anew: a quarter of the time of a forward pass at full width on
    a CPU, and two thirds of one with 64 images at once (`docs/log.md`). Numbers do not change; the
    peak of memory grows by a few per cent. Does nothing where the C library is another one.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)
