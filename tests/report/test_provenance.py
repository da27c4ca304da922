from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from mtljobs.ledger.attempts import begin
from mtljobs.ledger.paths import RunFolder
from mtljobs.report.provenance import departures_table, provenance_table
from mtljobs.results import open_run


@pytest.fixture(scope="module")
def run(synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder: Path = tmp_path_factory.mktemp("workspace") / "study"
    return synthetic.write_run(RunFolder(folder))


def test_every_image_that_finished_attempts_ran_in_is_named(run: RunFolder) -> None:
    for shard, image in (("a", "01" * 32), ("b", "01" * 32), ("c", "23" * 32), ("d", "")):
        begin(run.attempts, shard, device="cpu", image=image).end("done", "")
    begin(run.attempts, "e", device="cpu", image="45" * 32).end("failed", "of no account")
    table = provenance_table(run, open_run(run.root))
    rows = [row.split("</th>") for row in table.split("<tr>") if "container image" in row]
    found = {head.rpartition(">")[2]: cells for head, cells in rows}
    assert "01" * 32 in found["container image (attempts: 2)"]
    assert table.count("container image (attempts: 1)") == 2
    assert "23" * 32 in table
    assert "<td>none</td>" in table
    assert "45" * 32 not in table


def test_a_setting_off_its_default_has_a_row_with_a_column_per_experiment(run: RunFolder) -> None:
    table = departures_table(open_run(run.root))
    assert '<th scope="col">segnet-hrank</th><th scope="col">segnet-netslim</th>' in table
    row = next(row for row in table.split("<tr>") if ">model.width<" in row)
    assert row.count("<td>0.0625</td>") == 2
    assert "<td>1.0</td>" in row
    assert "training.batch" not in table  # 8 is its default
