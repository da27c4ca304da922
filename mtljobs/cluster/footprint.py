"""What a run adds to a file system until it is complete, and what that has room for."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from mtljobs.cluster.asking import ask
from mtljobs.cluster.folder_checks import existing
from mtljobs.contracts import Shard
from mtljobs.errors import CorruptionError
from mtljobs.ledger.paths import Workspace
from mtljobs.ledger.records import RECORD, read_record
from mtljobs.plan.datasets import dataset_info
from mtljobs.plan.frozen import Plan
from mtljobs.settings.base import restore
from mtljobs.settings.data import DataChoice
from mtljobs.store.forms import COPIED, FORMS
from mtljobs.store.schema import Array, build_schema

FILES = {"segment": 6, "train": 4, "prune": 3}
"""Files and folders of a shared result, as `benchmarks/test_scale.py` counts them."""

FILES_OF_ATTEMPT = 7
"""Of a shard of Slurm that needs one attempt: what its worker and its host say of it, a log, three
files of submitit's and a record."""

CHECKPOINT = 3
"""Size of a checkpoint in networks: weights, and the two moments that Adam keeps of each."""

LOOKED_AT = 40
"""Networks whose sizes tell that of one."""


@dataclass(frozen=True)
class Footprint:
    """What shards will write, and what there is room for.

    Attributes:
        store_bytes: The run's store when it is complete, before compression; twice where a merge
            copies it.
        inputs_bytes: Superpixels, before compression.
        networks_bytes: New networks, as large as those of the workspace; None where it has none.
        checkpoint_bytes: Of each network that is in training; gone when it is finished.
        files: Files and folders, which count alike.
        free_bytes: What this user may still write, quota aside.
        free_files: None where the file system has as many as one likes.
        quota: What `quota` says; empty where it says nothing.
    """

    store_bytes: int
    inputs_bytes: int
    networks_bytes: int | None
    checkpoint_bytes: int | None
    files: int
    free_bytes: int
    free_files: int | None
    quota: str

    @property
    def fits(self) -> bool:
        """Whether there is room for it, as far as it is known."""
        needed = self.store_bytes + self.inputs_bytes + (self.networks_bytes or 0)
        return needed <= self.free_bytes and (
            self.free_files is None or self.files <= self.free_files
        )


def predict_footprint(plan: Plan, due: Sequence[Shard], workspace: Workspace) -> Footprint:
    """What a run writes until it is complete.

    Args:
        plan: Of the whole run.
        due: The shards that are not done.
        workspace: Where the run lies, or will.
    """
    form = FORMS[plan.backend]
    arrays = [
        form(array)
        for node in build_schema(plan.layouts).values()
        for array in node.arrays.values()
    ]
    network = _network_size(plan.shards, workspace)
    networks = sum(shard.shared and shard.stage != "segment" for shard in due)
    free = os.statvfs(existing(workspace.root))
    return Footprint(
        store_bytes=sum(array.size for array in arrays) * (1 + (plan.backend in COPIED)),
        inputs_bytes=sum(
            _inputs_size(shard, workspace) for shard in due if shard.stage == "segment"
        ),
        networks_bytes=None if network is None else round(networks * network),
        checkpoint_bytes=None if network is None else round(CHECKPOINT * network),
        files=sum(map(_count_files, arrays))
        + sum(FILES.get(shard.stage, 0) + FILES_OF_ATTEMPT for shard in due),
        free_bytes=free.f_bavail * free.f_frsize,
        free_files=free.f_favail if free.f_files else None,
        quota=_ask_quota(),
    )


def _count_files(array: Array) -> int:
    """The chunks, the metadata and the folder of an array."""
    return math.prod(array.chunk_counts()) + 2


def _inputs_size(shard: Shard, workspace: Workspace) -> int:
    """The superpixels of every image that is tested."""
    data: DataChoice = restore(DataChoice, shard.spec["data"])
    rows, columns = data.size
    return 2 * rows * columns * len(dataset_info(data, workspace).splits["test"])


def _network_size(shards: Iterable[Shard], workspace: Workspace) -> float | None:
    """Mean size of some finished networks of a plan, or else of any in the workspace."""
    there = {path.name: path for path in workspace.networks.glob("*")}
    own = [there[shard.identity] for shard in shards if shard.identity in there]
    found = _sizes(own or there.values())
    return fmean(found) if found else None


def _sizes(networks: Iterable[Path]) -> list[int]:
    sizes: list[int] = []
    for network in networks:
        if len(sizes) == LOOKED_AT:
            break
        try:
            files = read_record(network / RECORD).files
        except (FileNotFoundError, CorruptionError):
            continue
        sizes.append(sum(size for _, size in files.values()))
    return sizes


def _ask_quota() -> str:
    """The last line of `quota`, which is the only one where there is one file system."""
    answer = ask("quota", "-s").text.strip() if shutil.which("quota") else ""
    return " ".join(answer.splitlines()[-1].split()) if answer else ""
