"""What the check of a run takes for no damage, and what it notes."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Callable

import pytest

from mtljobs.contracts import ExperimentLayout
from mtljobs.ledger.attempts import begin
from mtljobs.ledger.commit import new_staging
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder
from mtljobs.ledger.records import RECORD, make_record, write_record
from mtljobs.plan.frozen import Plan, freeze_plan
from mtljobs.store import zarr_files
from mtljobs.store.findings import Checked, Finding
from mtljobs.store.merge import MergeReport
from mtljobs.store.origins import find_mixed_devices
from mtljobs.store.schema import build_schema
from mtljobs.store.staging import Staging
from mtljobs.store.verification import check_store

Layouts = dict[str, ExperimentLayout]
Explain = Callable[..., str]
Merge = Callable[[RunFolder, Layouts], MergeReport]
Verify = Callable[..., list[Finding]]
Flip = Callable[..., None]


def kinds(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.kind, finding.path.name) for finding in findings]


def test_a_run_that_is_not_complete_and_not_merged_is_not_damaged(
    run: RunFolder, plan: Plan, explain: Explain, verify: Verify, flip: Flip
) -> None:
    freeze_plan(run, plan, previous=None)
    assert verify(run) == []
    shard = plan.shards[2]
    name = explain(run, dict(plan.layouts), identity=shard.identity)
    assert {finding.kind for finding in verify(run)} == {"missing record"}  # of its parents
    plan = dataclasses.replace(plan, shards=(shard, plan.shards[-1]))
    assert verify(run, plan=plan) == []
    flip(run.committed / name / "segnet/depth/irof/c.0.0.0.0.0")
    assert kinds(verify(run, plan=plan)) == [("changed file", "c.0.0.0.0.0")]


def test_a_merge_that_died_between_two_chunks_is_no_damage(
    whole: RunFolder, verify: Verify
) -> None:
    record = sorted(whole.ledger.glob("explain-*"))[0]
    folder = whole.committed / record.stem
    create_folder(folder / "segnet/depth/status")
    record.rename(folder / RECORD)
    status = "segnet/depth/status/c.0.0.0.0"
    (whole.store / status).rename(folder / status)
    assert verify(whole) == []


def test_a_store_that_did_not_grow_to_the_newest_plan_yet_is_no_damage(
    whole: RunFolder, verify: Verify, plan: Plan, merge: Merge, make_plan: Callable[..., Plan]
) -> None:
    longer = {"segnet": dataclasses.replace(plan.layouts["segnet"], seeds=(0, 1, 2))}
    grown = make_plan(longer, blocks=3)
    freeze_plan(whole, grown, previous=plan)
    assert verify(whole, plan=grown) == []
    old = {path: path.read_bytes() for path in whole.store.rglob("zarr.json")}
    merge(whole, longer)
    assert verify(whole, plan=grown) == []
    # A merge that was killed halfway through the metadata: the root is as it was.
    root = whole.store / "zarr.json"
    new = root.read_bytes()
    root.write_bytes(old[root])
    assert verify(whole, plan=grown) == []
    # The other way round never happens: a document of the older plan below the newer root.
    root.write_bytes(new)
    document = whole.store / "segnet/depth/irof/zarr.json"
    document.write_bytes(old[document])
    assert kinds(verify(whole, plan=grown)) == [("wrong metadata", "zarr.json")]


def test_a_coordinate_that_another_compressor_wrote_is_no_damage(
    whole: RunFolder, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = zarr_files.encode_labels
    monkeypatch.setattr(
        zarr_files,
        "encode_labels",
        lambda array: {name: chunk + b"?" for name, chunk in encode(array).items()},
    )
    assert verify(whole) == []


def test_items_without_a_result_are_notes(
    whole: RunFolder, workspace: Workspace, plan: Plan, backend: Backend
) -> None:
    folder = new_staging(whole.staging, "x")
    staging = Staging(folder, build_schema(plan.layouts), backend)
    staging.write("segnet/depth", "status", [[1, 8], [0, 1], [8, 1]], sparsity=0, seed=0, block=0)
    name = "segnet/depth/status/c.0.0.0.0"
    shutil.copy(folder / name, whole.store / name)
    first = plan.shards[2]
    record = make_record(folder, shard=first.name, identity=first.identity, versions={})
    write_record(folder, record)
    shutil.copy(folder / RECORD, whole.ledger / f"{first.name}.json")
    shutil.rmtree(folder)
    checked = Checked()
    found = check_store(
        whole, workspace, plan, level="quick", checked=checked, progress=lambda *_: None
    )
    (note,) = [finding for finding in found if finding.kind == "missing items"]
    assert note.is_note
    assert "1 not run, 2 input unreadable" in note.detail
    assert checked.missing_items == 3


def test_what_the_dead_left_is_noted(whole: RunFolder, verify: Verify) -> None:
    new_staging(whole.staging, "explain-segnet-0-0-7-abc")
    (whole.merging / "7").mkdir()
    unfinished = whole.ledger / ".x.json.12-ab.aside"
    unfinished.touch()
    assert {name for _, name in kinds(verify(whole))} == {"explain-segnet-0-0-7-abc.1", "7"}
    os.utime(unfinished, (time.time() - 400, time.time() - 400))
    notes = verify(whole)
    assert {note.path.name for note in notes} == {
        "explain-segnet-0-0-7-abc.1",
        "7",
        unfinished.name,
    }
    assert all(note.is_note for note in notes)


def test_networks_whose_attempts_ran_on_several_devices_or_images_are_named(
    whole: RunFolder, workspace: Workspace, plan: Plan
) -> None:
    other = workspace.run("other")
    create_folder(other.plans)
    begin(whole.attempts, plan.shards[1].name, device="H100", image="ab").end("preempted", "")
    begin(other.attempts, plan.shards[1].name, device="V100", image="ab").end("waiting", "")
    assert list(find_mixed_devices(whole, workspace, plan)) == []
    begin(other.attempts, plan.shards[1].name, device="A100", image="ab").end("done", "")
    (note,) = find_mixed_devices(whole, workspace, plan)
    assert note.shard == plan.shards[1].name
    assert "devices A100 and H100 in 2 attempts" in note.detail
    begin(whole.attempts, plan.shards[1].name, device="H100", image="cd").end("done", "")
    (note,) = find_mixed_devices(whole, workspace, plan)
    assert "images ab and cd" in note.detail
