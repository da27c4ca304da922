"""The test bed where it cannot run, and what needs no Slurm."""

from __future__ import annotations

import os

import pytest

from testbed import machine
from testbed.config import Layout, SlurmOptions
from testbed.fixtures import require


@pytest.fixture
def without_slurm(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setitem(machine.COMMANDS, "slurm", ("no-such-slurm",))
    monkeypatch.delenv("MTLJOBS_TESTBED", raising=False)


@pytest.mark.usefixtures("without_slurm")
def test_test_is_skipped_where_there_is_no_slurm_and_says_why():
    with pytest.raises(pytest.skip.Exception, match=r"no-such-slurm not found: run .*install\.sh"):
        require("slurm")


@pytest.mark.usefixtures("without_slurm")
def test_missing_slurm_fails_a_test_where_it_is_required(monkeypatch):
    monkeypatch.setenv("MTLJOBS_TESTBED", "required")
    with pytest.raises(pytest.fail.Exception, match="no-such-slurm not found"):
        require("slurm")


def test_user_without_the_rights_of_root_is_told_so(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "needs root" in machine.why_not()


def test_another_process_reads_the_layout_of_a_box(tmp_path):
    layout = Layout.pick(SlurmOptions(grace_s=3, lines=("EnforcePartLimits=ALL",)), detached=True)
    layout.write(tmp_path)
    assert Layout.read(tmp_path) == layout
    lines = (tmp_path / "slurm.conf").read_text().splitlines()
    assert "EnforcePartLimits=ALL" in lines
    assert any(line.startswith("PartitionName=low") and "GraceTime=3" in line for line in lines)
