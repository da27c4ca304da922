from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Callable

import numpy as np
import pytest
import xarray

from mtljobs.contracts import ExperimentLayout
from mtljobs.errors import InputMissing, StaleSlotError
from mtljobs.ledger import claims
from mtljobs.ledger.commit import commit, new_staging
from mtljobs.ledger.files import read_json, to_json
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.ledger.records import make_record, read_record
from mtljobs.store import merge as merging
from mtljobs.store.backend import Backend
from mtljobs.store.merge import MergeReport
from mtljobs.store.schema import build_schema
from mtljobs.store.staging import Staging

Layouts = dict[str, ExperimentLayout]
Explain = Callable[..., str]
Merge = Callable[[RunFolder, Layouts], MergeReport]
Files = Callable[[RunFolder], dict[str, bytes]]
Stored = Callable[[RunFolder], dict[str, bytes]]
OpenStore = Callable[[RunFolder], xarray.DataTree]
pytestmark = pytest.mark.parametrize("backend_name", ["zarr", "hdf5"], indirect=True)

STATUS = "segnet/depth/status/c.0.0.0.0"


def test_a_commit_moves_into_the_store_and_its_record_into_the_ledger(
    *, run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge, stored: Stored,
    open_store: OpenStore,
) -> None:  # fmt: skip
    name = explain(run, layouts)
    record = read_record(run.committed / name / "record.json")
    assert merge(run, layouts) == MergeReport(merged=(name,), kept=(), quarantined={})
    assert read_record(run.ledger / f"{name}.json") == record
    assert list(run.committed.iterdir()) == []
    assert stored(run).keys() == record.files.keys()
    irof = open_store(run)["segnet/depth"]["irof"]
    block = irof.isel(image=slice(0, 3)).sel(sparsity=0.0, seed=0)
    # The segmentation arrays take the generator's first numbers; see the fixture.
    assert block.notnull().all()
    assert irof.notnull().sum() == block.size


def test_a_merge_may_be_repeated_at_any_time(
    run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge, files: Files
) -> None:
    explain(run, layouts)
    merge(run, layouts)
    before = files(run)
    assert merge(run, layouts) == MergeReport((), (), {})
    assert files(run) == before


def test_the_store_has_the_same_bytes_whatever_the_order_of_commits(
    workspace: Workspace, layouts: Layouts, explain: Explain, merge: Merge, files: Files
) -> None:
    work = [((sparsity, 1), block) for sparsity in range(2) for block in range(3)]
    one, two = workspace.run("one"), workspace.run("two")
    for cell, block in work:
        explain(one, layouts, cell=cell, block=block)
    merge(one, layouts)
    for cell, block in reversed(work):
        explain(two, layouts, cell=cell, block=block)
        merge(two, layouts)
    assert len(list(one.ledger.iterdir())) == 6
    assert files(one) == files(two)


def test_growth_changes_no_chunk_of_earlier_results(
    *, run: RunFolder, layout: ExperimentLayout, explain: Explain, merge: Merge, stored: Stored,
    open_store: OpenStore,
) -> None:  # fmt: skip
    for block in range(3):
        explain(run, {"segnet": layout}, cell=(1, 0), block=block)
    explain(run, {"segnet": layout}, cell=(0, 1), block=2)
    merge(run, {"segnet": layout})
    before = stored(run)
    longer = dataclasses.replace(layout, sparsities=(0.0, 0.5, 0.3), seeds=(0, 1, 4))
    explain(run, {"segnet": longer}, cell=(2, 2), block=0)
    merge(run, {"segnet": longer})
    assert len(before) == 4 * 2 * 6
    assert before.items() <= stored(run).items()
    depth = open_store(run)["segnet/depth"].to_dataset()
    assert (depth["status"].sel(sparsity=0.3, seed=4).isel(image=slice(0, 3)) == 1).all()


def test_a_duplicate_of_what_is_in_the_ledger_is_cleared_away(
    run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge, files: Files
) -> None:
    name = explain(run, layouts)
    shutil.copytree(run.committed / name, run.staging / "late")
    merge(run, layouts)
    before = files(run)
    (run.staging / "late").rename(run.committed / name)
    assert merge(run, layouts) == MergeReport(merged=(), kept=(name,), quarantined={})
    assert list(run.committed.iterdir()) == []
    assert files(run) == before


@pytest.mark.parametrize("damage", ["flipped", "short", "missing", "record", "no record"])
def test_a_commit_whose_bytes_are_not_those_of_its_record_is_withdrawn_and_reported(
    run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge, damage: str
) -> None:
    name, good = explain(run, layouts), explain(run, layouts, block=1)
    path = run.committed / name / STATUS
    content = path.read_bytes()
    if damage == "flipped":
        path.write_bytes(content[:9] + bytes([content[9] ^ 1]) + content[10:])
    elif damage == "short":
        path.write_bytes(content[:-1])
    elif damage == "missing":
        path.unlink()
    elif damage == "record":
        (run.committed / name / "record.json").write_text("{")
    else:
        (run.committed / name / "record.json").unlink()
    report = merge(run, layouts)
    assert report.merged == (good,)
    assert list(report.quarantined) == [name]
    assert "record.json" in report.quarantined[name] or STATUS in report.quarantined[name]
    assert not (run.ledger / f"{name}.json").exists()
    assert (run.quarantine / f"{name}.1").is_dir()
    # It counts as not done, and doing it again is all that it takes.
    explain(run, layouts)
    assert merge(run, layouts).merged == (name,)


