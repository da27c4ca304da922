"""What is freed stays with the process: the next block as large costs no page of the system's."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, resource, sys
from mtljobs.stages.memory import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
if sys.argv[1] == "keep":
    keep_freed_memory()

def pages_of_a_block():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = ctypes.c_void_p(libc.malloc(64 << 20))
    ctypes.memset(block, 1, 64 << 20)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages_of_a_block()
print(pages_of_a_block())
"""


def pages(choice):
    """Pages that the system clears for a second block of 64 MiB."""
    command = [sys.executable, "-c", SCRIPT, choice]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_second_block_takes_no_pages_from_the_system():
    given = pages("leave")
    if given < 32:
        pytest.skip("the C library here keeps what is freed by itself")
    assert pages("keep") <= given / 8
