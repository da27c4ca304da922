"""What stages are made of: the data set, tasks and network that a shard's spec names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtljobs.contracts import Dataset, DatasetInfo, Split, Task
from mtljobs.errors import DataError
from mtljobs.models.weights_file import load_weights, read_weights
from mtljobs.plan.datasets import data_folder, dataset_info
from mtljobs.plan.networks import data_identity
from mtljobs.settings import build, derive_seed
from mtljobs.settings.base import restore
from mtljobs.settings.data import DataChoice
from mtljobs.settings.models import ModelChoice
from mtljobs.settings.tasks import TaskChoice
from mtljobs.stages.memory import keep_freed_memory
from mtljobs.stages.network import load_network
from mtljobs.stages.work import Work


def apply_numerics(work: Work) -> torch.device:
    """Set torch to what the plan's `[numerics]` say; every computing stage calls this first.

    Returns:
        The device to compute on.
    """
    keep_freed_memory()
    numerics = work.shard.spec["numerics"]
    torch.set_num_threads(numerics["threads"])
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(numerics["deterministic"])
    # Filling fresh memory with NaN finds reads of it, and costs a tenth of a training step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def open_info(work: Work) -> DatasetInfo:
    """What is known of the shard's data set, checked to be what was planned.

    Raises:
        DataError: The data set was prepared again since, and is another now.
    """
    info = dataset_info(restore(DataChoice, work.shard.spec["data"]), work.workspace)
    planned = work.shard.inputs["data"]
    if data_identity(info) != planned:
        raise DataError(
            f"the data set {info.id!r} is not the one that was planned (sha256 "
            f"{str(info.sha256)[:12]}, planned {planned[:12]}): it was prepared again. Restore "
            "its files and prepare it, or submit to another run."
        )
    return info


def open_dataset(work: Work, info: DatasetInfo, split: Split) -> Dataset:
    """A split of the shard's data set."""
    choice: DataChoice = restore(DataChoice, work.shard.spec["data"])
    root = data_folder(choice, work.workspace, work.resources.data)
    dataset: Dataset = build(choice, info=info, split=split, root=root)
    return dataset


def open_tasks(work: Work, info: DatasetInfo) -> dict[str, Task]:
    """The shard's tasks by name, in the experiment's order."""
    choices = [restore(TaskChoice, values) for values in work.shard.spec["tasks"]]
    return {choice.name: build(choice, info=info) for choice in choices}


def open_model_choice(work: Work) -> ModelChoice:
    """The settings of the shard's architecture."""
    choice: ModelChoice = restore(ModelChoice, work.shard.spec["model"])
    return choice


def open_network(work: Work, role: str, tasks: dict[str, Task], device: torch.device) -> Any:
    """The network that a shard has as input, in evaluation mode.

    Args:
        role: "parent" or "network".
    """
    return load_network(
        work.workspace.networks / work.shard.inputs[role],
        open_model_choice(work),
        channels={name: task.channels for name, task in tasks.items()},
        device=device,
    )


def starting_point(work: Work, tasks: dict[str, Task], device: torch.device) -> Any:
    """What a phase starts from, in training mode: its parent network, or an initialisation.

    Raises:
        WeightsError: The user's weights are damaged, or another network's.
    """
    if "parent" in work.shard.inputs:
        return open_network(work, "parent", tasks, device).train()
    torch.manual_seed(derive_seed(work.shard.spec["seed"], "initialisation"))
    channels = {name: task.channels for name, task in tasks.items()}
    choice = open_model_choice(work)
    model: Any = build(choice, channels=channels, widths=None)
    if (init := work.shard.spec["init"]) is not None:
        path, state = _read_weights(work, init["sha256"])
        load_weights(model, state, source=path)
    elif (backbone := getattr(choice, "backbone", None)) is not None:
        path, state = _read_weights(work, backbone.sha256)
        model.load_backbone(state, source=path)
    return model.to(device)


def _read_weights(work: Work, sha256: str) -> tuple[str, dict[str, Tensor]]:
    """A weights file that the grid names: where it lies, and what is in it."""
    path = work.resources.weights[sha256]
    return path, read_weights(Path(path), sha256=sha256)
