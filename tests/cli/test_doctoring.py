from __future__ import annotations

import pytest

from mtljobs.cluster import doctor
from mtljobs.cluster.finding import ok, problem, warning
from mtljobs.cluster.site import Site


@pytest.fixture(autouse=True)
def no_slurm(tmp_path, monkeypatch):
    """A machine without Slurm, and a project to work in."""
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)


def test_init_writes_a_profile_and_a_grid_and_says_what_to_do(mtljobs, tmp_path):
    answer = mtljobs("init project")
    assert answer.code == 0
    assert "No Slurm answers here, so the profile is the bare template." in answer.out
    assert "wrote project/jobs/profiles/cluster.toml" in answer.out
    assert "mtljobs doctor --profile cluster" in answer.out
    assert (tmp_path / "project/jobs/first.toml").is_file()


def test_init_overwrites_nothing(mtljobs):
    assert mtljobs("init").code == 0
    again = mtljobs("init")
    assert again.code == 2
    assert "is there already, and init overwrites nothing" in again.err


def test_init_prints_what_it_found(mtljobs, monkeypatch):
    site = Site({"ClusterName": "big"}, {}, None)
    monkeypatch.setattr(Site, "read", lambda: site)
    answer = mtljobs("init")
    assert "Found the cluster big:" in answer.out
    assert "wrote jobs/profiles/big.toml" in answer.out


@pytest.mark.parametrize("profile", ["", "--profile cluster"])
def test_doctor_ends_with_1_where_something_keeps_shards_from_running(mtljobs, profile):
    mtljobs("init")
    answer = mtljobs(f"doctor {profile}")
    assert answer.code == 1
    text = " ".join(answer.out.split())
    assert "problem commands sbatch, squeue, scontrol, scancel, srun not on the PATH" in text
    assert "-> run this on a login node" in text
    assert "1 problem" in answer.out


def test_doctor_ends_with_0_where_there_are_only_warnings(mtljobs, monkeypatch):
    found = [ok("a", "fine"), warning("b", "slow", "wait")]
    monkeypatch.setattr(doctor, "examine", lambda profile, workspace: found)
    answer = mtljobs("doctor")
    assert (answer.code, answer.out.splitlines()[-1]) == (0, "1 ok, 1 warning")


def test_doctor_answers_programs_in_json(mtljobs, monkeypatch):
    found = [problem("b", "gone", "mend it")]
    monkeypatch.setattr(doctor, "examine", lambda profile, workspace: found)
    answer = mtljobs("doctor --json")
    assert answer.code == 1
    assert answer.json == [
        {"subject": "b", "verdict": "problem", "found": "gone", "advice": "mend it"}
    ]


def test_doctor_looks_at_the_workspace_and_leaves_nothing_in_it(mtljobs, workspace):
    assert f"{workspace.root}" not in mtljobs("doctor").err
    assert not workspace.root.exists()


def test_misspelt_profile_names_the_nearest(mtljobs):
    answer = mtljobs("doctor --profile habrock")
    assert answer.code == 2
    assert "did you mean 'habrok'?" in answer.err


def test_drill_needs_a_slurm(mtljobs):
    answer = mtljobs("doctor --drill")
    assert answer.code == 2
    assert "there is nothing to rehearse on" in answer.err
