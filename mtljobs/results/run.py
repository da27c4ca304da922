"""A run's store as an xarray tree."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import xarray as xr
from zarr.storage import ZipStore

from mtljobs.errors import CorruptionError, UserError
from mtljobs.ledger.paths import RunFolder, Workspace, open_workspace
from mtljobs.plan.frozen import Plan, read_newest
from mtljobs.results.areas import MEASURE
from mtljobs.results.maps import SIZE
from mtljobs.results.reordering import reorder
from mtljobs.store.backend import load_backend
from mtljobs.store.live import LiveStore
from mtljobs.store.schema import SCHEMA_VERSION
from mtljobs.store.variables import ITEM
from mtljobs.store.zarr_format import SEAL

Place = tuple[str, str]
"""(experiment, task) of a node."""


def open_run(path: str | Path, *, live: bool = False) -> xr.DataTree:
    """A run's results: a node `/<experiment>/<task>` per task, read when they are used.

    What plain `xarray.open_datatree` gives, with the axes `sparsity` and `seed` in ascending
    order (in the store they grow at their ends). The images' `n_segments` stand beside each task's
    arrays, where `aoc` finds them in any selection; the attributes `faithfulness` and `image_size`
    there name the measure of its curves, and the images' rows and columns.

    Args:
        path: A run's folder, its `store.zarr` or `store.h5`, a netcdf or zarr-zip that `mtljobs
            export` made, or the name of a run in the workspace (`$MTLJOBS_WORKSPACE`, else
            `./runs`).
        live: Show what is finished but not merged too, as of now; the run's folder is needed.

    Raises:
        UserError: There is no such run, it has no store yet and `live` is False, or it is of a
            later format than this release reads.
        CorruptionError: The store cannot be read.
    """
    if live:
        run, plan = _find_plan(path)
        backend = load_backend(plan.backend)
        stored = _open(LiveStore(run, Workspace(run.root.parent), plan.layouts, backend))
        return _complete(stored, name=run.name)
    store = find_store(path)
    return _complete(_open(store), name=_run_name(store))


def _open(store: Path | LiveStore) -> xr.DataTree:
    is_archive = isinstance(store, Path) and zipfile.is_zipfile(store)
    is_file = isinstance(store, Path) and store.is_file() and not is_archive
    try:
        with warnings.catch_warnings():
            # zarr 3.1 warns that other readers of Zarr do not know the filters of HDF5.
            warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr")
            # A node inside of a store has none, and is refused below.
            warnings.filterwarnings("ignore", "Failed to open Zarr store with consolidated")
            tree: xr.DataTree = xr.open_datatree(
                ZipStore(store, mode="r") if is_archive else store,  # type: ignore[arg-type]
                engine="h5netcdf" if is_file else "zarr",
                chunks=None,
            )
    # What zarr and HDF5 raise where bytes make no sense to them.
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CorruptionError(
            f"{_describe(store)} cannot be read as a store of results ({error}). `mtljobs verify` "
            "says what is damaged in a run; a copy is to be made again."
        ) from error
    _check_version(tree, _describe(store))
    tree.attrs.pop(SEAL, None)  # of the store's own bytes, not of what is made of it
    return tree


def _describe(store: Path | LiveStore) -> str:
    return str(store) if isinstance(store, Path) else "what the run has so far"


def _check_version(tree: xr.DataTree, what: str) -> None:
    """Return where the tree is a run's, of a version that is known here."""
    version = tree.attrs.get("schema_version")
    if version is None or not any("tasks" in node.attrs for node in tree.children.values()):
        raise UserError(
            f"{what} is no store of results: expected a group with the attribute schema_version "
            "that holds experiments, found another. Give the run's folder, or its store as a whole."
        )
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{what} has the format {version}, and this release of mtljobs reads up to "
            f"{SCHEMA_VERSION}: it could misread the rest. Update mtljobs."
        )


def _complete(stored: xr.DataTree, *, name: str) -> xr.DataTree:
    """Axes in order, and beside each task's arrays what its areas and maps need."""
    experiments = (node for node in stored.children.values() if "tasks" in node.attrs)
    known = [stored, *(node for experiment in experiments for node in experiment.subtree)]
    # With what a node inherits: a task's labels of sparsity are its experiment's.
    nodes = {node.path: _sorted(node.to_dataset()) for node in known}
    for node in known:
        if "irof" in node.data_vars and node.parent is not None:
            n_segments = nodes[f"{node.parent.path}/inputs"]["n_segments"].variable
            experiment = json.loads(node.parent.attrs["settings"])["experiment"]
            facts = {
                MEASURE: experiment["explain"]["faithfulness"]["name"],
                SIZE: tuple(experiment["data"]["size"]),
            }
            nodes[node.path] = (
                nodes[node.path].assign_coords(n_segments=n_segments).assign_attrs(facts)
            )
    return xr.DataTree.from_dict(nodes, name=name)


def task_nodes(run: xr.DataTree) -> Iterator[tuple[Place, xr.DataTree]]:
    """Every (experiment, task) of a run with its node, tasks in their experiment's order.

    Raises:
        UserError: It is the tree of something else, as of one experiment, or a selection that has
            lost an axis.
    """
    if not run.children or any("tasks" not in node.attrs for node in run.children.values()):
        raise UserError(
            f"expected a run's tree, as `open_run` gives it, found the node {run.path} with "
            f"{', '.join(run.children) or 'nothing'} below: ask for the whole run, and take from "
            "the answer."
        )
    for name, experiment in run.children.items():
        for task in experiment.attrs["tasks"].split():
            if task in experiment.children:
                _require_axes(experiment.children[task])
                yield (name, task), experiment.children[task]


def _require_axes(task: xr.DataTree) -> None:
    lost = [axis for axis in ITEM if axis not in task.sizes]
    if lost:
        raise UserError(
            f"expected the axes {', '.join(ITEM)}, found {task.path} without {', '.join(lost)}: "
            f"select with a list, which keeps the axis, as in run.sel({lost[0]}=[...])."
        )


def find_store(path: str | Path) -> Path:
    """The store that a path or a name means: in a run's folder the one that its plan names.

    Raises:
        UserError: There is none, and says what there is instead; or there are two, and no plan that
            says which of them is the run's.
    """
    for run in _candidates(path):
        if _is_store(run.root):
            return run.root
        found = [store for store in _expected_stores(run) if _is_store(store)]
        if len(found) > 1:
            raise UserError(
                f"{run.root} holds {' and '.join(store.name for store in found)}, and no plan that "
                f"says which of them is the run's: ask for one by its path, as {found[0]}."
            )
        if found:
            return found[0]
        if run.plans.is_dir():
            raise UserError(
                f"the run {run.name!r} has no store yet: its store appears once its first "
                f"shards are done and merged. `mtljobs status {run.name}` says how far it is, "
                f"`mtljobs reduce {run.name}` merges what is done, and "
                f"`open_run({str(path)!r}, live=True)` shows it as it is."
            )
    raise _no_run(path)


def _expected_stores(run: RunFolder) -> tuple[Path, ...]:
    """The store of a run by its plan; every one that it may have where no plan can be read."""
    with suppress(CorruptionError):  # results can be read without it
        plan = read_newest(run)
        if plan is not None:
            return (load_backend(plan.backend).path(run),)
    return run.store, run.store_file


def _is_store(path: Path) -> bool:
    return path.is_file() or (path / "zarr.json").is_file()


def _find_plan(path: str | Path) -> tuple[RunFolder, Plan]:
    for run in _candidates(path):
        plan = read_newest(run)
        if plan is not None:
            return run, plan
    raise _no_run(path)


def _candidates(path: str | Path) -> list[RunFolder]:
    given = Path(path)
    runs = [RunFolder(given), RunFolder(open_workspace().root / given)]
    return runs if len(given.parts) == 1 else runs[:1]


def _no_run(path: str | Path) -> UserError:
    workspace = open_workspace()
    return UserError(
        f"there is no run {str(path)!r}: expected a run's folder, its store, or the name of "
        f"a run in the workspace {workspace.root} ($MTLJOBS_WORKSPACE), which holds "
        f"{', '.join(workspace.run_names()) or 'none'}."
    )


def _run_name(store: Path) -> str:
    stored = RunFolder(store.resolve().parent)
    if store.resolve() in {stored.store, stored.store_file}:
        return stored.name
    return Path(store.name.removesuffix(".zip")).stem


def _sorted(dataset: xr.Dataset) -> xr.Dataset:
    orders = {
        axis: np.argsort(dataset[axis].values, kind="stable")
        for axis in ("sparsity", "seed")
        if axis in dataset.indexes and not dataset.indexes[axis].is_monotonic_increasing
    }
    return reorder(dataset, orders)
