"""What is wrong with a store, for readers that cannot make sense of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mtljobs.errors import CorruptionError
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.plan.frozen import read_newest
from mtljobs.store.findings import Checked, Finding, Kind
from mtljobs.store.verification import Level, check_store

_OF_PLANS: frozenset[Kind] = frozenset({"wrong plan", "unknown record"})
"""Kinds of findings about what may have no fault but its plan: moved away it would be lost."""


@contextmanager
def naming_damage(run: RunFolder) -> Iterator[None]:
    """While inside, the error of a reader that met a damaged store says how to mend the store.

    Raises:
        CorruptionError: Instead of the reader's own error, where the store is damaged.
    """
    try:
        yield
    except (ValueError, OSError, CorruptionError) as error:
        damage = _find_damage(run, level="default")
        if not damage:
            raise
        raise _error(run, damage) from error


def refuse_damage(run: RunFolder) -> None:
    """Return where every file of a run's results is there, as long as it was, and no other.

    Reads no results: readers meet the checksum of a chunk that changed, never that one is gone.
    A store without a run around it has no records, and passes.

    Raises:
        CorruptionError: Says what is damaged and how to mend it.
    """
    damage = _find_damage(run, level="quick")
    if damage:
        raise _error(run, damage)


def _error(run: RunFolder, damage: list[Finding]) -> CorruptionError:
    first, *others = damage
    more = f", and {len(others)} more" if others else ""
    what = f"the run is damaged ({first.kind}: {first.path}{more})"
    if first.kind in _OF_PLANS:
        return CorruptionError(f"{what}: {first.detail.rstrip('.')}.")
    return CorruptionError(
        f"{what}. `mtljobs verify {run.name} "
        f"--requeue` names what is damaged and moves it away, `mtljobs resume {run.name}` "
        "computes it again; everything else is as it was."
    )


def _find_damage(run: RunFolder, *, level: Level) -> list[Finding]:
    """What is damaged of the run itself: a copy of it is whole without what runs share."""
    plan = read_newest(run)
    if plan is None:
        return []
    findings = check_store(
        run,
        Workspace(run.root.parent),
        plan,
        level=level,
        checked=Checked(),
        progress=lambda *_: None,
    )
    return [
        finding
        for finding in findings
        if not finding.is_note and finding.path.is_relative_to(run.root)
    ]
