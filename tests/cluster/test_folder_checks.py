from __future__ import annotations

import os
from pathlib import Path

import pytest

from mtljobs.cluster import folder_checks as checks
from mtljobs.settings.profile import Profile


@pytest.mark.parametrize(
    "check",
    [checks.check_rename, checks.check_exclusive, checks.check_sync, checks.check_clock],
)
def test_promises_that_the_ledger_rests_on_are_kept_here(tmp_path, check):
    finding = check(tmp_path)
    assert (finding.verdict, finding.advice) == ("ok", "")


def test_trial_leaves_nothing_and_makes_no_workspace(tmp_path):
    workspace = tmp_path / "not" / "yet"
    with checks.trial_folder(workspace) as trial:
        assert trial.parent == tmp_path
        checks.check_latency(trial)
        assert len(list(trial.iterdir())) == checks.SMALL_FILES
    assert list(tmp_path.iterdir()) == []


def test_rename_that_does_not_replace_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "replace", lambda old, new: None)
    assert checks.check_rename(tmp_path).verdict == "problem"


def test_names_without_an_owner_are_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "touch", lambda path, exist_ok: None)
    assert checks.check_exclusive(tmp_path).verdict == "problem"


def test_file_system_without_hard_links_is_warned_of(tmp_path, monkeypatch):
    def refuse(link, target):
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert checks.check_exclusive(tmp_path).verdict == "warning"


@pytest.mark.parametrize(("skew_s", "verdict"), [(-600, "problem"), (600, "problem"), (20, "ok")])
def test_file_server_whose_clock_is_off_is_a_problem(tmp_path, monkeypatch, skew_s, verdict):
    now = checks.time.time()
    monkeypatch.setattr(checks.time, "time", lambda: now + skew_s)
    assert checks.check_clock(tmp_path).verdict == verdict


def room(monkeypatch, *, gigabytes, inodes, all_inodes=10**7):
    values = (10**6, 10**6, 10**6, gigabytes * 1000, gigabytes * 1000, all_inodes, inodes, inodes)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*values, 0, 255)))


@pytest.mark.parametrize(
    ("gigabytes", "inodes", "verdict"),
    [(500, 10**6, "ok"), (5, 10**6, "warning"), (500, 10, "warning")],
)
def test_little_room_is_warned_of(tmp_path, monkeypatch, gigabytes, inodes, verdict):
    room(monkeypatch, gigabytes=gigabytes, inodes=inodes)
    finding = checks.check_room(tmp_path)
    assert finding.verdict == verdict
    assert f"{gigabytes} GB" in finding.found


def test_file_system_that_makes_inodes_as_it_likes_has_enough(tmp_path, monkeypatch):
    room(monkeypatch, gigabytes=500, inodes=0, all_inodes=0)
    finding = checks.check_room(tmp_path)
    assert (finding.verdict, finding.found) == ("ok", "500 GB and any number of inodes free")


def test_workspace_that_others_may_change_is_a_problem(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    finding = checks.check_privacy(tmp_path / "open" / "runs", Profile())
    assert finding.verdict == "problem"
    assert finding.found == f"everybody may write to {tmp_path / 'open'}"
    (tmp_path / "open").chmod(0o1777)  # as /tmp, where nobody touches what is another's
    assert checks.check_privacy(tmp_path / "open" / "runs", Profile()).verdict == "ok"


@pytest.mark.parametrize(
    ("umask", "verdict", "found"),
    [
        ("077", "ok", "only you may write"),
        ("007", "ok", "your group may write, nobody else"),
        ("000", "problem", "umask '000' lets everybody write"),
    ],
)
def test_umask_is_told_in_words(tmp_path, umask, verdict, found):
    finding = checks.check_privacy(tmp_path, Profile(umask=umask))
    assert (finding.verdict, finding.found) == (verdict, found)


def test_scratch_that_only_a_job_has_is_left_to_the_drill(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_TMPDIR", raising=False)
    assert checks.check_scratch(Profile()) is None
    assert "not set here" in checks.check_scratch(Profile(scratch="$SLURM_TMPDIR")).found
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path))
    assert str(tmp_path) in checks.check_scratch(Profile(scratch="$SLURM_TMPDIR")).found


@pytest.fixture
def quota(tmp_path, monkeypatch):
    def put(text, code=0):
        program = tmp_path / "quota"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return put


def test_quota_is_told_where_there_is_one(quota, tmp_path, monkeypatch):
    quota("Disk quotas for user me\n  /home  31G  50G  55G  1000  0  0")
    assert checks.check_quota().found == "/home 31G 50G 55G 1000 0 0"
    quota("Disk quotas for user me\n  /home  51G* 50G  55G  1000  0  0", 1)
    assert checks.check_quota().verdict == "problem"
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert checks.check_quota() is None
