"""One cluster: what its Slurm is told, and where shards run on it. One file of `jobs/profiles/`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.settings.base import DECLARED

Words = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Text that may stand in a line of a batch script."""


@dataclass(**DECLARED)
class Profile:
    """A cluster, seen by one user. Nothing of it is part of an identity.

    Attributes:
        partition: Of jobs that train, prune, evaluate and explain; None: the cluster's default.
        host_partition: Of the sweep, which takes one core for a minute; None: as `partition`.
        account: That jobs are charged to.
        qos: Quality of service.
        constraint: Features that a node must have.
        gpu_type: Model of the GPU, as in `--gpus-per-node=a100:1`; None: any.
        walltime_max_min: Longest time limit of the partition in minutes; None: unknown.
        memory_max_gb: Most memory that a shard is given after it ran out of it.
        queued_max: Most jobs that the user may have in the queue, elements of arrays counted each;
            None: what the cluster says. A shard, the sweep that submits it and the next are 3.
        modules: Loaded before anything else runs, as in `Python/3.11.5-GCCcore-13.2.0`.
        image: Path of the image that shards run in; None: the Python that submitted.
        environment: For an image that holds no environment (`stack=host`): folder of the virtual
            environment that is bound into it; None: the image holds one.
        binds: Further folders that shards see, at the same path, read only.
        container_options: Further words for `apptainer exec`.
        scratch: Node-local folder such as "$TMPDIR", whose variables a job sets; used where it is
            there, has room and can be written, never assumed. None: there is none.
        notice_s: Seconds before a time limit at which a shard is told to write a checkpoint.
        jobs_may_submit: Whether compute nodes may call `sbatch`. Where not, `mtljobs resume` does
            by hand what the sweep does.
        umask: Of all that is written, octal: "077" keeps it private, "007" shares it with the
            group of a project folder.
    """

    partition: Words | None = None
    host_partition: Words | None = None
    account: Words | None = None
    qos: Words | None = None
    constraint: Words | None = None
    gpu_type: Words | None = None
    walltime_max_min: Annotated[int, Field(ge=1)] | None = None
    memory_max_gb: Annotated[float, Field(gt=0)] = 64.0
    queued_max: Annotated[int, Field(ge=3)] | None = None
    modules: tuple[Words, ...] = ()
    image: Words | None = None
    environment: Words | None = None
    binds: tuple[Words, ...] = ()
    container_options: tuple[Words, ...] = ()
    scratch: Words | None = None
    notice_s: Annotated[int, Field(ge=10, le=3600)] = 120
    jobs_may_submit: bool = True
    umask: Annotated[str, Field(pattern=r"^0?[0-7][0-7][0-7]$")] = "077"
