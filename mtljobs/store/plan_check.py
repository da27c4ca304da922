"""Whether a plan's settings are those that its identities stand for."""

from __future__ import annotations

from collections.abc import Iterator

from mtljobs.ledger.paths import RunFolder
from mtljobs.plan.frozen import Plan, newest_plan
from mtljobs.plan.networks import shard_identity
from mtljobs.store.findings import Finding


def check_plan(run: RunFolder, plan: Plan) -> Iterator[Finding]:
    """Shards of the newest plan whose settings give another identity than stands beside them."""
    path = newest_plan(run) or run.plans
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
