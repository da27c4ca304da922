"""Tables of runs that lack planned results: refused, or marked wherever they are read."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from mtljobs.ledger.paths import RunFolder
from mtljobs.results import (
    PartialRunError,
    compute_tables,
    open_run,
    tables,
    to_markdown,
    write_tables,
)


def write_partial(synthetic, root: Path, status: dict[tuple[int, ...], int]) -> RunFolder:
    """A run some of whose items of `segnet-netslim/depth` have another status."""
    arrays = synthetic.make_arrays(synthetic.make_layouts())
    for place, code in status.items():
        arrays["segnet-netslim/depth"]["status"][place] = code
    return synthetic.write_run(RunFolder(root), arrays=arrays)


def test_a_partial_run_is_refused_and_says_what_is_missing(synthetic, tmp_path: Path) -> None:
    run = write_partial(synthetic, tmp_path / "partial", {(2, 0, 0): 0, (1, 1, 3, 2): 8})
    with pytest.raises(PartialRunError) as caught:
        write_tables(run, allow_partial=False)
    message = str(caught.value)
    assert "6 of 864 items are missing (5 not run, 1 input unreadable)" in message
    assert "segnet-netslim at sparsity 0.5, seed 1 (5)" in message
    assert "segnet-netslim at sparsity 0.9, seed 0 (1)" in message
    assert not run.tables.exists()


def test_a_partial_run_that_is_allowed_counts_what_is_missing(synthetic, tmp_path: Path) -> None:
    run = write_partial(synthetic, tmp_path / "partial", {(2, 0, 0): 0})
    found = compute_tables(run, allow_partial=True)
    assert found.missing == {("segnet-netslim", 0.5, 1): 5}
    row = next(
        row
        for row in found.averages
        if (row.experiment, row.task, row.sparsity) == ("segnet-netslim", "depth", 0.5)
    )
    assert (row.counts[0], row.items) == (5, 51)
    assert "**Partial, without 5 items of 1 cell.**" in to_markdown(found, title="partial")


def test_cells_that_nobody_planned_are_not_missing(synthetic, tmp_path: Path) -> None:
    run = write_partial(synthetic, tmp_path / "grown", {(2, 1): 0})
    tree = open_run(run.root)
    asked = {
        (experiment, float(sparsity), int(seed))
        for experiment, node in tree.children.items()
        for sparsity in node["sparsity"].values
        for seed in node["seed"].values
    } - {("segnet-netslim", 0.5, 0)}
    found = tables(tree, allow_partial=False, planned=asked)
    assert not found.missing
    assert not [r for r in found.performance if (r.experiment, r.sparsity, r.seed) not in asked]
    row = next(r for r in found.averages if (r.task, r.sparsity) == ("depth", 0.5) and r.seeds == 1)
    assert sum(row.counts.values()) == 30


def write_unevaluated(synthetic, root: Path) -> RunFolder:
    """A run one of whose networks has explanations and no performance."""
    arrays = synthetic.make_arrays(synthetic.make_layouts())
    arrays["segnet-hrank"]["sparsity_parameters"][1, 0] = np.nan
    return synthetic.write_run(RunFolder(root), arrays=arrays)


def test_a_network_that_is_not_evaluated_is_missing_too(synthetic, tmp_path: Path) -> None:
    run = write_unevaluated(synthetic, tmp_path / "unevaluated")
    with pytest.raises(PartialRunError, match="1 network not evaluated: segnet-hrank at sparsity"):
        compute_tables(run, allow_partial=False)
    found = compute_tables(run, allow_partial=True)
    assert [slot[0] for slot in found.unevaluated] == ["segnet-hrank"]
    assert "without the performance of 1 network." in to_markdown(found, title="unevaluated")
    others = {("segnet-netslim", 0.5, 1)}
    assert not tables(open_run(run.root), allow_partial=True, planned=others).unevaluated


def test_every_table_of_a_partial_experiment_says_that_it_is_one(synthetic, tmp_path: Path) -> None:
    run = write_unevaluated(synthetic, tmp_path / "unevaluated")
    write_tables(run, allow_partial=True)
    for path in run.tables.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            said = {(row["experiment"], row["partial"]) for row in csv.DictReader(file)}
        assert said == {("segnet-hrank", "true"), ("segnet-netslim", "false")}, path.name
    for path in [*run.tables.glob("*.tex"), run.tables / "aoc.md"]:
        assert path.read_text().count("segnet-hrank (partial)") == 1, path.name
        assert "segnet-netslim (partial)" not in path.read_text()
