"""Tables as files: CSV for programs, Markdown for people, LaTeX for papers, and their records."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from mtljobs.contracts import STATUS
from mtljobs.errors import UserError
from mtljobs.ledger.files import hash_file, replace_file, to_json
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.plan.frozen import read_newest
from mtljobs.results.averages import REACHED, Average
from mtljobs.results.comparison import Comparison, Decline
from mtljobs.results.correlation import Correlation
from mtljobs.results.latex import to_latex
from mtljobs.results.performance import Performance
from mtljobs.results.run import open_run
from mtljobs.results.sheets import experiment_sheets, experiments, heading, to_markdown
from mtljobs.results.tabulation import Tables, tables
from mtljobs.store.variables import flag_meaning

RECORDS = "records.json"
"""Among the tables: the SHA-256 of the others, and of the records that they rest on."""

_Columns = tuple[Sequence[str], Sequence[tuple[object, ...]]]
"""Names of columns, and rows that begin with their experiment."""

IN_LATEX = ("aoc", "performance", "comparisons", "declines", "correlations")
"""The sheets that papers print."""


def compute_tables(run: RunFolder, *, allow_partial: bool) -> Tables:
    """Tables of a run, held against the cells of its newest plan.

    Raises:
        UserError: The run has no store yet.
        PartialRunError: Planned results are missing, and `allow_partial` is False.
    """
    plan = read_newest(run)
    planned = None if plan is None else {cell.slot for cell in plan.cells}
    return tables(open_run(run.root), allow_partial=allow_partial, planned=planned)


def write_tables(run: RunFolder, *, allow_partial: bool) -> Path:
    """Write a run's tables; the same results give the same bytes.

    `aoc.csv` (a row per experiment, task, sparsity), `aoc_groups.csv`, `performance.csv` (a row
    per network and metric), `comparisons.csv`, `declines.csv`, `correlations.csv`, `aoc.md` (the
    same to read), `aoc.tex`, `performance.tex`, `comparisons.tex`, `declines.tex` and
    `correlations.tex` for papers, and `records.json`, last: the sha256 of each, and of every ledger
    record that they rest on.

    Returns:
        The folder that they lie in.

    Raises:
        UserError: The run has no store yet.
        PartialRunError: Planned results are missing, and `allow_partial` is False.
    """
    files = table_contents(run, allow_partial=allow_partial)
    create_folder(run.tables)
    for name, content in files.items():
        replace_file(run.tables / name, content)
    return run.tables


def table_contents(run: RunFolder, *, allow_partial: bool) -> dict[str, bytes]:
    """What `write_tables` writes, by file name, in its order.

    Raises:
        UserError: The run has no store yet.
        PartialRunError: Planned results are missing, and `allow_partial` is False.
    """
    records = read_hashes(run)
    numbers = compute_tables(run, allow_partial=allow_partial)
    columns = {
        "aoc": _averages(numbers.averages),
        "aoc_groups": _averages(numbers.groups),
        "performance": _performance(numbers.performance),
        "comparisons": _comparisons(numbers.comparisons),
        "declines": _declines(numbers.declines),
        "correlations": _correlations(numbers.correlations),
    }
    contents = {
        **{f"{name}.csv": _csv(*of, numbers.partial).encode() for name, of in columns.items()},
        "aoc.md": to_markdown(numbers, title=run.name).encode(),
        **{f"{kind}.tex": _latex(numbers, kind).encode() for kind in IN_LATEX},
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return contents | {RECORDS: to_json({"records": records, "tables": hashes})}


def markdown(run: RunFolder) -> str:
    """The run's tables to read, as the last reduction wrote them.

    Raises:
        UserError: There was no reduction yet.
    """
    path = run.tables / "aoc.md"
    if not path.is_file():
        raise UserError(
            f"the run {run.name!r} has no tables yet: `mtljobs reduce {run.name}` writes them once "
            "its shards are done."
        )
    return path.read_text(encoding="utf-8")


def _latex(numbers: Tables, kind: str) -> str:
    return to_latex(
        {
            heading(numbers, name): experiment_sheets(numbers, name)[kind]
            for name in experiments(numbers)
        }
    )


def read_hashes(run: RunFolder) -> dict[str, str]:
    """Shard -> sha256 of its record in the ledger; empty where there is no ledger yet.

    Raises:
        OSError: The ledger, or a record, cannot be read.
    """
    try:
        places = sorted(run.ledger.iterdir())
    except FileNotFoundError:
        return {}
    return {path.stem: hash_file(path) for path in places if path.suffix == ".json"}


def _averages(rows: Iterable[Average]) -> _Columns:
    counts = {code: flag_meaning(text) for code, text in STATUS.items()}
    header = ("experiment", "task", "group", "sparsity", *(f"sparsity_{part}" for part in REACHED),
              "aoc", "aoc_low", "aoc_high", "aoc_se", "quantus", "items", "images",
              "seed_mean", "seed_std", "seeds", *counts.values())  # fmt: skip
    body = [
        (row.experiment, row.task, row.group or "all", row.sparsity,
         *(row.reached.get(part, math.nan) for part in REACHED), row.mean, row.low, row.high,
         row.standard_error, row.quantus, row.items, row.images,
         row.seed_mean, row.seed_std, row.seeds, *(row.counts[code] for code in counts))
        for row in rows
    ]  # fmt: skip
    return header, body


def _performance(rows: Iterable[Performance]) -> _Columns:
    header = ("experiment", "task", "metric", "lower_is_better", "sparsity", "seed", "value",
              "constant")  # fmt: skip
    body = [
        (row.experiment, row.task, row.metric, str(row.lower_is_better).lower(), row.sparsity,
         row.seed, row.value, row.constant)
        for row in rows
    ]  # fmt: skip
    return header, body


def _comparisons(rows: Iterable[Comparison]) -> _Columns:
    header = ("experiment", "task", "sparsity", "items", "images", "difference", "difference_low",
              "difference_high", "shift", "effect", "p", "p_holm")  # fmt: skip
    body = [
        (row.experiment, row.task, row.sparsity, row.items, row.images, row.difference, row.low,
         row.high, row.shift, row.effect, row.p, row.p_holm)
        for row in rows
    ]  # fmt: skip
    return header, body


def _declines(rows: Iterable[Decline]) -> _Columns:
    header = ("experiment", "task", "from_sparsity", "compared")
    body = [
        (row.experiment, row.task, math.nan if row.sparsity is None else row.sparsity,
         " ".join(map(_field, row.compared)))
        for row in rows
    ]  # fmt: skip
    return header, body


def _correlations(rows: Iterable[Correlation]) -> _Columns:
    header = ("experiment", "task", "metric", "lower_is_better", "networks", "rho", "p")
    body = [
        (row.experiment, row.task, row.metric, str(row.lower_is_better).lower(), row.networks,
         row.rho, row.p)
        for row in rows
    ]  # fmt: skip
    return header, body


def _csv(
    header: Sequence[str], body: Iterable[tuple[object, ...]], partial: Collection[str]
) -> str:
    """A line per row, and at its end whether its experiment, in front, lacks planned results."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*header, "partial"))
    for row in body:
        writer.writerow([*map(_field, row), str(row[0] in partial).lower()])
    return text.getvalue()


def _field(value: object) -> str:
    """Six digits: the seventh depends on the order of additions, and so on the machine."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)
