"""Whether a run's plans are whole and its own, and settings those of their identities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mtljobs.errors import CorruptionError
from mtljobs.ledger.paths import RunFolder
from mtljobs.plan.frozen import SUBMIT_AGAIN, Plan, plan_files, read_plan
from mtljobs.plan.networks import shard_identity
from mtljobs.store.findings import Finding


def read_plans(run: RunFolder) -> Iterator[tuple[Path, Plan | Finding]]:
    """The run's plans, the newest first; findings in the place of those that cannot be read."""
    for path in plan_files(run):
        try:
            yield path, read_plan(path)
        except CorruptionError as error:
            detail = f"expected a plan, found that {error}"
            yield path, Finding("wrong plan", path, None, detail)


def check_growth(run: RunFolder, plan: Plan) -> Iterator[Finding]:
    """A newest plan that lacks what one before it has: one of the two is another run's."""
    known = _identities(plan)
    newest: Path | None = None
    for path, found in read_plans(run):
        if newest is None:
            newest = path if found == plan else None
        elif isinstance(found, Plan):
            lost = [key for key, value in _identities(found).items() if known.get(key) != value]
            if lost:
                detail = (
                    f"expected all that {path.name} has, as plans only grow, found {len(lost)} "
                    f"missing, as {lost[0]}: move the file away that is another run's"
                )
                yield Finding("wrong plan", newest, None, detail)
                return


def _identities(plan: Plan) -> dict[str, str]:
    """Of all that a plan has and the next one must have too."""
    cells = {f"the cell {cell.slot}": cell.identity for cell in plan.cells}
    return {shard.name: shard.identity for shard in plan.shards[:-1]} | cells


def check_plans(run: RunFolder, plan: Plan) -> Iterator[Finding]:
    """Plans that cannot be read, and shards of the newest with settings of another identity."""
    yield from (found for _, found in read_plans(run) if isinstance(found, Finding))
    path = next(iter(plan_files(run)), run.plans)
    for shard in plan.shards[:-1]:
        found = shard_identity(dict(shard.spec), dict(shard.inputs))
        if found != shard.identity:
            yield Finding(
                "wrong plan",
                path,
                None,
                f"expected settings of {shard.name} with the identity {shard.identity[:12]}, found "
                f"some with {found[:12]}: move the file away, and {SUBMIT_AGAIN}",
            )
