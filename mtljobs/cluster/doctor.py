"""Whether shards would run here: every check that needs no job, in the order of a report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mtljobs.cluster import folder_checks, slurm_checks, tool_checks
from mtljobs.cluster.finding import Finding, problem
from mtljobs.cluster.site import Site
from mtljobs.settings.profile import Profile


def examine(profile: Profile, workspace: Path) -> Iterator[Finding]:
    """What was found of this machine, its Slurm and its files, one after the other.

    Args:
        profile: That jobs would follow.
        workspace: Where their results would lie; need not exist.
    """
    commands = tool_checks.check_commands()
    yield commands
    if commands.verdict == "ok":
        yield from _examine_slurm(profile)
    yield tool_checks.check_python()
    yield from _examine_image(profile)
    yield from _examine_files(profile, workspace)


def _examine_slurm(profile: Profile) -> Iterator[Finding]:
    controller = tool_checks.check_controller()
    yield controller
    site = Site.read() if controller.verdict == "ok" else None
    if site is None:
        return
    yield slurm_checks.check_version(site)
    yield slurm_checks.check_partition(site, "partition", profile.partition, profile)
    if profile.host_partition is not None:
        yield slurm_checks.check_partition(site, "host_partition", profile.host_partition, profile)
    partition = site.partition(profile.partition)
    if partition is not None:
        yield slurm_checks.check_time_limit(partition, profile)
        yield slurm_checks.check_gpus(partition, profile)
        yield slurm_checks.check_memory(partition, profile)
        yield slurm_checks.check_preemption(site, partition)
    yield slurm_checks.check_account(site, profile)
    yield slurm_checks.check_limits(site, profile)
    yield slurm_checks.check_notice(site, profile)
    yield slurm_checks.check_requeue(site)
    yield slurm_checks.check_accounting(site)


def _examine_image(profile: Profile) -> Iterator[Finding]:
    found = (
        tool_checks.check_apptainer(profile),
        tool_checks.check_mount(),
        tool_checks.check_image(profile),
        tool_checks.check_binds(profile),
        tool_checks.check_driver(),
    )
    yield from filter(None, found)


def _examine_files(profile: Profile, workspace: Path) -> Iterator[Finding]:
    try:
        with folder_checks.trial_folder(workspace) as trial:
            yield folder_checks.check_kind(trial)
            yield folder_checks.check_rename(trial)
            yield folder_checks.check_exclusive(trial)
            yield folder_checks.check_sync(trial)
            yield folder_checks.check_clock(trial)
            yield folder_checks.check_latency(trial)
            yield folder_checks.check_room(trial)
    except OSError as error:
        yield problem(
            "workspace",
            f"{workspace}: {error.strerror or error}",
            "choose another --workspace, or mend this one",
        )
    yield from filter(None, (folder_checks.check_quota(),))
    yield folder_checks.check_privacy(workspace, profile)
    yield from filter(None, (folder_checks.check_scratch(profile),))
