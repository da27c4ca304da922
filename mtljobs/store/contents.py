"""Whether files hold the bytes that their records list, and a plan what its identities say."""

from __future__ import annotations

from collections.abc import Iterator

from mtljobs.ledger.files import hash_file
from mtljobs.ledger.paths import RunFolder
from mtljobs.plan.frozen import Plan, newest_plan
from mtljobs.plan.networks import shard_identity
from mtljobs.store.findings import Checked, Finding
from mtljobs.store.inventory import AGAIN, Held
from mtljobs.store.presence import file_size


def check_contents(held: Held, checked: Checked) -> Iterator[Finding]:
    """Hash the files of one record that are as long as it says; `check_presence` names others."""
    for name, (sha256, size) in held.record.files.items():
        path = held.place.locate(name)
        if file_size(path) != size:
            continue
        found = hash_file(path)
        checked.bytes += size
        if found != sha256:
            detail = f"expected sha256 {sha256[:12]}, found {found[:12]}: {AGAIN}"
            yield Finding("changed file", path, held.shard, detail)


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
