"""What is read of a cluster with GPUs and accounting, from commands that print as Slurm's do."""

from __future__ import annotations

import pytest

from mtljobs.cluster.site import Association, Site

CONFIG = """Configuration data as of 2026-11-27T01:34:43
AuthInfo                = socket=/run/munge,cred_expire=60
ClusterName             = gpus of/all
KillWait                = 30 sec
MaxArraySize            = 1001
MaxJobCount             = 10000
SLURM_VERSION           = 23.02.6

Slurmctld(primary) at vm is UP
"""
PARTITIONS = """\
PartitionName=short AllowAccounts=ALL AllowQos=ALL Default=YES GraceTime=0 MaxTime=00:30:00 \
PreemptMode=OFF State=UP
PartitionName=gpu AllowAccounts=vision,audio AllowQos=normal Default=NO GraceTime=120 \
MaxTime=3-00:00:00 PreemptMode=REQUEUE State=UP
PartitionName=old AllowAccounts=ALL AllowQos=ALL Default=NO GraceTime=0 MaxTime=UNLIMITED \
PreemptMode=OFF State=DOWN
"""
NODES = """\
short|20|(null)|256000+|mixed
gpu|6|gpu:a100:4(S:0-1)|512000|mixed
gpu|2|gpu:a100:4(S:0-1)|512000|idle
gpu|10|gpu:v100:1|128000|allocated
old|9|gpu:k40:8|64000|idle
"""


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Puts programs on the PATH, each of which prints a text for a beginning of its arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("USER", "me")
    monkeypatch.setenv("LOGNAME", "me")

    def put(name, *answers):
        cases = "\n".join(f"*{words!r}*) cat <<'END'\n{text}\nEND\n;;" for words, text in answers)
        fails = "*) echo 'error: no contact' >&2; exit 1;;"
        (folder / name).write_text(f'#!/bin/sh\ncase "$*" in\n{cases}\n{fails}\nesac\n')
        (folder / name).chmod(0o755)

    return put


@pytest.fixture
def slurm(commands):
    commands("scontrol", ("show config", CONFIG), ("show partition", PARTITIONS), ("ping", "UP"))
    commands("sinfo", ("--format", NODES.strip()))
    commands(
        "sacctmgr",
        ("associations", "vision|normal,long|500\naudio|normal|"),
        ("show user", "vision"),
    )


def test_partition_knows_its_limits_and_its_nodes(slurm):
    gpu = Site.read().partitions["gpu"]
    assert (gpu.walltime_max_min, gpu.grace_s, gpu.preempt_mode) == (4320, 120, "REQUEUE")
    assert gpu.accounts == {"vision", "audio"}
    assert gpu.qos == {"normal"}
    assert gpu.gpu_models == {"a100": 32, "v100": 10}
    assert gpu.memory_max_gb == 500
    assert [nodes.idle for nodes in gpu.nodes] == [False, True, False]


def test_partition_without_limits_says_none(slurm):
    site = Site.read()
    old, short = site.partitions["old"], site.partitions["short"]
    assert (old.walltime_max_min, old.accounts, old.is_up) == (None, None, False)
    assert (short.walltime_max_min, short.gpu_models) == (30, {})


def test_partition_that_nobody_names_is_the_default_one(slurm):
    site = Site.read()
    assert site.partition(None).name == "short"
    assert site.partition("gpu").name == "gpu"
    assert site.partition("gpus") is None


def test_configuration_is_read_by_slurms_own_words(slurm):
    site = Site.read()
    assert (site.number("MaxArraySize"), site.number("KillWait"), site.number("Nothing")) == (
        1001,
        30,
        None,
    )
    assert site.config["AuthInfo"] == "socket=/run/munge,cred_expire=60"


def test_accounts_of_the_user_are_told_by_accounting(slurm):
    assert Site.read().associations == (
        Association("vision", frozenset({"normal", "long"}), True, 500),
        Association("audio", frozenset({"normal"}), False, None),
    )


def test_cluster_without_accounting_has_no_associations(slurm, commands):
    commands("sacctmgr")
    assert Site.read().associations is None


def test_controller_that_does_not_answer_is_no_site(commands):
    commands("scontrol")
    assert Site.read() is None
