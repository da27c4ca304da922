"""A finished run grows: new cells are computed, old chunks stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr

from mtljobs.cluster.proposal import propose
from mtljobs.cluster.submission import freeze
from mtljobs.errors import StaleSlotError
from mtljobs.ledger.paths import RunFolder, open_workspace

Compute = Callable[[Path, Path], tuple[RunFolder, dict[str, str]]]


def test_adding_a_sparsity_and_a_seed_computes_those_cells_alone_and_moves_no_chunk(
    compute: Compute, smoke_grid: Path, tmp_path: Path
) -> None:
    text = smoke_grid.read_text(encoding="utf-8")
    small = tmp_path / "small.toml"
    small.write_text(text, encoding="utf-8")
    larger = tmp_path / "larger.toml"
    larger.write_text(
        text.replace("sparsities = [0.0, 0.5]", "sparsities = [0.25, 0.0, 0.5]").replace(
            "seeds = [0]", "seeds = [1, 0]"
        ),
        encoding="utf-8",
    )
    run, first = compute(small, tmp_path / "workspace")
    before = chunk_bytes(run)
    run, second = compute(larger, tmp_path / "workspace")
    after = chunk_bytes(run)

    explained = [name for name in second if name.startswith("explain")]
    assert len(explained) == 2 * (3 * 2 - 2)  # two blocks of each of the four new cells
    assert not set(explained) & set(first)
    trained = [name for name, end in second.items() if name.startswith("train") and end == "done"]
    # A seed's dense and penalised training, and a tuning of each of its two cuts, are 4; the first
    # grid had made 3 of the 8.
    assert len(trained) == 2 * 4 - 3
    assert len(network_records(run, "train")) == 2 * 4
    results = [name for name in before if "/sparsity/" not in name and "/seed" not in name]
    assert {name: after[name] for name in results} == {name: before[name] for name in results}

    tree = xr.open_datatree(run.store, engine="zarr")
    assert tree["smoke"].sparsity.values.tolist() == [0.0, 0.5, 0.25]
    assert tree["smoke"].seed.values.tolist() == [0, 1]
    assert not (tree["smoke/depth"].status == 0).any()


def test_a_changed_learning_rate_is_stale_and_submit_refuses(
    smoke_grid: Path, tmp_path: Path
) -> None:
    grid = tmp_path / "smoke.toml"
    text = smoke_grid.read_text(encoding="utf-8")
    grid.write_text(text, encoding="utf-8")
    workspace = open_workspace(tmp_path / "workspace")
    freeze(propose(str(grid), workspace=workspace))
    grid.write_text(text.replace("learning_rate = 1e-3", "learning_rate = 2e-3"), encoding="utf-8")
    proposal = propose(str(grid), workspace=workspace)
    assert set(proposal.changes.stale.values()) == {("experiment.training.learning_rate",)}
    with pytest.raises(StaleSlotError, match=r"training\.learning_rate.*--run NEW"):
        freeze(proposal)


def network_records(run: RunFolder, stage: str) -> list[Path]:
    """Records of the workspace's networks that a stage has made."""
    networks = run.root.parent / "shared/networks"
    return [path for path in networks.glob("*/record.json") if f'"{stage}-' in path.read_text()]


def chunk_bytes(run: RunFolder) -> dict[str, bytes]:
    """Every chunk of the store's result arrays by its path."""
    store = run.store
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("c*"))
        if path.is_file() and path.name != "zarr.json"
    }
