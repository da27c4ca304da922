"""A run, or a part of it, as one file for other programs.

Every file is written aside and renamed once it is whole, and its SHA-256 stands beside it, in the
form that `sha256sum --check` reads.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import xarray as xr

from mtljobs.contracts import STATUS
from mtljobs.errors import CorruptionError, MissingExtraError, UserError, nearest
from mtljobs.ledger.files import hash_file, replace_file, sync_folder, to_json
from mtljobs.ledger.paths import create_folder
from mtljobs.results.areas import aoc, quantus
from mtljobs.results.maps import kept_maps
from mtljobs.results.parts import select_part
from mtljobs.results.run import find_store, open_run, task_nodes
from mtljobs.store.variables import flag_meaning

SUFFIXES = {"netcdf": ".nc", "zarr-zip": ".zarr.zip", "csv": ".csv", "parquet": ".parquet"}
"""Formats, and how their files are called."""

_PACKED = {"zlib": True, "complevel": 4, "shuffle": True, "fletcher32": True}
"""Filters that every HDF5 library has; the last one is a checksum."""

_STAMP = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class _Part:
    """What of a run is exported.

    Attributes:
        store: Of the whole run.
        tree: The wanted nodes, at the wanted sparsities.
        left_out: Paths in the store of all other nodes.
    """

    store: Path
    tree: xr.DataTree
    left_out: frozenset[str]


def export(
    run: str | Path,
    target: Path,
    *,
    form: str,
    experiments: Collection[str] = (),
    tasks: Collection[str] = (),
    sparsities: Collection[float] = (),
) -> Path:
    """Write a run, or a part of it, to a file.

    "netcdf" is the store as netCDF-4, with the axes of `sparsity` and `seed` in ascending order and
    half-precision maps as float32; "zarr-zip" the store's own files in an archive that xarray opens
    as it is; "csv" and "parquet" a table of all items: place, status, area.

    Args:
        run: As `open_run` says.
        target: The file; one that is there is replaced.
        form: Of `SUFFIXES`.
        experiments: Only these; empty: all.
        tasks: Only these; empty: all.
        sparsities: Only these, as fractions; empty: all. Not for "zarr-zip".

    Returns:
        The file.

    Raises:
        UserError: There is no such run, experiment, task, sparsity or format.
        MissingExtraError: A package for the format is not installed.
        CorruptionError: What was written does not read back as it was.
    """
    if form not in SUFFIXES:
        raise UserError(f"{form!r} is no format{nearest(form, SUFFIXES)}.")
    if sparsities and form == "zarr-zip":
        raise UserError(
            "zarr-zip holds the store's own files, and some of them are of all sparsities: export "
            "as netcdf, or leave --sparsity out and select once the archive is open."
        )
    whole = open_run(run)
    tree = select_part(whole, experiments=experiments, tasks=tasks, sparsities=sparsities)
    left_out = {node.path for node in whole.subtree} - {node.path for node in tree.subtree}
    part = _Part(find_store(run), tree, frozenset(path.strip("/") for path in left_out))
    create_folder(target.parent)
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        _WRITERS[form](part, unfinished)
        sha256 = hash_file(unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(target.parent)
    replace_file(target.with_name(f"{target.name}.sha256"), f"{sha256}  {target.name}\n".encode())
    return target


def _write_netcdf(part: _Part, path: Path) -> None:
    tree = xr.DataTree.from_dict(
        {node.path: _portable(node.to_dataset(inherit=False)) for node in part.tree.subtree}
    )
    encoding = {
        node.path: {name: _PACKED for name, array in node.data_vars.items() if array.ndim}
        for node in tree.subtree
    }
    tree.to_netcdf(path, engine="h5netcdf", encoding=encoding)
    with xr.open_datatree(path, engine="h5netcdf") as written:
        if not written.equals(tree):
            raise CorruptionError(f"{path} does not hold what the store does: is the disk sound?")


def _portable(items: xr.Dataset) -> xr.Dataset:
    """A dataset in types that netCDF has."""
    if "cam_half" in items:
        maps = kept_maps(items).astype(np.float32).assign_attrs(items["cam_half"].attrs)
        items = items.drop_vars("cam_half").assign(cam=maps)
    texts = {
        name: (array.dims, np.array(array.values.tolist(), dtype=str))
        for name, array in items.coords.items()
        if array.dtype.kind in "OTU"
    }
    return items.assign_coords(texts)


def _write_zip(part: _Part, path: Path) -> None:
    if part.store.is_file():
        raise UserError(
            "zarr-zip holds the files of a Zarr store, and this run keeps its results in one HDF5 "
            "file: copy that, or export a part of it as netcdf."
        )
    root = json.loads((part.store / "zarr.json").read_text(encoding="utf-8"))
    listed = root["consolidated_metadata"]["metadata"]
    documents = {name: document for name, document in listed.items() if _is_in(part, name)}
    for name, experiment in part.tree.children.items():
        documents[name]["attributes"]["tasks"] = experiment.attrs["tasks"]
    root["consolidated_metadata"]["metadata"] = documents
    changed = {f"{name}/zarr.json": to_json(documents[name]) for name in part.tree.children}
    with zipfile.ZipFile(path, "w") as archive:  # chunks are compressed already
        archive.writestr(zipfile.ZipInfo("zarr.json", _STAMP), to_json(root))
        for name in part.tree.children:
            for file in sorted((part.store / name).rglob("*")):
                inside = file.relative_to(part.store).as_posix()
                if file.is_file() and _is_in(part, inside):
                    content = changed.get(inside) or file.read_bytes()
                    archive.writestr(zipfile.ZipInfo(inside, _STAMP), content)


def _is_in(part: _Part, name: str) -> bool:
    """Whether something in the store belongs to a node that is wanted."""
    path = PurePosixPath(name)
    return not any(str(place) in part.left_out for place in (path, *path.parents))


def _write_csv(part: _Part, path: Path) -> None:
    _item_table(part.tree).to_csv(path, index=False, float_format="%.9g")


def _write_parquet(part: _Part, path: Path) -> None:
    try:
        _item_table(part.tree).to_parquet(path, index=False)
    except ImportError as error:
        raise MissingExtraError(
            "parquet needs pyarrow: `pip install pyarrow`, or export as csv."
        ) from error


def _item_table(run: xr.DataTree) -> pd.DataFrame:
    """A row per item that was planned or not: experiment, task, its labels, status and areas."""
    return pd.concat(list(_item_tables(run)), ignore_index=True)


def _item_tables(run: xr.DataTree) -> Iterator[pd.DataFrame]:
    meanings = np.array([flag_meaning(text) for text in STATUS.values()])
    for (experiment, task), node in task_nodes(run):
        items = node.to_dataset()
        status = items["status"].load()
        columns = {
            "status": status.copy(data=meanings[status.values]),
            "aoc": aoc(items),
            "quantus": quantus(items),
            "superpixels": items["n_segments"].broadcast_like(status),
        }
        table = xr.Dataset({name: one.reset_coords(drop=True) for name, one in columns.items()})
        frame = table.to_dataframe(dim_order=list(status.dims)).reset_index()
        frame.insert(0, "experiment", experiment)
        frame.insert(1, "task", task)
        yield frame


_WRITERS: dict[str, Callable[[_Part, Path], None]] = {
    "netcdf": _write_netcdf,
    "zarr-zip": _write_zip,
    "csv": _write_csv,
    "parquet": _write_parquet,
}
