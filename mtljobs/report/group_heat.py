"""Which groups lose: AOC by group and sparsity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from mtljobs.report.drawing import GREY, PAGE_WIDTH, head, style
from mtljobs.results import Average
from mtljobs.results.sheets import per_cent

SCALE = "cividis"
"""Reads the same with and without colour vision, and grows lighter all the way in grey."""

FEWEST = 3
"""Items of a cell that has a colour: the mean of fewer would stretch the scale of all others."""


def group_heat(rows: Sequence[Average], *, title: str) -> Figure:
    """Averaged AOC of one experiment and task: a row per group, a column per sparsity.

    Cells name their items; those without any are hatched, those of fewer than `FEWEST` white.

    Args:
        rows: An average per group and sparsity.
    """
    groups = list(dict.fromkeys(str(row.group) for row in rows))
    sparsities = list(dict.fromkeys(row.sparsity for row in rows))
    cells = {(groups.index(str(row.group)), sparsities.index(row.sparsity)): row for row in rows}
    values = np.full((len(groups), len(sparsities)), np.nan)
    for place, row in cells.items():
        if row.items >= FEWEST:
            values[place] = row.mean
    with style():
        figure = Figure(figsize=_size(groups, len(sparsities)))
        axes = figure.subplots()
        head(figure, title)
        image = axes.imshow(values, cmap=SCALE, aspect="auto")
        axes.set_xticks(range(len(sparsities)), [per_cent(sparsity) for sparsity in sparsities])
        axes.set_yticks(range(len(groups)), groups)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.set_xlabel("sparsity")
        _fill_cells(axes, image, cells)
        if np.isfinite(values).any():
            figure.colorbar(image, ax=axes, label="averaged AOC", aspect=30)
    return figure


def _size(groups: Sequence[str], columns: int) -> tuple[float, float]:
    """Inches that leave each cell room for its numbers, and each row for its name."""
    names = 0.065 * max(map(len, groups))
    return min(PAGE_WIDTH, names + 0.8 * columns + 1.2), 0.17 * len(groups) + 0.7


def _fill_cells(axes: Axes, image: AxesImage, cells: Mapping[tuple[int, int], Average]) -> None:
    for (row, column), cell in cells.items():
        if not cell.items:
            axes.add_patch(
                Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="////",
                          edgecolor=GREY, linewidth=0)
            )  # fmt: skip
            continue
        axes.text(
            column,
            row,
            f"{cell.mean:.3f} ({cell.items})",
            ha="center",
            va="center_baseline",
            fontsize=7,
            color="white" if _is_dark(image, cell) else "black",
        )


def _is_dark(image: AxesImage, cell: Average) -> bool:
    if cell.items < FEWEST:
        return False
    red, green, blue, _ = image.cmap(image.norm(np.array(cell.mean)))
    return bool(0.299 * red + 0.587 * green + 0.114 * blue < 0.45)
