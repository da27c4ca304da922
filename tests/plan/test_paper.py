"""`jobs/paper.toml` is Table 1 and Appendix A of the study, row by row."""

from __future__ import annotations

from math import prod

import pytest

from mtljobs.cluster.proposal import propose
from mtljobs.cluster.submission import freeze
from mtljobs.errors import GridError
from mtljobs.ledger.paths import Workspace

ROWS = {
    "deeplab-disparse": {
        "model": "deeplab_resnet", "weighting": "fixed", "pruning": "disparse", "data": "nyuv2",
        "tasks": ["segmentation", "normals"], "learning_rate": 1e-3, "decay_every": 4_000,
        "batch": 32, "iterations": 20_000, "scales": [1.0], "flip": False,
    },
    "segnet-netslim": {
        "model": "segnet_mtan", "weighting": "famo", "pruning": "netslim", "data": "cityscapes",
        "tasks": ["segmentation", "depth"], "learning_rate": 1e-4, "decay_every": None,
        "batch": 8, "iterations": 36_400, "scales": [1.0, 1.2, 1.5], "flip": True,
    },
    "segnet-hrank": {
        "model": "segnet_mtan", "weighting": "equal", "pruning": "hrank", "data": "nyuv2",
        "tasks": ["segmentation", "normals", "depth"], "learning_rate": 1e-4,
        "decay_every": 72_500, "batch": 2, "iterations": 145_000, "scales": [1.0, 1.2, 1.5],
        "flip": True,
    },
}  # fmt: skip
SPARSITIES = {
    "deeplab-disparse": (0.0, 0.5, 0.7, 0.8, 0.9),
    "segnet-netslim": (0.0, 0.5, 0.6, 0.7, 0.8, 0.9),
    "segnet-hrank": (0.0, 0.5, 0.75, 0.875, 0.9375),
}
CHOICES = ("model", "weighting", "pruning", "data")


@pytest.fixture(scope="module")
def proposal(tmp_path_factory):
    """The paper grid in a workspace where no data set was prepared."""
    return propose("paper", workspace=Workspace(tmp_path_factory.mktemp("paper")))


def trainings(plan, experiment, sparsity):
    """Specifications of the trainings and tunings behind a cell of seed 0, in order."""
    [cell] = [cell for cell in plan.cells if cell.slot == (experiment, sparsity, 0)]
    return [
        shard.spec for shard in plan.shards if shard.name in cell.shards and shard.stage == "train"
    ]


def test_grid_has_the_48_cells_of_the_study(proposal):
    expected = {
        (experiment, sparsity, seed)
        for experiment, sparsities in SPARSITIES.items()
        for sparsity in sparsities
        for seed in (0, 1, 2)
    }
    assert {cell.slot for cell in proposal.plan.cells} == expected
    assert len(proposal.plan.cells) == 48


@pytest.mark.parametrize("experiment", ROWS)
def test_row_is_what_the_study_says(proposal, experiment):
    settings = proposal.plan.layouts[experiment].settings["experiment"]
    found = {
        **{choice: settings[choice]["name"] for choice in CHOICES},
        **settings["training"],
        "tasks": [task["name"] for task in settings["tasks"]],
    }
    assert {key: found[key] for key in ROWS[experiment]} == ROWS[experiment]
    assert (found["optimiser"], found["decay_factor"]) == ("adam", 0.5)
    assert settings["model"]["width"] == 1.0


def test_losses_of_deeplab_weigh_1_and_20(proposal):
    settings = proposal.plan.layouts["deeplab-disparse"].settings["experiment"]
    assert settings["weighting"]["weights"] == {"segmentation": 1.0, "normals": 20.0}


def test_classes_and_sizes_are_those_of_the_networks(proposal):
    data = {
        name: layout.settings["experiment"]["data"]
        for name, layout in proposal.plan.layouts.items()
    }
    assert {name: (one["classes"], one["size"]) for name, one in data.items()} == {
        "deeplab-disparse": (40, [480, 640]),
        "segnet-netslim": (7, [128, 256]),
        "segnet-hrank": (13, [288, 384]),
    }


def test_equal_prefixes_are_trained_once(proposal):
    # Per seed: DiSparse 1 + 4 masked trainings; NetSlim 1 plain, 1 with penalty and 5 tunings;
    # HRank 1 and 4 tunings, each of them the beginning of the next.
    kinds = [shard.stage for shard in proposal.plan.shards]
    assert kinds.count("train") == 3 * (5 + 7 + 5)
    assert kinds.count("prune") == 3 * (4 + 5 + 4)


def test_hrank_halves_four_times_and_tunes_between(proposal):
    phases = [spec["phase"] for spec in trainings(proposal.plan, "segnet-hrank", 0.9375)]
    assert phases == ["train", "tune", "tune", "tune", "tune"]


def test_images_are_shared_evenly_among_the_shards(proposal):
    for layout in proposal.plan.layouts.values():
        assert len(layout.images) % layout.block == 0
        assert prod(layout.cam_size) > 1


def test_data_sets_that_nobody_prepared_are_planned_and_not_submitted(proposal):
    assert proposal.plan.provisional
    with pytest.raises(GridError, match=r"`mtljobs data prepare` for it"):
        freeze(proposal)
