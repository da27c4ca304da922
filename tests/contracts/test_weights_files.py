"""Weights files that a model can be given reach the worker: by their sum, not by their path."""

from __future__ import annotations

from typing import get_args, get_type_hints

from pydantic import TypeAdapter

from mtljobs.ledger.paths import Workspace
from mtljobs.plan.planning import plan_grid
from mtljobs.settings.grid import Grid
from mtljobs.settings.models import WeightsFile


def test_plan_finds_every_weights_file_that_the_model_names(
    model_choice, smallest, table_of, tmp_path
):
    hints = get_type_hints(model_choice).items()
    keys = [key for key, hint in hints if WeightsFile in (hint, *get_args(hint))]
    sums = {key: f"{number:064x}" for number, key in enumerate(keys)}
    model = table_of(smallest(model_choice))
    for key, sha256 in sums.items():
        (tmp_path / f"{key}.pth").touch()
        model[key] = {"file": f"{key}.pth", "sha256": sha256}
    experiment = {
        "name": "study",
        "data": {"name": "rooms", "size": [32, 64]},
        "model": model,
        "tasks": [{"name": "depth"}],
        "training": {"iterations": 1},
        "pruning": {"name": "netslim"},
        "sparsities": [0.0],
        "seeds": [0],
        "explain": {"images": 1},
    }
    plan = plan_grid(
        TypeAdapter(Grid).validate_python({"experiment": [experiment]}),
        name="grid",
        folder=tmp_path,
        workspace=Workspace(tmp_path / "runs"),
    )
    located = {sums[key]: str(tmp_path / f"{key}.pth") for key in keys}
    assert plan.resources["weights"] == located
    assert not [shard for shard in plan.shards if ".pth" in str(shard.spec)]
