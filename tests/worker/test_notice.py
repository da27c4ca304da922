"""What a worker does when it is told to stop, finds work done, claimed or impossible."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mtljobs import worker
from mtljobs.cluster.proposal import propose
from mtljobs.cluster.submission import freeze
from mtljobs.errors import CorruptionError
from mtljobs.ledger import claims
from mtljobs.ledger.attempts import AttemptState, read_attempts
from mtljobs.ledger.paths import (
    RunFolder,
    Workspace,
    claim_folder,
    open_workspace,
    scratch_folder,
)
from mtljobs.plan.frozen import Plan, read_plan

torch.set_num_threads(1)


@pytest.fixture
def plan_path(tmp_path: Path) -> Path:
    return freeze(propose("smoke", workspace=open_workspace(tmp_path)))


def index_of(plan: Plan, stage: str) -> int:
    return [shard.stage for shard in plan.shards].index(stage)


def last_attempt(plan_path: Path, shard: str) -> AttemptState:
    return read_attempts(plan_path.parent.parent / "attempts")[shard][-1]


def signal_at(step: int, number: int) -> Callable[[int, int, str], None]:
    """A progress that sends this process a signal once `step` steps are done."""

    def progress(done: int, total: int, what: str) -> None:
        if done == step:
            os.kill(os.getpid(), number)

    return progress


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_notice_makes_a_checkpoint_at_once_and_the_next_attempt_starts_there(
    number: int, plan_path: Path
) -> None:
    plan = read_plan(plan_path)
    index = index_of(plan, "train")
    assert worker.execute(plan_path, index, shown=signal_at(5, number)) == "preempted"
    attempt = last_attempt(plan_path, plan.shards[index].name)
    assert (attempt.state, attempt.detail) == ("preempted", "stopped before iteration 5")
    steps: list[int] = []
    assert worker.execute(plan_path, index, shown=lambda done, *_: steps.append(done)) == "done"
    assert steps[0] == 6


def test_the_attempt_names_the_image_and_the_record_does_not(
    plan_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(worker.IMAGE_VARIABLE, "ab" * 32)
    plan = read_plan(plan_path)
    index = index_of(plan, "segment")
    assert worker.execute(plan_path, index) == "done"
    assert last_attempt(plan_path, plan.shards[index].name).image == "ab" * 32
    record = Workspace(plan_path.parents[2]).inputs / plan.shards[index].identity / "record.json"
    assert "ab" * 32 not in record.read_text(encoding="utf-8")


def test_forked_children_do_not_listen_to_the_notice() -> None:
    stop = worker.StopSignal()
    with stop.installed():
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(int(stop()))
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()


def test_handlers_are_restored_after_a_shard() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with worker.StopSignal().installed():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_second_attempt_at_a_done_shard_is_a_duplicate_and_leaves_it_alone(plan_path: Path) -> None:
    plan = read_plan(plan_path)
    index = index_of(plan, "segment")
    workspace = Workspace(plan_path.parent.parent.parent)
    assert worker.run_shard(str(plan_path), index) == "done"
    folder = workspace.inputs / plan.shards[index].identity
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert worker.run_shard(str(plan_path), index) == "duplicate"
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_shard_waits_for_its_parents_and_for_a_network_that_somebody_claims(
    plan_path: Path,
) -> None:
    plan = read_plan(plan_path)
    evaluate, train = index_of(plan, "evaluate"), index_of(plan, "train")
    assert worker.run_shard(str(plan_path), evaluate) == "waiting"
    workspace = Workspace(plan_path.parent.parent.parent)
    claim = claims.acquire(claim_folder(workspace, plan.shards[train].identity))
    assert claim is not None
    assert worker.run_shard(str(plan_path), train) == "waiting"
    assert "another attempt" in last_attempt(plan_path, plan.shards[train].name).detail
    claim.release()
    assert worker.run_shard(str(plan_path), train) == "done"


def test_failed_attempt_keeps_its_traceback_and_leaves_no_staging(
    plan_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(work: object) -> None:
        raise ZeroDivisionError("made to fail")

    monkeypatch.setattr("mtljobs.stages.segment.run", explode)
    plan = read_plan(plan_path)
    index = index_of(plan, "segment")
    with pytest.raises(ZeroDivisionError):
        worker.run_shard(str(plan_path), index)
    attempt = last_attempt(plan_path, plan.shards[index].name)
    assert attempt.state == "failed"
    assert "ZeroDivisionError: made to fail" in attempt.detail
    assert not list(Workspace(plan_path.parent.parent.parent).staging.iterdir())


def test_disk_full_while_writing_fails_the_attempt_and_the_next_one_succeeds(
    plan_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device")

    plan = read_plan(plan_path)
    index = index_of(plan, "train")
    with monkeypatch.context() as patch:
        patch.setattr("mtljobs.stages.train.save_network", fill)
        with pytest.raises(OSError, match="No space left"):
            worker.run_shard(str(plan_path), index)
    steps: list[int] = []
    assert worker.execute(plan_path, index, shown=lambda done, *_: steps.append(done)) == "done"
    assert steps == []  # all of the training was in the checkpoint


def test_corrupt_network_is_named_with_what_to_do(plan_path: Path) -> None:
    plan = read_plan(plan_path)
    train = index_of(plan, "train")
    worker.run_shard(str(plan_path), train)
    run = RunFolder(plan_path.parent.parent)
    folder = Workspace(run.root.parent).networks / plan.shards[train].identity
    (folder / "weights.safetensors").write_bytes(b"not a network")
    evaluate = index_of(plan, "evaluate")
    with pytest.raises(CorruptionError, match=r"verify RUN --requeue.*mtljobs resume"):
        worker.run_shard(str(plan_path), evaluate)
    assert not list(
        scratch_folder(Workspace(run.root.parent), run, plan.shards[evaluate]).glob("*")
    )


def test_records_name_software_and_neither_times_nor_hosts(plan_path: Path) -> None:
    plan = read_plan(plan_path)
    index = index_of(plan, "segment")
    worker.run_shard(str(plan_path), index)
    workspace = Workspace(plan_path.parent.parent.parent)
    text = (workspace.inputs / plan.shards[index].identity / "record.json").read_text("utf-8")
    assert '"torch"' in text
    assert os.uname().nodename not in text.replace(plan.shards[index].name, "")


def test_attempt_whose_shard_another_finished_meanwhile_is_a_duplicate_not_a_failure(
    plan_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = read_plan(plan_path)
    index = index_of(plan, "segment")

    def lose_the_race(work: object) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(claims, "acquire", lambda folder: claim)
        assert worker.run_shard(str(plan_path), index) == "done"
        raise FileNotFoundError("the scratch is gone")

    workspace = Workspace(plan_path.parent.parent.parent)
    claim = claims.acquire(claim_folder(workspace, plan.shards[index].identity))
    assert claim is not None
    claim.release()
    monkeypatch.setattr("mtljobs.stages.segment.run", lose_the_race)
    assert worker.run_shard(str(plan_path), index) == "duplicate"
