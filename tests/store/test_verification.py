"""Damage to a run's files, and what the check says of it; numbers are checked in test_items.py."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mtljobs.contracts import ExperimentLayout
from mtljobs.ledger.attempts import begin
from mtljobs.ledger.commit import new_staging
from mtljobs.ledger.files import hash_file
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder
from mtljobs.ledger.records import RECORD, make_record, write_record
from mtljobs.plan.frozen import Plan, freeze_plan, read_plan
from mtljobs.store import schema, sources, zarr_files
from mtljobs.store.findings import Checked, Finding
from mtljobs.store.merge import MergeReport
from mtljobs.store.origins import find_mixed_devices
from mtljobs.store.schema import build_schema
from mtljobs.store.staging import Staging
from mtljobs.store.verification import Level, check_store

Layouts = dict[str, ExperimentLayout]
Explain = Callable[..., str]
Merge = Callable[[RunFolder, Layouts], MergeReport]
Verify = Callable[..., list[Finding]]
Tree = Callable[[Path], dict[str, bytes]]
Flip = Callable[..., None]

CHUNK = "segnet/depth/irof/c.0.0.1.0.0"


def kinds(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.kind, finding.path.name) for finding in findings]


@pytest.mark.parametrize("level", ["quick", "default"])
def test_a_whole_run_has_no_findings_and_everything_is_counted(
    whole: RunFolder, workspace: Workspace, plan: Plan, level: Level
) -> None:
    checked = Checked()
    found = check_store(
        whole, workspace, plan, level=level, checked=checked, progress=lambda *_: None
    )
    assert list(found) == []
    # The network, the superpixels, two blocks, and the copy of the superpixels: three chunks along
    # image, twice, and the previews' one.
    assert checked.shards == 1 + 1 + 2 + 1
    assert checked.files == 1 + 4 + 2 * 12 + (2 * 3 + 1)
    assert (checked.bytes > 1000) == (level == "default")
    assert checked.not_done == 0


def test_a_bit_that_changes_in_any_byte_of_a_chunk_is_found(
    whole: RunFolder, verify: Verify, flip: Flip
) -> None:
    chunk = whole.store / CHUNK
    content = chunk.read_bytes()
    for place in range(0, len(content), 41):
        flip(chunk, place=place, bit=place % 8)
        (finding,) = verify(whole)
        assert (finding.kind, finding.path) == ("changed file", chunk)
        assert str(finding.shard).startswith("explain-segnet-0-0-1-")
        chunk.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("store.zarr/zarr.json", "wrong metadata"),
        ("store.zarr/segnet/zarr.json", "wrong metadata"),
        ("store.zarr/segnet/depth/irof/zarr.json", "wrong metadata"),
        ("store.zarr/segnet/depth/seed/c.0", "wrong metadata"),
        ("store.zarr/segnet/depth/group/c.0", "wrong metadata"),
        ("store.zarr/segnet/inputs/segments/c.1.0.0", "changed file"),
    ],
)
def test_a_bit_that_changes_in_another_file_of_the_run_is_found(
    whole: RunFolder, verify: Verify, flip: Flip, file: str, kind: str
) -> None:
    flip(whole.root / file)
    (finding,) = verify(whole)
    assert (finding.kind, finding.path) == (kind, whole.root / file)
    assert "expected" in finding.detail
    assert "found" in finding.detail


def test_settings_that_are_not_those_of_their_identity_are_found(
    whole: RunFolder, verify: Verify, plan: Plan
) -> None:
    *shards, last = plan.shards
    shards[2] = dataclasses.replace(shards[2], spec={"stage": "explain", "block": "5"})
    (finding,) = verify(whole, plan=dataclasses.replace(plan, shards=(*shards, last)))
    assert (finding.kind, finding.path.name) == ("wrong plan", "0001.jsonl")
    assert shards[2].name in finding.detail


@pytest.mark.parametrize("name", ["segments.npy", RECORD])
def test_a_bit_that_changes_in_the_superpixels_is_found(
    whole: RunFolder, verify: Verify, superpixels: Path, flip: Flip, name: str
) -> None:
    flip(superpixels / name)
    (finding,) = verify(whole)
    assert (finding.path, finding.shard) == (superpixels / name, "segment-x")


@pytest.mark.parametrize("name", ["weights.safetensors", RECORD])
def test_a_bit_that_changes_in_a_network_is_found(
    whole: RunFolder, verify: Verify, network: Path, flip: Flip, name: str
) -> None:
    flip(network / name)
    (finding,) = verify(whole)
    assert finding.kind == ("broken record" if name == RECORD else "changed file")
    assert (finding.path, finding.shard) == (network / name, "train-x")


def test_a_broken_record_leaves_chunks_that_nobody_lists(
    whole: RunFolder, verify: Verify, flip: Flip
) -> None:
    record = sorted(whole.ledger.glob("explain-*"))[0]
    flip(record)
    broken, *unknown = verify(whole)
    assert (broken.kind, broken.path, broken.shard) == ("broken record", record, record.stem)
    assert [finding.kind for finding in unknown] == ["unknown file"] * 12


def test_missing_shortened_and_foreign_files_are_all_named_even_by_the_quick_look(
    whole: RunFolder, verify: Verify, network: Path
) -> None:
    (whole.store / "segnet/depth/status/c.0.0.0.0").unlink()
    (whole.store / CHUNK).write_bytes((whole.store / CHUNK).read_bytes()[:-1])
    (whole.store / "segnet/depth/order/zarr.json").unlink()
    (whole.store / "segnet/depth/c.txt").write_text("mine")
    (whole.ledger / "note.txt").write_text("mine")
    (network / "more").touch()
    found = {(kind, name) for kind, name in kinds(verify(whole, level="quick"))}
    assert found == {
        ("missing file", "c.0.0.0.0"),
        ("changed file", "c.0.0.1.0.0"),
        ("missing file", "zarr.json"),
        ("unknown file", "c.txt"),
        ("unknown file", "note.txt"),
        ("unknown file", "more"),
    }


@pytest.mark.parametrize("root", ["there", "gone"])
def test_an_outgrown_plan_that_is_broken_is_one_finding_and_hides_no_other(
    whole: RunFolder, verify: Verify, plan: Plan, flip: Flip, root: str
) -> None:
    grown = dataclasses.replace(plan, grid="again")
    freeze_plan(whole, grown, previous=plan)
    flip(whole.plans / "0001.jsonl")
    read_plan.cache_clear()
    flip(whole.store / CHUNK)
    if root == "gone":  # then it does not say which plan the store has grown to
        (whole.store / "zarr.json").unlink()
    found = set(kinds(verify(whole, plan=grown)))
    also = {("missing file", "zarr.json")} if root == "gone" else set()
    assert found == also | {("changed file", Path(CHUNK).name), ("wrong plan", "0001.jsonl")}


def test_a_file_that_the_disk_does_not_give_hides_no_other(
    whole: RunFolder, verify: Verify, flip: Flip, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = whole.store / "segnet/depth/cam/c.0.0.0.0.0.0"
    flip(whole.store / CHUNK)

    def read(path: str) -> str:
        if path == str(bad):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return hash_file(path)

    monkeypatch.setattr(sources, "hash_file", read)
    first, second = verify(whole)
    assert {first.path, second.path} == {bad, whole.store / CHUNK}
    assert "Input/output error" in first.detail + second.detail


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("store.zarr/zarr.json", "wrong metadata"),
        ("store.zarr/segnet/depth/group/c.0", "wrong metadata"),
        ("ledger/{shard}.json", "broken record"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_finding_and_hides_no_other(
    whole: RunFolder, verify: Verify, plan: Plan, name: str, kind: str
) -> None:
    path = whole.root / name.format(shard=plan.shards[2].name)
    path.unlink()
    path.mkdir()
    missing = whole.store / CHUNK
    missing.unlink()
    for level in ("quick", "default"):
        found = {(one.kind, one.path) for one in verify(whole, level=level)}
        # What a broken record lists, nobody lists.
        assert {one for one in found if one[0] != "unknown file"} == {
            (kind, path), ("missing file", missing)
        }  # fmt: skip


def test_a_quick_look_reads_no_results(whole: RunFolder, verify: Verify, flip: Flip) -> None:
    flip(whole.store / CHUNK)
    assert verify(whole, level="quick") == []
    assert len(verify(whole)) == 1


def test_a_network_that_is_gone_is_missed_by_what_was_made_from_it(
    whole: RunFolder, verify: Verify, network: Path, plan: Plan
) -> None:
    shutil.rmtree(network)
    (finding,) = verify(whole)
    assert (finding.kind, finding.shard) == ("missing record", plan.shards[1].name)
    assert "mtljobs resume demo" in finding.detail
    network.mkdir()
    (finding,) = verify(whole)
    assert finding.kind == "missing record"


def test_a_record_that_was_copied_from_elsewhere_is_found(whole: RunFolder, verify: Verify) -> None:
    first, second = sorted(whole.ledger.glob("explain-*"))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    assert verify(whole)[0].kind == "broken record"
    first.write_bytes(content)
    (whole.ledger / "explain-segnet-0-0-9-abc.json").write_bytes(content)
    (finding,) = verify(whole)
    assert finding.kind == "unknown record"


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


def test_all_of_several_damages_are_listed(
    whole: RunFolder, verify: Verify, network: Path, flip: Flip
) -> None:
    flip(whole.store / CHUNK)
    flip(whole.store / "segnet/segmentation/cam/c.0.0.0.0.0.0")
    flip(whole.store / "segnet/depth/image/c.0")
    flip(network / "weights.safetensors")
    assert sorted(kinds(verify(whole))) == [
        ("changed file", "c.0.0.0.0.0.0"),
        ("changed file", "c.0.0.1.0.0"),
        ("changed file", "weights.safetensors"),
        ("wrong metadata", "c.0"),
    ]


@pytest.mark.parametrize("backend_name", ["zarr", "hdf5"], indirect=True)
def test_maps_that_are_read_one_by_one_are_decoded_like_others(
    *, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, verify: Verify, plan: Plan
) -> None:
    monkeypatch.setattr(schema, "_MAPS_AT_ONCE", 1)
    assert build_schema(plan.layouts)["segnet/depth"].arrays["cam"].parts == (1, 1, 1, 1, 2, 3)
    found = verify(request.getfixturevalue("whole"), level="decode")
    # The curves of the fixture are random; that nothing is unreadable is what counts here.
    assert {finding.kind for finding in found} == {"wrong values"}
