from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from mtljobs.contracts import Record, Shard
from mtljobs.errors import CorruptionError
from mtljobs.ledger.files import to_json
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder, result_folder
from mtljobs.ledger.records import (
    RECORD,
    find_done,
    find_record,
    make_record,
    read_record,
)
from mtljobs.ledger.records import write_record as write

# FIPS 180-2, appendix B.1: SHA-256 of "abc".
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of a shard: one file in a folder of its own."""
    folder = create_folder(tmp_path / "results" / "deep").parent
    (folder / "deep" / "a").write_bytes(b"abc")
    return folder


def make(folder: Path, shard: Shard) -> Record:
    return make_record(
        folder, shard=shard.name, identity=shard.identity, versions={"mtljobs": "0.1.0"}
    )


def test_a_record_lists_every_file_but_itself(folder: Path, shard: Shard) -> None:
    write(folder, make(folder, shard))
    record = make(folder, shard)
    assert record.files == {"deep/a": (ABC, 3)}
    assert read_record(folder / RECORD) == record


def test_a_record_has_the_same_bytes_for_the_same_results(folder: Path, shard: Shard) -> None:
    write(folder, make(folder, shard))
    first = (folder / RECORD).read_bytes()
    write(folder, make(folder, shard))
    assert (folder / RECORD).read_bytes() == first


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"shard": "a", "identity": "b", "files": {}, "versions": {}}',
    ],
)
def test_what_is_no_record_is_corruption_and_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(CorruptionError, match=r"record\.json.*verify RUN --requeue"):
        read_record(tmp_path / RECORD)


@pytest.mark.parametrize("files", [{"x": 3}, {"../x": ["0", 3]}, {"/x": ["0", 3]}])
def test_a_record_that_lists_what_cannot_be_its_files_is_corruption(
    tmp_path: Path, files: dict[str, object]
) -> None:
    values = {"shard": "a", "identity": "b", "files": files, "versions": {}}
    own = hashlib.sha256(to_json(values)).hexdigest()
    (tmp_path / RECORD).write_bytes(to_json(values | {"sha256": own}))
    with pytest.raises(CorruptionError, match=r"record\.json.*verify RUN --requeue"):
        read_record(tmp_path / RECORD)


def test_a_bit_that_changes_in_any_byte_of_a_record_is_corruption(
    folder: Path, shard: Shard
) -> None:
    write(folder, make(folder, shard))
    content = (folder / RECORD).read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        (folder / RECORD).write_bytes(changed)
        with pytest.raises(CorruptionError):
            read_record(folder / RECORD)


def test_a_shard_is_done_wherever_its_record_stands(
    workspace: Workspace, run: RunFolder, shard: Shard
) -> None:
    assert find_record(workspace, run, shard) is None
    committed = create_folder(result_folder(workspace, run, shard))
    record = make(committed, shard)
    write(committed, record)
    assert find_record(workspace, run, shard) == record
    create_folder(run.ledger)
    (committed / RECORD).rename(run.ledger / f"{shard.name}.json")
    assert find_record(workspace, run, shard) == record


def test_a_shared_network_is_done_for_every_run(workspace: Workspace, shard: Shard) -> None:
    network = dataclasses.replace(shard, stage="train", shared=True)
    folder = create_folder(workspace.networks / shard.identity)
    write(folder, make(folder, network))
    for name in ("one", "two"):
        assert find_record(workspace, workspace.run(name), network) is not None


def test_done_shards_are_found_by_the_places_of_their_records(
    workspace: Workspace, run: RunFolder, shard: Shard
) -> None:
    shards = {
        "committed": shard,
        "merged": dataclasses.replace(shard, name="merged"),
        "network": dataclasses.replace(shard, name="network", stage="train", shared=True),
        "segments": dataclasses.replace(shard, name="segments", stage="segment", shared=True),
        "missing": dataclasses.replace(shard, name="missing"),
        "moved": dataclasses.replace(shard, name="moved"),
    }
    for key in ("committed", "merged", "network", "segments"):
        folder = create_folder(result_folder(workspace, run, shards[key]))
        write(folder, make(folder, shards[key]))
    create_folder(run.ledger)
    (run.committed / "merged" / RECORD).rename(run.ledger / "merged.json")
    create_folder(run.committed / "moved")  # somebody moved a broken record away
    expected = {shards[key].name for key in ("committed", "merged", "network", "segments")}
    assert find_done(workspace, run, shards.values()) == expected


def test_a_record_of_another_identity_is_not_taken_for_the_shards(
    workspace: Workspace, run: RunFolder, shard: Shard
) -> None:
    committed = create_folder(result_folder(workspace, run, shard))
    write(committed, make(committed, dataclasses.replace(shard, identity="f" * 64)))
    with pytest.raises(CorruptionError, match="identity ffff"):
        find_record(workspace, run, shard)


def test_a_record_holds_no_times_and_no_hosts(folder: Path, shard: Shard) -> None:
    write(folder, make(folder, shard))
    assert set(json.loads((folder / RECORD).read_text())) == {
        "shard", "identity", "files", "versions", "sha256",
    }  # fmt: skip
