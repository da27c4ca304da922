"""How every figure looks, and how it becomes bytes: the same results, the same bytes."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours that most colour-blind readers tell apart.

Source: Okabe & Ito, Color Universal Design (2008), without its yellow, which fades on white.
"""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("solid", "dashed", "dotted")
GREY = "#666666"

PAGE_WIDTH = 7.0
"""Width of the widest figure, in inches: the text of a printed page. No letter is below 7 pt."""

PANELS_HEIGHT = 8.4
"""What a printed page has room for, in inches, below a legend or a heading."""

LETTER = 0.075
"""Room for a letter of 9 pt, in inches; few texts need as much."""

SCREEN_DPI = 144
PRINT_DPI = 300

STYLE: dict[RcKeyType, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.constrained_layout.use": True,
    "font.size": 8,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "savefig.dpi": PRINT_DPI,
    "svg.hashsalt": "mtljobs",
    "text.parse_math": False,  # A class may be called "$5".
    "xtick.color": "#444444",
    "xtick.labelsize": 7.5,
    "ytick.color": "#444444",
    "ytick.labelsize": 7.5,
}


@contextmanager
def style() -> Iterator[None]:
    """The look of the project's figures, whatever the reader's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def series_look(index: int) -> tuple[str, str, str]:
    """Colour, marker and line of the n-th series: never colour alone; they recur after 21."""
    return (
        SERIES[index % len(SERIES)],
        MARKERS[index % len(MARKERS)],
        LINES[index // len(SERIES) % len(LINES)],
    )


def shades(count: int) -> list[str]:
    """Colours of an ordered axis, dark to light, none of them too light for white paper."""
    scale = mpl.colormaps["viridis"]
    return [to_hex(scale(0.78 * index / max(count - 1, 1))) for index in range(count)]


def grid_of_axes(
    rows: int, columns: int, *, widest: float = 3.5, proportion: float = 0.8
) -> tuple[Figure, list[list[Axes]]]:
    """A figure, never larger than a printed page, and its axes by row and column.

    Args:
        widest: Width of a panel in inches, where the page has room for it.
        proportion: Height of a panel by its width, where the page has room for it.
    """
    width = min(widest, PAGE_WIDTH / columns)
    height = min(proportion * width * rows, PANELS_HEIGHT)
    figure = Figure(figsize=(width * columns, height + 0.2))
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, [list(row) for row in axes]


def in_per_cent(axis: Axis) -> None:
    """Fractions as people read them."""
    axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def legend_above(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """One legend for all panels; long labels get fewer columns, and are broken where it ends."""
    line = 0.5  # Inches before a label.
    width = int((figure.get_figwidth() - line) / LETTER)
    broken = [textwrap.wrap(label, width) for label in labels]
    longest = max(len(part) for label in broken for part in label)
    columns = max(1, int(figure.get_figwidth() / (line + LETTER * longest)))
    figure.legend(handles, map("\n".join, broken), loc="outside upper left", ncols=columns)
    heighten(figure, lines=math.ceil(sum(map(len, broken)) / columns))


def head(figure: Figure, *lines: str) -> None:
    """A heading above all panels, whose lines are broken where the figure ends."""
    width = int(figure.get_figwidth() / LETTER)
    broken = [part for line in lines for part in textwrap.wrap(line, width)]
    figure.suptitle("\n".join(broken), x=0.01, ha="left", fontsize=9)
    heighten(figure, lines=len(broken))


def foot(figure: Figure, line: str) -> None:
    """A line below all panels."""
    figure.supxlabel(line, x=0.99, ha="right", fontsize=7.5, color=GREY)
    heighten(figure, lines=1)


def heighten(figure: Figure, *, lines: int) -> None:
    """Make room for more lines of text."""
    figure.set_figheight(figure.get_figheight() + 0.17 * lines)


def show_image(axes: Axes, pixels: np.ndarray, *, title: str) -> None:
    """An image (row, column, rgb) in [0, 1], without axes."""
    axes.imshow(pixels, vmin=0, vmax=1)
    axes.set_title(title, fontsize=7.5, loc="center")
    hide_frame(axes)


def hide_frame(axes: Axes) -> None:
    """Leave of the axes what they show, and their labels."""
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def svg(figure: Figure) -> bytes:
    """The figure as SVG, without dates, letters as outlines."""
    with style():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def png(figure: Figure) -> bytes:
    """The figure as PNG, as fine as print."""
    with style():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def jpeg(figure: Figure) -> bytes:
    """The figure as JPEG, as fine as a screen: photographs at a fifth of their size as PNG."""
    with style():
        buffer = io.BytesIO()
        figure.savefig(
            buffer, format="jpeg", dpi=SCREEN_DPI, pil_kwargs={"quality": 90, "subsampling": 0}
        )
    return buffer.getvalue()
