"""Tables as people read them: rows of text, and the same as Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import numpy as np

from mtljobs.contracts import STATUS
from mtljobs.errors import counted
from mtljobs.results.averages import OK, REACHED, Average
from mtljobs.results.comparison import Comparison, Decline
from mtljobs.results.correlation import Correlation
from mtljobs.results.performance import Performance
from mtljobs.results.tabulation import Tables

LEGEND = """\
AOC: area over the curve of the faithfulness measure divided by its length, 0 where nothing is lost.
Mean over items [95 % bootstrap interval over images], n items, ± standard deviation over seeds of
their means. Performance: mean over seeds ± standard deviation; the constant predictor ignores the
image. † no better than the constant predictor."""

TESTS_LEGEND = """\
Each sparsity beside the dense network, image by image, over the items that both have: negative
where faithfulness fell. Difference: mean [95 % bootstrap interval over images]; shift: median
difference by Hodges and Lehmann; effect: matched-pairs rank-biserial correlation; p: Wilcoxon's
signed-rank test, and corrected by Holm for all comparisons of the experiment. The corrected p
decides, not the interval: that is not corrected, and too narrow where images are few (of 8 it
covers about 87 %, of 30 93 %). With n images no p is below 2 / 2^n: fewer than 6 are never
significant, and with several comparisons it takes more. Decline: the smallest sparsity whose
effect, and that of every larger one, is negative with a corrected p < 0.05; none: the largest one
has no such effect; -: nothing could be compared. Correlation: Spearman's rho over networks,
positive where better performance goes with more faithful explanations; p by permutation, not
corrected."""

Value = TypeVar("Value")
Row = TypeVar("Row", Average, Performance, Comparison, Decline, Correlation)


@dataclass(frozen=True)
class Sheet:
    """A table of text; the first column names the rows."""

    header: Sequence[str]
    body: Sequence[Sequence[str]]


def to_markdown(tables: Tables, *, title: str) -> str:
    """Everything in `tables` but single groups and networks: sheets per experiment."""
    parts = [f"# {title}", LEGEND, TESTS_LEGEND]
    if tables.partial:
        parts.append(f"**Partial, without {gaps(tables)}.**")
    for experiment in experiments(tables):
        sheets = experiment_sheets(tables, experiment).values()
        parts.append(f"## {heading(tables, experiment)}")
        parts += [_to_markdown(sheet) for sheet in sheets if sheet.body]
    return "\n\n".join(parts) + "\n"


def gaps(tables: Tables) -> str:
    """What planned results are not there, in words; empty where all are."""
    found = []
    if tables.missing:
        items = counted(sum(tables.missing.values()), "item")
        found.append(f"{items} of {counted(len(tables.missing), 'cell')}")
    if tables.unevaluated:
        found.append(f"the performance of {counted(len(tables.unevaluated), 'network')}")
    return " and ".join(found)


def heading(tables: Tables, experiment: str) -> str:
    """An experiment's name, above what is made of its results."""
    return f"{experiment} (partial)" if experiment in tables.partial else experiment


def experiment_sheets(tables: Tables, experiment: str) -> dict[str, Sheet]:
    """All sheets of one experiment, by what they hold; some may have no rows."""

    def of_experiment(rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if row.experiment == experiment]

    averages = of_experiment(tables.averages)
    return {
        "aoc": aoc_sheet(averages),
        "performance": performance_sheet(of_experiment(tables.performance), averages),
        "counts": count_sheet(averages),
        "comparisons": comparison_sheet(of_experiment(tables.comparisons)),
        "declines": decline_sheet(of_experiment(tables.declines)),
        "correlations": correlation_sheet(of_experiment(tables.correlations)),
    }


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


def comparison_sheet(comparisons: Iterable[Comparison]) -> Sheet:
    """Each sparsity of one experiment against its dense network, a row per task and sparsity."""
    header = ["compared with 0 %", "images", "difference", "shift", "effect", "p", "p (Holm)"]
    body = [
        [f"{row.task} {per_cent(row.sparsity)}", str(row.images), _difference(row),
         _number(row.shift), _number(row.effect), _p(row.p), _p(row.p_holm)]
        for row in comparisons
    ]  # fmt: skip
    return Sheet(header, body)


def decline_sheet(declines: Iterable[Decline]) -> Sheet:
    """From which sparsity on the tasks of one experiment are explained less faithfully."""
    body = [
        [
            row.task,
            _decline(row),
            ", ".join(map(per_cent, row.compared)) or "-",
        ]
        for row in declines
    ]
    return Sheet(["significant decline", "from", "of the sparsities"], body)


def correlation_sheet(correlations: Iterable[Correlation]) -> Sheet:
    """Faithfulness with every metric of one experiment."""
    body = [
        [f"{row.task} {row.metric}", str(row.networks), _number(row.rho), _p(row.p)]
        for row in correlations
    ]
    return Sheet(["correlation with AOC", "networks", "rho", "p"], body)


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
    spread = "" if math.isnan(row.seed_std) else f" ± {row.seed_std:.3f}"
    return f"{row.mean:.3f}{interval} n={row.items}{spread}"


def _decline(row: Decline) -> str:
    if not row.compared:
        return "-"
    return "none" if row.sparsity is None else per_cent(row.sparsity)


def _difference(row: Comparison) -> str:
    interval = "" if math.isnan(row.low) else f" [{row.low:.3f}, {row.high:.3f}]"
    return _number(row.difference) + interval


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _p(p: float) -> str:
    return "<0.001" if p < 0.001 else _number(p)


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
    """Columns padded to one width, so that the source reads as a table too.

    The narrowest is 3 wide: a rule of less is none for some readers.
    """
    columns = list(zip(sheet.header, *sheet.body, strict=True))
    widths = [max(3, *map(len, column)) for column in columns]
    rules = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
        for row in (sheet.header, rules, *sheet.body)
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in padded)


def _unique(values: Iterable[Value]) -> list[Value]:
    return list(dict.fromkeys(values))
