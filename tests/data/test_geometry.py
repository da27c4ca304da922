from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mtljobs.data.geometry import Camera, normals_from_depth
from mtljobs.data.room.furniture import Draw
from mtljobs.data.room.render import camera_of, render
from mtljobs.data.room.scene import furnish

DESK = Path(__file__).resolve().parents[3] / "shared/samples/gradslam-desk"
CAMERA = Camera(fx=50.0, fy=40.0, cx=20.0, cy=15.0)
ROWS, COLUMNS = np.arange(31), np.arange(41)


def plane(normal: list[float], distance: float) -> np.ndarray:
    """Depth of the plane with a unit normal, so many metres from the camera."""
    cosine = -np.einsum("crp,c->rp", CAMERA.rays(ROWS, COLUMNS), np.array(normal))
    return distance / cosine


def normals_of(depth: np.ndarray, *, reach: int = 2) -> np.ndarray:
    return normals_from_depth(depth, CAMERA, reach=reach, rows=ROWS, columns=COLUMNS)


def degrees_between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    both = (one != 0).any(axis=0) & (other != 0).any(axis=0)
    return np.degrees(np.arccos(np.clip((one * other).sum(axis=0)[both], -1, 1)))


def test_ray_through_a_pixel_is_its_place_over_the_focal_length() -> None:
    rays = CAMERA.rays(np.array([15, 35]), np.array([20, 70]))
    np.testing.assert_allclose(rays[:, 0, 0], [0, 0, 1])
    np.testing.assert_allclose(rays[:, 1, 1], [1, 0.5, 1])  # 50 / 50 right, 20 / 40 down


@pytest.mark.parametrize("reach", [1, 2, 5])
@pytest.mark.parametrize(
    "normal", [[0, 0, -1], [0.6, 0, -0.8], [0, -0.8, -0.6], [2 / 3, 1 / 3, -2 / 3]]
)
def test_normal_of_a_plane_is_exact_at_every_pixel(normal: list[float], reach: int) -> None:
    derived = normals_of(plane(normal, 2.0), reach=reach)
    expected = np.broadcast_to(np.array(normal)[:, None, None], derived.shape)
    np.testing.assert_allclose(derived, expected, atol=1e-9)


def test_normals_at_some_pixels_are_those_of_the_whole_image() -> None:
    depth = plane([0.6, 0, -0.8], 2.0) + 0.05 * np.sin(COLUMNS)
    rows, columns = np.array([3, 20]), np.array([0, 7, 40])
    some = normals_from_depth(depth, CAMERA, reach=2, rows=rows, columns=columns)
    np.testing.assert_array_equal(some, normals_of(depth)[:, rows[:, None], columns])


def test_normal_is_zero_where_depth_is_missing_and_exact_beside_the_hole() -> None:
    depth = plane([0.6, 0, -0.8], 2.0)
    depth[10:14, 12:18] = 0
    derived = normals_of(depth)
    assert (derived[:, 10:14, 12:18] == 0).all()
    np.testing.assert_allclose(derived[:, 12, 11], [0.6, 0, -0.8], atol=1e-9)


def test_depth_edge_does_not_bend_the_normals_beside_it() -> None:
    depth = plane([0, 0, -1], 2.0)
    depth[:, 20:] = plane([0.6, 0, -0.8], 3.0)[:, 20:]
    derived = normals_of(depth)
    np.testing.assert_allclose(derived[:, 15, 19], [0, 0, -1], atol=1e-9)
    np.testing.assert_allclose(derived[:, 15, 20], [0.6, 0, -0.8], atol=1e-9)


def test_pixel_between_two_jumps_has_no_normal() -> None:
    depth = plane([0, 0, -1], 2.0)
    depth[:, 20] = 1.0
    derived = normals_of(depth)
    assert (derived[:, :, 20] == 0).all()
    assert (derived[2, :, 19] < 0).all()


def test_derived_normals_are_those_that_rooms_are_made_with() -> None:
    size = (96, 128)
    rows, columns = np.arange(96), np.arange(128)
    angles = []
    for seed in range(4):
        draw: Draw = np.random.default_rng(seed)
        rendering = render(furnish(draw), size)
        derived = normals_from_depth(
            rendering.depth, camera_of(size), reach=1, rows=rows, columns=columns
        )
        angles.append(degrees_between(derived, rendering.normals))
    pooled = np.concatenate(angles)
    assert np.median(pooled) < 1e-3
    assert (pooled < 5).mean() > 0.8  # the rest are creases, where two planes meet


def test_derived_normals_agree_with_those_published_for_a_real_desk() -> None:
    if not DESK.is_dir():
        pytest.skip(f"the real frames of {DESK} are not here")
    depths = np.load(DESK / "depths.npy").reshape(6, 120, 160)
    # Published with y up, from one-pixel differences: neighbours differ by 15.5 degrees (median).
    published = np.load(DESK / "normal_map.npy").reshape(6, 120, 160, 3) * [1, -1, 1]
    camera = Camera(fx=120.3, fy=120.0, cx=79.875, cy=59.875)
    angles = [
        degrees_between(
            normals_from_depth(depth, camera, reach=1, rows=np.arange(120), columns=np.arange(160)),
            normals.transpose(2, 0, 1),
        )
        for depth, normals in zip(depths, published, strict=True)
    ]
    assert np.median(np.concatenate(angles)) < 13
