"""How every figure looks, and how it becomes bytes: the same results, the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours that most colour-blind readers tell apart.

Source: Okabe & Ito, Color Universal Design (2008), without its yellow, which fades on white.
"""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#666666"

STYLE: dict[RcKeyType, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "savefig.dpi": 144,
    "svg.hashsalt": "mtljobs",
    "text.parse_math": False,  # A class may be called "$5".
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}


@contextmanager
def style() -> Iterator[None]:
    """The look of the project's figures, whatever the reader's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def series_look(index: int) -> tuple[str, str]:
    """Colour and marker of the n-th line of a figure: two cues, never colour alone."""
    return SERIES[index % len(SERIES)], MARKERS[index % len(MARKERS)]


def shades(count: int) -> list[str]:
    """Colours of an ordered axis, dark to light, none of them too light for white paper."""
    scale = mpl.colormaps["viridis"]
    return [to_hex(scale(0.78 * index / max(count - 1, 1))) for index in range(count)]


def grid_of_axes(
    rows: int, columns: int, *, width: float = 3.5, height: float = 2.6
) -> tuple[Figure, list[list[Axes]]]:
    """A figure and its axes by row and column; sizes in inches per panel."""
    figure = Figure(figsize=(width * columns, height * rows + 0.4))
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, [list(row) for row in axes]


def svg(figure: Figure) -> bytes:
    """The figure as SVG, without dates, letters as outlines."""
    with style():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def jpeg(figure: Figure) -> bytes:
    """The figure as JPEG: photographs at a fifth of their size as PNG."""
    with style():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="jpeg", pil_kwargs={"quality": 90, "subsampling": 0})
    return buffer.getvalue()


def png(figure: Figure) -> bytes:
    """The figure as PNG, 144 dots per inch."""
    with style():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
