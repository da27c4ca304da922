"""What 10,000 shards cost a login node: seconds, memory, calls of sbatch, files.

    python benchmarks/test_scale.py [--snakemake PYTHON]

prints each command's seconds, the start of the interpreter included, and its peak memory, each the
best of five, beside the limit, after those of `import typer`, which tell how fast the machine is
just now; and Snakemake's for an equal graph, measured by the Python named or, without it, as it was
once. How many files a shard leaves is counted after a smoke run, which takes a minute. As a test it
runs once, small, and holds that the ledger is read as it was filled and that each array is one call
of sbatch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from benchmarks.scale_graph import write_grid, write_slurm, write_snakefile
from mtljobs.cluster.marker import find_submissions
from mtljobs.contracts import Shard
from mtljobs.ledger.attempts import Attempt, Outcome, report_from_host
from mtljobs.ledger.liveness import ProcessIdentity
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder, result_folder
from mtljobs.ledger.records import find_record, make_record, write_record
from mtljobs.plan.frozen import read_newest

INCOMPLETE = 3
SEEDS = 112
LIMITS = {
    "--help": (0.3, 200),
    "plan": (2.0, 200),
    "submit (first)": (None, 200),
    "plan (half done)": (2.0, 200),
    "status --once": (0.5, 200),
}
"""Seconds and MB."""

SNAKEMAKE = {"--help": (0.7, None), "dry run": (9.9, 226)}
"""Seconds and MB of Snakemake 9.27 for 10,000 jobs, on two such cores."""


@dataclass(frozen=True)
class Cost:
    """What a process took from its start to its end.

    Attributes:
        seconds: By the clock.
        peak_mb: Most memory that it held at a time, in 10**6 bytes; at least what this process
            held as it started it.
    """

    seconds: float
    peak_mb: float


def measure(command: Sequence[str], *, workspace: Path, programs: Path, rounds: int) -> Cost:
    """The least that a command took in some runs.

    Args:
        programs: Folder that is searched before `$PATH`.
    """
    costs = [_run(command, workspace=workspace, programs=programs) for _ in range(rounds)]
    return Cost(min(cost.seconds for cost in costs), min(cost.peak_mb for cost in costs))


def _run(command: Sequence[str], *, workspace: Path, programs: Path) -> Cost:
    places = {
        "MTLJOBS_WORKSPACE": str(workspace),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }
    begin = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 (our own command)
        command, env=os.environ | places, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in {0, INCOMPLETE}, command
    return Cost(seconds, usage.ru_maxrss * 1024 / 1e6)


def mtljobs(*arguments: str) -> list[str]:
    """The command line, as a shell starts it."""
    return [sys.executable, "-m", "mtljobs", *arguments]


def fill_ledger(workspace: Workspace, run: RunFolder, programs: Path) -> Counter[str]:
    """Make a run's files, and Slurm's queue, say what they would say half-way.

    Half of the shards are done, one in ten after a preemption; half of those of the run are in the
    store already. A hundred run, on other nodes, and two hundred were preempted.

    Returns:
        How many shards are in which state; all others wait.
    """
    plan = read_newest(run)
    assert plan is not None
    *shards, _ = plan.shards
    half, running, preempted = len(shards) // 2, len(shards) // 100, len(shards) // 50
    create_folder(run.attempts)
    with mock.patch("os.fsync"):  # not what is measured
        for position, shard in enumerate(shards[:half]):
            _write_result(workspace, run, shard, is_merged=position % 2 == 0)
            if position % 10 == 0:
                _write_attempt(run, shard, 1, "preempted")
            _write_attempt(run, shard, 2 if position % 10 == 0 else 1, "done")
        for shard in shards[half : half + running]:
            _write_attempt(run, shard, 1, None)
        for shard in shards[half + running : half + running + preempted]:
            _write_attempt(run, shard, 1, "preempted")
    _write_queue(run, programs, without={shard.name for shard in shards[:half]})
    return Counter(done=half, running=running, preempted=preempted)


def _write_queue(run: RunFolder, programs: Path, *, without: set[str]) -> None:
    lines = [
        f"{marker.job}_{index} 107 {folder}/submission.sh\n"
        for folder, marker in find_submissions(run).items()
        for index, shard in enumerate(marker.shards)
        if shard not in without
    ]
    (programs / "squeue.lines").write_text("".join(lines))


def _write_result(workspace: Workspace, run: RunFolder, shard: Shard, *, is_merged: bool) -> None:
    folder = create_folder(result_folder(workspace, run, shard))
    versions = {"mtljobs": "0.1.0", "numpy": "2.3.4", "torch": "2.14.0", "zarr": "3.1.3"}
    record = make_record(folder, shard=shard.name, identity=shard.identity, versions=versions)
    write_record(folder, record)
    if is_merged and not shard.shared:
        create_folder(run.ledger)
        (folder / "record.json").rename(run.ledger / f"{shard.name}.json")
        folder.rmdir()


def _write_attempt(run: RunFolder, shard: Shard, number: int, outcome: Outcome | None) -> None:
    """An attempt as it lies there on a cluster, where the host says something of it too."""
    process = ProcessIdentity(f"node{number}", "boot", "pid:[1]", 4711, "1", "107", 0)
    path = run.attempts / f"{shard.name}.{number}.json"
    attempt = Attempt(
        path,
        shard=shard.name,
        number=number,
        started=time.time() - 600,
        process=process,
        device="NVIDIA A100",
        image="",
    )
    if outcome is None:
        path.write_text(json.dumps({"started": attempt.started, "process": process.to_json()}))
        return
    attempt.end(outcome, "")
    report_from_host(run.attempts, shard.name, number, exit_code=0, signal=None, cause=None)


def count_files(folder: Path) -> Counter[str]:
    """Files and folders below a folder, by the first folder of their path."""
    paths = [path.relative_to(folder) for path in folder.rglob("*")]
    return Counter(path.parts[0] for path in paths)


def test_ledger_is_read_as_it_was_filled_and_an_array_is_one_call_of_sbatch(
    tmp_path: Path,
) -> None:
    grid, programs = write_grid(tmp_path, seeds=2), write_slurm(tmp_path)
    workspace = Workspace(tmp_path / "runs")
    submit = mtljobs("submit", "--grid", str(grid))
    measure(submit, workspace=workspace.root, programs=programs, rounds=1)
    run = workspace.run("scale")
    arrays = list(run.submissions.glob("*/shards.json"))
    assert len((programs / "sbatch.calls").read_text().splitlines()) == len(arrays)
    counts = fill_ledger(workspace, run, programs)
    assert counts == {"done": 91, "running": 1, "preempted": 3}
    places = {"MTLJOBS_WORKSPACE": str(workspace.root), "PATH": str(programs)}
    answer = subprocess.run(  # noqa: S603 (our own command)
        mtljobs("status", "--json"), env=os.environ | places, capture_output=True, check=False
    )
    seen = Counter(shard["state"] for shard in json.loads(answer.stdout)["shards"])
    assert counts.items() <= seen.items()


def main(snakemake: str | None) -> None:
    """Print what every command takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        grid, programs = write_grid(folder, seeds=SEEDS), write_slurm(folder)
        workspace = Workspace(folder / "runs")
        run = workspace.run("scale")

        def show(what: str, *arguments: str, rounds: int = 5) -> None:
            command = mtljobs(*arguments)
            cost = measure(command, workspace=workspace.root, programs=programs, rounds=rounds)
            print(_line(what, cost, LIMITS[what]), flush=True)

        yardstick = [sys.executable, "-c", "import typer"]
        cost = measure(yardstick, workspace=workspace.root, programs=programs, rounds=5)
        print(_line("import typer", cost, (None, None)))
        show("--help", "--help")
        show("plan", "plan", "--grid", str(grid))
        show("submit (first)", "submit", "--grid", str(grid), rounds=1)
        arrays = len(list(run.submissions.glob("*/shards.json")))
        calls = len((programs / "sbatch.calls").read_text().splitlines())
        print(f"{calls} calls of sbatch for {arrays} arrays")
        counts = fill_ledger(workspace, run, programs)
        show("status --once", "status", "--once")
        show("plan (half done)", "plan", "--grid", str(grid))
        plan = read_newest(run)
        assert plan is not None
        attempts = sum(1 for _ in run.attempts.iterdir())
        print(f"{len(plan.shards)} shards, {dict(counts)}, {attempts} files of attempts")
        submitted = sum(1 for _ in run.submissions.rglob("*"))
        print(f"submissions: {submitted / len(plan.shards):.1f} files per shard")
        _show_snakemake(folder, programs, snakemake)
    _show_smoke()


