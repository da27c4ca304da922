from __future__ import annotations

import dataclasses

import pytest

from mtljobs.cluster import slurm_checks as checks
from mtljobs.cluster.site import Association, Nodes, Partition, Site
from mtljobs.settings.profile import Profile

GPU = Partition(
    name="gpu", is_default=True, is_up=True, walltime_max_min=1440, grace_s=60,
    preempt_mode="REQUEUE", accounts=frozenset({"vision"}), qos=None,
    nodes=(Nodes(number=4, gpus={"a100": 4}, memory_gb=500.0, idle=True),),
)  # fmt: skip
CONFIG = {
    "ClusterName": "c",
    "SLURM_VERSION": "23.02.6",
    "PreemptType": "preempt/partition_prio",
    "PreemptParameters": "send_user_signal",
    "SlurmctldParameters": "(null)",
    "MaxArraySize": "1001",
    "MaxJobCount": "10000",
    "KillWait": "30 sec",
    "JobRequeue": "1",
    "AuthInfo": "(null)",
}
SITE = Site(
    CONFIG,
    {"gpu": GPU},
    (Association("vision", frozenset({"normal"}), is_default=True, submitted_max=200),),
)


def site(**config):
    return dataclasses.replace(SITE, config={**CONFIG, **config})


def gpu(**changes):
    return dataclasses.replace(GPU, **changes)


def says(finding, verdict, *words):
    text = f"{finding.found} -> {finding.advice}"
    assert finding.verdict == verdict, text
    assert bool(finding.advice) == (verdict != "ok")
    for word in words:
        assert word in text


class TestPartition:
    def check(self, **profile):
        return checks.check_partition(
            SITE, "partition", profile.get("partition"), Profile(**profile)
        )

    def test_default_one_is_taken_where_none_is_named(self):
        says(self.check(), "ok", "gpu: 4 nodes, 4 of them idle")

    def test_misspelt_one_names_the_nearest(self):
        says(self.check(partition="gpus"), "problem", "did you mean 'gpu'?")

    def test_one_that_the_account_may_not_use_is_a_problem(self):
        says(self.check(account="audio"), "problem", "does not take account 'audio'", "vision")

    def test_one_that_is_down_is_a_problem(self):
        down = dataclasses.replace(SITE, partitions={"gpu": gpu(is_up=False)})
        says(checks.check_partition(down, "partition", "gpu", Profile()), "problem", "is not up")


class TestWhatJobsMayAskFor:
    @pytest.mark.parametrize(
        ("own", "verdict", "words"),
        [
            (1440, "ok", "gpu has 1440 min"),
            (1441, "problem", "set walltime_max_min = 1440"),
            (None, "warning", "accepted and never start"),
        ],
    )
    def test_time_limit_fits_the_partition(self, own, verdict, words):
        says(checks.check_time_limit(GPU, Profile(walltime_max_min=own)), verdict, words)

    def test_unlimited_partition_takes_any_time(self):
        found = checks.check_time_limit(gpu(walltime_max_min=None), Profile())
        says(found, "ok", "no limit")

    def test_gpu_of_another_model_is_a_problem(self):
        says(checks.check_gpus(GPU, Profile(gpu_type="a10")), "problem", "did you mean 'a100'?")
        says(checks.check_gpus(GPU, Profile(gpu_type="a100")), "ok", "16 a100")

    def test_two_models_without_a_choice_are_warned_of(self):
        two = gpu(nodes=(*GPU.nodes, Nodes(number=1, gpus={"v100": 1}, memory_gb=9, idle=False)))
        says(checks.check_gpus(two, Profile()), "warning", "set gpu_type")

    def test_partition_without_gpus_is_warned_of(self):
        says(checks.check_gpus(gpu(nodes=()), Profile()), "warning", "has none")

    def test_more_memory_than_a_node_has_is_a_problem(self):
        says(checks.check_memory(GPU, Profile(memory_max_gb=501)), "problem", "475 or less")
        says(checks.check_memory(GPU, Profile(memory_max_gb=500)), "ok")

    def test_limits_are_the_cluster_s_and_the_account_s(self):
        says(checks.check_limits(SITE, Profile()), "ok", "up to 1001 elements", "200 of yours")
        says(checks.check_limits(SITE, Profile(queued_max=201)), "problem", "queued_max to 200")


class TestAccount:
    def test_default_account_is_told(self):
        says(checks.check_account(SITE, Profile()), "ok", "charged to vision")

    def test_account_that_is_not_the_user_s_is_a_problem(self):
        says(checks.check_account(SITE, Profile(account="visions")), "problem", "'vision'")

    def test_qos_that_the_account_has_not_is_a_problem(self):
        says(checks.check_account(SITE, Profile(qos="long")), "problem", "valid: normal")

    def test_no_accounting_needs_no_account(self):
        none = dataclasses.replace(SITE, associations=None)
        says(checks.check_account(none, Profile(account="any")), "ok", "none is needed")


class TestPreemption:
    def test_notice_and_grace_are_told(self):
        says(checks.check_preemption(SITE, GPU), "ok", "requeued, 60 s after a notice")

    def test_older_releases_have_another_word_for_the_notice(self):
        old = site(PreemptParameters="(null)", SlurmctldParameters="a,preempt_send_user_signal")
        says(checks.check_preemption(old, GPU), "ok")

    def test_without_the_user_s_signal_work_since_the_checkpoint_is_lost(self):
        mute = site(PreemptParameters="(null)")
        says(checks.check_preemption(mute, GPU), "warning", "send_user_signal", "last checkpoint")

    def test_without_grace_it_comes_at_once(self):
        says(checks.check_preemption(SITE, gpu(grace_s=0)), "warning", "at once")

    def test_cancelled_jobs_are_left_to_the_sweep(self):
        says(checks.check_preemption(SITE, gpu(preempt_mode="CANCEL")), "warning", "resume")

    @pytest.mark.parametrize(
        ("kind", "mode"), [("preempt/none", "REQUEUE"), ("preempt/qos", "OFF")]
    )
    def test_cluster_that_never_preempts_says_so(self, kind, mode):
        quiet = checks.check_preemption(site(PreemptType=kind), gpu(preempt_mode=mode))
        says(quiet, "ok", "are not preempted")


def test_notice_longer_than_the_job_is_a_problem():
    says(checks.check_notice(SITE, Profile(notice_s=120, walltime_max_min=2)), "problem", "lower")
    says(checks.check_notice(SITE, Profile(notice_s=120, walltime_max_min=30)), "ok", "30 s from")


@pytest.mark.parametrize(("info", "delay"), [("a,cred_expire=10", 10), ("(null)", 120)])
def test_requeued_job_waits_for_its_credential_to_expire(info, delay):
    says(checks.check_requeue(site(AuthInfo=info)), "ok", f"waits {delay} s at least")


def test_nothing_needs_accounting():
    without = site(AccountingStorageType="accounting_storage/none")
    says(checks.check_accounting(without), "ok", "nothing of mtljobs needs it")


@pytest.mark.parametrize(("version", "verdict"), [("19.05.5", "warning"), ("24.05.1", "ok")])
def test_release_that_is_too_old_to_know_is_warned_of(version, verdict):
    says(checks.check_version(site(SLURM_VERSION=version)), verdict, version)
