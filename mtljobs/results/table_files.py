"""Tables as files: CSV for programs, Markdown for people, LaTeX for papers, and their records."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from mtljobs.contracts import STATUS
from mtljobs.errors import UserError
from mtljobs.ledger.files import hash_file, replace_file, to_json
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.plan.frozen import Plan, read_newest
from mtljobs.results.averages import REACHED, Average
from mtljobs.results.comparison import Comparison, Decline
from mtljobs.results.completeness import PartialRunError
from mtljobs.results.correlation import Correlation
from mtljobs.results.latex import to_latex
from mtljobs.results.performance import Performance
from mtljobs.results.run import open_run
from mtljobs.results.sheets import experiment_sheets, experiments, to_markdown
from mtljobs.results.tabulation import Tables, tables
from mtljobs.store.variables import flag_meaning

RECORDS = "records.json"
"""Among the tables: the SHA-256 of the others, and of the records that they rest on."""

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
    found = tables(open_run(run.root), allow_partial=allow_partial, planned=planned)
    if plan is not None and not allow_partial:
        _check_merged(run, plan)
    return found


def _check_merged(run: RunFolder, plan: Plan) -> None:
    """Refuse networks that are not evaluated: their items may be complete all the same."""
    names = [shard.name for shard in plan.shards if not shard.shared and shard.stage != "reduce"]
    absent = [name for name in names if not (run.ledger / f"{name}.json").exists()]
    if absent:
        raise PartialRunError(
            f"{len(absent)} of {len(names)} shards are not in the store: {', '.join(absent[:5])}"
            f"{', ...' if len(absent) > 5 else ''}. `mtljobs resume {run.name}` computes them, "
            "--allow-partial makes tables of what is there."
        )


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
    contents = {
        "aoc.csv": _averages_csv(numbers.averages).encode(),
        "aoc_groups.csv": _averages_csv(numbers.groups).encode(),
        "performance.csv": _performance_csv(numbers.performance).encode(),
        "comparisons.csv": _comparisons_csv(numbers.comparisons).encode(),
        "declines.csv": _declines_csv(numbers.declines).encode(),
        "correlations.csv": _correlations_csv(numbers.correlations).encode(),
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
    return to_latex({name: experiment_sheets(numbers, name)[kind] for name in experiments(numbers)})


def read_hashes(run: RunFolder) -> dict[str, str]:
    """Shard -> sha256 of its record in the ledger.

    Raises:
        OSError: The ledger, or a record, is not there or cannot be read.
    """
    records = (path for path in sorted(run.ledger.iterdir()) if path.suffix == ".json")
    return {path.stem: hash_file(path) for path in records}


def _averages_csv(rows: Iterable[Average]) -> str:
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
    return _csv(header, body)


def _performance_csv(rows: Iterable[Performance]) -> str:
    header = ("experiment", "task", "metric", "lower_is_better", "sparsity", "seed", "value",
              "constant")  # fmt: skip
    body = [
        (row.experiment, row.task, row.metric, str(row.lower_is_better).lower(), row.sparsity,
         row.seed, row.value, row.constant)
        for row in rows
    ]  # fmt: skip
    return _csv(header, body)


def _comparisons_csv(rows: Iterable[Comparison]) -> str:
    header = ("experiment", "task", "sparsity", "items", "images", "difference", "difference_low",
              "difference_high", "shift", "effect", "p", "p_holm")  # fmt: skip
    body = [
        (row.experiment, row.task, row.sparsity, row.items, row.images, row.difference, row.low,
         row.high, row.shift, row.effect, row.p, row.p_holm)
        for row in rows
    ]  # fmt: skip
    return _csv(header, body)


def _declines_csv(rows: Iterable[Decline]) -> str:
    header = ("experiment", "task", "from_sparsity", "compared")
    body = [
        (row.experiment, row.task, math.nan if row.sparsity is None else row.sparsity,
         " ".join(map(_field, row.compared)))
        for row in rows
    ]  # fmt: skip
    return _csv(header, body)


def _correlations_csv(rows: Iterable[Correlation]) -> str:
    header = ("experiment", "task", "metric", "lower_is_better", "networks", "rho", "p")
    body = [
        (row.experiment, row.task, row.metric, str(row.lower_is_better).lower(), row.networks,
         row.rho, row.p)
        for row in rows
    ]  # fmt: skip
    return _csv(header, body)


def _csv(header: Sequence[str], body: Iterable[tuple[object, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_field(value) for value in row] for row in body)
    return text.getvalue()


def _field(value: object) -> str:
    """Six digits: the seventh depends on the order of additions, and so on the machine."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)
