"""What is true of the HDF5 backend alone; what every backend promises stands in other files."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from mtljobs.contracts import ExperimentLayout
from mtljobs.errors import CorruptionError
from mtljobs.ledger.commit import commit, new_staging
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.ledger.records import make_record
from mtljobs.plan.frozen import Plan
from mtljobs.settings.base import load
from mtljobs.settings.store import Store
from mtljobs.store import hdf5_format
from mtljobs.store.backend import Backend, load_backend
from mtljobs.store.findings import Finding
from mtljobs.store.forms import hdf5_form
from mtljobs.store.hdf5_store import Hdf5Store
from mtljobs.store.merge import MergeReport
from mtljobs.store.merge import merge as merge_runs
from mtljobs.store.schema import Array, build_schema
from mtljobs.store.seal import is_sealed
from mtljobs.store.staging import Staging

Layouts = dict[str, ExperimentLayout]
Explain = Callable[..., str]
Merge = Callable[[RunFolder, Layouts], MergeReport]
Verify = Callable[..., list[Finding]]
Files = Callable[[RunFolder], dict[str, bytes]]
Flip = Callable[..., None]
Mend = Callable[[], dict[str, Path]]

CHUNK = "segnet/depth/irof/c.0.0.1.0.0"


@pytest.fixture
def backend_name() -> str:
    return "hdf5"


@pytest.fixture
def store(run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge) -> Path:
    """The file of a run with one block of the cell (0.5, seed 1)."""
    explain(run, layouts, cell=(1, 1), block=1)
    merge(run, layouts)
    return run.store_file


def place_of(store: Path, name: str) -> int:
    """Where in the file a chunk begins."""
    array, _, chunk = name.rpartition("/")
    with h5py.File(store) as file:
        dataset = file[array]
        index = [int(part) for part in chunk.split(".")[1:]]
        offset = tuple(np.multiply(index, dataset.chunks).tolist())
        place = dataset.id.get_chunk_info_by_coord(offset).byte_offset
    return int(place)


def test_the_settings_name_this_backend() -> None:
    assert load(Store.implementations["hdf5"]) is Hdf5Store


@pytest.mark.parametrize(
    ("dtype", "fill"), [("float32", math.nan), ("uint16", 65535), ("uint8", 0), ("float64", -1)]
)
def test_a_chunk_file_holds_the_bytes_that_hdf5_makes_of_the_same_numbers(
    tmp_path: Path, dtype: str, fill: float
) -> None:
    array = Array("x", ("image", "step"), (7, 5), (3, 5), dtype, fill, {})
    values = np.arange(35).reshape(7, 5).astype(dtype)
    with h5py.File(tmp_path / "own.h5", "w") as file:
        dataset = file.create_dataset(
            "x", data=values, chunks=(3, 5), compression="gzip", compression_opts=4,
            shuffle=np.dtype(dtype).itemsize > 1, fletcher32=True, fillvalue=fill,
        )  # fmt: skip
        expected = [dataset.id.read_direct_chunk((place, 0))[1] for place in (0, 3)]
    encoded = hdf5_format.encode(array, (slice(0, 7), slice(0, 5)), values)
    assert list(encoded) == ["c.0.0", "c.1.0", "c.2.0"]
    assert [encoded["c.0.0"], encoded["c.1.0"]] == expected
    last = hdf5_format.decode(array, "c.2.0", encoded["c.2.0"])
    np.testing.assert_array_equal(last, values[6:])  # of which HDF5 leaves the padding open


def test_a_record_lists_what_the_file_keeps(
    store: Path, run: RunFolder, stored: Callable[[RunFolder], dict[str, bytes]]
) -> None:
    (path,) = run.ledger.glob("*.json")
    name = "segnet/depth/irof/c.1.1.1.0.0"
    with h5py.File(store) as file:
        chunk = file["segnet/depth/irof"].id.read_direct_chunk((1, 1, 3, 0, 0))[1]
    assert hashlib.sha256(chunk).hexdigest() in path.read_text()
    assert stored(run)[name] == chunk


@pytest.mark.parametrize(
    ("maps", "map_images"),  # blocks are of 3 images
    [("native", 7), ("subset", 4), ("subset", 2), ("half", 7), ("scores", 0)],
)
def test_it_holds_the_numbers_of_a_zarr_store_of_the_same_results(
    workspace: Workspace,
    layout: ExperimentLayout,
    superpixels: Path,
    maps: str,
    map_images: int,
) -> None:
    del superpixels
    layouts = {"segnet": dataclasses.replace(layout, maps=maps, map_images=map_images)}
    trees = []
    for name in ("zarr", "hdf5"):
        run, backend = workspace.run(f"{name}-{maps}"), load_backend(name)
        write_something(run, layouts, backend)
        merge_runs(run, workspace, backend, read_layouts=lambda: layouts, wait_s=0)
        engine = "h5netcdf" if name == "hdf5" else "zarr"
        trees.append(xarray.open_datatree(backend.path(run), engine=engine).load())
    zarr, hdf5 = trees
    del zarr.attrs["metadata_sha256"]  # the file has a last line for it
    assert {node.path for node in zarr.subtree} == {node.path for node in hdf5.subtree}
    for node in zarr.subtree:
        xarray.testing.assert_equal(node.to_dataset(), hdf5[node.path].to_dataset())
        assert node.attrs == hdf5[node.path].attrs
    assert hdf5["segnet/depth/irof"].sel(sparsity=0.5, seed=1).notnull().all()


def write_something(run: RunFolder, layouts: Layouts, backend: Backend) -> None:
    """Commit random numbers of every array of one cell, as one shard would."""
    schema = build_schema(layouts)
    folder = new_staging(run.staging, "cell")
    staging = Staging(folder, schema, backend)
    numbers = np.random.default_rng(0)
    for node in schema.values():
        for array in node.arrays.values():
            if array.labels is None and "sparsity" in array.axes:
                values = numbers.integers(0, 9, array.shape[2:])
                staging.write(node.path, array.name, values, sparsity=1, seed=1)
    record = make_record(folder, shard="cell", identity="0" * 64, versions={})
    commit(folder, run.committed / "cell", record)


def test_ncdump_reads_it(store: Path) -> None:
    program = shutil.which("ncdump")
    if program is None:
        pytest.skip("needs ncdump, of Debian's netcdf-bin")
    answer = subprocess.run(
        [program, "-v", "irof,status", store], capture_output=True, text=True, check=True
    )
    assert answer.stderr == ""
    assert "float irof(sparsity, seed, image, group, step) ;" in answer.stdout


def test_its_last_line_is_what_sha256sum_says_of_all_before(store: Path) -> None:
    content = store.read_bytes()
    line = content.split(b"\n")[-2]
    assert line.decode() == f"sha256 {hashlib.sha256(content[:-73]).hexdigest()}"


def test_maps_are_chunks_of_their_own_where_they_are_large_and_half_ones_are_whole_floats() -> None:
    maps = Array(
        "cam_half", ("image", "group", "cam_row", "cam_column"), (5, 2, 3, 4), (3, 2, 3, 4),
        "float16", math.nan, {}, parts=(1, 1, 3, 4),
    )  # fmt: skip
    values = np.random.default_rng(0).random((3, 2, 3, 4)).astype(np.float16)
    chunks = hdf5_format.encode(maps, (slice(0, 3), slice(0, 2), slice(0, 3), slice(0, 4)), values)
    assert list(chunks) == [f"c.{image}.{group}.0.0" for image in range(3) for group in range(2)]
    found = hdf5_format.decode(hdf5_form(maps), "c.2.1.0.0", chunks["c.2.1.0.0"])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0, 0], values[2, 1])


def test_a_flipped_bit_anywhere_in_the_file_is_found(
    whole: RunFolder, verify: Verify, flip: Flip
) -> None:
    content = whole.store_file.read_bytes()
    places = random.Random(0)
    for _ in range(60):
        flip(whole.store_file, place=places.randrange(len(content)), bit=places.randrange(8))
        assert whole.store_file in {finding.path for finding in verify(whole)}
        whole.store_file.write_bytes(content)
    assert verify(whole) == []


def test_a_damaged_chunk_is_named_with_its_shard(
    whole: RunFolder, plan: Plan, verify: Verify, flip: Flip
) -> None:
    flip(whole.store_file, place=place_of(whole.store_file, CHUNK) + 5)
    found = {(finding.kind, finding.path): finding.shard for finding in verify(whole)}
    assert found == {
        ("wrong metadata", whole.store_file): None,
        ("changed file", whole.store_file / CHUNK): plan.shards[3].name,
    }


def test_a_merge_builds_on_no_damaged_file(
    *, whole: RunFolder, plan: Plan, explain: Explain, merge: Merge, flip: Flip
) -> None:
    flip(whole.store_file, place=place_of(whole.store_file, CHUNK) + 5)
    damaged = whole.store_file.read_bytes()
    explain(whole, dict(plan.layouts), block=2)
    with pytest.raises(CorruptionError, match="--requeue"):
        merge(whole, dict(plan.layouts))
    assert whole.store_file.read_bytes() == damaged


def test_a_damaged_chunk_is_due_again_and_all_others_stay(
    *, whole: RunFolder, plan: Plan, make_room: Mend, remake: Callable[[], MergeReport],
    files: Files, flip: Flip, verify: Verify,
) -> None:  # fmt: skip
    before = files(whole)
    bad = plan.shards[3].name
    flip(whole.store_file, place=place_of(whole.store_file, CHUNK) + 5)
    moved = make_room()
    assert set(moved) == {bad, str(whole.store_file)}
    assert (moved[bad] / CHUNK).is_file()
    assert moved[str(whole.store_file)].is_file()
    assert is_sealed(whole.store_file)
    assert verify(whole) == []  # not done is not damaged
    assert remake().merged == (bad,)
    assert files(whole) == before


def test_damage_between_chunks_costs_no_result(
    *, whole: RunFolder, make_room: Mend, files: Files, verify: Verify
) -> None:
    before = files(whole)
    with whole.store_file.open("ab") as file:
        file.write(b"?")
    assert set(make_room()) == {str(whole.store_file)}
    assert files(whole) == before
    assert verify(whole) == []


def test_a_file_that_hdf5_does_not_know_goes_away_and_everything_is_due_again(
    *, whole: RunFolder, plan: Plan, make_room: Mend, remake: Callable[[], MergeReport],
    files: Files,
) -> None:  # fmt: skip
    before = files(whole)
    whole.store_file.write_bytes(b"?" * 1000)
    moved = make_room()
    assert {shard.name for shard in plan.shards[2:-1]} < set(moved)
    remake()
    assert files(whole) == before


def test_a_foreign_array_is_no_result_and_no_chunk_of_a_plan_is_unknown(
    whole: RunFolder, verify: Verify
) -> None:
    with h5py.File(whole.store_file, "r+") as file:
        file.create_dataset("segnet/depth/mine", data=np.zeros((4, 4)), chunks=(2, 2))
    found = {finding.kind for finding in verify(whole)}
    assert found == {"wrong metadata", "unknown file"}


def test_a_store_that_does_not_differ_is_not_written_again(
    whole: RunFolder, plan: Plan, merge: Merge
) -> None:
    was = whole.store_file.stat()
    merge(whole, dict(plan.layouts))
    assert whole.store_file.stat().st_ino == was.st_ino


def test_a_layout_of_half_maps_makes_a_file_that_netcdf_reads(
    run: RunFolder, layout: ExperimentLayout, merge: Merge
) -> None:
    merge(run, {"segnet": dataclasses.replace(layout, maps="half")})
    with h5py.File(run.store_file) as file:
        assert file["segnet/depth/cam_half"].dtype == np.float32
