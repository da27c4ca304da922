"""Equal prefixes of recipes are one network, trained once for all cells and experiments."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter

import pytest
from pydantic import TypeAdapter

from mtljobs.ledger.paths import Workspace
from mtljobs.plan.planning import plan_grid
from mtljobs.settings import canonical, digest
from mtljobs.settings.grid import Grid
from mtljobs.settings.pruning import NetSlim

SPARSITIES = (0.0, 0.5, 0.75)
SEEDS = (0, 1)


@pytest.fixture
def count_phases(tmp_path, table_of):
    """Plans experiments that differ in what they explain alone; how many phases of each kind."""

    def count(pruning, *, experiments):
        template = {
            "data": {"name": "rooms", "size": [32, 64], "train": 16, "test": 8},
            "model": {"name": "segnet_mtan"},
            "tasks": [{"name": "segmentation"}, {"name": "depth"}],
            "training": {"iterations": 12},
            "pruning": table_of(pruning),
            "sparsities": SPARSITIES,
            "seeds": SEEDS,
        }
        grid = {
            "experiment": [
                {
                    **copy.deepcopy(template),
                    "name": f"study-{images}",
                    "explain": {"images": images},
                }
                for images in range(1, experiments + 1)
            ]
        }
        plan = plan_grid(
            TypeAdapter(Grid).validate_python(grid),
            name="grid",
            folder=tmp_path,
            workspace=Workspace(tmp_path / "runs"),
        )
        assert len(plan.cells) == experiments * len(SPARSITIES) * len(SEEDS)
        return Counter(shard.spec["phase"] for shard in plan.shards if "phase" in shard.spec)

    return count


def different_prefixes(pruning):
    """Of the recipes of all sparsities, by the kind of their last phase."""
    prefixes = {}
    for sparsity in SPARSITIES:
        recipe = pruning.recipe(sparsity)
        for length, phase in enumerate(recipe, start=1):
            phases = [canonical(dataclasses.asdict(part)) for part in recipe[:length]]
            prefixes[digest(phases)] = phase.kind
    return Counter(prefixes.values())


def test_each_prefix_is_made_once_for_all_cells_of_a_seed(pruning_choice, smallest, count_phases):
    pruning = smallest(pruning_choice)
    expected = {kind: len(SEEDS) * n for kind, n in different_prefixes(pruning).items()}
    assert count_phases(pruning, experiments=1) == expected


def test_experiments_that_explain_differently_train_nothing_more(
    pruning_choice, smallest, count_phases
):
    pruning = smallest(pruning_choice)
    assert count_phases(pruning, experiments=3) == count_phases(pruning, experiments=1)


def test_netslim_trains_twice_and_cuts_and_tunes_once_for_each_sparsity(count_phases):
    # Per seed: the dense training, the penalised one that 0.5 and 0.75 share, and two each.
    phases = count_phases(NetSlim(name="netslim"), experiments=2)
    assert phases == {"train": 2 * 2, "cut": 2 * 2, "tune": 2 * 2}
