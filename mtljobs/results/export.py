"""A run, or a part of it, as one file for other programs.

Every file is written aside and renamed once it is whole, and its SHA-256 stands beside it, in the
form that `sha256sum --check` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from mtljobs.errors import MissingExtraError, UserError, nearest
from mtljobs.ledger.files import hash_file, replace_file, sync_folder
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.results.archive import write_archive
from mtljobs.results.items import read_items
from mtljobs.results.netcdf import write_netcdf
from mtljobs.results.parts import select_part
from mtljobs.results.run import Place, find_store, open_run
from mtljobs.store.damage import naming_damage, refuse_damage

SUFFIXES = {"netcdf": ".nc", "zarr-zip": ".zarr.zip", "csv": ".csv", "parquet": ".parquet"}
"""Formats, and how their files are called."""


@dataclass(frozen=True)
class _Part:
    """What of a run is exported.

    Attributes:
        store: Of the whole run.
        tree: The wanted nodes, at the wanted sparsities.
        left_out: Paths in the store of all other nodes.
        items: Areas of the wanted items.
    """

    store: Path
    tree: xr.DataTree
    left_out: frozenset[str]
    items: Mapping[Place, xr.Dataset]


def export(
    run: str | Path,
    target: Path,
    *,
    form: str,
    experiments: Collection[str] = (),
    tasks: Collection[str] = (),
    sparsities: Collection[float] = (),
) -> Path:
    """Write a run, or a part of it, to a file; nothing of a damaged run.

    "netcdf" is the store as netCDF-4, in the form that `docs/format.md` gives HDF5, with the axes
    of `sparsity` and `seed` in ascending order; "zarr-zip" a Zarr store's own files in an archive
    that xarray opens as it is, by `zarr.storage.ZipStore`; "csv" and "parquet" a table of all
    items: place, status, area.

    Args:
        run: As `open_run` says. What is no run's own store but a copy of one has no records: that a
            file is gone from it shows only where items have no curve.
        target: The file, outside of the run's folder; one that is there is replaced.
        form: Of `SUFFIXES`.
        experiments: Only these; empty: all.
        tasks: Only these; empty: all.
        sparsities: Only these, as fractions; empty: all. Not for "zarr-zip".

    Returns:
        The file.

    Raises:
        UserError: There is no such run, experiment, task, sparsity or format, or the file cannot be
            written where it is to be.
        MissingExtraError: A package for the format is not installed.
        CorruptionError: The run is damaged, or what was written does not read back as it was.
    """
    _check_form(form, sparsities)
    store = find_store(run)
    around = RunFolder(store.resolve().parent)
    unfinished = _begin(target, own=around.root if around.plans.is_dir() else store.resolve())
    try:
        refuse_damage(around)
        with naming_damage(around):
            whole = open_run(store)
            tree = select_part(whole, experiments=experiments, tasks=tasks, sparsities=sparsities)
            _WRITERS[form](
                _Part(store, tree, _paths(whole) - _paths(tree), read_items(tree)), unfinished
            )
        sha256 = hash_file(unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(target.parent)
    replace_file(target.with_name(f"{target.name}.sha256"), f"{sha256}  {target.name}\n".encode())
    return target


def _check_form(form: str, sparsities: Collection[float]) -> None:
    if form not in SUFFIXES:
        raise UserError(f"{form!r} is no format{nearest(form, SUFFIXES)}.")
    if sparsities and form == "zarr-zip":
        raise UserError(
            "zarr-zip holds the store's own files, and some of them are of all sparsities: export "
            "as netcdf, or leave --sparsity out and select once the archive is open."
        )


def _begin(target: Path, *, own: Path) -> Path:
    """An empty file beside the target, which is to become it.

    Args:
        own: What is exported, with all around it that is the run's.
    """
    unfinished = target.parent / f".{target.name}.unfinished"
    try:
        if target.is_dir():
            raise UserError(
                f"{target} is a folder: expected the name of a file, such as --output "
                f"{target / 'study.nc'}."
            )
        if target.exists() and not target.is_file():
            raise UserError(f"{target} is no regular file: name one, or a new one, by --output.")
        if (target.parent.resolve() / target.name).is_relative_to(own):
            raise UserError(
                f"{target} lies in what is exported, {own}, where it would count as damage or "
                "replace results: name a file outside of it by --output."
            )
        create_folder(target.parent)
        unfinished.touch()
    except OSError as error:
        raise UserError(
            f"{target} cannot be written ({error.strerror}: {error.filename}): expected a file in "
            "a folder that is there, or can be made, and in which you may write. Name another by "
            "--output."
        ) from error
    return unfinished


def _paths(tree: xr.DataTree) -> frozenset[str]:
    return frozenset(node.path.strip("/") for node in tree.subtree)


def _write_netcdf(part: _Part, path: Path) -> None:
    write_netcdf(part.tree, path)


def _write_zip(part: _Part, path: Path) -> None:
    tasks = {name: experiment.attrs["tasks"] for name, experiment in part.tree.children.items()}
    write_archive(path, part.store, tasks=tasks, left_out=part.left_out)


def _write_csv(part: _Part, path: Path) -> None:
    _item_table(part).to_csv(path, index=False, float_format="%.9g")


def _write_parquet(part: _Part, path: Path) -> None:
    try:
        _item_table(part).to_parquet(path, index=False)
    except ImportError as error:
        raise MissingExtraError(
            "parquet needs pyarrow: `pip install pyarrow`, or export as csv."
        ) from error


def _item_table(part: _Part) -> pd.DataFrame:
    """A row per item that was planned or not: experiment, task, its labels, status and areas."""
    return pd.concat(list(_item_tables(part)), ignore_index=True)


def _item_tables(part: _Part) -> Iterator[pd.DataFrame]:
    for (experiment, task), items in part.items.items():
        status = items["status"]
        superpixels = part.tree[f"{experiment}/{task}"]["n_segments"]
        columns = {
            "status": _in_words(status),
            "aoc": items["aoc"],
            "quantus": items["quantus"],
            "superpixels": superpixels.broadcast_like(status),
        }
        table = xr.Dataset({name: one.reset_coords(drop=True) for name, one in columns.items()})
        frame = table.to_dataframe(dim_order=list(status.dims)).reset_index()
        frame.insert(0, "experiment", experiment)
        frame.insert(1, "task", task)
        yield frame


def _in_words(status: xr.DataArray) -> xr.DataArray:
    """Codes by the flags beside them: a store of a later release may have more than this one."""
    flags = zip(status.attrs["flag_values"], status.attrs["flag_meanings"].split(), strict=True)
    words = {int(code): meaning for code, meaning in flags}
    codes, places = np.unique(status.values, return_inverse=True)
    found = np.array([words.get(code, f"unknown_{code}") for code in codes.tolist()])
    return status.copy(data=found[places].reshape(status.shape))


_WRITERS: dict[str, Callable[[_Part, Path], None]] = {
    "netcdf": _write_netcdf,
    "zarr-zip": _write_zip,
    "csv": _write_csv,
    "parquet": _write_parquet,
}
