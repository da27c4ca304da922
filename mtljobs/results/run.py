"""A run's store as an xarray tree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from mtljobs.errors import UserError
from mtljobs.ledger.paths import RunFolder, open_workspace
from mtljobs.results.areas import MEASURE

Place = tuple[str, str]
"""(experiment, task) of a node."""


def open_run(path: str | Path) -> xr.DataTree:
    """A run's results: a node `/<experiment>/<task>` per task, read when they are used.

    What plain `xarray.open_datatree` gives, with the axes `sparsity` and `seed` in ascending
    order (in the store they grow at their ends). The images' `n_segments` stand beside each task's
    arrays, where `aoc` finds them in any selection, and the attribute `faithfulness` there names
    the measure of its curves.

    Args:
        path: A run's folder, its `store.zarr`, or the name of a run in the workspace
            (`$MTLJOBS_WORKSPACE`, else `./runs`).

    Raises:
        UserError: There is no such run, or it has no store yet.
    """
    store = find_store(path)
    stored = xr.open_datatree(store, engine="zarr", chunks=None)
    # With what a node inherits: a task's labels of sparsity are its experiment's.
    nodes = {node.path: _sorted(node.to_dataset()) for node in stored.subtree}
    for node in stored.subtree:
        if "irof" in node.data_vars and node.parent is not None:
            n_segments = nodes[f"{node.parent.path}/inputs"]["n_segments"].variable
            settings = json.loads(node.parent.attrs["settings"])
            measure = settings["experiment"]["explain"]["faithfulness"]["name"]
            nodes[node.path] = (
                nodes[node.path]
                .assign_coords(n_segments=n_segments)
                .assign_attrs({MEASURE: measure})
            )
    return xr.DataTree.from_dict(nodes, name=_run_name(store))


def task_nodes(run: xr.DataTree) -> Iterator[tuple[Place, xr.DataTree]]:
    """Every (experiment, task) of a run with its node, tasks in their experiment's order."""
    for name, experiment in run.children.items():
        for task in experiment.attrs["tasks"].split():
            yield (name, task), experiment.children[task]


def find_store(path: str | Path) -> Path:
    """The store that a path or a name means.

    Raises:
        UserError: There is none; says what there is instead.
    """
    workspace = open_workspace()
    given = Path(path)
    runs = [RunFolder(given), RunFolder(workspace.root / given)]
    for run in runs if len(given.parts) == 1 else runs[:1]:
        for store in (run.root, run.store):
            if (store / "zarr.json").is_file():
                return store
        if run.plans.is_dir():
            raise UserError(
                f"the run {run.name!r} has no store yet: {run.store} appears once its first "
                f"shards are done and merged. `mtljobs status {run.name}` says how far it is, "
                f"`mtljobs reduce {run.name}` merges what is done."
            )
    raise UserError(
        f"there is no run {str(path)!r}: expected a run's folder, its store.zarr, or the name of "
        f"a run in the workspace {workspace.root} ($MTLJOBS_WORKSPACE), which holds "
        f"{', '.join(workspace.run_names()) or 'none'}."
    )


def _run_name(store: Path) -> str:
    return store.resolve().parent.name if store.name == "store.zarr" else store.stem


def _sorted(dataset: xr.Dataset) -> xr.Dataset:
    orders = {
        axis: np.argsort(dataset[axis].values, kind="stable")
        for axis in ("sparsity", "seed")
        if axis in dataset.indexes and not dataset.indexes[axis].is_monotonic_increasing
    }
    return dataset.isel(orders)
