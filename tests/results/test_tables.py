from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from mtljobs.errors import CorruptionError, UserError
from mtljobs.ledger.paths import RunFolder
from mtljobs.results import (
    aoc,
    compare,
    compute_tables,
    correlate,
    declines,
    markdown,
    open_run,
    write_tables,
)
from mtljobs.results import sheets as sheet_room
from mtljobs.results.comparison import Decline
from mtljobs.results.latex import escape
from mtljobs.results.sheets import Sheet, decline_sheet, experiment_sheets


@pytest.fixture(scope="module")
def tabulated_run(stored_run: RunFolder) -> RunFolder:
    write_tables(stored_run, allow_partial=False)
    return stored_run


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_have_the_means_of_the_store(tabulated_run: RunFolder) -> None:
    rows = read_rows(tabulated_run.tables / "aoc.csv")
    run = open_run(tabulated_run.root)
    assert len(rows) == 2 * 3 * 3
    for row in rows:
        node = run[f"{row['experiment']}/{row['task']}"].to_dataset()
        items = aoc(node.sel(sparsity=float(row["sparsity"])))
        assert float(row["aoc"]) == pytest.approx(float(items.mean()), rel=1e-5)
        assert float(row["aoc_low"]) < float(row["aoc"]) < float(row["aoc_high"])
        assert int(row["items"]) == int(row["ok"]) == int(items.notnull().sum())


def test_counts_follow_the_status_array(tabulated_run: RunFolder) -> None:
    rows = read_rows(tabulated_run.tables / "aoc.csv")
    depth = {float(row["sparsity"]): row for row in rows if row["task"] == "depth"}
    # The fixture's odd items lie in the cells that arrived second, of sparsity 0.9.
    columns = ("ok", "group_empty", "map_all_zero", "clean_score_at_most_eps", "not_run")
    assert [depth[0.9][name] for name in columns] == ["54", "4", "1", "1", "0"]
    assert [depth[0.0][name] for name in columns] == ["56", "4", "0", "0", "0"]


def test_group_means_add_up_to_the_mean_over_all(tabulated_run: RunFolder) -> None:
    total = read_rows(tabulated_run.tables / "aoc.csv")[0]
    place = ("experiment", "task", "sparsity")
    groups = [
        row
        for row in read_rows(tabulated_run.tables / "aoc_groups.csv")
        if all(row[key] == total[key] for key in place)
    ]
    assert [row["group"] for row in groups] == ["bed", "floor", "wall"]
    summed = sum(float(row["aoc"]) * int(row["items"]) for row in groups)
    assert summed / int(total["items"]) == pytest.approx(float(total["aoc"]), rel=1e-5)


def test_performance_stands_beside_the_constant_predictor(tabulated_run, synthetic) -> None:
    rows = read_rows(tabulated_run.tables / "performance.csv")
    assert len(rows) == 2 * (2 + 2 + 2) * 3 * 2
    run = open_run(tabulated_run.root)
    for row in rows:
        node = run[f"{row['experiment']}/{row['task']}"].to_dataset()
        place = {key: float(row[key]) for key in ("sparsity", "seed")}
        stored = node["performance"].sel(metric=row["metric"], **place)
        assert float(row["value"]) == pytest.approx(float(stored), rel=1e-5)
        assert float(row["constant"]) == pytest.approx(synthetic.CONSTANT[row["metric"]], rel=1e-5)
        assert (
            row["lower_is_better"]
            == str("error" in row["metric"] or "angle" in row["metric"]).lower()
        )


def test_records_name_the_ledger_that_the_tables_rest_on(tabulated_run: RunFolder) -> None:
    said = json.loads((tabulated_run.tables / "records.json").read_text())
    expected = {
        path.stem: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tabulated_run.ledger.iterdir()
    }
    assert said["records"] == expected
    assert len(expected) == 2
    assert said["tables"] == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tabulated_run.tables.iterdir()
        if path.name != "records.json"
    }


def test_writing_tables_again_gives_the_same_bytes(tabulated_run: RunFolder) -> None:
    first = {path.name: path.read_bytes() for path in tabulated_run.tables.iterdir()}
    write_tables(tabulated_run, allow_partial=False)
    again = {path.name: path.read_bytes() for path in tabulated_run.tables.iterdir()}
    assert first == again
    assert set(first) == {
        "aoc.csv", "aoc_groups.csv", "performance.csv", "comparisons.csv", "declines.csv",
        "correlations.csv", "aoc.md", "aoc.tex", "performance.tex", "comparisons.tex",
        "declines.tex", "correlations.tex", "records.json",
    }  # fmt: skip


