"""Whether a profile fits the cluster, and what the cluster's configuration means for shards."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mtljobs.cluster.asking import ask
from mtljobs.cluster.finding import Finding, ok, problem, warning
from mtljobs.cluster.site import NOTHING, Association, Partition, Site
from mtljobs.errors import counted, nearest
from mtljobs.settings.profile import Profile

TESTED = "22.05"
"""Release of Slurm that the test bed has."""
OLDEST = (20, 11)
"""Older ones give GPUs and requeues by other rules."""
NOTICE_SPARE_S = 60
"""A time limit's notice may come so much early, and the kill so much late."""


def check_version(site: Site) -> Finding:
    """The release of Slurm."""
    version = site.config.get("SLURM_VERSION", "unknown")
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
        return warning(
            "Slurm", version, f"tested with {TESTED}; run the drill before you rely on this one"
        )
    return ok("Slurm", f"{version}, cluster {site.name!r}")


def check_partition(site: Site, subject: str, name: str | None, profile: Profile) -> Finding:
    """Whether a partition is there, takes jobs, and takes them from this account and QOS."""
    found = site.partition(name)
    if found is None:
        named = "there is no default partition" if name is None else f"no partition {name!r}"
        return problem(
            subject, f"{named}{nearest(name or '', site.partitions)}", f"set `{subject}` to one"
        )
    for kind, own, allowed in (
        ("account", profile.account, found.accounts),
        ("qos", profile.qos, found.qos),
    ):
        if own is not None and allowed is not None and own not in allowed:
            return problem(
                subject, f"{found.name} does not take {kind} {own!r}", f"it takes {_list(allowed)}"
            )
    if not found.is_up:
        return problem(subject, f"{found.name} is not up", "ask the site, or take another one")
    total = sum(nodes.number for nodes in found.nodes)
    idle = sum(nodes.number for nodes in found.nodes if nodes.idle)
    return ok(subject, f"{found.name}: {counted(total, 'node')}, {idle} of them idle")


def check_time_limit(partition: Partition, profile: Profile) -> Finding:
    """Whether jobs as long as the profile allows would ever start."""
    limit, own = partition.walltime_max_min, profile.walltime_max_min
    if limit is not None and own is None:
        return warning(
            "time limit",
            f"{partition.name} allows {limit} min, and the profile does not say so",
            f"set walltime_max_min = {limit}: a longer job may be accepted and never start",
        )
    if limit is not None and own is not None and own > limit:
        return problem(
            "time limit",
            f"walltime_max_min = {own}, but {partition.name} allows {limit}",
            f"set walltime_max_min = {limit}",
        )
    allowed = "no limit" if limit is None else f"{limit} min"
    return ok("time limit", f"{partition.name} has {allowed}")


def check_gpus(partition: Partition, profile: Profile) -> Finding:
    """Whether the partition has the GPUs that the profile names."""
    models = partition.gpu_models
    shown = ", ".join(f"{number} {model or 'unnamed'}" for model, number in models.items())
    if profile.gpu_type is not None and profile.gpu_type not in models:
        return problem(
            "GPUs",
            f"{partition.name} has no GPU {profile.gpu_type!r}{nearest(profile.gpu_type, models)}",
            "set gpu_type to one of these, or leave it out",
        )
    if not models:
        return warning(
            "GPUs", f"{partition.name} has none", "set `partition` to one with GPUs, or gpus = 0"
        )
    if profile.gpu_type is None and len(models) > 1:
        return warning(
            "GPUs",
            f"{partition.name} has {shown}",
            "set gpu_type: results of two models differ in their last digits",
        )
    return ok("GPUs", f"{partition.name} has {shown}")


def check_memory(partition: Partition, profile: Profile) -> Finding:
    """Whether a node has the memory that a retried shard may be given."""
    largest = partition.memory_max_gb
    if 0 < largest < profile.memory_max_gb:
        return problem(
            "memory",
            f"memory_max_gb = {profile.memory_max_gb:g}, but the largest node of "
            f"{partition.name} has {largest:.0f} GB",
            f"set memory_max_gb to {largest * 0.95:.0f} or less",
        )
    return ok("memory", f"nodes of {partition.name} have up to {largest:.0f} GB")


