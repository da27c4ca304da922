from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from mtljobs.contracts import ExperimentLayout, Shard, TaskLayout
from mtljobs.ledger.commit import commit, new_staging
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder
from mtljobs.ledger.records import make_record, read_record, write_record
from mtljobs.plan.cells import reduction
from mtljobs.plan.frozen import Plan, freeze_plan
from mtljobs.plan.networks import shard_identity
from mtljobs.store import merge as merging
from mtljobs.store.backend import Backend, load_backend
from mtljobs.store.findings import Checked, Finding
from mtljobs.store.merge import MergeReport
from mtljobs.store.requeue import requeue
from mtljobs.store.schema import build_schema
from mtljobs.store.staging import Staging
from mtljobs.store.verification import Level, check_store
from mtljobs.store.writer import sole_writer

Layouts = dict[str, ExperimentLayout]


@pytest.fixture(autouse=True)
def _no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here cuts the power, so nothing here waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def layout() -> ExperimentLayout:
    """2 sparsities, 2 seeds, 7 images in blocks of 3, 3 and 1."""
    return ExperimentLayout(
        sparsities=(0.0, 0.5),
        seeds=(0, 1),
        images=tuple(f"test-{index:05d}" for index in range(7)),
        block=3,
        size=(8, 6),
        cam_size=(2, 3),
        segments_max=5,
        tasks={
            "segmentation": TaskLayout(
                groups=("bed", "books", "wall"),
                metrics=("miou", "pixel_accuracy"),
                lower_is_better=(),
                arrays={"confusion": ("label", "prediction")},
            ),
            "depth": TaskLayout(
                groups=("0.00-0.50", "0.50-1.00"),
                metrics=("abs_error",),
                lower_is_better=("abs_error",),
                arrays={},
            ),
        },
        layers=("conv1", "conv2"),
        maps="native",
        map_images=7,
        previews=2,
        inputs=shard_identity({"stage": "segment"}, {}),
        settings={"name": "segnet", "sparsities": [0.0, 0.5], "seeds": [0, 1], "width": 0.25},
    )


@pytest.fixture
def longer(layout: ExperimentLayout) -> ExperimentLayout:
    """The layout after a sparsity between the others and a seed were appended."""
    settings = {**layout.settings, "sparsities": [0.0, 0.5, 0.3], "seeds": [0, 1, 2]}
    return dataclasses.replace(
        layout, sparsities=(0.0, 0.5, 0.3), seeds=(0, 1, 2), settings=settings
    )


@pytest.fixture
def layouts(layout: ExperimentLayout) -> Layouts:
    return {"segnet": layout}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def run(workspace: Workspace) -> RunFolder:
    return workspace.run("demo")


Explain = Callable[..., str]


@pytest.fixture
def backend_name(request: pytest.FixtureRequest) -> str:
    """What a test that is about no backend runs on; others say which, with `indirect`."""
    return getattr(request, "param", "zarr")


@pytest.fixture
def backend(backend_name: str) -> Backend:
    return load_backend(backend_name)


@pytest.fixture
def explain(backend: Backend) -> Explain:
    """Commit what an explain shard finds on one block of one cell; the name of the shard."""

    def commit_block(
        run: RunFolder,
        layouts: Layouts,
        *,
        cell: tuple[int, int] = (0, 0),
        block: int = 0,
        identity: str = "a" * 64,
    ) -> str:
        name = f"explain-segnet-{cell[0]}-{cell[1]}-{block}-{identity[:12]}"
        layout = layouts["segnet"]
        images = min(layout.block, len(layout.images) - block * layout.block)
        random = np.random.default_rng([*cell, block])
        folder = new_staging(run.staging, name)
        staging = Staging(folder, build_schema(layouts), backend)
        where = {"sparsity": cell[0], "seed": cell[1], "block": block}
        for task, task_layout in layout.tasks.items():
            item = (images, len(task_layout.groups))
            for array, shape in {
                "irof": (*item, layout.segments_max + 1),
                "segment_score": (*item, layout.segments_max),
                "cam": (*item, *layout.cam_size),
                "cam_max": item,
            }.items():
                staging.write(f"segnet/{task}", array, random.random(shape), **where)
            order = random.integers(0, layout.segments_max, (*item, layout.segments_max))
            staging.write(f"segnet/{task}", "order", order, **where)
            staging.write(f"segnet/{task}", "status", np.ones(item, dtype=int), **where)
        record = make_record(folder, shard=name, identity=identity, versions={"mtljobs": "0"})
        commit(folder, run.committed / name, record, merged=run.ledger / f"{name}.json")
        return name

    return commit_block


Merge = Callable[[RunFolder, Layouts], MergeReport]
MakePlan = Callable[..., Plan]
Verify = Callable[..., list[Finding]]
Mend = Callable[[], dict[str, Path]]


@pytest.fixture
def merge(workspace: Workspace, backend: Backend) -> Merge:
    def merge_now(run: RunFolder, layouts: Layouts) -> MergeReport:
        return merging.merge(run, workspace, backend, read_layouts=lambda: layouts, wait_s=0)

    return merge_now


@pytest.fixture
def stored(backend: Backend) -> Callable[[RunFolder], dict[str, bytes]]:
    """Reads every chunk of a run's store that a record lists, by name."""

    def read(run: RunFolder) -> dict[str, bytes]:
        merged = backend.merged(backend.path(run))
        records = [read_record(path) for path in run.ledger.glob("*.json")]
        listed = {name for record in records for name in record.files}
        return {name: merged.read(name) for name in merged.names() if name in listed}

    return read


