from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import pytest

from mtljobs.cluster.first_profile import fill_template, make_first_files, propose_values
from mtljobs.cluster.profiles import find_profile
from mtljobs.cluster.site import Association, Nodes, Partition, Site
from mtljobs.errors import UserError
from mtljobs.plan.grids import read_grid
from mtljobs.settings.profile import Profile

SHORT = Partition(
    name="short", is_default=True, is_up=True, walltime_max_min=30, grace_s=0, preempt_mode="OFF",
    accounts=None, qos=None, nodes=(Nodes(number=9, gpus={}, memory_gb=100.0, idle=True),),
)  # fmt: skip
GPU = Partition(
    name="gpu", is_default=False, is_up=True, walltime_max_min=4320, grace_s=0,
    preempt_mode="OFF", accounts=None, qos=None,
    nodes=(
        Nodes(number=6, gpus={"a100": 4}, memory_gb=500.0, idle=True),
        Nodes(number=20, gpus={"v100": 1}, memory_gb=128.0, idle=True),
    ),
)  # fmt: skip
SITE = Site(
    config={"ClusterName": "my cluster"},
    partitions={"short": SHORT, "gpu": GPU},
    associations=(
        Association("audio", frozenset(), False, None),
        Association("vision", frozenset(), True, None),
    ),
)


def test_profile_of_a_cluster_with_gpus_takes_them_and_leaves_the_sweep_elsewhere():
    assert propose_values(SITE, GPU) == {
        "partition": "gpu",
        "host_partition": "short",
        "account": "vision",
        "gpu_type": "a100",  # 24 of them, 20 of the other
        "walltime_max_min": 4320,
        "memory_max_gb": 118.0,  # 95 % of 500 / 4, as a node's GPUs share its memory
    }


def test_partition_that_is_down_is_not_proposed():
    site = dataclasses.replace(
        SITE, partitions={"short": SHORT, "gpu": dataclasses.replace(GPU, is_up=False)}
    )
    found = make_first_files(site).found
    assert (found["partition"], found["host_partition"]) == ("short", "short")
    assert "gpu_type" not in found


def test_what_the_cluster_does_not_say_is_left_out():
    unlimited = dataclasses.replace(SHORT, walltime_max_min=None)
    site = Site({"ClusterName": "c"}, {"short": unlimited}, None)
    assert propose_values(site, unlimited) == {
        "partition": "short",
        "host_partition": "short",
        "memory_max_gb": 95.0,
    }


def test_first_files_are_a_valid_profile_and_a_valid_grid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    profile, grid = make_first_files(SITE).write(Path())
    assert profile == Path("jobs/profiles/my-cluster.toml")
    assert find_profile("my-cluster") == Profile(**propose_values(SITE, GPU))
    assert read_grid(grid).resources.gpus == 1
    assert read_grid(grid).experiment[0].name == "first"


def test_every_key_of_the_template_can_be_filled():
    values = {
        "partition": 'a "b"', "host_partition": "é", "account": "a", "qos": "q",
        "constraint": "c&d", "gpu_type": "g", "walltime_max_min": 5, "memory_max_gb": 2.5,
        "queued_max": 7, "modules": ["x", "y"], "image": "/i", "environment": "/e",
        "binds": ["/b"], "container_options": ["--x"], "scratch": "$T\\1", "notice_s": 60,
        "jobs_may_submit": False, "umask": "007",
    }  # fmt: skip
    assert list(values) == [field.name for field in dataclasses.fields(Profile)]
    assert tomllib.loads(fill_template(values)) == values


def test_nothing_is_overwritten_and_then_nothing_written(tmp_path):
    grid = tmp_path / "jobs/first.toml"
    grid.parent.mkdir()
    grid.write_text("mine")
    with pytest.raises(UserError, match=r"first.toml is there already, and init overwrites"):
        make_first_files(SITE).write(tmp_path)
    assert grid.read_text() == "mine"
    assert [path.name for path in tmp_path.rglob("*.toml")] == ["first.toml"]


def test_without_slurm_the_profile_is_the_template(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = make_first_files(None)
    _, grid = first.write(Path())
    assert find_profile(first.name) == Profile()
    assert read_grid(grid).resources.gpus == 0
