from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from mtljobs.contracts import Record, Shard
from mtljobs.ledger.attempts import begin
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder, result_folder
from mtljobs.ledger.records import write_record
from mtljobs.ledger.versions import COMMIT_LABEL, LOCK_LABEL, STACK_LABEL
from mtljobs.plan.frozen import Plan, freeze_plan
from mtljobs.report.provenance import departures_table, provenance_table
from mtljobs.results import open_run

LOCK = "ab" * 32
NETWORK = Shard("train-x", "train", "c" * 64, True, parents=(), inputs={}, spec={}, place={})


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


def put_record(folder: Path, shard: str, **versions: str) -> Path:
    """A record of nothing, in a folder; its path."""
    write_record(create_folder(folder), Record(shard, NETWORK.identity, {}, versions))
    return folder / "record.json"


def test_every_commit_lock_and_version_behind_the_results_is_named_with_its_records(
    run: RunFolder, tmp_path: Path
) -> None:
    study = RunFolder(tmp_path / "study")
    create_folder(study.ledger)
    full = {STACK_LABEL: "full", LOCK_LABEL: LOCK, "torch": "2.14.1"}
    for shard, labels in (
        ("a", full | {COMMIT_LABEL: "c0ffee"}),
        ("b", full | {COMMIT_LABEL: "c0ffee"}),
        ("d", {"torch": "2.14.0"}),
    ):
        put_record(tmp_path / shard, shard, **labels).replace(study.ledger / f"{shard}.json")
    freeze_plan(study, Plan("g", (), {}, (NETWORK,), resources={}, backend="zarr"), previous=None)
    network = result_folder(Workspace(tmp_path), study, NETWORK)
    put_record(network, NETWORK.name, **full | {COMMIT_LABEL: "facade"})
    rows = provenance_table(study, open_run(run.root)).split("<tr>")
    texts = [re.sub("<[^>]*>", "|", row).strip("|\n").split("|") for row in rows]
    pairs = [(text[0], text[-1]) for text in texts]
    assert [pair for pair in pairs if "of the image" in pair[0]] == [
        ("commit of the image (records: 1)", "none"),
        ("commit of the image (records: 2)", "c0ffee"),
        ("commit of the image (records: 1)", "facade"),
        ("lock of the image (records: 1)", "none"),
        ("lock of the image (records: 3)", LOCK),
        ("stack of the image (records: 1)", "none"),
        ("stack of the image (records: 3)", "full"),
    ]
    assert ("torch", "2.14.0, 2.14.1") in pairs
    assert ("records of shared superpixels and networks", "1") in pairs


def test_a_setting_off_its_default_has_a_row_with_a_column_per_experiment(run: RunFolder) -> None:
    table = departures_table(open_run(run.root))
    assert '<th scope="col">segnet-hrank</th><th scope="col">segnet-netslim</th>' in table
    row = next(row for row in table.split("<tr>") if ">model.width<" in row)
    assert row.count("<td>0.0625</td>") == 2
    assert "<td>1.0</td>" in row
    assert "training.batch" not in table  # 8 is its default
