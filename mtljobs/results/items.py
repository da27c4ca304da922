"""Every item of a run as a number: what is left of its curves, small enough to stay in memory."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from mtljobs.errors import CorruptionError, counted
from mtljobs.results.areas import aoc, quantus_of
from mtljobs.results.averages import OK
from mtljobs.results.run import Place, task_nodes


def read_items(
    run: xr.DataTree, statuses: Mapping[Place, xr.DataArray] | None = None
) -> dict[Place, xr.Dataset]:
    """`aoc`, `quantus` and `status` of every item; NaN where the status is not 1.

    Args:
        run: As `open_run` gives it.
        statuses: What counts as the items' status; None: what the store says.

    Raises:
        CorruptionError: An item's status says ok, and it has no curve.
    """
    return {
        place: _of_task(node, None if statuses is None else statuses[place])
        for place, node in task_nodes(run)
    }


def _of_task(node: xr.DataTree, status: xr.DataArray | None) -> xr.Dataset:
    task = node.to_dataset()
    status = task["status"].load() if status is None else status
    labelled = task[["irof"]].assign(status=status)
    # Labels are put on again at the end: xarray would compare all of them at every operation.
    bare = labelled.drop_vars(set(labelled.coords) - {"n_segments"})
    parts = []
    for index in range(task.sizes["sparsity"]):  # the curves of one sparsity at a time in memory
        curves = bare.isel(sparsity=[index])
        area = aoc(curves)
        parts.append(xr.Dataset({"aoc": area, "quantus": quantus_of(area, curves)}))
    areas = xr.concat(parts, dim="sparsity", coords="minimal", compat="override", join="override")
    areas = areas.assign_coords({axis: task[axis] for axis in areas.dims})
    broken = int(((status == OK) & areas["aoc"].isnull()).sum())
    if broken:
        raise CorruptionError(
            f"{counted(broken, 'item')} of {node.path} with status 1 (ok) but no whole curve, or "
            "without superpixels: the store was changed after the merge, or a merge "
            "was killed. `mtljobs reduce` finishes a merge and checks it."
        )
    return areas.assign(status=status)
