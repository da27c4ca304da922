"""Areas over curves, and mean curves: derived from a run's arrays, stored nowhere.

Every function takes the dataset of a task's node, or any selection of it that keeps whole curves;
`aoc` and `quantus` take a tree as well. Items whose `status` is not 1 come out as NaN; whether an
item is *missing* is read from `status` alone, never from NaN.

The array `irof` holds the curves of whichever faithfulness measure the experiment chose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

import numpy as np
import xarray as xr

from mtljobs.errors import UserError

MEASURE = "faithfulness"
"""Attribute of a task's dataset, where `open_run` put it: the measure that its curves are of."""

_IROF = ("irof", "irof_quantus")


@overload
def aoc(items: xr.Dataset) -> xr.DataArray: ...
@overload
def aoc(items: xr.DataTree) -> xr.DataTree: ...
def aoc(items: xr.Dataset | xr.DataTree) -> xr.DataArray | xr.DataTree:
    """Area over each item's curve, on steps 0 to L and divided by L.

    0 where the score never falls, 1 - 1/(2L) where the first step takes it all; negative where
    the score rises above the clean one. Of one measure with another, areas do not compare.

    Returns:
        Of a dataset its items' areas; of a tree the same tree with a variable `aoc` alone.

    Source:
        Rieger & Hansen, IROF (arXiv:2003.08747); trapezoid rule, step 0 included.

    Example:
        >>> items = xr.Dataset(
        ...     {"irof": (("image", "step"), [[1.0, 0.5, 0.0]]), "status": ("image", [1])},
        ...     coords={"n_segments": ("image", [2])},
        ... )
        >>> aoc(items).item()
        0.5
    """
    if isinstance(items, xr.DataTree):
        return _in_tree(aoc, items)
    curve, segments, ok = _curves(items)
    step = xr.DataArray(np.arange(curve.sizes["step"]), dims="step")
    inside = step <= segments
    weight = inside.astype(float).where((step != 0) & (step != segments), 0.5)
    # The padding is NaN, and NaN * 0 is NaN; a NaN inside a curve stays one.
    under: xr.DataArray = xr.dot(curve.where(inside, 0.0), weight, dim="step")
    area = (1 - under / segments).where(ok)
    return area.rename("aoc").assign_attrs(long_name="area over the curve", units="1")


@overload
def quantus(items: xr.Dataset) -> xr.DataArray: ...
@overload
def quantus(items: xr.DataTree) -> xr.DataTree: ...
def quantus(items: xr.Dataset | xr.DataTree) -> xr.DataArray | xr.DataTree:
    """Quantus's number for each item's IROF: L * aoc + (1 + p_1) / 2.

    Not divided by L, so images with more superpixels weigh more. NaN for the curves of another
    measure than IROF.

    Returns:
        Of a dataset its items' numbers; of a tree the same tree with a variable `quantus` alone.

    Source:
        Quantus 0.5.3, `IROF`: L minus the trapezoid over steps 1 to L, without step 0.

    Example:
        >>> items = xr.Dataset(
        ...     {"irof": (("image", "step"), [[1.0, 0.5, 0.0]]), "status": ("image", [1])},
        ...     coords={"n_segments": ("image", [2])},
        ... )
        >>> quantus(items).item()
        1.75
    """
    if isinstance(items, xr.DataTree):
        return _in_tree(quantus, items)
    return quantus_of(aoc(items), items)


def quantus_of(area: xr.DataArray, items: xr.Dataset) -> xr.DataArray:
    """`quantus` of a dataset whose `aoc` is at hand."""
    curve, segments, _ = _curves(items)
    first = curve.isel(step=1, drop=True).astype(float)
    number = segments * area + (1 + first) / 2
    if not removes_superpixels(items):
        number = xr.full_like(number, np.nan)
    return number.rename("quantus").assign_attrs(long_name="IROF as Quantus 0.5.3", units="1")


def removes_superpixels(items: xr.Dataset) -> bool:
    """Whether the parts that `order` and `segment_score` speak of are superpixels: IROF's are."""
    return items.attrs.get(MEASURE, "irof") in _IROF


def curves(items: xr.Dataset, *, points: int = 51) -> xr.DataArray:
    """Each item's curve on one common axis, `removed`; NaN where it has none.

    Images differ in their number of superpixels L, so curves cannot be compared step by step; each
    is read, linearly between its steps, at equal shares of L.

    Args:
        points: Length of the axis `removed`, the share of the L steps, 0 to 1.

    Example:
        >>> items = xr.Dataset(
        ...     {"irof": (("image", "step"), [[1.0, 0.5, 0.0]]), "status": ("image", [1])},
        ...     coords={"n_segments": ("image", [2])},
        ... )
        >>> curves(items, points=5).values.tolist()
        [[1.0, 0.75, 0.5, 0.25, 0.0]]
    """
    curve, segments, ok = _curves(items)
    removed = xr.DataArray(np.linspace(0, 1, points), dims="removed")
    position = removed * segments.fillna(1)
    before = np.floor(position).astype(int)
    after = np.ceil(position).astype(int)
    start, end = curve.isel(step=before), curve.isel(step=after)
    shares = start + (position - before) * (end - start)
    return shares.where(ok).assign_coords(removed=removed).rename("irof")


def mean_curve(items: xr.Dataset, *, points: int = 51) -> xr.DataArray:
    """Mean of `curves` over all items with status 1, of every seed, image and group."""
    shares = curves(items, points=points)
    return shares.mean([axis for axis in ("seed", "image", "group") if axis in shares.dims])


def require_task(items: xr.Dataset | xr.DataTree) -> None:
    """Return where items are those of one task.

    Raises:
        UserError: They are of a whole run, or of something else.
    """
    if "status" not in items:
        inside = ", ".join(map(str, (*items.children, *items.data_vars))) or "nothing"
        raise UserError(
            'expected the node of a task, as run["EXPERIMENT/TASK"].to_dataset() gives it, found '
            f"{inside}."
        )


def _in_tree(area: Callable[[xr.Dataset], xr.DataArray], tree: xr.DataTree) -> xr.DataTree:
    """The areas of every node that has curves."""
    nodes = {
        node.relative_to(tree): area(node.to_dataset()).to_dataset()
        for node in tree.subtree
        if "irof" in node.data_vars
    }
    return xr.DataTree.from_dict(nodes, name=tree.name)


def _curves(items: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Curves in memory, L per image (NaN where it has no superpixels), and which items are ok."""
    require_task(items)
    if "n_segments" not in items.coords:
        raise ValueError(
            "areas need the number of superpixels per image: open the run with "
            "mtljobs.results.open_run, or assign the coordinate n_segments (image) from the "
            "experiment's node `inputs`."
        )
    curve = items["irof"].load()
    segments = items["n_segments"].astype(float)
    if segments.max() > curve.sizes["step"] - 1:
        raise ValueError(
            f"the curves end at step {curve.sizes['step'] - 1}, but an image has "
            f"{int(segments.max())} superpixels: an area needs whole curves, so select along any "
            "axis but `step`."
        )
    return curve, segments.where(segments > 0), items["status"] == 1
