"""A finished cell's network in two lines."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

import mtljobs
from mtljobs.plan.frozen import read_newest


def test_network_of_a_cell_is_the_one_that_was_explained(smoke_run, monkeypatch):
    monkeypatch.setenv("MTLJOBS_WORKSPACE", str(smoke_run.root.parent))
    network = mtljobs.load_network("run", experiment="smoke", sparsity=0.5, seed=0)

    cell = next(cell for cell in read_newest(smoke_run).cells if cell.sparsity == 0.5)
    folder = smoke_run.root.parent / "shared/networks" / cell.network
    weights = load_file(folder / "weights.safetensors")
    state = network.state_dict()
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[name], weights[name]) for name in state)
    assert not network.training


def test_pruned_network_is_narrower_and_computes_one_task_alone(smoke_run):
    dense, half = (
        mtljobs.load_network(smoke_run.root, experiment="smoke", sparsity=sparsity, seed=0)
        for sparsity in (0.0, 0.5)
    )
    sizes = [sum(parameter.numel() for parameter in n.parameters()) for n in (dense, half)]
    assert sizes[1] < sizes[0]
    with torch.no_grad():
        predictions = half(torch.rand(1, 3, 32, 32), tasks=("normals",))
    assert {name: tuple(values.shape) for name, values in predictions.items()} == {
        "normals": (1, 3, 32, 32)
    }
