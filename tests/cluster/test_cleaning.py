from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mtljobs.cluster.cleaning import KINDS, measure, measure_all, remove
from mtljobs.ledger import attempts, claims
from mtljobs.ledger.paths import RunFolder, Workspace, claim_folder, create_folder
from mtljobs.plan.frozen import read_newest


@pytest.fixture
def run(submitted: Callable[[], RunFolder]) -> RunFolder:
    """A planned run with one file of every kind, of a shard that ended and one that runs."""
    run = submitted()
    ended = attempts.begin(run.attempts, "explain-ended", device="cpu")
    ended.end("failed", "")
    attempts.begin(run.attempts, "explain-live", device="cpu")
    for shard in ("explain-ended", "explain-live"):
        put(run.staging / f"{shard}.1" / "chunk")
        put(run.work / shard / "00000.bin")
        put(run.logs / f"{shard}.1.log")
        put(run.tensorboard / shard / "events")
    put(run.sweeps)
    put(run.report / "index.html")
    put(run.quarantine / "explain-ended.1" / "chunk")
    return run


def put(path: Path) -> Path:
    create_folder(path.parent)
    path.write_bytes(bytes(10))
    return path


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        ("leftovers", "staging/explain-ended.1/chunk"),
        ("checkpoints", "work/explain-ended/00000.bin"),
        ("logs", "logs/explain-ended.1.log"),
        ("events", "tensorboard/explain-ended/events"),
        ("quarantine", "quarantine/explain-ended.1/chunk"),
        ("report", "report/index.html"),
    ],
)
def test_what_nobody_uses_goes_and_nothing_else(run: RunFolder, kind: str, gone: str) -> None:
    before = files(run.root)
    found = measure(run, kind)
    assert (found.size, remove(run, kind)) == (10, found)
    assert before - files(run.root) == {gone}
    assert measure(run, kind).files == remove(run, kind).files == 0


def test_a_network_of_any_runs_plan_stays(run: RunFolder, tmp_path: Path) -> None:
    workspace = Workspace(run.root.parent)
    plan = read_newest(run)
    planned = next(shard.identity for shard in plan.shards if shard.stage == "train")
    for identity in (planned, "f" * 64, "e" * 64):
        put(workspace.networks / identity / "weights.safetensors")
    assert claims.acquire(claim_folder(workspace, "e" * 64)) is not None
    remove(run, "networks")
    assert sorted(path.name for path in workspace.networks.iterdir()) == sorted([planned, "e" * 64])
    assert measure(run, "planned networks").size == 10


def test_a_run_whose_plan_is_broken_hides_no_other_kind(run: RunFolder) -> None:
    put(run.root.parent / "other" / "plans" / "0001.jsonl")
    told: list[str] = []
    shown = {room.kind for room in measure_all(run, tell=told.append)}
    assert KINDS.keys() - shown == {"networks"}
    assert "maps" not in shown  # stays, and is not there
    assert [line.partition(" are left out: ")[0] for line in told] == [
        "planned networks",
        "networks",
    ]
    assert "other/plans/0001.jsonl" in told[0]


def test_a_claimed_checkpoint_stays(run: RunFolder) -> None:
    workspace = Workspace(run.root.parent)
    for identity in ("a" * 64, "b" * 64):
        put(workspace.work / identity / "checkpoint.bin")
    assert claims.acquire(claim_folder(workspace, "a" * 64)) is not None
    remove(run, "checkpoints")
    assert [path.name for path in workspace.work.iterdir()] == ["a" * 64]


def test_maps_are_counted_as_a_part_of_the_store(run: RunFolder) -> None:
    put(run.store / "study" / "depth" / "cam" / "c.0")
    put(run.store / "study" / "depth" / "cam_max" / "c.0")
    assert (measure(run, "maps").size, measure(run, "store").size) == (10, 20)


@pytest.mark.parametrize("kind", ["logs", "events", "quarantine", "networks", "leftovers"])
@pytest.mark.parametrize("leads_to", ["a folder", "nothing"])
def test_a_link_is_removed_and_never_followed(
    run: RunFolder, tmp_path: Path, kind: str, leads_to: str
) -> None:
    folders = {
        "logs": run.logs,
        "events": run.tensorboard,
        "quarantine": run.quarantine,
        "networks": Workspace(run.root.parent).networks,
        "leftovers": run.staging,
    }
    link, elsewhere = create_folder(folders[kind]) / "explain-gone.1", tmp_path / "elsewhere"
    if leads_to == "a folder":
        put(elsewhere / "mine")
    before = measure(run, kind)
    link.symlink_to(elsewhere)
    found = measure(run, kind)
    added = found.files - before.files, found.size - before.size
    assert added == (1, len(str(elsewhere)))
    assert remove(run, kind) == found
    assert not link.is_symlink()
    assert (elsewhere / "mine").exists() == (leads_to == "a folder")


def test_only_what_a_report_wrote_goes_with_it(run: RunFolder) -> None:
    ours = [run.report / name for name in ("curves.svg", "groups-study-depth.png")]
    mine = [run.report / name for name in ("notes.md", "groups-study-depth-for-talk.png")]
    for path in (*ours, *mine, run.report / "slides" / "index.html"):
        put(path)
    assert remove(run, "report").size == 10 + 10 * len(ours)
    assert files(run.report) == {"notes.md", "groups-study-depth-for-talk.png", "slides/index.html"}


def test_a_report_that_is_a_link_elsewhere_stays(run: RunFolder, tmp_path: Path) -> None:
    run.report.rename(tmp_path / "elsewhere")
    run.report.symlink_to(tmp_path / "elsewhere")
    assert (measure(run, "report").files, remove(run, "report").files) == (0, 0)
    assert files(tmp_path / "elsewhere") == {"index.html"}


def test_an_empty_run_has_nothing_to_remove(tmp_path: Path) -> None:
    young = RunFolder(tmp_path / "runs" / "young")
    assert all(measure(young, kind).files == 0 for kind in KINDS)
