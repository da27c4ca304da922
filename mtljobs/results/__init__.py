"""A run as xarray, and its tables."""

from mtljobs.results.areas import aoc, curves, mean_curve, quantus
from mtljobs.results.averages import Average
from mtljobs.results.completeness import PartialRunError
from mtljobs.results.maps import saliency
from mtljobs.results.run import open_run
from mtljobs.results.sheets import to_markdown
from mtljobs.results.table_files import markdown, read_tables, write_tables
from mtljobs.results.tabulation import Performance, Tables, tables

__all__ = [
    "Average",
    "PartialRunError",
    "Performance",
    "Tables",
    "aoc",
    "curves",
    "markdown",
    "mean_curve",
    "open_run",
    "quantus",
    "read_tables",
    "saliency",
    "tables",
    "to_markdown",
    "write_tables",
]
