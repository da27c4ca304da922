from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from mtljobs.data.arrays import unit_vectors
from mtljobs.data.sources.mtan import axes_of
from mtljobs.settings.classes import NYU40_CLASSES

HYPERSIM = Path(__file__).resolve().parents[3] / "shared/samples/hypersim/ai_001_001"


@pytest.fixture(scope="module")
def hypersim():
    """Normals (right, up, towards the camera) and NYU40 labels of a rendered room."""
    if not HYPERSIM.is_dir():
        pytest.skip(f"the rendered room of {HYPERSIM} is not here")
    folder = HYPERSIM / "images/scene_cam_00_geometry_preview"
    with Image.open(folder / "_frame.0000.normal_cam.png") as image:
        normals = np.asarray(image.convert("RGB")) / 255 * 2 - 1
    with Image.open(folder / "_frame.0000.semantic.png") as image:
        colours = np.asarray(image.convert("RGB")).astype(int)
    with h5py.File(HYPERSIM / "_detail/mesh/metadata_semantic_colors.hdf5") as file:
        table = np.asarray(file["dataset"]).astype(int)
    labels = np.full(colours.shape[:2], -1)
    for label, colour in enumerate(table[1:]):
        labels[(colours == colour).all(axis=-1)] = label
    return normals, labels


def test_channels_go_where_they_are_said_to_point():
    vectors = np.array([[[0.0, -2.0, 0.0], [0.6, 0.0, -0.8], [0.0, 0.1, 0.0]]])
    found = unit_vectors(vectors, ("right", "away", "up"))
    np.testing.assert_allclose(found[:, 0].T, [[0, 0, -1], [0.6, 0.8, 0], [0, 0, 0]], atol=1e-7)


def test_floor_of_a_real_scene_looks_up_and_its_ceiling_down(hypersim):
    vectors, labels = hypersim
    normals = unit_vectors(vectors, ("right", "up", "towards"))
    assert normals[2].mean() < -0.3
    for name, down in (("floor", -1), ("ceiling", 1)):
        there = labels == NYU40_CLASSES.index(name)
        if there.sum() > 100:
            assert down * np.median(normals[1][there]) > 0.8, name


@pytest.mark.parametrize(
    "axes", [("right", "away", "up"), ("right", "up", "away"), ("right", "down", "away")]
)
def test_axes_of_a_real_scene_are_recognised(hypersim, axes):
    vectors, labels = hypersim
    right, up, towards = np.moveaxis(vectors, -1, 0)
    channels = {"right": right, "up": up, "down": -up, "away": -towards}
    shuffled = np.stack([channels[axis] for axis in axes], axis=-1).reshape(-1, 3)
    floor = labels.ravel() == NYU40_CLASSES.index("floor")
    assert floor.any()
    assert axes_of(shuffled, floor, where=HYPERSIM) == axes
