"""Preemption-safe batch jobs that train, prune and explain multi-task vision networks."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__version__ = "0.1.0"
__all__ = ["__version__", "load_network"]


def load_network(run: str | Path, *, experiment: str, sparsity: float, seed: int) -> nn.Module:
    """The network of a cell as a torch module, in evaluation mode and on the CPU.

    As narrow, or with the masks, as its pruning left it. It computes the tasks that it is asked
    for: `network(images, tasks=("depth",))` gives a dict of raw predictions.

    Args:
        run: Name of a run in the workspace (`$MTLJOBS_WORKSPACE`, else `./runs`), or its folder.
        experiment: As the grid names it.
        sparsity: A fraction, as in the grid.

    Raises:
        UserError: There is no such run or cell, or its network is not trained yet.
        MissingExtraError: torch is not installed.

    Example:
        network = mtljobs.load_network("paper", experiment="segnet-hrank", sparsity=0.5, seed=0)
        depth = network(images, tasks=("depth",))["depth"]
    """
    # By name and when it is called: to import mtljobs takes no torch, and no time.
    load = importlib.import_module("mtljobs.cluster.networks").load_network
    network: nn.Module = load(run, experiment=experiment, sparsity=sparsity, seed=seed)
    return network
