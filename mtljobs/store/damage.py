"""What is wrong with a store, for readers that cannot make sense of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mtljobs.errors import CorruptionError
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.plan.frozen import read_newest
from mtljobs.store.findings import Checked, Finding
from mtljobs.store.verification import check_store


@contextmanager
def naming_damage(run: RunFolder) -> Iterator[None]:
    """While inside, the error of a reader that met a damaged store says how to mend the store.

    Raises:
        CorruptionError: Instead of the reader's own error, where the store is damaged.
    """
    try:
        yield
    except (ValueError, OSError, CorruptionError) as error:
        damage = _find_damage(run)
        if not damage:
            raise
        first, *others = damage
        more = f", and {len(others)} more" if others else ""
        raise CorruptionError(
            f"the run is damaged: {first.path} is a {first.kind}{more}. `mtljobs verify "
            f"{run.name} --requeue` names what is damaged and moves it away, `mtljobs resume "
            f"{run.name}` computes it again; everything else is as it was."
        ) from error


def _find_damage(run: RunFolder) -> list[Finding]:
    plan = read_newest(run)
    if plan is None:
        return []
    findings = check_store(
        run,
        Workspace(run.root.parent),
        plan,
        level="default",
        checked=Checked(),
        progress=lambda *_: None,
    )
    return [finding for finding in findings if not finding.is_note]
