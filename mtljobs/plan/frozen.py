"""The frozen plan: what a run consists of, one immutable file per growth, JSON lines.

Line 1 is the header (grid, cells, layouts, resources, and a table of every key that a shard has a
value for, with each of its values, once). Then comes a line for each field of a shard, with the
values of all shards. Settings, inputs and places are rows of positions in the table, each row once,
and parents are positions among the shards: ten thousand shards differ in little, and each of their
workers reads all. The last line is the SHA-256 of the others. The newest file is the whole run;
older ones stay for the workers that were started with them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from mtljobs.contracts import ExperimentLayout, Shard, TaskLayout
from mtljobs.errors import CorruptionError, UserError
from mtljobs.ledger.files import create_file, read_file
from mtljobs.ledger.paths import RunFolder, create_folder

FORMAT = "mtljobs-plan-1"

SUBMIT_AGAIN = (
    "submit its grid again before anything else; until then the run is what the plan before it "
    "says, and the results of all that came later are nobody's"
)
"""What to do about a plan that is lost; a damaged one is to be moved away first."""

CellFilter = Callable[[str, float, int], bool]
"""Whether (experiment, sparsity, seed) is wanted."""


T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """(experiment, sparsity, seed): names the last network of its recipe.

    Attributes:
        identity: Of all that the cell adds to the store.
        network: Identity of the network that is evaluated and explained.
        shards: Names of the shards it needs, parents first.
    """

    experiment: str
    sparsity: float
    seed: int
    identity: str
    network: str
    shards: tuple[str, ...]

    @property
    def slot(self) -> tuple[str, float, int]:
        """Its place in the run, which one identity holds for ever."""
        return self.experiment, self.sparsity, self.seed


@dataclass(frozen=True)
class Plan:
    """What a run consists of.

    Attributes:
        grid: Name or path of the grid that was submitted last.
        cells: In the order of their arrival.
        layouts: Store layout per experiment.
        shards: Parents before children; the index in this tuple is what a job is given.
        resources: Canonical `[resources]`.
        backend: Of the store.
        provisional: Some data set is known by published counts alone.
    """

    grid: str
    cells: tuple[Cell, ...]
    layouts: Mapping[str, ExperimentLayout]
    shards: tuple[Shard, ...]
    resources: Mapping[str, Any]
    backend: str
    provisional: bool = False


def freeze_plan(run: RunFolder, plan: Plan, *, previous: Plan | None) -> Path:
    """Write a plan as the run's next file, or find that the newest one says the same.

    Args:
        previous: The run's newest plan as `plan` knows it: two submissions that grew the same
            plan would give one place of the store to two cells.

    Raises:
        UserError: Another submission wrote a plan since `previous` was read.
    """
    text = _text(plan)
    newest = newest_plan(run)
    if newest is not None and newest.read_text(encoding="utf-8") == text:
        return newest
    number = 1 if newest is None else int(newest.stem) + 1
    path = create_folder(run.plans) / f"{number:04d}.jsonl"
    is_next = previous == (None if newest is None else read_plan(newest))
    if not (is_next and create_file(path, text.encode())):
        raise UserError(
            f"another submission to the run {run.name!r} was faster: submit again, and what it "
            "planned is kept and only what is still new is added."
        )
    return path


def plan_files(run: RunFolder) -> list[Path]:
    """The run's plan files, the newest first; what has more in its name than digits is none."""
    numbered = [path for path in run.plans.glob("*.jsonl") if path.stem.isdecimal()]
    return sorted(numbered, key=lambda path: int(path.stem), reverse=True)


def newest_plan(run: RunFolder) -> Path | None:
    """The run's newest plan file."""
    return next(iter(plan_files(run)), None)


@lru_cache(maxsize=16)
def read_plan(path: Path) -> Plan:
    """The plan in a file, which never changes once it is there.

    Raises:
        CorruptionError: The file is not a whole plan of this format.
    """
    try:
        return _plan(read_file(path).decode())
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CorruptionError(
            f"{path} is no whole plan of the format {FORMAT} ({error!r}): move it away, "
            f"and {SUBMIT_AGAIN}."
        ) from error


def read_newest(run: RunFolder) -> Plan | None:
    """The run's newest plan, or None where nothing was ever submitted."""
    path = newest_plan(run)
    return None if path is None else read_plan(path)