@pytest.fixture
def files(backend: Backend) -> Callable[[RunFolder], dict[str, bytes]]:
    """Reads every file that a run's store and ledger consist of."""

    def read(run: RunFolder) -> dict[str, bytes]:
        return read_tree(backend.path(run)) | read_tree(run.ledger)

    return read


@pytest.fixture
def open_store(backend: Backend) -> Callable[[RunFolder], xarray.DataTree]:
    """Opens a run's store with xarray alone; warnings are errors."""

    def open_it(run: RunFolder) -> xarray.DataTree:
        path = backend.path(run)
        engine = "h5netcdf" if path.is_file() else "zarr"
        return xarray.open_datatree(path, engine=engine, chunks=None)

    return open_it


@pytest.fixture
def superpixels(workspace: Workspace, layout: ExperimentLayout) -> Path:
    """What the segment shard commits: ten test images, of which the layout shows seven."""
    folder = create_folder(workspace.inputs / layout.inputs)
    random = np.random.default_rng(0)
    ids = [f"test-{index:05d}" for index in reversed(range(10))]
    arrays: dict[str, Any] = {
        "segments": random.integers(0, 5, (10, 8, 6)).astype(np.uint16),
        "n_segments": np.arange(1, 11, dtype=np.uint16),
        "preview": random.integers(0, 256, (10, 8, 6, 3)).astype(np.uint8),
    }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    (folder / "images.json").write_text(str(ids).replace("'", '"'))
    record = make_record(folder, shard="segment-x", identity=layout.inputs, versions={"slic": "1"})
    write_record(folder, record)
    return folder


@pytest.fixture
def make_plan(layout: ExperimentLayout, backend_name: str) -> MakePlan:
    """Makes a plan of superpixels, a network, and so many blocks of its cell."""

    def make(layouts: Layouts, *, blocks: int) -> Plan:
        segment = Shard(
            "segment-x", "segment", layout.inputs, True, (), {}, {"stage": "segment"}, {}
        )
        spec = {"stage": "train"}
        train = Shard("train-x", "train", shard_identity(spec, {}), True, (), {}, spec, {})
        shards = [segment, train]
        for block in range(blocks):
            spec = {"stage": "explain", "block": str(block)}
            identity = shard_identity(spec, {})
            name = f"explain-segnet-0-0-{block}-{identity[:12]}"
            parents = (segment.name, train.name)
            shards.append(Shard(name, "explain", identity, False, parents, {}, spec, {}))
        return Plan(
            grid="segnet",
            cells=(),
            layouts=layouts,
            shards=(*shards, reduction(tuple(shards))),
            resources={},
            backend=backend_name,
        )

    return make


@pytest.fixture
def plan(layouts: Layouts, make_plan: MakePlan) -> Plan:
    return make_plan(layouts, blocks=2)


@pytest.fixture
def network(workspace: Workspace, plan: Plan) -> Path:
    """What the network's shard commits."""
    shard = plan.shards[1]
    folder = create_folder(workspace.networks / shard.identity)
    (folder / "weights.safetensors").write_bytes(bytes(range(200)))
    record = make_record(folder, shard=shard.name, identity=shard.identity, versions={"torch": "2"})
    write_record(folder, record)
    return folder


@pytest.fixture
def made(superpixels: Path, network: Path) -> None:
    """All that runs share is there."""


@pytest.fixture
def whole(run: RunFolder, plan: Plan, explain: Explain, merge: Merge, made: None) -> RunFolder:
    """A run of two blocks, merged, with superpixels and network."""
    del made
    freeze_plan(run, plan, previous=None)
    for block, shard in enumerate(plan.shards[2:-1]):
        explain(run, dict(plan.layouts), block=block, identity=shard.identity)
    merge(run, dict(plan.layouts))
    return run


@pytest.fixture
def verify(workspace: Workspace, plan: Plan) -> Verify:
    """Checks a run; what it finds."""

    def check(run: RunFolder, *, plan: Plan = plan, level: Level = "default") -> list[Finding]:
        return list(
            check_store(
                run, workspace, plan, level=level, checked=Checked(), progress=lambda *_: None
            )
        )

    return check


@pytest.fixture
def make_room(whole: RunFolder, workspace: Workspace, plan: Plan, verify: Verify) -> Mend:
    """Checks the run and requeues what is found; where it went."""

    def check_and_requeue() -> dict[str, Path]:
        with sole_writer(whole, wait_s=0) as writer:
            return requeue(whole, workspace, plan, verify(whole), writer=writer)

    return check_and_requeue


@pytest.fixture
def remake(
    whole: RunFolder, plan: Plan, explain: Explain, merge: Merge
) -> Callable[[], MergeReport]:
    """Computes what is due again, and merges; what the merge said."""

    def resume_and_reduce() -> MergeReport:
        for block, shard in enumerate(plan.shards[2:-1]):
            explain(whole, dict(plan.layouts), block=block, identity=shard.identity)
        return merge(whole, dict(plan.layouts))

    return resume_and_reduce


def flip_bit(path: Path, *, place: int | None = None, bit: int = 0) -> None:
    """Change one bit of a file, by default in its middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 1 << bit
    path.write_bytes(content)


@pytest.fixture
def flip() -> Callable[..., None]:
    return flip_bit


def read_tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder; a file's own content under the name "."."""
    if folder.is_file():
        return {".": folder.read_bytes()}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def tree() -> Callable[[Path], dict[str, bytes]]:
    return read_tree
