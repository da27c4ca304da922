"""Figures and pages from results."""

from mtljobs.report.writing import write_report

__all__ = ["write_report"]
