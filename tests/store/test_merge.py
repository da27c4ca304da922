from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

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
from mtljobs.store.merge import MergeReport

Layouts = dict[str, ExperimentLayout]
Explain = Callable[..., str]
Merge = Callable[[RunFolder, Layouts], MergeReport]
Tree = Callable[[Path], dict[str, bytes]]
STATUS = "segnet/depth/status/c.0.0.0.0"


def test_a_commit_moves_into_the_store_and_its_record_into_the_ledger(
    run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge
) -> None:
    name = explain(run, layouts)
    record = read_record(run.committed / name / "record.json")
    assert merge(run, layouts) == MergeReport(merged=(name,), kept=(), quarantined={})
    assert read_record(run.ledger / f"{name}.json") == record
    assert list(run.committed.iterdir()) == []
    assert all((run.store / file).exists() for file in record.files)
    irof = xarray.open_zarr(run.store, group="segnet/depth", chunks=None)["irof"]
    block = irof.isel(image=slice(0, 3)).sel(sparsity=0.0, seed=0)
    # The segmentation arrays take the generator's first numbers; see the fixture.
    assert block.notnull().all()
    assert irof.notnull().sum() == block.size


def test_a_merge_may_be_repeated_at_any_time(
    run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge, tree: Tree
) -> None:
    explain(run, layouts)
    merge(run, layouts)
    before = tree(run.store) | tree(run.ledger)
    assert merge(run, layouts) == MergeReport((), (), {})
    assert tree(run.store) | tree(run.ledger) == before


def test_the_store_has_the_same_bytes_whatever_the_order_of_commits(
    workspace: Workspace, layouts: Layouts, explain: Explain, merge: Merge, tree: Tree
) -> None:
    work = [((s, t), block) for s in range(2) for t in range(2) for block in range(3)]
    one, two = workspace.run("one"), workspace.run("two")
    for cell, block in work:
        explain(one, layouts, cell=cell, block=block)
    merge(one, layouts)
    for cell, block in reversed(work):
        explain(two, layouts, cell=cell, block=block)
        merge(two, layouts)
    assert len(tree(one.ledger)) == 12
    assert tree(one.store) == tree(two.store)
    assert tree(one.ledger) == tree(two.ledger)


def test_growth_moves_and_changes_no_chunk_of_earlier_results(
    run: RunFolder, layout: ExperimentLayout, explain: Explain, merge: Merge, tree: Tree
) -> None:
    for block in range(3):
        explain(run, {"segnet": layout}, cell=(1, 0), block=block)
    name = explain(run, {"segnet": layout}, cell=(0, 1), block=2)
    merge(run, {"segnet": layout})
    record = read_record(run.ledger / f"{name}.json")
    before = tree(run.store)
    longer = dataclasses.replace(layout, sparsities=(0.0, 0.5, 0.3), seeds=(0, 1, 4))
    explain(run, {"segnet": longer}, cell=(2, 2), block=0)
    merge(run, {"segnet": longer})
    after = tree(run.store)
    results = [file for file in before if file.endswith(tuple("0123456789"))]
    chunks = [file for file in results if file.count(".") > 2]
    assert len(chunks) == 4 * 2 * 6
    assert set(record.files) <= set(chunks)
    assert all(after[file] == before[file] for file in chunks)
    depth = xarray.open_zarr(run.store, group="segnet/depth", chunks=None)
    assert (depth["status"].sel(sparsity=0.3, seed=4).isel(image=slice(0, 3)) == 1).all()


def test_a_duplicate_of_what_is_in_the_ledger_is_cleared_away(
    run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge, tree: Tree
) -> None:
    name = explain(run, layouts)
    shutil.copytree(run.committed / name, run.staging / "late")
    merge(run, layouts)
    before = tree(run.store)
    (run.staging / "late").rename(run.committed / name)
    assert merge(run, layouts) == MergeReport(merged=(), kept=(name,), quarantined={})
    assert list(run.committed.iterdir()) == []
    assert tree(run.store) == before