def _line(what: str, cost: Cost, limit: tuple[float | None, float | None]) -> str:
    seconds, peak = ("" if value is None else f"(limit {value:g})" for value in limit)
    return f"{what:16} {cost.seconds:6.2f} s {seconds:12} {cost.peak_mb:5.0f} MB {peak}"


def _show_snakemake(folder: Path, programs: Path, python: str | None) -> None:
    if python is None:
        for what, (seconds, peak) in SNAKEMAKE.items():
            print(
                f"Snakemake {what}: {seconds} s" + (f", {peak} MB" if peak else ""), "(as it was)"
            )
        return
    snakefile = write_snakefile(folder, seeds=SEEDS)
    options = {"--help": [], "dry run": ["-n", "--quiet", "-s", str(snakefile), "-d", str(folder)]}
    for what, arguments in options.items():
        command = [python, "-m", "snakemake", *(arguments or ["--help"])]
        cost = measure(command, workspace=folder, programs=programs, rounds=5)
        print(_line(f"Snakemake {what}", cost, (None, None)), flush=True)


def _show_smoke() -> None:
    """How many files the shards of a real run leave."""
    with tempfile.TemporaryDirectory() as name:
        workspace = Workspace(Path(name) / "runs")
        command = mtljobs("submit", "--grid", "smoke", "--executor", "local")
        measure(command, workspace=workspace.root, programs=Path(name), rounds=1)
        run = workspace.run("smoke")
        plan = read_newest(run)
        assert plan is not None
        *shards, _ = plan.shards
        for stage in dict.fromkeys(shard.stage for shard in shards):
            records = [
                find_record(workspace, run, shard) for shard in shards if shard.stage == stage
            ]
            files = [len(record.files) for record in records if record is not None]
            print(f"smoke, {stage}: {sum(files) / len(files):.1f} files of results per shard")
        for part, count in count_files(run.root).items():
            print(f"smoke, {part}: {count} files, {count / len(plan.shards):.1f} per shard")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snakemake", help="A Python that has Snakemake.", metavar="PYTHON")
    main(parser.parse_args().snakemake)
