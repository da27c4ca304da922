from __future__ import annotations

import pytest

from mtljobs.cluster.memory import count_oom_kills, memory_limit_gb, was_near


@pytest.fixture
def write(tmp_path):
    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    return write


def test_kills_are_those_of_the_jobs_own_cgroup_in_version_2(tmp_path, write):
    write("slurm/job_7/memory.events", "low 0\nhigh 0\nmax 9\noom 4\noom_kill 2\n")
    write("slurm/job_8/memory.events", "oom_kill 5\n")
    assert count_oom_kills("0::/slurm/job_7\n", tmp_path) == 2


def test_a_group_that_counts_no_memory_asks_the_one_around_it(tmp_path, write):
    write("slurm/job_7/memory.events", "oom_kill 3\n")
    (tmp_path / "slurm/job_7/step_batch/task_0").mkdir(parents=True)
    assert count_oom_kills("0::/slurm/job_7/step_batch/task_0\n", tmp_path) == 3


def test_kills_are_read_in_version_1_beside_an_empty_version_2(tmp_path, write):
    write("memory/slurm/job_7/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    membership = "9:cpuset:/slurm/job_9\n4:memory:/slurm/job_7\n0::/\n"
    assert count_oom_kills(membership, tmp_path) == 1


@pytest.mark.parametrize("membership", ["", "0::/gone\n", "4:memory:/gone\n"])
def test_where_nothing_is_counted_nothing_was_killed(tmp_path, membership):
    assert count_oom_kills(membership, tmp_path) == 0


def test_this_machine_can_be_asked():
    assert count_oom_kills() >= 0


@pytest.mark.parametrize(("told", "expected"), [({"SLURM_MEM_PER_NODE": "1536"}, 1.5), ({}, None)])
def test_the_limit_is_what_the_job_was_given(told, expected):
    assert memory_limit_gb(told) == expected


def test_no_child_of_this_process_was_as_large_as_a_terabyte():
    assert not was_near(1024)