def check_account(site: Site, profile: Profile) -> Finding:
    """Whether the account and the QOS are the user's."""
    if site.associations is None:
        return ok("account", "no accounting answers, so none is needed")
    own = {entry.account: entry for entry in site.associations}
    if not own:
        return warning("account", "accounting knows no account of yours", "ask the site for one")
    if profile.account is not None and profile.account not in own:
        return problem(
            "account",
            f"{profile.account!r} is none of yours{nearest(profile.account, own)}",
            "set account to one of them",
        )
    charged = _charged(site, profile)
    if profile.qos is not None and charged is not None and profile.qos not in charged.qos:
        return problem(
            "account",
            f"qos {profile.qos!r} may not be used with account {charged.account!r}"
            f"{nearest(profile.qos, charged.qos)}",
            "set qos to one of them",
        )
    if charged is None:
        return warning(
            "account", f"you have {_list(own)}, none by default", "set account to one of them"
        )
    return ok("account", f"jobs are charged to {charged.account}")


def check_limits(site: Site, profile: Profile) -> Finding:
    """How many jobs may wait, and how long an array may be."""
    charged = _charged(site, profile)
    own = None if charged is None else charged.submitted_max
    limit = min(
        (number for number in (own, site.number("MaxJobCount")) if number is not None), default=None
    )
    found = (
        f"arrays of up to {site.number('MaxArraySize')} elements, {site.number('MaxJobCount')} jobs"
        f" in the whole queue, {'no limit of yours' if own is None else f'{own} of yours'}"
    )
    if limit is not None and profile.queued_max is not None and profile.queued_max > limit:
        return problem(
            "limits", f"queued_max = {profile.queued_max}; {found}", f"set queued_max to {limit}"
        )
    return ok("limits", found)


def check_preemption(site: Site, partition: Partition) -> Finding:
    """What happens to a shard when somebody more important wants its node."""
    mode = partition.preempt_mode.split(",")[0]
    if site.config.get("PreemptType", "preempt/none") == "preempt/none" or mode == "OFF":
        return ok("preemption", f"jobs of {partition.name} are not preempted")
    if mode != "REQUEUE":
        return warning(
            "preemption",
            f"PreemptMode is {mode}: jobs are not put back into the queue",
            "`mtljobs resume` or the next sweep submits them again from their checkpoints",
        )
    if not _sends_notice(site):
        return warning(
            "preemption",
            "jobs are requeued without the notice that they ask for, as Slurm has no "
            "send_user_signal",
            "nothing is lost but the work since the last checkpoint; ask the site for "
            "PreemptParameters=send_user_signal",
        )
    if partition.grace_s == 0:
        return warning(
            "preemption",
            f"jobs are requeued at once, as GraceTime of {partition.name} is 0",
            "nothing is lost but the work since the last checkpoint: keep checkpoint_every_s small",
        )
    return ok("preemption", f"jobs are requeued, {partition.grace_s} s after a notice")


def check_notice(site: Site, profile: Profile) -> Finding:
    """How long before the end a shard is told."""
    kill_wait = site.number("KillWait")
    found = f"{profile.notice_s} s before a time limit; {kill_wait} s from SIGTERM to SIGKILL"
    if profile.walltime_max_min and profile.notice_s + NOTICE_SPARE_S > 60 * (
        profile.walltime_max_min
    ):
        return problem(
            "notice", found, "lower notice_s: it takes all of the time that a job may have"
        )
    return ok("notice", found)


def check_requeue(site: Site) -> Finding:
    """Whether jobs may be requeued, and how long they then wait."""
    delay = re.search(r"cred_expire=(\d+)", site.config.get("AuthInfo", ""))
    wait = f"a requeued job waits {delay[1] if delay else 120} s at least"
    if site.number("JobRequeue") == 0:
        return ok("requeue", f"not by default, so jobs ask for it themselves; {wait}")
    return ok("requeue", wait)


def check_accounting(site: Site) -> Finding:
    """Whether `sacct` answers; nothing depends on it."""
    stored = site.config.get("AccountingStorageType", "")
    if stored in NOTHING or stored.endswith("/none") or ask("sacct", "--noheader").problem:
        return ok("accounting", "sacct does not answer; nothing of mtljobs needs it")
    return ok("accounting", "sacct answers; nothing of mtljobs needs it")


def _sends_notice(site: Site) -> bool:
    # Up to 22.05 the one, later the other.
    words = (
        site.config.get("SlurmctldParameters", "") + "," + site.config.get("PreemptParameters", "")
    )
    return bool({"preempt_send_user_signal", "send_user_signal"} & set(words.split(",")))


def _charged(site: Site, profile: Profile) -> Association | None:
    """The association that jobs of this profile count to."""
    return next(
        (
            entry
            for entry in site.associations or ()
            if (entry.is_default if profile.account is None else entry.account == profile.account)
        ),
        None,
    )


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
