"""A run as xarray, its statistics and its tables."""

from mtljobs.results.areas import aoc, curves, mean_curve, quantus
from mtljobs.results.averages import Average
from mtljobs.results.comparison import Comparison, Decline, compare, declines
from mtljobs.results.completeness import PartialRunError
from mtljobs.results.correlation import (
    Correlation,
    ImageCorrelation,
    correlate,
    correlate_images,
)
from mtljobs.results.maps import saliency
from mtljobs.results.performance import Performance
from mtljobs.results.run import open_run
from mtljobs.results.sheets import to_markdown
from mtljobs.results.table_files import compute_tables, markdown, write_tables
from mtljobs.results.tabulation import Tables, tables

__all__ = [
    "Average",
    "Comparison",
    "Correlation",
    "Decline",
    "ImageCorrelation",
    "PartialRunError",
    "Performance",
    "Tables",
    "aoc",
    "compare",
    "compute_tables",
    "correlate",
    "correlate_images",
    "curves",
    "declines",
    "markdown",
    "mean_curve",
    "open_run",
    "quantus",
    "saliency",
    "tables",
    "to_markdown",
    "write_tables",
]
