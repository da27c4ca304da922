"""What a check or the drill found: how it is, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What it was, in a word or two.
        verdict: "warning" costs something, "problem" keeps shards from running or results from
            being safe.
        found: How it is.
        advice: What to do; empty where nothing is to be done.
    """

    subject: str
    verdict: Verdict
    found: str
    advice: str = ""


def ok(subject: str, found: str) -> Finding:
    """All is well."""
    return Finding(subject, "ok", found)


def warning(subject: str, found: str, advice: str) -> Finding:
    """It costs something: time, certainty, or somebody's attention."""
    return Finding(subject, "warning", found, advice)


def problem(subject: str, found: str, advice: str) -> Finding:
    """It will not work like this."""
    return Finding(subject, "problem", found, advice)
