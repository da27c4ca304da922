"""Some of a run's explanations computed again here, and held against what the run has."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from mtljobs.cluster.runs import run_workspace
from mtljobs.contracts import Progress, Shard
from mtljobs.errors import MtljobsError, counted
from mtljobs.ledger.attempts import read_shard
from mtljobs.ledger.paths import RunFolder
from mtljobs.ledger.versions import software_versions
from mtljobs.plan.frozen import Plan
from mtljobs.settings.base import load
from mtljobs.store.backend import load_backend, read_part
from mtljobs.store.comparison import Comparison, compare
from mtljobs.store.findings import Finding
from mtljobs.store.inventory import Held, take_inventory
from mtljobs.store.schema import build_schema
from mtljobs.worker import IMAGE_VARIABLE, device_name, thread_environment


def recompute(
    run: RunFolder, plan: Plan, *, count: int, seed: int, progress: Progress
) -> Iterator[Finding]:
    """Compute random shards of the stage `explain` again, one finding for each.

    Bits that differ are damage only where the device model, the image and the versions are those of
    the stored results. Networks are taken as they are, and not trained again.

    Args:
        count: How many; fewer where the run has fewer.
        seed: Of the choice.
    """
    inventory = take_inventory(run, run_workspace(run), plan, load_backend(plan.backend))
    shards = {shard.name: shard for shard in plan.shards if shard.stage == "explain"}
    held = [one for one in inventory.held if one.shard in shards]
    for one in random.Random(seed).sample(held, min(count, len(held))):
        yield _recompute_one(run, plan, shards[one.shard], one, progress=progress)


def _recompute_one(
    run: RunFolder, plan: Plan, shard: Shard, held: Held, *, progress: Progress
) -> Finding:
    decode = partial(read_part, load_backend(plan.backend), build_schema(plan.layouts))
    os.environ.update(thread_environment(shard))  # before torch is loaded
    say = partial(Finding, path=held.place.record, shard=shard.name)
    with tempfile.TemporaryDirectory(prefix="mtljobs-") as folder:
        try:
            output = load("mtljobs.stages.recompute:explain_again")(
                plan,
                shard,
                run=run,
                workspace=run_workspace(run),
                folder=Path(folder),
                progress=progress,
            )
        except MtljobsError as error:
            return say("recomputed", detail=f"could not be computed again: {error}")
        compared = compare(held, output, decode)
    changes = _changes(run, held)
    if not compared.different:
        return say("recomputed", detail=f"equal in {counted(compared.files, 'file')}, bit for bit")
    if changes:
        there = ", ".join(f"{what} {was} -> {now}" for what, (was, now) in changes.items())
        return say("recomputed", detail=f"{_describe(compared)}, under other conditions: {there}")
    return say(
        "not reproduced",
        detail=f"expected the same bits on the same device model, image and versions, found that "
        f"{_describe(compared)}",
    )


def _describe(compared: Comparison) -> str:
    return (
        f"{len(compared.different)} of {compared.files} files differ, by up to "
        f"{compared.deviation:.3g}, such as {compared.different[0]}"
    )


def _changes(run: RunFolder, held: Held) -> Mapping[str, tuple[str, str]]:
    """What is otherwise here than where the results come from -> how it was, and is."""
    done = [attempt for attempt in read_shard(run.attempts, held.shard) if attempt.state == "done"]
    was = dict(held.record.versions)
    was["device"], was["image"] = (done[-1].device, done[-1].image) if done else ("unknown", "")
    now = software_versions() | {
        "device": device_name(),
        "image": os.environ.get(IMAGE_VARIABLE, ""),
    }
    return {
        what: (was.get(what) or "none", now.get(what) or "none")
        for what in sorted(was.keys() | now)
        if was.get(what) != now.get(what)
    }
