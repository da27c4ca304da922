"""Tables as Markdown that reads well as plain text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np

from mtljobs.contracts import STATUS
from mtljobs.results.averages import Average
from mtljobs.results.tabulation import Performance, Tables

LEGEND = """\
AOC: area over the IROF curve divided by its length, 0 where nothing is lost. Mean over items
[95 % bootstrap interval over images], n items. Performance: mean over seeds ± standard deviation;
the constant predictor ignores the image."""


def to_markdown(tables: Tables, *, title: str) -> str:
    """Averaged AOC, performance and counts: tables per experiment, a column per sparsity."""
    parts = [f"# {title}", LEGEND]
    if tables.missing:
        items = sum(tables.missing.values())
        parts.append(f"**Partial: {items} items of {len(tables.missing)} cells are missing.**")
    for experiment, rows in groupby(tables.averages, lambda row: row.experiment):
        averages = list(rows)
        performance = [row for row in tables.performance if row.experiment == experiment]
        parts += [f"## {experiment}", _aoc_table(averages)]
        parts += [_performance_table(averages, performance), _counts_table(averages)]
    return "\n\n".join(part for part in parts if part) + "\n"


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


def _aoc_table(averages: Sequence[Average]) -> str:
    body = [
        [
            task,
            *(
                f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}] n={row.items}"
                if row.items
                else "-"
                for row in rows
            ),
        ]
        for task, rows in _by_task(averages)
    ]
    return _table(["averaged AOC", *_sparsity_labels(averages)], body)


def _performance_table(averages: Sequence[Average], performance: Sequence[Performance]) -> str:
    body = []
    for (task, metric), rows in groupby(performance, lambda row: (row.task, row.metric)):
        values = list(rows)
        arrow = "↓" if values[0].lower_is_better else "↑"
        cells = [
            mean_and_spread(row.value for row in values if row.sparsity == sparsity)
            for sparsity in _sparsities(averages)
        ]
        constant = mean_and_spread([values[0].constant])
        body.append([f"{task} {metric} {arrow}", *cells, constant])
    reached = {row.sparsity: row.sparsity_parameters for row in averages}
    removed = ["-" if math.isnan(share) else per_cent(share) for share in reached.values()]
    body.append(["parameters removed", *removed, ""])
    return _table(["performance", *_sparsity_labels(averages), "constant"], body)


def _counts_table(averages: Sequence[Average]) -> str:
    body = [
        [f"{task}: {meaning}", *(str(row.counts[code]) for row in rows)]
        for task, rows in _by_task(averages)
        for code, meaning in STATUS.items()
        if code != 1 and any(row.counts[code] for row in rows)
    ]
    return _table(["items not averaged", *_sparsity_labels(averages)], body) if body else ""


def _by_task(averages: Iterable[Average]) -> Iterator[tuple[str, list[Average]]]:
    for task, rows in groupby(averages, lambda row: row.task):
        yield task, list(rows)


def _sparsities(averages: Iterable[Average]) -> list[float]:
    return list(dict.fromkeys(row.sparsity for row in averages))


def _sparsity_labels(averages: Iterable[Average]) -> list[str]:
    return [per_cent(sparsity) for sparsity in _sparsities(averages)]


def _table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Columns padded to one width, so that the source reads as a table too."""
    columns = list(zip(header, *body, strict=True))
    widths = [max(map(len, column)) for column in columns]
    rules = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
        for row in (header, rules, *body)
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in padded)
