"""A reader of the format who has xarray and its engine, and nothing of mtljobs.

`python read_with_xarray_alone.py STORE ENGINE` prints what a store holds.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import xarray as xr


def describe(run: xr.DataTree) -> dict[str, dict[str, Any]]:
    """Labels of every node's axes; of a task also areas, what became of its items, and a map."""
    return {node.path: _labels(node) | _results(node) for node in run.subtree if node.path != "/"}


def _labels(node: xr.DataTree) -> dict[str, Any]:
    labels = _in_order(node).coords
    return {"labels": {axis: labels[axis].values.tolist() for axis in sorted(node.indexes)}}


def _results(node: xr.DataTree) -> dict[str, Any]:
    if "irof" not in node:
        return {}
    items = _in_order(node)
    between_steps = (items.irof + items.irof.shift(step=-1)) / 2
    area = 1 - between_steps.sum("step") / node.parent["inputs"].n_segments
    mean = area.where(items.status == 1).mean(["seed", "image", "group"])
    cam = items.cam.isel(sparsity=0, seed=0, map_image=0, group=-1)
    return {
        "areas": mean.values.tolist(),
        "status": items.status.values.tolist(),
        "map": cam.values.astype(float).round(6).tolist(),
    }


def _in_order(node: xr.DataTree) -> xr.Dataset:
    """Axes that grow have their labels in the order of arrival."""
    growing = [axis for axis in ("sparsity", "seed") if axis in node.indexes]
    return node.to_dataset().sortby(growing)


if __name__ == "__main__":
    sys.modules["mtljobs"] = None  # to import it is an error
    store, engine = sys.argv[1:]
    json.dump(describe(xr.open_datatree(store, engine=engine, chunks=None)), sys.stdout)
