"""Whether a run's plans are whole, and settings in the newest those of its identities."""

from __future__ import annotations

from collections.abc import Iterator

from mtljobs.errors import CorruptionError
from mtljobs.ledger.paths import RunFolder
from mtljobs.plan.frozen import Plan, plan_files, read_plan
from mtljobs.plan.networks import shard_identity
from mtljobs.store.findings import Finding


def read_plans(run: RunFolder) -> Iterator[Plan | Finding]:
    """The run's plans, the newest first; findings in the place of those that cannot be read."""
    for path in plan_files(run):
        try:
            yield read_plan(path)
        except CorruptionError as error:
            yield Finding("wrong plan", path, None, f"expected a plan, found that {error}")


def check_plans(run: RunFolder, plan: Plan) -> Iterator[Finding]:
    """Plans that cannot be read, and shards of the newest with settings of another identity."""
    yield from (found for found in read_plans(run) if isinstance(found, Finding))
    path = next(iter(plan_files(run)), run.plans)
    for shard in plan.shards[:-1]:
        found = shard_identity(dict(shard.spec), dict(shard.inputs))
        if found != shard.identity:
            yield Finding(
                "wrong plan",
                path,
                None,
                f"expected settings of {shard.name} with the identity {shard.identity[:12]}, found "
                f"some with {found[:12]}: move the file away and submit its grid again",
            )
