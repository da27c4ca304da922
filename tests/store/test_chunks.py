from __future__ import annotations

import math

import pytest

from mtljobs.store.chunks import chunk_region, is_chunk
from mtljobs.store.schema import Array

CURVES = Array("irof", ("image", "step"), (7, 4), (3, 4), "float32", math.nan, {})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("c.0.0", True),
        ("c.2.0", True),
        ("c.3.0", False),
        ("c.0", False),
        ("c.0.0.0", False),
        ("c.00.0", False),
        ("c.-1.0", False),
        ("zarr.json", False),
    ],
)
def test_only_chunks_inside_the_array_count_as_its_chunks(name: str, expected: bool) -> None:
    assert is_chunk(CURVES, name) is expected


def test_a_chunk_holds_its_part_up_to_the_end_of_the_array() -> None:
    assert chunk_region(CURVES, (1, 0)) == (slice(3, 6), slice(0, 4))
    assert chunk_region(CURVES, (2, 0)) == (slice(6, 7), slice(0, 4))
