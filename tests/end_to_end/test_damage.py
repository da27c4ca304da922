"""Disks that are full and bytes that changed: what is finished stays, what is lost is named.

After each fault the run is completed and has the bytes of a run that nothing happened to.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mtljobs import worker
from mtljobs.cluster.states import read_states
from mtljobs.plan.frozen import newest_plan
from mtljobs.stages.explainer import Explainer


def flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@contextmanager
def full_disk(folder: Path, *, noticed_by: str) -> Iterator[None]:
    """While inside, one way of writing fails below a folder."""
    owner = os if noticed_by == "fsync" else Path
    write = getattr(owner, noticed_by)

    def refuse(target, *arguments):
        path = f"/proc/self/fd/{target}" if isinstance(target, int) else target
        if Path(os.path.realpath(path)).is_relative_to(folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # the system names no file
        return write(target, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, noticed_by, refuse)
        yield


@pytest.fixture
def assert_completed(finished_desk, tree):
    """Completes a desk's run and compares it with one that nothing happened to."""

    def complete(desk) -> None:
        ends = desk.work()
        assert ends["reduce"] == "done", ends
        assert read_states(desk.run).is_complete
        assert tree(desk.run.store) == tree(finished_desk.run.store)

    return complete


@pytest.fixture
def explained(monkeypatch):
    """Grows by one for every image that is explained from now on."""
    counted = []
    explain = Explainer.explain

    def count(self, images):
        for arrays in explain(self, images):
            counted.append(arrays)
            yield arrays

    monkeypatch.setattr(Explainer, "explain", count)
    return counted


@pytest.mark.parametrize("noticed_by", ["write_bytes", "fsync", "rename"])
def test_disk_that_is_full_when_results_are_written_costs_no_image_that_was_explained(
    desk, assert_completed, explained, noticed_by
):
    with full_disk(desk.run.staging, noticed_by=noticed_by):
        ends = desk.work("explain")
    assert all("No space left on device" in end for end in ends.values())
    assert list(desk.run.staging.iterdir()) == []
    assert len(explained) == 4
    assert_completed(desk)
    assert len(explained) == 4


def test_disk_that_is_full_when_a_checkpoint_is_written_costs_that_image(
    desk, assert_completed, explained
):
    with full_disk(desk.run.work, noticed_by="fsync"):
        ends = desk.work("explain")
    assert all("No space left on device" in end for end in ends.values())
    assert len(explained) == 2  # the first of each shard
    assert [path for path in desk.run.work.rglob("*") if path.is_file()] == []
    assert_completed(desk)
    assert len(explained) == 2 + 4


def test_full_disk_is_explained_by_status_and_logs_without_a_traceback(desk, mtljobs):
    with full_disk(desk.run.staging, noticed_by="write_bytes"):
        (name,) = desk.work("evaluate")
    status = mtljobs("status", desk.run.root)
    assert status.code == 1
    (line,) = [line for line in status.out.splitlines() if line.startswith("failed")]
    assert line.startswith(f"failed   {name}: No space left on device: make room")
    assert "mtljobs resume" in line
    assert "Traceback" not in mtljobs("logs", name, "--run", desk.run.root).out


def test_full_disk_is_explained_by_the_command_that_meets_it(desk, assert_completed, mtljobs):
    desk.work("evaluate", "explain")
    with full_disk(desk.run.merging, noticed_by="fsync"):
        answer = mtljobs("reduce", desk.run.root)
    assert (answer.code, answer.out) == (1, "")
    (line,) = answer.err.strip().splitlines()
    assert line.startswith("No space left on device: make room")
    assert_completed(desk)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MiB, which a network and its checkpoint exceed."""
    folder = tmp_path / "desk" / "runs"
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    folder.mkdir(parents=True)
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("nobody may mount a file system here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_run_on_a_disk_that_was_really_full_goes_on_once_there_is_room(
    small_disk, new_desk, assert_completed
):
    ends = new_desk.work()
    assert "No space left on device" in ends[new_desk.shard("train").name]
    assert ends[new_desk.shard("segment").name] == "done"
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert_completed(new_desk)


def test_damaged_checkpoint_of_an_image_is_set_aside_and_the_image_explained_again(
    desk, assert_completed, explained, mtljobs
):
    shard = desk.shard("explain")
    index = desk.shards.index(shard)

    def stop_after_one(done: int, total: int, what: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    assert worker.execute(newest_plan(desk.run), index, shown=stop_after_one) == "preempted"
    (checkpoint,) = (desk.run.work / shard.name).iterdir()
    flip(checkpoint)
    assert_completed(desk)
    assert len(explained) == 4 + 1
    log = mtljobs("logs", shard.name, "--run", desk.run.root).out
    assert f"{checkpoint} is corrupt" in log


def test_damaged_commit_is_quarantined_by_the_reduction_and_computed_again(
    desk, assert_completed, mtljobs
):
    desk.work("evaluate", "explain")
    shard = desk.shard("explain")
    flip(desk.run.committed / shard.name / "desk/depth/irof/c.0.0.0.0.0")
    answer = mtljobs("reduce", desk.run.root)
    assert answer.code == 1
    assert shard.name in answer.err
    assert f"`mtljobs resume {desk.run.name}`" in answer.err
    assert "Traceback" not in answer.err
    assert (desk.run.quarantine / f"{shard.name}.1").is_dir()
    state = read_states(desk.run)
    assert [name for name, known in state.shards.items() if known.state != "done"] == [shard.name]
    assert_completed(desk)


@pytest.mark.parametrize("command", ["reduce", "report", "export"])
def test_damaged_store_is_reported_with_what_mends_it(desk, assert_completed, mtljobs, command):
    desk.work()
    shard = desk.shard("explain", 1)
    chunk = desk.run.store / "desk/depth/irof/c.0.0.1.0.0"
    flip(chunk)
    options = ["--output", desk.folder / "exported.nc"] if command == "export" else []
    answer = mtljobs(command, desk.run.root, *options)
    assert answer.code == 1
    for part in (chunk, f"mtljobs verify {desk.run.name} --requeue", "mtljobs resume"):
        assert str(part) in answer.err
    assert "Traceback" not in answer.err
    assert mtljobs("verify", desk.run.root, "--requeue").code == 1
    state = read_states(desk.run)
    assert [name for name, known in state.shards.items() if known.state != "done"] == [shard.name]
    assert_completed(desk)
    assert mtljobs("verify", desk.run.root, "--decode").code == 0


@pytest.mark.parametrize(("stage", "file"), [("segment", "segments.npy"),
                                             ("train", "weights.safetensors")])  # fmt: skip
def test_damaged_superpixels_or_network_are_made_again_after_verify_made_room(
    desk, assert_completed, mtljobs, stage, file
):
    shard = desk.shard(stage)
    made = {"segment": desk.workspace.inputs, "train": desk.workspace.networks}[stage]
    flip(made / shard.identity / file)
    for end in desk.work("explain").values():
        assert f"{made / shard.identity / file} is not what was committed" in end
        assert "`mtljobs verify RUN --requeue` moves it" in end
    assert mtljobs("verify", desk.run.root, "--requeue").code == 1
    assert_completed(desk)


def test_superpixels_that_are_damaged_before_the_reduction_are_made_again(
    desk, assert_completed, mtljobs
):
    desk.work("evaluate", "explain")
    shard = desk.shard("segment")
    flip(desk.workspace.inputs / shard.identity / "n_segments.npy")
    answer = mtljobs("reduce", desk.run.root)
    assert answer.code == 1
    assert f"{shard.name}: " in answer.err
    assert "n_segments.npy" in answer.err
    assert_completed(desk)
