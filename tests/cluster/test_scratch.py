from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from types import SimpleNamespace

import pytest

from mtljobs.cluster import scratch
from mtljobs.cluster.scratch import near_copy


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.sif"
    path.write_bytes(b"SIF" * 1000)
    return path


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """A node's scratch, which a job knows by a variable."""
    folder = tmp_path / "local disk"
    folder.mkdir()
    monkeypatch.setenv("NODE_SCRATCH", str(folder))
    # The tests' own folder may lie in memory.
    monkeypatch.setattr(scratch, "_file_system", lambda folder: "ext4")
    return folder


def own(disk):
    return disk / f"mtljobs-{os.getuid()}"


def test_an_image_is_copied_once_and_the_copy_is_private(disk, image):
    copy = near_copy(image, "$NODE_SCRATCH")
    assert copy.read_bytes() == image.read_bytes()
    assert copy.parent == own(disk)
    assert own(disk).stat().st_mode & 0o777 == 0o700
    inode = copy.stat().st_ino
    assert near_copy(image, "${NODE_SCRATCH}").stat().st_ino == inode
    assert sorted(path.suffix for path in own(disk).iterdir()) == [".lock", ".sif"]


def test_a_changed_image_is_copied_anew(disk, image):
    before = near_copy(image, "$NODE_SCRATCH")
    image.write_bytes(b"another")
    after = near_copy(image, "$NODE_SCRATCH")
    assert after.read_bytes() == b"another"
    assert before != after
    assert before.exists()  # a job may run in it


def test_a_data_set_is_copied_with_its_folders(disk, tmp_path):
    data = tmp_path / "data"
    (data / "a" / "b").mkdir(parents=True)
    (data / "a" / "b" / "1.png").write_bytes(b"1")
    (data / "index").write_bytes(b"2")
    copy = near_copy(data, "$NODE_SCRATCH")
    assert copy != data
    files = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    assert files == {"a/b/1.png", "index"}


def test_what_a_killed_copier_left_is_no_copy_and_in_nobodys_way(disk, image):
    copy = near_copy(image, "$NODE_SCRATCH")
    copy.rename(copy.with_name(f"{copy.name}.part"))
    copy.with_name(f"{copy.name}.part").write_bytes(b"half")
    assert near_copy(image, "$NODE_SCRATCH").read_bytes() == image.read_bytes()
    assert not copy.with_name(f"{copy.name}.part").exists()


def test_a_second_job_waits_for_the_copy_of_the_first(disk, image, monkeypatch):
    copy = near_copy(image, "$NODE_SCRATCH")
    copy.unlink()
    lock = next(own(disk).glob("*.lock")).open("ab")
    fcntl.flock(lock, fcntl.LOCK_EX)

    def finish_copy(seconds):
        copy.write_bytes(b"of the first")
        lock.close()

    monkeypatch.setattr(scratch, "time", SimpleNamespace(sleep=finish_copy))
    assert near_copy(image, "$NODE_SCRATCH").read_bytes() == b"of the first"


def test_lock_of_a_killed_copier_is_free(disk, image):
    near_copy(image, "$NODE_SCRATCH").unlink()
    lock = next(own(disk).glob("*.lock"))
    program = (
        "import fcntl, os, sys; fcntl.flock(open(sys.argv[1], 'ab'), fcntl.LOCK_EX); os.abort()"
    )
    subprocess.run([sys.executable, "-c", program, lock], check=False)
    assert near_copy(image, "$NODE_SCRATCH").exists()


class TestFallsBack:
    """To the original, which is always right."""

    def test_where_the_variable_is_not_set(self, image):
        assert near_copy(image, "$NO_SUCH_VARIABLE/x") == image

    def test_where_the_folder_is_missing_or_cannot_be_written(self, disk, image, tmp_path):
        assert near_copy(image, str(tmp_path / "missing")) == image
        assert near_copy(image, "/proc/1") == image

    def test_where_there_is_no_room(self, disk, image, monkeypatch):
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9999, 6999, 3000))
        assert near_copy(image, "$NODE_SCRATCH") == image

    def test_where_the_scratch_is_memory(self, image, tmp_path, monkeypatch):
        monkeypatch.setattr(scratch, "_file_system", lambda folder: "tmpfs")
        assert near_copy(image, str(tmp_path)) == image

    def test_where_somebody_else_may_write_to_the_copy(self, disk, image):
        own(disk).mkdir(mode=0o777)
        own(disk).chmod(0o777)
        assert near_copy(image, "$NODE_SCRATCH") == image

    def test_where_the_folder_is_a_link_of_somebody(self, disk, image, tmp_path):
        own(disk).symlink_to(tmp_path)
        assert near_copy(image, "$NODE_SCRATCH") == image

    def test_where_a_data_set_links_to_folders_outside(self, disk, tmp_path):
        data = tmp_path / "data"
        data.mkdir()
        (data / "link").symlink_to(tmp_path)
        assert near_copy(data, "$NODE_SCRATCH") == data

    def test_where_the_original_is_missing_and_its_reader_will_say_so(self, disk, tmp_path):
        assert near_copy(tmp_path / "gone", "$NODE_SCRATCH") == tmp_path / "gone"

    def test_where_the_job_was_told_to_stop(self, disk, image):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        try:
            signal.raise_signal(signal.SIGUSR2)
            assert near_copy(image, "$NODE_SCRATCH") == image
            assert signal.sigtimedwait({signal.SIGUSR2}, 0) is not None  # is heard later
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert not list(own(disk).glob("*.part"))


def test_kind_of_a_file_system_is_that_of_the_nearest_mount():
    assert scratch._file_system(scratch.Path("/proc/self")) == "proc"