def test_comparisons_declines_and_correlations_are_those_of_the_run(tabulated_run) -> None:
    run = open_run(tabulated_run.root)
    rows = read_rows(tabulated_run.tables / "comparisons.csv")
    expected = compare(run)
    assert [row["task"] for row in rows] == [row.task for row in expected]
    for name in ("sparsity", "items", "images", "difference", "shift", "effect", "p", "p_holm"):
        found = [float(row[name]) for row in rows]
        assert found == pytest.approx([getattr(row, name) for row in expected], rel=1e-5)
    rows = read_rows(tabulated_run.tables / "declines.csv")
    assert [row["from_sparsity"] for row in rows] == [""] * len(declines(expected))
    assert {row["compared"] for row in rows} == {"0.5 0.9", "0.5 0.75"}
    rows = read_rows(tabulated_run.tables / "correlations.csv")
    expected = correlate(run)
    assert [row["metric"] for row in rows] == [row.metric for row in expected]
    assert [float(row["rho"]) for row in rows] == pytest.approx(
        [row.rho for row in expected], rel=1e-5
    )


def test_markdown_and_latex_are_of_the_same_sheets(tabulated_run: RunFolder) -> None:
    text = markdown(tabulated_run)
    sheets = experiment_sheets(compute_tables(tabulated_run, allow_partial=False), "segnet-hrank")
    for kind in ("aoc", "performance", "comparisons"):
        latex = (tabulated_run.tables / f"{kind}.tex").read_text(encoding="utf-8")
        assert r"{segnet-hrank} \\" in latex
        for row in (sheets[kind].header, *sheets[kind].body):
            assert " & ".join(map(escape, row)) + r" \\" in latex
            assert all(f" {cell} " in text for cell in row)


def test_six_images_are_too_few_for_a_significant_decline(tabulated_run: RunFolder) -> None:
    text = markdown(tabulated_run)
    assert re.search(r"\| depth +\| none \| +50 %, 90 % \|", text)
    assert re.search(r"\| depth abs_error +\| +6 \| +0\.\d{3} \|", text)


def test_markdown_columns_line_up_and_hold_the_numbers(tabulated_run: RunFolder) -> None:
    text = markdown(tabulated_run)
    for table in (block for block in text.split("\n\n") if block.startswith("|")):
        lines = table.splitlines()
        assert len({len(line) for line in lines}) == 1
        assert len({line.count("|") for line in lines}) == 1
    row = read_rows(tabulated_run.tables / "aoc.csv")[0]
    low, high = float(row["aoc_low"]), float(row["aoc_high"])
    assert f"{float(row['aoc']):.3f} [{low:.3f}, {high:.3f}] n={row['items']}" in text
    assert "| segmentation: map all zero" in text


def test_what_is_gone_of_shared_and_branch_weights_is_told_apart(tabulated_run: RunFolder) -> None:
    # The synthetic run reaches 97, 95 and 99 % of what was aimed at.
    lines = [
        [cell.strip() for cell in line.split("|")] for line in markdown(tabulated_run).splitlines()
    ]
    for name, share in (("parameters", 0.97), ("shared weights", 0.95), ("branch weights", 0.99)):
        row = next(line for line in lines if line[1:2] == [f"{name} removed"])
        assert f"{100 * 0.5 * share:g} %" in row
    rows = read_rows(tabulated_run.tables / "aoc.csv")
    half = next(row for row in rows if float(row["sparsity"]) == 0.5)
    found = [float(half[f"sparsity_{part}"]) for part in ("parameters", "shared", "branches")]
    assert found == pytest.approx([0.485, 0.475, 0.495])


def test_the_spread_over_seeds_stands_beside_the_mean(tabulated_run: RunFolder) -> None:
    found = compute_tables(tabulated_run, allow_partial=False)
    row = found.averages[1]
    cell = experiment_sheets(found, row.experiment)["aoc"].body[0][2]
    assert cell.endswith(f"n={row.items} ± {row.seed_std:.3f}")


def test_rules_of_narrow_columns_are_rules_for_every_reader() -> None:
    sheet = Sheet(["x", "p"], [["a", "-"]])
    assert sheet_room._to_markdown(sheet).split("\n")[1] == "| --- | --: |"


def test_a_decline_that_nothing_could_show_is_no_answer() -> None:
    rows = [Decline("net", "depth", None, None, compared) for compared in ((), (0.5,))]
    assert decline_sheet(rows).body == [["depth", "-", "-"], ["depth", "none", "50 %"]]


def test_an_ok_item_without_a_curve_is_corruption_not_a_gap(synthetic, tmp_path: Path) -> None:
    arrays = synthetic.make_arrays(synthetic.make_layouts())
    arrays["segnet-netslim/depth"]["irof"][0, 0, 0, 0] = np.nan
    run = synthetic.write_run(RunFolder(tmp_path / "corrupt"), arrays=arrays)
    with pytest.raises(CorruptionError, match="1 item of /segnet-netslim/depth"):
        compute_tables(run, allow_partial=True)


def test_a_run_that_was_never_reduced_says_how_to_get_tables(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mtljobs reduce young"):
        markdown(RunFolder(tmp_path / "young"))
