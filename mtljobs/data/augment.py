"""What a training may do to a sample: images and targets together, so that they still agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mtljobs.contracts import Sample

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Window = tuple[slice, slice]
"""Rows and columns of an image."""


@dataclass(frozen=True)
class Augmentation:
    """Zoom and mirror, drawn anew for every sample of every epoch.

    Attributes:
        scales: Zooms to draw from, >= 1; 1 is the whole image.
        flip: Mirror half of the samples.
        zoom: "exact" keeps targets true: see `zoom_in`. "mtan" does as the released code, and
            divides disparities by the scale too, though they grow as things come nearer.
        depth_unit: Of the data set: "disparity", or a length.

    Source: `RandomScaleCrop` of Liu et al.'s code for End-to-End Multi-Task Learning with
        Attention (arXiv:1803.10704).
    """

    scales: tuple[float, ...]
    flip: bool
    zoom: str
    depth_unit: str

    def __call__(self, sample: Sample, draw: Callable[[str], int]) -> Sample:
        """The augmented sample.

        Args:
            draw: A large random number for a purpose, the same whenever it is asked.
        """
        scale = self.scales[draw("scale") % len(self.scales)]
        mirror = self.flip and draw("flip") % 2 == 1
        if scale > 1:
            exact = self.zoom == "exact"
            grows = exact and self.depth_unit == "disparity"
            return zoom_in(
                sample,
                _draw_window(sample["image"].shape[-2:], scale, draw),
                depth_factor=scale if grows else 1 / scale,
                exact=exact,
                mirror=mirror,
            )
        return flip(sample) if mirror else sample


def flip(sample: Sample) -> Sample:
    """The sample mirrored left to right; a mirror also turns the x of normals around."""
    mirrored = {name: values[..., ::-1].copy() for name, values in sample.items()}
    if "normals" in mirrored:
        mirrored["normals"][0] *= -1
    return mirrored


def zoom_in(
    sample: Sample, window: Window, *, depth_factor: float, exact: bool, mirror: bool = False
) -> Sample:
    """A window of the sample, as large as the sample was.

    Image and normals are interpolated, with the window's outer pixels on the sample's; labels and
    depths are picked, never mixed.

    Args:
        depth_factor: What a depth is multiplied with.
        exact: Pick from the image's own grid, and keep normals at length 1 and invalid ones 0.
            Otherwise labels and depths lie up to a pixel beside the image, as where corners are
            not aligned, and normals between different ones are short, invalid ones among them.
    """
    size = sample["image"].shape[-2:]
    cropped = {
        name: np.ascontiguousarray(values[(..., *window)]) for name, values in sample.items()
    }
    positions = tuple(map(_positions, cropped["image"].shape[-2:], size))
    if exact:
        picks = tuple((position + 0.5).astype(int) for position in positions)
    else:
        picks = tuple(map(_cells, cropped["image"].shape[-2:], size))
    if mirror:
        positions, picks = ((rows, columns[::-1]) for rows, columns in (positions, picks))
    zoomed = {
        name: _interpolate(values, positions)
        if name in {"image", "normals"}
        else _pick(values, picks)
        for name, values in cropped.items()
    }
    if "depth" in zoomed:
        zoomed["depth"] *= depth_factor
    if exact and "normals" in zoomed:
        valid = _pick((cropped["normals"] != 0).any(axis=0), picks)
        # Invalid ones are 0: they shorten a sum, and do not turn it.
        zoomed["normals"] = _normalise(zoomed["normals"], valid)
    if mirror and "normals" in zoomed:
        zoomed["normals"][0] *= -1
    return zoomed


def _draw_window(size: tuple[int, ...], scale: float, draw: Callable[[str], int]) -> Window:
    window = []
    for length, purpose in zip(size, ("zoom row", "zoom column"), strict=True):
        part = max(1, int(length / scale))
        start = draw(purpose) % (length - part + 1)
        window.append(slice(start, start + part))
    rows, columns = window
    return rows, columns


def _positions(part: int, length: int) -> Float[np.ndarray, "position"]:
    """Where pixels of an axis of `length` lie on one of `part`, ends on ends."""
    return np.linspace(0, part - 1, length)


def _cells(part: int, length: int) -> Int[np.ndarray, "position"]:
    """In which of `part` equal cells the beginnings of `length` equal cells lie."""
    return np.arange(length) * part // length


def _interpolate(
    values: Float[np.ndarray, "channel row column"],
    positions: tuple[Float[np.ndarray, "position"], ...],
) -> Float[np.ndarray, "channel row column"]:
    rows, columns = positions
    return _interpolate_axis(_interpolate_axis(values, columns, axis=2), rows[:, None], axis=1)


def _interpolate_axis(
    values: Float[np.ndarray, "channel row column"],
    positions: Float[np.ndarray, "..."],
    *,
    axis: int,
) -> Float[np.ndarray, "channel row column"]:
    before = np.minimum(positions.astype(int), max(values.shape[axis] - 2, 0))
    share = (positions - before).astype(values.dtype)
    after = np.minimum(before + 1, values.shape[axis] - 1)
    low: np.ndarray = values.take(before.ravel(), axis)
    step = values.take(after.ravel(), axis)
    step -= low
    step *= share
    low += step
    return low


def _pick(values: np.ndarray, picks: tuple[Int[np.ndarray, "position"], ...]) -> np.ndarray:
    rows, columns = picks
    return values.take(columns, -1).take(rows, -2)


def _normalise(
    normals: Float[np.ndarray, "3 row column"], valid: np.ndarray
) -> Float[np.ndarray, "3 row column"]:
    """Normals at length 1 where valid, 0 elsewhere and where opposite ones cancelled out."""
    length = np.sqrt(np.einsum("crk,crk->rk", normals, normals))
    share = np.divide(1, length, out=np.zeros_like(length), where=valid & (length > 1e-6))
    normals *= share
    return normals
