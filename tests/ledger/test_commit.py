from __future__ import annotations

import os
from pathlib import Path

import pytest

from mtljobs.contracts import Record
from mtljobs.errors import CorruptionError
from mtljobs.ledger import attempts, claims
from mtljobs.ledger.commit import commit, new_staging, sweep_run, sweep_shared, withdraw
from mtljobs.ledger.paths import RunFolder, Workspace, claim_folder, create_folder
from mtljobs.ledger.records import RECORD, make_record, read_record


def fill(staging: Path, content: str) -> Record:
    (staging / "result").write_text(content)
    return make_record(staging, shard="s", identity="1" * 64, versions={})


def test_results_and_their_record_appear_together(run: RunFolder) -> None:
    staging = new_staging(run.staging, "s")
    record = fill(staging, "first")
    assert commit(staging, run.committed / "s", record)
    assert (run.committed / "s" / "result").read_text() == "first"
    assert read_record(run.committed / "s" / RECORD) == record
    assert not staging.exists()


def test_every_file_is_on_the_disk_before_the_rename_and_the_rename_after_it(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = new_staging(run.staging, "s")
    create_folder(staging / "deep")
    (staging / "deep" / "chunk").write_text("x")
    record = fill(staging, "mine")
    events: list[str] = []
    sync, rename = os.fsync, Path.rename

    def watch_sync(descriptor: int) -> None:
        events.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def watch_rename(self: Path, target: Path) -> Path:
        events.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", watch_sync)
    monkeypatch.setattr(Path, "rename", watch_rename)
    commit(staging, run.committed / "s", record)
    moment = events.index("rename")
    assert {"result", "chunk", "deep", "record.json", "s.1"} <= set(events[:moment])
    assert events[moment + 1 :] == ["committed"]


def test_the_second_commit_loses_and_leaves_nothing(run: RunFolder) -> None:
    first, second = new_staging(run.staging, "s"), new_staging(run.staging, "s")
    assert commit(first, run.committed / "s", fill(first, "first"))
    assert not commit(second, run.committed / "s", fill(second, "second"))
    assert (run.committed / "s" / "result").read_text() == "first"
    assert list(run.staging.iterdir()) == []


def test_a_shard_in_the_ledger_is_not_committed_again(run: RunFolder) -> None:
    entry = create_folder(run.ledger) / "s.json"
    entry.write_text("{}")
    staging = new_staging(run.staging, "s")
    assert not commit(staging, run.committed / "s", fill(staging, "late"), merged=entry)
    assert not staging.exists()
    assert not (run.committed / "s").exists()


def test_files_without_a_record_in_the_target_are_reported_not_replaced(run: RunFolder) -> None:
    target = create_folder(run.committed / "s")
    (target / "theirs").write_text("?")
    staging = new_staging(run.staging, "s")
    with pytest.raises(CorruptionError, match="verify RUN --requeue"):
        commit(staging, target, fill(staging, "mine"))
    assert (target / "theirs").read_text() == "?"


def test_an_empty_leftover_in_the_target_does_not_block(run: RunFolder) -> None:
    target = create_folder(run.committed / "s")
    staging = new_staging(run.staging, "s")
    assert commit(staging, target, fill(staging, "mine"))


def test_every_staging_is_new_and_empty_whatever_was_left_there(run: RunFolder) -> None:
    leftover = new_staging(run.staging, "s")
    (leftover / "half").write_text("?")
    staging = new_staging(run.staging, "s")
    assert staging != leftover
    assert list(staging.iterdir()) == []
    assert staging.stat().st_mode & 0o777 == 0o700


def test_the_sweep_removes_what_dead_attempts_left_and_keeps_what_is_being_written(
    run: RunFolder,
) -> None:
    attempts.begin(run.attempts, "live", device="cpu")
    dead = attempts.begin(run.attempts, "dead", device="cpu")
    dead.end("failed", "")
    for shard in ("live", "dead", "unknown"):
        (new_staging(run.staging, shard) / "half").write_text("?")
    assert sweep_run(run) == [run.staging / "dead.1", run.staging / "unknown.1"]
    assert [path.name for path in run.staging.iterdir()] == ["live.1"]


def test_shared_staging_lives_as_long_as_its_claim(workspace: Workspace) -> None:
    claim = claims.acquire(claim_folder(workspace, "claimed"))
    assert claim is not None
    for identity in ("claimed", "free"):
        new_staging(workspace.staging, identity)
    assert sweep_shared(workspace) == [workspace.staging / "free.1"]
    claim.release()
    assert sweep_shared(workspace) == [workspace.staging / "claimed.1"]


def test_scratch_goes_once_its_shard_is_done_and_nobody_works_on_it(
    run: RunFolder, workspace: Workspace
) -> None:
    for shard in ("merged", "committed", "unfinished"):
        create_folder(run.work / shard)
    create_folder(run.ledger).joinpath("merged.json").touch()
    create_folder(run.committed / "committed").joinpath(RECORD).touch()
    assert sweep_run(run) == [run.work / "committed", run.work / "merged"]
    for identity in ("trained", "unfinished"):
        create_folder(workspace.work / identity)
    create_folder(workspace.networks / "trained").joinpath(RECORD).touch()
    assert sweep_shared(workspace) == [workspace.work / "trained"]


def test_withdrawn_results_are_kept_and_do_not_hide_each_other(run: RunFolder) -> None:
    for content in ("one", "two"):
        staging = new_staging(run.staging, "s")
        commit(staging, run.committed / "s", fill(staging, content))
        withdraw(run.committed / "s", run.quarantine)
    assert not (run.committed / "s").exists()
    assert (run.quarantine / "s.1" / "result").read_text() == "one"
    assert (run.quarantine / "s.2" / "result").read_text() == "two"
