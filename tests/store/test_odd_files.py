"""Links, FIFOs, folders and closed folders where files ought to be: found, named, moved away."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtljobs.ledger.attempts import begin
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder
from mtljobs.plan.frozen import Plan, freeze_plan, read_plan
from mtljobs.results.table_check import find_changed_tables
from mtljobs.store.findings import Finding
from mtljobs.store.merge import MergeReport
from mtljobs.store.origins import find_mixed_devices

Verify = Callable[..., list[Finding]]
Tree = Callable[[Path], dict[str, bytes]]
Mend = Callable[[], dict[str, Path]]
Remake = Callable[[], MergeReport]

CHUNK = "store.zarr/segnet/depth/irof/c.0.0.1.0.0"

FILES = {
    CHUNK: "missing file",
    "store.zarr/zarr.json": "wrong metadata",
    "store.zarr/segnet/depth/irof/zarr.json": "wrong metadata",
    "store.zarr/segnet/depth/group/c.0": "wrong metadata",
    "ledger/{shard}.json": "broken record",
    "{network}/record.json": "broken record",
    "{network}/weights.safetensors": "missing file",
    "{superpixels}/segments.npy": "missing file",
}
"""Each kind of file that a check reads -> what it says of something else in its place."""


def link_in_a_circle(path: Path) -> None:
    path.symlink_to(path.name)


ODD = {"a link in a circle": link_in_a_circle, "a FIFO": os.mkfifo, "a folder": Path.mkdir}


@pytest.fixture
def locate(whole: RunFolder, plan: Plan, network: Path, superpixels: Path) -> Callable[[str], Path]:
    places = {"shard": plan.shards[2].name, "network": network, "superpixels": superpixels}

    def find(name: str) -> Path:
        return whole.root / name.format(**places)

    return find


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_is_one_finding_and_hides_no_other(
    whole: RunFolder, verify: Verify, locate: Callable[[str], Path], name: str, odd: str
) -> None:
    other = whole.store / "segnet/depth/order/c.0.0.0.0.0"
    other.write_bytes(b"")
    path = locate(name)
    path.unlink()
    ODD[odd](path)
    for level in ("quick", "default", "decode"):
        found = {(one.kind, one.path) for one in verify(whole, level=level)}
        assert (FILES[name], path) in found
        assert name == "ledger/{shard}.json" or ("changed file", other) in found


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_file_is_moved_away_and_the_store_mended(
    *,
    whole: RunFolder, locate: Callable[[str], Path], make_room: Mend, remake: Remake, tree: Tree,
    verify: Verify, odd: str,
) -> None:  # fmt: skip
    before = tree(whole.store) | tree(whole.ledger)
    for name in FILES:
        if name.startswith(("store", "ledger")):
            locate(name).unlink()
            ODD[odd](locate(name))
    make_room()
    remake()
    assert tree(whole.store) | tree(whole.ledger) == before
    assert verify(whole) == []


@pytest.mark.parametrize("target", ["nowhere", "/etc", "{other}"])
@pytest.mark.parametrize("place", ["store.zarr/old", "store.zarr/segnet/depth/old", "ledger/old"])
def test_a_foreign_link_is_found_and_moved_and_what_it_leads_to_stays(
    *, whole: RunFolder, verify: Verify, make_room: Mend, tmp_path: Path, place: str, target: str
) -> None:  # fmt: skip
    other = tmp_path / "other.zarr"
    shutil.copytree(whole.store, other)
    link = whole.root / place
    link.symlink_to(target.format(other=other))
    (finding,) = verify(whole)
    assert (finding.kind, finding.path) == ("unknown file", link)
    (moved,) = make_room().values()
    assert moved.is_relative_to(whole.quarantine)
    assert str(moved.readlink()) == target.format(other=other)
    assert verify(whole) == []
    assert (other / "zarr.json").is_file()


def test_a_record_that_is_a_dangling_link_is_moved_away(
    whole: RunFolder, plan: Plan, make_room: Mend, remake: Remake, verify: Verify
) -> None:
    record = whole.ledger / f"{plan.shards[2].name}.json"
    record.unlink()
    record.symlink_to("nowhere")
    make_room()
    assert not os.path.lexists(record)
    remake()
    assert verify(whole) == []


@pytest.mark.parametrize("backend_name", ["hdf5"], indirect=True)
@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_store_in_hdf5_is_moved_away_and_the_store_made_anew(
    *, whole: RunFolder, verify: Verify, make_room: Mend, remake: Remake, odd: str
) -> None:
    before = whole.store_file.read_bytes()
    whole.store_file.unlink()
    ODD[odd](whole.store_file)
    for level in ("quick", "default"):
        found = [(one.kind, one.path) for one in verify(whole, level=level)]
        assert ("wrong metadata", whole.store_file) in found
    assert os.path.lexists(make_room()[str(whole.store_file)])
    assert not os.path.lexists(whole.store_file)
    remake()
    assert whole.store_file.read_bytes() == before
    assert verify(whole) == []


def verify_closed(run: RunFolder, folders: list[Path], *, mode: int) -> dict[str, Any]:
    """What `verify --requeue` says to somebody whom folders keep out, as they do not keep root."""
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    command = [*drop, sys.executable, "-m", "mtljobs", "verify", run.name, "--requeue", "--json"]
    environment = os.environ | {"MTLJOBS_WORKSPACE": str(run.root.parent)}
    for folder in folders:
        folder.chmod(mode)
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    finally:
        for folder in folders:
            folder.chmod(0o700)
    assert done.returncode == 1, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_folders_that_cannot_be_read_are_a_finding_each_and_hide_no_other(
    *, whole: RunFolder, plan: Plan, network: Path, mode: int, tree: Tree
) -> None:
    begin(whole.attempts, plan.shards[1].name, device="cpu").end("done", "")
    create_folder(whole.tables).joinpath("records.json").touch()
    note = whole.ledger / "note.txt"
    note.touch()
    before = tree(whole.root)
    closed = {
        whole.store / "segnet/depth/irof": "unreadable chunk",
        whole.attempts: "broken record",
        network.parent: "broken record",
        whole.tables: "changed tables",
    }
    said = verify_closed(whole, list(closed), mode=mode)
    found = {Path(one["path"]): one["kind"] for one in said["findings"]}
    assert found.pop(note) == "unknown file"
    assert {
        folder: kind
        for path, kind in found.items()
        for folder in closed
        if path.is_relative_to(folder)
    } == closed
    assert len(found) == len(closed)
    assert list(said["moved"]) == [str(note)]
    assert before.keys() - tree(whole.root).keys() == {"ledger/note.txt"}


@pytest.mark.parametrize("name", ["ledger", "committed"])
def test_no_chunk_is_foreign_while_somebody_may_list_it_in_a_folder_that_cannot_be_read(
    whole: RunFolder, network: Path, name: str, tree: Tree
) -> None:
    (network / "weights.safetensors").write_bytes(b"")
    (whole.store / "note.txt").touch()
    before = tree(whole.root)
    folder = create_folder(whole.root / name)
    said = verify_closed(whole, [folder], mode=0)
    found = [(one["kind"], one["path"]) for one in said["findings"]]
    assert found == [
        ("broken record", str(folder)), ("changed file", str(network / "weights.safetensors"))
    ]  # fmt: skip
    assert list(said["moved"]) == ["train-x"]
    assert before.items() <= tree(whole.root).items()


def test_tables_that_went_all_at_once_are_missed_where_a_reduction_wrote_them(
    whole: RunFolder,
) -> None:
    attempt = begin(whole.attempts, "reduce", device="cpu")
    assert list(find_changed_tables(whole)) == []
    attempt.end("failed", "")
    assert list(find_changed_tables(whole)) == []
    begin(whole.attempts, "reduce", device="cpu").end("done", "")
    (finding,) = find_changed_tables(whole)
    assert (finding.kind, finding.path) == ("missing file", whole.tables / "records.json")
    whole.tables.mkdir()
    assert len(list(find_changed_tables(whole))) == 1


@pytest.mark.parametrize("odd", ODD)
def test_a_plan_that_is_no_file_is_one_finding(
    whole: RunFolder, verify: Verify, plan: Plan, odd: str
) -> None:
    grown = dataclasses.replace(plan, grid="again")
    freeze_plan(whole, grown, previous=plan)
    path = whole.plans / "0001.jsonl"
    path.unlink()
    ODD[odd](path)
    read_plan.cache_clear()
    (finding,) = verify(whole, plan=grown)
    assert (finding.kind, finding.path) == ("wrong plan", path)


def test_an_attempt_that_is_a_fifo_is_waited_for_by_nobody(
    whole: RunFolder, workspace: Workspace, plan: Plan
) -> None:
    attempt = begin(whole.attempts, plan.shards[1].name, device="cpu")
    attempt.path.unlink()
    os.mkfifo(attempt.path)
    assert list(find_mixed_devices(whole, workspace, plan)) == []


@pytest.mark.parametrize(
    ("backend_name", "file"),
    [("zarr", "store.zarr/segnet/depth/seed/c.0"), ("hdf5", "store.h5")],
    indirect=["backend_name"],
)
def test_a_broken_store_that_no_record_speaks_of_stands_in_nobodys_way(
    whole: RunFolder, verify: Verify, make_room: Mend, remake: Remake, file: str
) -> None:
    for record in whole.ledger.iterdir():  # as a requeue leaves it that was killed
        record.unlink()
    (whole.root / file).write_bytes(b"?" * 100)
    assert ("wrong metadata", whole.root / file) in {(one.kind, one.path) for one in verify(whole)}
    make_room()
    remake()
    assert verify(whole) == []