def test_a_file_that_is_no_chunk_of_the_plan_does_not_enter_the_store(
    run: RunFolder, layouts: Layouts, merge: Merge, stored: Stored
) -> None:
    staging = new_staging(run.staging, "odd")
    (staging / "segnet").mkdir()
    (staging / "segnet" / "zarr.json").write_text("{}")
    record = make_record(staging, shard="odd", identity="0" * 64, versions={})
    commit(staging, run.committed / "odd", record)
    assert "segnet/zarr.json is no chunk" in merge(run, layouts).quarantined["odd"]
    assert not stored(run)


def test_a_chunk_is_never_replaced_by_another_shard(
    run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge, files: Files
) -> None:
    owner = explain(run, layouts, identity="a" * 64)
    merge(run, layouts)
    before = files(run)
    other = explain(run, layouts, identity="b" * 64)
    with pytest.raises(StaleSlotError, match=f"{other} would replace.*belongs to {owner}"):
        merge(run, layouts)
    assert files(run) == before
    assert (run.committed / other).is_dir()


def test_of_two_commits_to_one_chunk_none_replaces_the_other(
    run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge
) -> None:
    first = explain(run, layouts, identity="a" * 64)
    second = explain(run, layouts, identity="b" * 64)
    with pytest.raises(StaleSlotError, match=f"{second} would replace.*belongs to {first}"):
        merge(run, layouts)
    assert (run.ledger / f"{first}.json").exists()
    assert (run.committed / second).is_dir()


def test_chunks_that_belong_to_nobody_are_replaced(
    *, run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge, open_store: OpenStore
) -> None:
    first = explain(run, layouts, identity="a" * 64)
    merge(run, layouts)
    (run.ledger / f"{first}.json").unlink()
    second = explain(run, layouts, identity="b" * 64)
    assert merge(run, layouts).merged == (second,)
    status = open_store(run)["segnet/depth"]["status"]
    assert (status.isel(sparsity=0, seed=0, image=slice(0, 3)) == 1).all()


def test_a_second_merge_waits_and_then_says_who_is_merging(
    run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge
) -> None:
    explain(run, layouts)
    claim = claims.acquire(run.merging)
    assert claim is not None
    with pytest.raises(InputMissing, match=f"pid={os.getpid()}"):
        merge(run, layouts)
    claim.release()
    assert len(merge(run, layouts).merged) == 1


def test_a_merge_that_was_replaced_while_it_slept_stops(
    *, run: RunFolder, workspace: Workspace, layouts: Layouts, explain: Explain, backend: Backend
) -> None:
    name = explain(run, layouts)

    def sleep_and_lose() -> Layouts:
        (claim,) = run.merging.glob("*.json")
        holder = read_json(claim) | {
            "host": "another"
        }  # here, a process that sleeps is seen to live
        claim.write_bytes(to_json(holder))
        os.utime(claim, (time.time() - 360, time.time() - 360))
        assert claims.acquire(run.merging) is not None
        return layouts

    with pytest.raises(InputMissing, match="took over"):
        merging.merge(run, workspace, backend, read_layouts=sleep_and_lose, wait_s=0)
    assert (run.committed / name).is_dir()


def test_a_commit_of_a_plan_that_came_while_merging_waits_for_the_next_merge(
    *, run: RunFolder, workspace: Workspace, layout: ExperimentLayout, explain: Explain,
    backend: Backend, merge: Merge,
) -> None:  # fmt: skip
    longer = dataclasses.replace(layout, sparsities=(0.0, 0.5, 0.3))
    first = explain(run, {"segnet": layout})
    late = []

    def read_and_be_overtaken() -> Layouts:
        late.append(explain(run, {"segnet": longer}, cell=(2, 0)))
        return {"segnet": layout}

    report = merging.merge(run, workspace, backend, read_layouts=read_and_be_overtaken, wait_s=0)
    assert report == MergeReport((first,), (), {})
    assert merge(run, {"segnet": longer}).merged == (late[0],)


def test_what_dead_merges_left_is_removed(run: RunFolder, layouts: Layouts, merge: Merge) -> None:
    (run.merging / "3").mkdir(parents=True)
    (run.merging / "3" / "half").write_text("?")
    merge(run, layouts)
    assert [path.name for path in run.merging.iterdir()] == ["1.json"]


def test_values_come_back_bit_for_bit(
    *, run: RunFolder, layouts: Layouts, merge: Merge, backend: Backend, open_store: OpenStore
) -> None:
    values = np.random.default_rng(0).standard_normal((3, 2, 6)).astype(np.float32)
    values[0, 0] = np.nan
    staging = new_staging(run.staging, "x")
    Staging(staging, build_schema(layouts), backend).write(
        "segnet/depth", "irof", values, sparsity=1, seed=1, block=1
    )
    commit(staging, run.committed / "x", make_record(staging, shard="x", identity="", versions={}))
    merge(run, layouts)
    found = open_store(run)["segnet/depth"]["irof"]
    found = found.sel(sparsity=0.5, seed=1, image=["test-00003", "test-00004", "test-00005"])
    assert found.values.tobytes() == values.tobytes()
