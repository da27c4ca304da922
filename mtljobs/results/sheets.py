"""Tables as people read them: rows of text, and the same as Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import numpy as np

from mtljobs.contracts import STATUS
from mtljobs.results.averages import OK, REACHED, Average
from mtljobs.results.performance import Performance
from mtljobs.results.tabulation import Tables

LEGEND = """\
AOC: area over the curve of the faithfulness measure divided by its length, 0 where nothing is lost.
Mean over items [95 % bootstrap interval over images], n items. Performance: mean over seeds ±
standard deviation; the constant predictor ignores the image. † no better than the constant
predictor."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Sheet:
    """A table of text; the first column names the rows."""

    header: Sequence[str]
    body: Sequence[Sequence[str]]


def to_markdown(tables: Tables, *, title: str) -> str:
    """Averaged AOC, performance and counts: sheets per experiment, a column per sparsity."""
    parts = [f"# {title}", LEGEND]
    if tables.missing:
        items = sum(tables.missing.values())
        parts.append(f"**Partial: {items} items of {len(tables.missing)} cells are missing.**")
    for experiment in experiments(tables):
        averages = [row for row in tables.averages if row.experiment == experiment]
        performance = [row for row in tables.performance if row.experiment == experiment]
        counts = count_sheet(averages)
        sheets = [aoc_sheet(averages), performance_sheet(performance, averages)]
        sheets += [counts] if counts.body else []
        parts += [f"## {experiment}", *map(_to_markdown, sheets)]
    return "\n\n".join(parts) + "\n"


def experiments(tables: Tables) -> list[str]:
    """Names of the experiments that have averages."""
    return _unique(row.experiment for row in tables.averages)


def aoc_sheet(
    averages: Sequence[Average], *, label: Callable[[Average], str] = lambda row: row.task
) -> Sheet:
    """Averaged AOC of one experiment.

    Args:
        label: What a row is called; averages of one name stand in one row.
    """
    body = [
        [name, *(_aoc(row) for row in averages if label(row) == name)]
        for name in _unique(map(label, averages))
    ]
    return Sheet(["averaged AOC", *_columns(averages)], body)


def performance_sheet(performance: Sequence[Performance], averages: Sequence[Average]) -> Sheet:
    """Metrics of one experiment beside the constant predictor's, and the sparsity reached."""
    body = [
        _performance(list(rows), _unique(row.sparsity for row in averages))
        for _, rows in groupby(performance, lambda row: (row.task, row.metric))
    ]
    reached = {row.sparsity: row.reached for row in averages}
    for part, name in REACHED.items():
        removed = [per_cent(known[part]) if part in known else "-" for known in reached.values()]
        body.append([name, *removed, ""])
    return Sheet(["performance", *_columns(averages), "constant"], body)


def count_sheet(averages: Sequence[Average]) -> Sheet:
    """How many items of one experiment have no curve, by cause; no rows where all have one."""
    body = []
    for task, of_task in groupby(averages, lambda row: row.task):
        rows = list(of_task)
        body += [
            [f"{task}: {meaning}", *(str(row.counts[code]) for row in rows)]
            for code, meaning in STATUS.items()
            if code != OK and any(row.counts[code] for row in rows)
        ]
    return Sheet(["items not averaged", *_columns(averages)], body)


def per_cent(fraction: float) -> str:
    """A sparsity as people read it.

    Example:
        >>> per_cent(0.9375)
        '93.75 %'
    """
    return f"{100 * fraction:.4g} %"


def mean_and_spread(values: Iterable[float]) -> str:
    """Mean ± sample standard deviation of what is not NaN, to three digits; "-" for nothing.

    Example:
        >>> mean_and_spread([0.40, 0.42]), mean_and_spread([40.04]), mean_and_spread([math.nan])
        ('0.410 ± 0.014', '40.0', '-')
    """
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "-"
    mean = float(np.mean(known))
    decimals = max(0, 3 - len(str(int(abs(mean))).lstrip("0")))
    spread = f" ± {np.std(known, ddof=1):.{decimals}f}" if len(known) > 1 else ""
    return f"{mean:.{decimals}f}{spread}"


def _aoc(row: Average) -> str:
    if not row.items:
        return "-"
    interval = "" if math.isnan(row.low) else f" [{row.low:.3f}, {row.high:.3f}]"
    return f"{row.mean:.3f}{interval} n={row.items}"


def _performance(rows: Sequence[Performance], sparsities: Iterable[float]) -> list[str]:
    first = rows[0]
    cells = []
    for sparsity in sparsities:
        values = [row.value for row in rows if row.sparsity == sparsity]
        cells.append(mean_and_spread(values) + (" †" if _is_no_better(values, first) else ""))
    arrow = "↓" if first.lower_is_better else "↑"
    return [f"{first.task} {first.metric} {arrow}", *cells, mean_and_spread([first.constant])]


def _is_no_better(values: Sequence[float], metric: Performance) -> bool:
    """Whether the mean is known, and no better than the constant predictor's."""
    lead = float(np.mean(values)) - metric.constant
    return lead >= 0 if metric.lower_is_better else lead <= 0


def _columns(averages: Iterable[Average]) -> list[str]:
    return [per_cent(sparsity) for sparsity in _unique(row.sparsity for row in averages)]


def _to_markdown(sheet: Sheet) -> str:
    """Columns padded to one width, so that the source reads as a table too."""
    columns = list(zip(sheet.header, *sheet.body, strict=True))
    widths = [max(map(len, column)) for column in columns]
    rules = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
        for row in (sheet.header, rules, *sheet.body)
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in padded)


def _unique(values: Iterable[Value]) -> list[Value]:
    return list(dict.fromkeys(values))
