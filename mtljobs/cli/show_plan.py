"""What `mtljobs plan` prints: cells, their settings and shards, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from mtljobs.cli.console import make_table
from mtljobs.cluster.proposal import Proposal
from mtljobs.cluster.states import STAGE_ORDER
from mtljobs.errors import counted
from mtljobs.plan.networks import NAME_DIGITS

SHOWN_SEEDS = 8
"""More seeds than these are counted: a table of all networks would be for nobody's eyes."""


def plan_values(proposal: Proposal) -> dict[str, Any]:
    """A proposal as JSON values: every cell with its settings, shards counted per stage."""
    states = _states(proposal)
    cells = [
        {
            "experiment": cell.experiment,
            "sparsity": cell.sparsity,
            "seed": cell.seed,
            "identity": cell.identity,
            "network": cell.network,
            "state": states[cell.slot],
            "changed": list(proposal.changes.stale.get(cell, ())),
            "provisional": proposal.plan.provisional,
            "settings": proposal.plan.layouts[cell.experiment].settings,
        }
        for cell in proposal.plan.cells
    ]
    return {
        "run": proposal.run.name,
        "grid": proposal.plan.grid,
        "cells": cells,
        "shards": dict(Counter(shard.stage for shard in proposal.plan.shards)),
        "new_shards": _new_shards(proposal),
        "provisional": proposal.plan.provisional,
    }


def print_plan(console: Console, proposal: Proposal) -> None:
    """A proposal as tables: each experiment's settings and cells, counts of cells and shards."""
    console.print(f"Grid {proposal.plan.grid}, run {proposal.run.name}", style="bold")
    for name, layout in proposal.plan.layouts.items():
        console.print(f"\n{name}", style="bold")
        console.print(_settings_table(layout.settings))
        console.print(_cells_table(proposal, name))
    console.print()
    console.print(_counts_table(proposal))
    console.print(_shards_table(proposal))
    stale = Counter((cell.experiment, keys) for cell, keys in proposal.changes.stale.items())
    for (experiment, keys), count in stale.items():
        console.print(
            f"stale: {counted(count, 'cell')} of {experiment}, computed with another "
            f"{', '.join(keys)}; submit with --run NEW"
        )
    if proposal.plan.provisional:
        console.print("provisional: prepare the data set with `mtljobs data prepare` to submit")
    elif proposal.changes.new and not stale:
        console.print("nothing is written yet; `mtljobs submit` computes what is new")


def _states(proposal: Proposal) -> dict[tuple[str, float, int], str]:
    """Whether a cell is new, kept or stale, by its place in the run."""
    changes = proposal.changes
    parts = {"new": changes.new, "kept": changes.kept, "stale": tuple(changes.stale)}
    return {cell.slot: state for state, cells in parts.items() for cell in cells}


def _settings_table(settings: Mapping[str, Any]) -> Table:
    """What an experiment is made of, a line per choice."""
    table = Table.grid(padding=(0, 2))
    for key, value in {**settings["experiment"], "numerics": settings["numerics"]}.items():
        if key not in {"name"} and value is not None:
            table.add_row(f"  {key}", _in_words(value))
    return table


def _in_words(value: Any) -> str:
    """Canonical settings as a person writes them; what is None is left out.

    Example:
        >>> _in_words({"name": "rooms", "version": 1, "size": [64, 96], "seed": None})
        'rooms, size 64 x 96'
    """
    if isinstance(value, Mapping):
        named = [str(value["name"])] if "name" in value else []
        rest = {key: part for key, part in value.items() if key not in {"name", "version"}}
        return ", ".join(
            named + [f"{key} {_inner(part)}" for key, part in rest.items() if part is not None]
        )
    if isinstance(value, list):
        kinds = {type(part) for part in value}
        between = "; " if dict in kinds else " x " if kinds == {int} else " "
        return between.join(_in_words(part) for part in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _inner(value: Any) -> str:
    """Settings inside settings, in brackets where they are more than a name."""
    words = _in_words(value)
    return f"({words})" if isinstance(value, Mapping) and ", " in words else words


def _cells_table(proposal: Proposal, experiment: str) -> Table:
    """The cells of an experiment: a row per sparsity, a column per seed; state and network."""
    cells = {cell.slot: cell for cell in proposal.plan.cells if cell.experiment == experiment}
    states = _states(proposal)
    sparsities = sorted({sparsity for _, sparsity, _ in cells})
    seeds = sorted({seed for _, _, seed in cells})
    if len(seeds) > SHOWN_SEEDS:
        table = make_table("  sparsity", "cells")
        for sparsity in sparsities:
            counts = Counter(states[slot] for slot in cells if slot[1] == sparsity)
            words = ", ".join(f"{count} {state}" for state, count in counts.items())
            table.add_row(f"  {sparsity:g}", words)
        return table
    table = make_table("  sparsity", *(f"seed {seed}: network" for seed in seeds))
    for sparsity in sparsities:
        slots = [(experiment, sparsity, seed) for seed in seeds]
        row = [
            f"{states[slot]} {cells[slot].network[:NAME_DIGITS]}" if slot in cells else ""
            for slot in slots
        ]
        table.add_row(f"  {sparsity:g}", *row)
    return table


def _counts_table(proposal: Proposal) -> Table:
    table = make_table("experiment", "sparsities", "seeds", "cells", "new", "kept", "stale")
    for name in proposal.plan.layouts:
        cells = [cell for cell in proposal.plan.cells if cell.experiment == name]
        parts = (proposal.changes.new, proposal.changes.kept, tuple(proposal.changes.stale))
        table.add_row(
            name,
            " ".join(f"{value:g}" for value in sorted({cell.sparsity for cell in cells})),
            _in_ranges(sorted({cell.seed for cell in cells})),
            str(len(cells)),
            *(str(sum(cell.experiment == name for cell in part)) for part in parts),
        )
    return table


def _in_ranges(numbers: Sequence[int]) -> str:
    """Sorted numbers, three and more in a row by the first and the last.

    Example:
        >>> _in_ranges([0, 1, 2, 3, 7, 9, 10])
        '0-3 7 9 10'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " ".join(
        f"{run[0]}-{run[-1]}" if len(run) > 2 else " ".join(map(str, run)) for run in runs
    )


def _shards_table(proposal: Proposal) -> Table:
    new = _new_shards(proposal)
    counts = Counter(shard.stage for shard in proposal.plan.shards)
    table = make_table("stage", "shards", "new to the run")
    for stage in sorted(counts, key=STAGE_ORDER.index):
        table.add_row(stage, str(counts[stage]), str(new.get(stage, 0)))
    return table


def _new_shards(proposal: Proposal) -> dict[str, int]:
    had = {shard.name for shard in proposal.previous.shards} if proposal.previous else set()
    return dict(Counter(shard.stage for shard in proposal.plan.shards if shard.name not in had))