def test_a_merge_that_died_between_two_chunks_is_finished_by_the_next(
    run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge, tree: Tree
) -> None:
    name = explain(run, layouts)
    undisturbed = run.root.with_name("undisturbed")
    shutil.copytree(run.root, undisturbed)
    merge(RunFolder(undisturbed), layouts)
    merge(run, layouts)
    # Back to the middle of it: two chunks are still in the commit, the record too.
    (run.ledger / f"{name}.json").rename(run.root / "record.json")
    for file in (STATUS, "segnet/depth/irof/c.0.0.0.0.0"):
        (run.committed / name / file).parent.mkdir(parents=True)
        (run.store / file).rename(run.committed / name / file)
    (run.root / "record.json").rename(run.committed / name / "record.json")
    assert merge(run, layouts).merged == (name,)
    assert tree(run.store) == tree(undisturbed / "store.zarr")


def test_status_is_the_last_to_move(
    run: RunFolder,
    layouts: Layouts,
    explain: Explain,
    merge: Merge,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = explain(run, layouts)
    moved: list[str] = []
    replace = Path.replace

    def watch(self: Path, target: Path) -> Path:
        if self.is_relative_to(run.committed):
            moved.append(self.parent.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    merge(run, layouts)
    assert len(moved) == len(read_record(run.ledger / f"{name}.json").files) == 12
    assert moved[-2:] == ["status", "status"]
    assert "status" not in moved[:-2]


@pytest.mark.parametrize("damage", ["flipped", "short", "missing", "record", "no record"])
def test_a_commit_whose_bytes_are_not_those_of_its_record_is_withdrawn_and_reported(
    run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge, damage: str
) -> None:
    name, good = explain(run, layouts), explain(run, layouts, block=1)
    path = run.committed / name / STATUS
    content = path.read_bytes()
    if damage == "flipped":
        path.write_bytes(content[:20] + bytes([content[20] ^ 1]) + content[21:])
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
    run: RunFolder, layouts: Layouts, merge: Merge
) -> None:
    staging = new_staging(run.staging, "odd")
    (staging / "segnet").mkdir()
    (staging / "segnet" / "zarr.json").write_text("{}")
    record = make_record(staging, shard="odd", identity="0" * 64, versions={})
    commit(staging, run.committed / "odd", record)
    assert "segnet/zarr.json is no chunk" in merge(run, layouts).quarantined["odd"]
    assert (run.store / "segnet" / "zarr.json").read_text() != "{}"


def test_a_chunk_is_never_replaced_by_another_shard(
    run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge, tree: Tree
) -> None:
    owner = explain(run, layouts, identity="a" * 64)
    merge(run, layouts)
    before = tree(run.store)
    other = explain(run, layouts, identity="b" * 64)
    with pytest.raises(StaleSlotError, match=f"{other} would replace.*belongs to {owner}"):
        merge(run, layouts)
    assert tree(run.store) == before
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


def test_chunks_that_a_withdrawn_commit_left_in_the_store_are_replaced(
    run: RunFolder, layouts: Layouts, explain: Explain, merge: Merge
) -> None:
    merge(run, layouts)
    (run.store / STATUS).write_bytes(b"half of a merge")
    name = explain(run, layouts)
    assert merge(run, layouts).merged == (name,)
    status = xarray.open_zarr(run.store, group="segnet/depth", chunks=None)["status"]
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
    run: RunFolder, workspace: Workspace, layouts: Layouts, explain: Explain
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


def test_what_dead_merges_left_is_removed(run: RunFolder, layouts: Layouts, merge: Merge) -> None:
    (run.merging / "3").mkdir(parents=True)
    (run.merging / "3" / "half").write_text("?")
    merge(run, layouts)
    assert [path.name for path in run.merging.iterdir()] == ["1.json"]


def test_values_come_back_bit_for_bit(
    run: RunFolder, workspace: Workspace, layouts: Layouts, merge: Merge
) -> None:
    values = np.random.default_rng(0).standard_normal((3, 2, 6)).astype(np.float32)
    values[0, 0] = np.nan
    staging = new_staging(run.staging, "x")
    Staging(staging, build_schema(layouts), backend).write(
        "segnet/depth", "irof", values, sparsity=1, seed=1, block=1
    )
    commit(staging, run.committed / "x", make_record(staging, shard="x", identity="", versions={}))
    merge(run, layouts)
    found = xarray.open_zarr(run.store, group="segnet/depth", chunks=None)["irof"]
    found = found.sel(sparsity=0.5, seed=1, image=["test-00003", "test-00004", "test-00005"])
    assert found.values.tobytes() == values.tobytes()
