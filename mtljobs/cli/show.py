"""What the command line prints of runs: states and results, for people and as JSON."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

from mtljobs.cli.console import duration, in_bytes, make_table
from mtljobs.cluster.states import FAILED, RunState, ShardState
from mtljobs.ledger.paths import RunFolder, log_file
from mtljobs.plan.frozen import read_newest

SHOWN_FAILURES = 5


def state_values(state: RunState, slots: int) -> dict[str, Any]:
    """How a run stands, complete, as JSON values."""
    return {
        "run": state.run.name,
        "folder": str(state.run.root),
        "complete": state.is_complete,
        "seconds_left": None if state.is_complete else state.seconds_left(slots),
        "stages": {stage: dict(counts) for stage, counts in state.counts().items()},
        "shards": [_shard_values(shard) for shard in state.shards.values()],
    }


def render_state(state: RunState, slots: int) -> RenderableType:
    """How a run stands: a bar per stage, what runs, what failed and why, time left."""
    table = make_table("stage", "", "done", "running", "failed", "to do")
    for stage, counts in state.counts().items():
        table.add_row(stage, *_stage_row(counts))
    parts: list[RenderableType] = [Text(f"run {state.run.name}", style="bold"), table]
    parts += [Text(f"running  {_running_line(state, shard)}") for shard in state.running]
    parts += [Text(_failure_line(shard), style="red") for shard in state.failed[:SHOWN_FAILURES]]
    if len(state.failed) > SHOWN_FAILURES:
        parts.append(Text(f"and {len(state.failed) - SHOWN_FAILURES} more failed", style="red"))
    parts.append(Text(_time_line(state, slots)))
    return Group(*parts)


class LogLines:
    """Tells of a run's progress in plain lines, one per change, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._known: dict[str, str] | None = None

    def __call__(self, state: RunState) -> None:
        """Print how many shards are done at first, then every shard whose state changes."""
        now = {name: shard.state for name, shard in state.shards.items()}
        before, self._known = self._known, now
        done = f"{sum(word == 'done' for word in now.values())} of {len(now)} done"
        stamp = time.strftime("%H:%M:%S")
        if before is None:
            self._console.print(f"{stamp} {done}")
            return
        for name, word in now.items():
            if word in {"ready", "blocked", before.get(name)}:
                continue
            self._console.print(f"{stamp} {word:9} {name} ({done})")
            if state.shards[name].is_failed:
                self._console.print(_failure_line(state.shards[name]))


def run_values(state: RunState) -> dict[str, Any]:
    """One run of a list, as JSON values."""
    done = sum(shard.state == "done" for shard in state.shards.values())
    return {
        "run": state.run.name,
        "grid": state.plan.grid,
        "cells": len(state.plan.cells),
        "shards": len(state.shards),
        "done": done,
        "running": len(state.running),
        "failed": len(state.failed),
        "complete": state.is_complete,
    }


def print_runs(console: Console, folder: Path, states: Sequence[RunState]) -> None:
    """The runs of a workspace, a line each."""
    columns = ("run", "grid", "cells", "shards", "done", "running", "failed")
    table = make_table(*columns)
    for state in states:
        values = run_values(state)
        table.add_row(*(str(values[column]) for column in columns))
    console.print(table if states else f"no runs in {folder}")


def print_results(console: Console, run: RunFolder, page: Path) -> None:
    """The averaged AOC table, where things lie, and how to open them."""
    from mtljobs.results import markdown
    from mtljobs.results.run import find_store

    console.print(markdown(run), soft_wrap=True)
    lines = (
        f"report  {page}",
        f"tables  {run.tables}",
        f"store   {find_store(run.root)}",
        f"        {store_size(run)}",
        "",
        "Open the results in Python:",
        "",
        "    from mtljobs.results import open_run, aoc",
        f"    run = open_run({str(run.root)!r})",
        *_example(run),
    )
    console.print("\n".join(lines), soft_wrap=True)


def store_size(run: RunFolder) -> str:
    """What the store takes of disk and quota."""
    from mtljobs.cluster.cleaning import measure

    room, plan = measure(run, "store"), read_newest(run)
    cells = max(1, len(plan.cells)) if plan is not None else 1
    if room.files == 1:
        return f"{in_bytes(room.size)} in one file; a cell {in_bytes(room.size // cells)}"
    return (
        f"{in_bytes(room.size)} in {room.files:,} files and folders; a cell "
        f"{in_bytes(room.size // cells)} in {room.files // cells:,}"
    )


def _example(run: RunFolder) -> tuple[str, str]:
    """Two lines that slice the run's first experiment and task."""
    plan = read_newest(run)
    if plan is None or not plan.layouts:
        return ("    print(run)", "")
    experiment, layout = next(iter(plan.layouts.items()))
    node = f"{experiment}/{next(iter(layout.tasks))}"
    return (
        f"    curves = run[{node!r}].irof.sel(seed={layout.seeds[0]})",
        f"    print(aoc(run)[{node!r}].mean(('image', 'group')))",
    )


def _shard_values(shard: ShardState) -> dict[str, Any]:
    return {
        "name": shard.shard.name,
        "stage": shard.shard.stage,
        "identity": shard.shard.identity,
        "state": shard.state,
        "parents": list(shard.shard.parents),
        "attempts": [dataclasses.asdict(attempt) for attempt in shard.attempts],
    }


def _stage_row(counts: Mapping[str, int]) -> tuple[RenderableType, ...]:
    total = sum(counts.values())
    failed = sum(count for state, count in counts.items() if state in FAILED)
    done, running = counts.get("done", 0), counts.get("running", 0)
    return (
        ProgressBar(total=total, completed=done, width=30),
        f"{done} of {total}",
        str(running or ""),
        Text(str(failed or ""), style="red"),
        str(total - done - running - failed or ""),
    )


def _running_line(state: RunState, shard: ShardState) -> str:
    """The shard and the last line of its log."""
    if shard.last is None:
        return shard.shard.name
    path = log_file(state.run, shard.shard.name, shard.last.number)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    progress = lines[-1].split(" ", 2)[-1] if lines else ""
    return f"{shard.shard.name}  {progress}"


def _failure_line(shard: ShardState) -> str:
    detail = shard.last.detail.strip().splitlines() if shard.last and shard.last.detail else []
    reason = detail[-1] if detail else "no word of the worker; was it killed?"
    return f"{shard.state}   {shard.shard.name}: {reason}"


def _time_line(state: RunState, slots: int) -> str:
    if state.is_complete:
        return "complete"
    seconds = state.seconds_left(slots)
    return "time left unknown" if seconds is None else f"about {duration(seconds)} left"
