"""Damage out of the way: what is due again, what stays, and that making it anew mends the run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mtljobs.contracts import ExperimentLayout
from mtljobs.errors import InputMissing
from mtljobs.ledger import claims
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder
from mtljobs.ledger.records import find_done
from mtljobs.plan.frozen import Plan
from mtljobs.store.backend import Backend
from mtljobs.store.findings import Finding
from mtljobs.store.merge import MergeReport
from mtljobs.store.requeue import requeue
from mtljobs.store.writer import sole_writer

Layouts = dict[str, ExperimentLayout]
Explain = Callable[..., str]
Merge = Callable[[RunFolder, Layouts], MergeReport]
Verify = Callable[..., list[Finding]]
Tree = Callable[[Path], dict[str, bytes]]
Flip = Callable[..., None]
Mend = Callable[[], dict[str, Path]]

CHUNK = "segnet/depth/irof/c.0.0.1.0.0"
STATUS = "segnet/depth/status/c.0.0.1.0"


@pytest.mark.parametrize("file", [CHUNK, STATUS])
def test_a_damaged_shard_is_due_again_and_then_the_store_is_as_it_was(
    *,
    whole: RunFolder, plan: Plan, make_room: Mend, remake: Callable[[], MergeReport], tree: Tree,
    flip: Flip, verify: Verify, workspace: Workspace, file: str,
) -> None:  # fmt: skip
    before = tree(whole.store) | tree(whole.ledger)
    bad = plan.shards[3]
    flip(whole.store / file)
    damaged = (whole.store / file).read_bytes()
    ((shard, place),) = make_room().items()
    assert (shard, place) == (bad.name, whole.quarantine / f"{bad.name}.1")
    assert (place / file).read_bytes() == damaged
    assert len(tree(place)) == 12 + 1
    done = find_done(workspace, whole, plan.shards)
    assert done == {one.name for one in plan.shards[:-1]} - {bad.name}
    assert verify(whole) == []  # not done is not damaged
    assert remake().merged == (bad.name,)
    assert tree(whole.store) | tree(whole.ledger) == before


def test_metadata_and_coordinates_are_written_anew_by_the_merge(
    whole: RunFolder, make_room: Mend, remake: Callable[[], MergeReport], tree: Tree, flip: Flip
) -> None:
    before = tree(whole.store)
    names = ("zarr.json", "segnet/depth/irof/zarr.json", "segnet/depth/seed/c.0")
    for name in names:
        flip(whole.store / name)
    assert set(make_room()) == {str(whole.store / name) for name in names}
    remake()
    assert tree(whole.store) == before


def test_a_foreign_file_and_a_broken_record_with_its_chunks_are_moved_away(
    *,
    whole: RunFolder, plan: Plan, make_room: Mend, remake: Callable[[], MergeReport], tree: Tree,
    flip: Flip,
) -> None:  # fmt: skip
    before = tree(whole.store) | tree(whole.ledger)
    (whole.store / "note.txt").write_text("mine")
    flip(whole.ledger / f"{plan.shards[2].name}.json")
    moved = make_room()
    assert len(moved) == 1 + 1 + 12
    assert moved[str(whole.store / "note.txt")].read_text() == "mine"
    assert remake().merged == (plan.shards[2].name,)
    assert tree(whole.store) | tree(whole.ledger) == before


@pytest.mark.parametrize("backend_name", ["zarr", "hdf5"], indirect=True)
def test_a_store_of_the_other_backend_is_one_unknown_file_and_moved_away_whole(
    whole: RunFolder, backend: Backend, verify: Verify, make_room: Mend, tree: Tree
) -> None:
    ours = backend.path(whole)
    other = whole.store_file if ours == whole.store else whole.store
    if other == whole.store:
        create_folder(other)
        (other / "zarr.json").write_text("{}")
        (other / "notes").write_text("mine")
    else:
        other.write_bytes(b"mine")
    before, strange = tree(ours), tree(other)
    (found,) = verify(whole, level="quick")
    assert (found.kind, found.path, found.shard) == ("unknown file", other, None)
    ((path, place),) = make_room().items()
    assert (path, tree(place), tree(ours)) == (str(other), strange, before)
    assert verify(whole) == []


def test_a_damaged_network_is_due_again_alone(
    *,
    whole: RunFolder, plan: Plan, workspace: Workspace, network: Path, make_room: Mend, flip: Flip,
    verify: Verify,
) -> None:  # fmt: skip
    copy = shutil.copytree(network, network.with_name("good"))
    flip(network / "weights.safetensors")
    assert make_room() == {"train-x": whole.quarantine / f"{network.name}.1"}
    done = find_done(workspace, whole, plan.shards)
    assert done == {one.name for one in plan.shards[:-1]} - {"train-x"}
    copy.rename(network)
    assert verify(whole) == []


def test_the_copy_of_the_superpixels_is_made_again_by_the_merge(
    whole: RunFolder, make_room: Mend, remake: Callable[[], MergeReport], tree: Tree, flip: Flip
) -> None:
    before = tree(whole.store) | tree(whole.ledger)
    flip(whole.store / "segnet/inputs/n_segments/c.1")
    (name,) = make_room()
    assert name.startswith("inputs-segnet-")
    assert remake().merged == (name,)
    assert tree(whole.store) | tree(whole.ledger) == before


def test_a_damaged_commit_is_withdrawn_whole(
    whole: RunFolder, plan: Plan, make_room: Mend, explain: Explain, flip: Flip
) -> None:
    shard = plan.shards[2]
    (whole.ledger / f"{shard.name}.json").unlink()
    explain(whole, dict(plan.layouts), identity=shard.identity)
    flip(whole.committed / shard.name / "segnet/depth/irof/c.0.0.0.0.0")
    assert make_room()[shard.name] == whole.quarantine / f"{shard.name}.1"
    assert list(whole.committed.iterdir()) == []


def test_nothing_is_moved_once_somebody_else_writes_the_store(
    whole: RunFolder, workspace: Workspace, plan: Plan, verify: Verify, flip: Flip
) -> None:
    flip(whole.store / CHUNK)
    findings = verify(whole)
    with sole_writer(whole, wait_s=0) as writer:
        writer.claim.release()
        assert claims.acquire(whole.merging) is not None
        with pytest.raises(InputMissing, match="took over"):
            requeue(whole, workspace, plan, findings, writer=writer)
    assert not whole.quarantine.exists()
