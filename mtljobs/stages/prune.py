"""Stage `prune`: a cut phase, from a parent network to a smaller one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import default_collate

from mtljobs.contracts import Batch, Dataset, Pruner
from mtljobs.settings import build, derive_seed
from mtljobs.settings.base import restore
from mtljobs.settings.pruning import PruningChoice
from mtljobs.stages.materials import (
    apply_numerics,
    open_dataset,
    open_info,
    open_model_choice,
    open_tasks,
    starting_point,
)
from mtljobs.stages.network import save_network
from mtljobs.stages.work import Work
from mtljobs.training.loop import batch_losses
from mtljobs.training.order import EpochBatches

BATCH = 8
"""Images per batch that a pruner is shown, unless its settings say so by a field `batch`."""


def run(work: Work) -> None:
    """Cut the parent, or an initialisation, to the shard's sparsity; write it to `work.output`."""
    spec = work.shard.spec
    device = apply_numerics(work)
    info = open_info(work)
    tasks = open_tasks(work, info)
    model = starting_point(work, tasks, device).eval()
    pruner = open_pruner(spec["method"])
    assert pruner is not None  # noqa: S101 (a cut phase has a method)
    dataset = open_dataset(work, info, "train")
    size = spec["method"].get("batch", BATCH)
    torch.manual_seed(derive_seed(spec["seed"], "cut draws"))
    pruner.cut(
        model,
        sparsity=spec["sparsity"],
        groups=open_model_choice(work).channel_groups(tuple(tasks)),
        batches=_batches(dataset, size, derive_seed(spec["seed"], "cut"), device),
        losses=lambda network, batch: batch_losses(network, batch, tasks),
    )
    save_network(work.output, model)


def open_pruner(method: Mapping[str, Any] | None) -> Pruner | None:
    """The pruner of a phase; None where the phase does not depend on the method."""
    if method is None:
        return None
    pruner: Pruner = build(restore(PruningChoice, method))
    return pruner


def _batches(dataset: Dataset, size: int, seed: int, device: torch.device) -> Iterator[Batch]:
    """Training images in an order of their own, once through, in whole batches.

    A smaller last batch would weigh more per image where batches are added up.
    """
    size = min(size, len(dataset))
    keys = EpochBatches(
        count=len(dataset), batch=size, seed=seed, start=0, stop=len(dataset) // size
    )
    for batch in keys:
        collated = default_collate([dict(dataset[index]) for _, index in batch])
        yield {name: value.to(device) for name, value in collated.items()}
