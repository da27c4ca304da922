"""DiSparse's recipes through the stages that a shard runs, phase after phase."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file

from mtljobs.contracts import Shard, StopFlag
from mtljobs.errors import StopRequested
from mtljobs.ledger.paths import Workspace, create_folder
from mtljobs.ledger.records import make_record, write_record
from mtljobs.plan.networks import NetworkPlanner
from mtljobs.settings.grid import Experiment
from mtljobs.settings.numerics import Numerics
from mtljobs.settings.resources import Resources
from mtljobs.stages import prune, train
from mtljobs.stages.work import Work

SPARSITY = 0.8


def experiment(variant: str) -> Experiment:
    table = {
        "name": "x",
        "data": {"name": "rooms", "size": [32, 32], "train": 6, "test": 1},
        "model": {"name": "segnet_mtan", "width": 1 / 64},
        "tasks": [{"name": "depth"}, {"name": "normals"}],
        "training": {"iterations": 4, "batch": 2, "learning_rate": 1e-2, "weight_decay": 0.1},
        "pruning": {
            "name": "disparse", "variant": variant, "batches": 2, "batch": 3,
            "tune_iterations": 2, "update_every": 1,
        },
        "sparsities": [0.0, SPARSITY],
        "seeds": [0],
        "explain": {"images": 1},
    }  # fmt: skip
    return TypeAdapter(Experiment).validate_python(table)


def shards_of(variant: str) -> list[Shard]:
    chosen = experiment(variant)
    info = chosen.data.info()
    return NetworkPlanner(chosen, info, Numerics()).chain(SPARSITY, 0)


def run(workspace: Workspace, shard: Shard, *, stop: StopFlag = lambda: False) -> Path:
    """Compute a shard; the folder of its network."""
    output = create_folder(workspace.networks / shard.identity)
    work = Work(
        shard=shard,
        layouts={},
        backend="zarr",
        resources=Resources(),
        run=workspace.run("masked"),
        workspace=workspace,
        output=output,
        scratch=create_folder(workspace.work / shard.identity),
        stop=stop,
        progress=lambda done, total, what: None,
    )
    {"prune": prune.run, "train": train.run}[shard.stage](work)
    write_record(
        output, make_record(output, shard=shard.name, identity=shard.identity, versions={})
    )
    return output


def network(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "weights.safetensors")


def masks(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name.removesuffix(".weight_mask"): value
        for name, value in state.items()
        if name.endswith(".weight_mask")
    }


@pytest.mark.parametrize("variant", ["static", "pretrained", "dynamic"])
def test_recipe_ends_with_a_network_as_sparse_as_asked_for(variant: str, tmp_path: Path) -> None:
    *before, last = [run(Workspace(tmp_path), shard) for shard in shards_of(variant)]
    state = network(last)
    found = masks(state)
    gone = sum(int((~mask).sum()) for mask in found.values())
    total = sum(mask.numel() for mask in found.values())
    # ERK rounds every layer to whole weights, and there are 74.
    assert gone / total == pytest.approx(SPARSITY, abs=5e-3 if variant == "dynamic" else 3e-4)
    for layer, mask in found.items():
        assert (state[f"{layer}.weight"][~mask] == 0.0).all()
    if before:
        cut = network(before[-1])
        assert all(torch.equal(masks(cut)[layer], mask) for layer, mask in found.items())
        assert not torch.equal(
            cut["conv_block_dec.0.0.conv.bias"], state["conv_block_dec.0.0.conv.bias"]
        )


def test_cut_of_an_initialisation_depends_on_the_seed_alone(tmp_path: Path) -> None:
    shard = shards_of("static")[0]
    first = network(run(Workspace(tmp_path / "a"), shard))
    torch.rand(7)  # what was drawn before in this process does not matter
    again = network(run(Workspace(tmp_path / "b"), shard))
    other = dataclasses.replace(shard, spec={**shard.spec, "seed": 1})
    another = network(run(Workspace(tmp_path / "c"), other))
    layer = "conv_block_dec.0.0.conv"
    assert all(torch.equal(first[name], again[name]) for name in first if "agreem" not in name)
    assert not torch.equal(masks(first)[layer], masks(another)[layer])


def test_batches_that_a_cut_is_scored_on_are_as_large_as_its_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = prune.batch_losses

    def losses(model, batch, tasks):
        seen.append(len(batch["image"]))
        return real(model, batch, tasks)

    monkeypatch.setattr(prune, "batch_losses", losses)
    run(Workspace(tmp_path), shards_of("static")[0])
    assert seen == [3, 3]


def test_training_with_moving_masks_that_was_stopped_ends_in_the_same_bytes(tmp_path: Path) -> None:
    [shard] = shards_of("dynamic")
    straight = run(Workspace(tmp_path / "straight"), shard)
    asked = iter([False, False, True])
    with pytest.raises(StopRequested):
        run(Workspace(tmp_path / "stopped"), shard, stop=lambda: next(asked))
    resumed = run(Workspace(tmp_path / "stopped"), shard)
    weights = "weights.safetensors"
    assert (resumed / weights).read_bytes() == (straight / weights).read_bytes()
