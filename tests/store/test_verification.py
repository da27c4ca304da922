"""Damage to a run's files, and what the check says of it; numbers are checked in test_items.py."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mtljobs.contracts import ExperimentLayout
from mtljobs.ledger.files import hash_file
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.ledger.records import RECORD
from mtljobs.plan.frozen import Plan, freeze_plan, read_plan
from mtljobs.store import schema, sources
from mtljobs.store.findings import Checked, Finding
from mtljobs.store.schema import build_schema
from mtljobs.store.verification import Level, check_store

Layouts = dict[str, ExperimentLayout]
Verify = Callable[..., list[Finding]]
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
