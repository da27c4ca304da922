from __future__ import annotations

import numpy as np
import pytest

from mtljobs.stages import explain


class Writer:
    """Keeps what a stage would write."""

    def __init__(self) -> None:
        self.written: dict[str, np.ndarray] = {}

    def write_task(self, task: str, array: str, values: np.ndarray) -> None:
        self.written[f"{task}/{array}"] = values


def image(peak: float) -> dict[str, dict[str, np.ndarray]]:
    """What was found on an image: two groups, the second without evidence."""
    cams = np.array([[[peak, 0.0]], [[0.0, 0.0]]], dtype=np.float32)
    return {"depth": {"cam": cams, "cam_max": np.array([peak, 0.0], dtype=np.float32)}}


@pytest.mark.parametrize("kind", ["native", "subset"])
def test_maps_are_written_as_their_method_gave_them(kind):
    writer = Writer()
    explain._write_maps(writer, [image(4.0), image(1e6)], kind=kind)
    assert list(writer.written) == ["depth/cam"]
    assert writer.written["depth/cam"][:, 0, 0, 0].tolist() == [4.0, 1e6]


def test_half_precision_holds_maps_beyond_its_range_in_shares_of_their_maxima():
    writer = Writer()
    explain._write_maps(writer, [image(4.0), image(1e6)], kind="half")
    shares = writer.written["depth/cam_half"].astype(np.float16)
    assert shares[:, :, 0, :].tolist() == [[[1.0, 0.0], [0.0, 0.0]]] * 2


def test_a_block_without_wanted_maps_writes_none():
    writer = Writer()
    explain._write_maps(writer, [], kind="scores")
    assert writer.written == {}
