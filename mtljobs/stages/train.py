"""Stage `train`: a train phase from an initialisation, a tune phase from a parent network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mtljobs.contracts import TrainingHook
from mtljobs.pruning.masks import MaskKeeper, masked_convolutions
from mtljobs.settings import build, derive_seed
from mtljobs.settings.base import restore
from mtljobs.settings.training import Training
from mtljobs.settings.weighting import WeightingChoice
from mtljobs.stages.events import EventFile
from mtljobs.stages.materials import (
    apply_numerics,
    open_dataset,
    open_info,
    open_tasks,
    starting_point,
)
from mtljobs.stages.network import save_network
from mtljobs.stages.prune import open_pruner
from mtljobs.stages.work import Work

CHECKPOINT = "checkpoint.bin"
HISTORY = "training.jsonl"


def run(work: Work) -> None:
    """Train or tune the shard's network; write weights and history to `work.output`."""
    spec = work.shard.spec
    device = apply_numerics(work)
    info = open_info(work)
    tasks = open_tasks(work, info)
    model = starting_point(work, tasks, device)
    torch.manual_seed(derive_seed(spec["seed"], f"{spec['phase']} draws"))
    trainer = build(
        restore(Training, spec["training"]),
        model=model,
        tasks=tasks,
        weighting=build(restore(WeightingChoice, spec["weighting"]), tasks=tuple(tasks)),
        hooks=_hooks(spec, model),
        dataset=open_dataset(work, info, "train"),
        validation=open_dataset(work, info, "validation"),
        depth_unit=info.depth_unit,
        seed=derive_seed(spec["seed"], spec["phase"]),
    )
    history = trainer.run(
        checkpoint=work.scratch / CHECKPOINT,
        checkpoint_every_s=work.resources.checkpoint_every_s,
        loader_workers=work.resources.loader_workers,
        stop=work.stop,
        progress=work.progress,
        told=EventFile(work.run.tensorboard / work.shard.name).write,
    )
    save_network(work.output, model)
    lines = [json.dumps(entry, sort_keys=True, allow_nan=False) + "\n" for entry in history]
    (work.output / HISTORY).write_text("".join(lines), encoding="utf-8")


def _hooks(spec: Mapping[str, Any], model: nn.Module) -> list[TrainingHook]:
    """What the pruning method adds to this phase, and what the masks of the network need."""
    hooks: list[TrainingHook] = []
    if (pruner := open_pruner(spec["method"])) is not None:
        iterations = spec["training"]["iterations"]
        hooks += pruner.hooks(
            spec["phase"], model, sparsity=spec["sparsity"], iterations=iterations
        )
    if masked_convolutions(model):
        hooks.append(MaskKeeper())  # last: the method's own may move the masks in the same step
    return hooks
