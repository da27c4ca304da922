"""What `mtljobs plan` prints of time, disk and Slurm's jobs, for people and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from mtljobs.cli.console import duration, in_bytes, make_table
from mtljobs.cluster.expected_time import Expected
from mtljobs.cluster.footprint import Footprint
from mtljobs.cluster.outlay import Outlay
from mtljobs.cluster.preview import Job, Preview
from mtljobs.errors import counted


def outlay_values(
    outlay: Outlay | None, starts: Sequence[str] | None, *, with_scripts: bool
) -> dict[str, Any]:
    """What a proposal takes, as JSON values.

    Args:
        starts: Of each job, in the words of Slurm.
        with_scripts: The batch scripts too.
    """
    if outlay is None:
        return {"time": None, "disk": None, "slurm": None}
    slurm = outlay.slurm
    if slurm is None:
        values: dict[str, Any] | None = {"problem": outlay.problem} if outlay.problem else None
    else:
        jobs = [_job_values(job, with_scripts=with_scripts) for job in slurm.jobs]
        for job, start in zip(jobs, starts or (), strict=False):
            job["start"] = start
        values = {"jobs": jobs, "later": slurm.later, "left": slurm.left}
    return {
        "time": dataclasses.asdict(outlay.time),
        "disk": dataclasses.asdict(outlay.disk) | {"fits": outlay.disk.fits},
        "slurm": values,
    }


def print_outlay(
    console: Console, outlay: Outlay | None, starts: Sequence[str] | None, *, with_scripts: bool
) -> None:
    """What a proposal takes: a table of jobs, lines of time and disk, and scripts if asked for."""
    if outlay is None:
        return
    if outlay.problem:
        console.print(outlay.problem)
    if outlay.slurm is not None and outlay.slurm.jobs:
        console.print()
        console.print(_jobs_table(outlay.slurm, starts))
        _print_rest(console, outlay.slurm)
    if outlay.time.shard_hours:
        console.print()
        console.print(f"time: {_time_words(outlay.time)}")
        console.print(f"disk: {_disk_words(outlay.disk)}")
        console.print(f"free: {_free_words(outlay.disk)}")
    for job in outlay.slurm.jobs if outlay.slurm is not None and with_scripts else ():
        console.print(f"\n# {job.name}: {job.stage}")
        console.print(job.script, soft_wrap=True)


def _job_values(job: Job, *, with_scripts: bool) -> dict[str, Any]:
    parameters = job.parameters
    values = {
        "name": job.name,
        "stage": job.stage,
        "shards": job.shards,
        "after": list(job.after),
        "cpus": parameters["cpus_per_task"],
        "memory": parameters["mem"],
        "gpus": parameters["gpus_per_node"],
        "walltime_min": parameters["time"],
        "partition": parameters["partition"],
    }
    return values | ({"script": job.script} if with_scripts else {})


def _jobs_table(slurm: Preview, starts: Sequence[str] | None) -> Table:
    """A line for each job; what no job asks for is left out."""
    rows = [_job_values(job, with_scripts=False) for job in slurm.jobs]
    for row, start in zip(rows, starts or [""] * len(rows), strict=True):
        row.update(after=_after_words(row["after"]), start=start)
    columns = [key for key in rows[0] if any(row[key] for row in rows)]
    headings = {"name": "job", "walltime_min": "minutes", "start": "could start at"}
    table = make_table(*(headings.get(key, key) for key in columns))
    for row in rows:
        table.add_row(*(str(row[key] or "") for key in columns))
    return table


def _after_words(jobs: Sequence[str]) -> str:
    """Whom a job waits for, in brief.

    Example:
        >>> _after_words(["JOB1", "JOB2", "JOB3", "JOB7"])
        'JOB1 JOB2 and 2 more'
    """
    more = f" and {len(jobs) - 2} more" if len(jobs) > 3 else ""
    return " ".join(jobs[:2] if more else jobs) + more


def _print_rest(console: Console, slurm: Preview) -> None:
    if slurm.later:
        console.print(f"{counted(slurm.later, 'more shard')} to follow when the queue has room")
    if slurm.left:
        console.print(f"failed: {counted(slurm.left, 'shard')}; `mtljobs resume` tries again")


def _time_words(time: Expected) -> str:
    """What is expected, what it rests on, and what is not known.

    Example:
        >>> _time_words(Expected(40.0, 0.0, 8.0, {}, ("train",)))
        'unknown; at most 40 hours, a walltime for each shard'
    """
    kind = f"{_hours(time.gpu_hours)} GPU-hours, " if time.gpu_hours else ""
    hours = f"{kind}{_hours(time.shard_hours)} hours{' of shards' if kind else ''}"
    if not time.times:
        return f"unknown; at most {hours}, a walltime for each shard"
    known = "; ".join(
        f"{stage} {duration(spent.seconds)} (of {spent.shards} in {spent.run})"
        for stage, spent in time.times.items()
    )
    unknown = f"; {', '.join(time.unknown)} unknown, a walltime each" if time.unknown else ""
    return f"about {hours}, at least {_hours(time.chain_hours)} to the end; {known}{unknown}"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def _disk_words(disk: Footprint) -> str:
    networks = (
        "networks of unknown size"
        if disk.networks_bytes is None
        else f"networks {in_bytes(disk.networks_bytes)}"
    )
    size = disk.checkpoint_bytes
    checkpoint = "" if size is None else f" and {in_bytes(size)} each in training"
    store, superpixels = in_bytes(disk.store_bytes), in_bytes(disk.inputs_bytes)
    return (
        f"store up to {store}, superpixels up to {superpixels}, {networks}{checkpoint}; "
        f"{counted(disk.files, 'file')}"
    )


def _free_words(disk: Footprint) -> str:
    files = "any number of" if disk.free_files is None else f"{disk.free_files:,}"
    quota = f"; quota: {disk.quota}" if disk.quota else ""
    warning = "" if disk.fits else "; THIS IS TOO LITTLE"
    return f"{in_bytes(disk.free_bytes)} and {files} files{quota}{warning}"