class _Table:
    """Every key that some mappings have, with each of its values, once."""

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}
        self._seen: dict[tuple[str, int], int] = {}

    def refer(self, mapping: Mapping[str, Any]) -> list[int]:
        """Positions of a mapping's items; it must live as long as the table."""
        return [self._position(key, value) for key, value in mapping.items()]

    def _position(self, key: str, value: Any) -> int:
        # By text, as 0, 0.0 and False are equal; by id where the very same value was met before.
        known = self._seen.get((key, id(value)))
        if known is None:
            text = json.dumps([key, value], allow_nan=False)
            known = self._positions.setdefault(text, len(self._positions))
            self._seen[key, id(value)] = known
        return known

    def to_json(self) -> list[Any]:
        """The keys and values in the order of their positions."""
        return [json.loads(text) for text in self._positions]


_PLAIN = ("name", "stage", "identity", "shared")
_MAPPINGS = ("inputs", "spec", "place")


def _text(plan: Plan) -> str:
    table = _Table()
    positions = {shard.name: position for position, shard in enumerate(plan.shards)}

    def refer(names: tuple[str, ...]) -> list[int]:
        return [positions[name] for name in names]

    columns: dict[str, Any] = {
        key: [getattr(shard, key) for shard in plan.shards] for key in _PLAIN
    }
    columns["parents"] = [refer(shard.parents) for shard in plan.shards]
    for key in _MAPPINGS:
        columns[key] = _once(table.refer(getattr(shard, key)) for shard in plan.shards)
    header = {
        "format": FORMAT,
        "grid": plan.grid,
        "cells": [vars(cell) | {"shards": refer(cell.shards)} for cell in plan.cells],
        "layouts": {name: dataclasses.asdict(value) for name, value in plan.layouts.items()},
        "resources": plan.resources,
        "backend": plan.backend,
        "provisional": plan.provisional,
        "table": table.to_json(),
    }
    lines = (header, *({key: values} for key, values in columns.items()))
    text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
    return text + _seal(text)


def _seal(text: str) -> str:
    """The line that ends a plan."""
    return json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest()}) + "\n"


def _plan(text: str) -> Plan:
    *body, seal = text.splitlines(keepends=True)
    header, *lines = map(json.loads, body)
    if header["format"] != FORMAT:
        raise ValueError("written by another release")
    if seal != _seal("".join(body)):
        raise ValueError("its last line is not the SHA-256 of the others")
    columns = {key: values for line in lines for key, values in line.items()}
    names, table = columns["name"], header["table"]
    columns["parents"] = [_pick(names, positions) for positions in columns["parents"]]
    for key in _MAPPINGS:
        rows = [dict(_pick(table, positions)) for positions in columns[key]["rows"]]
        columns[key] = _pick(rows, columns[key]["of"])
    fields = (columns[entry.name] for entry in dataclasses.fields(Shard))
    return Plan(
        grid=header["grid"],
        cells=tuple(
            Cell(**{**cell, "shards": _pick(names, cell["shards"])}) for cell in header["cells"]
        ),
        layouts={name: _layout(value) for name, value in header["layouts"].items()},
        shards=tuple(itertools.starmap(Shard, zip(*fields, strict=True))),
        resources=header["resources"],
        backend=header["backend"],
        provisional=header["provisional"],
    )


def _once(rows: Iterable[list[int]]) -> dict[str, list[Any]]:
    """Each different row, and for each of all rows which one it is."""
    known: dict[tuple[int, ...], int] = {}
    of = [known.setdefault(tuple(row), len(known)) for row in rows]
    return {"rows": list(known), "of": of}


def _pick(values: list[T], positions: list[int]) -> tuple[T, ...]:
    return tuple(map(values.__getitem__, positions))


def _layout(value: dict[str, Any]) -> ExperimentLayout:
    tasks = {
        name: TaskLayout(
            groups=tuple(task["groups"]),
            metrics=tuple(task["metrics"]),
            lower_is_better=tuple(task["lower_is_better"]),
            arrays={array: tuple(axes) for array, axes in task["arrays"].items()},
        )
        for name, task in value["tasks"].items()
    }
    lists = ("sparsities", "seeds", "images", "size", "cam_size", "layers")
    return ExperimentLayout(
        **{**value, **{key: tuple(value[key]) for key in lists}, "tasks": tasks}
    )
