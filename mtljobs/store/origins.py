"""Where networks were computed: on one device model and in one image, or on several."""

from __future__ import annotations

from collections.abc import Iterator

from mtljobs.contracts import Shard
from mtljobs.ledger.attempts import AttemptState, find_attempts
from mtljobs.ledger.paths import RunFolder, Workspace, result_folder
from mtljobs.plan.frozen import Plan
from mtljobs.store.findings import Finding
from mtljobs.store.unreadable import unreadable

COMPUTED_NOTHING = frozenset({"waiting", "duplicate"})


def find_mixed_devices(run: RunFolder, workspace: Workspace, plan: Plan) -> Iterator[Finding]:
    """Networks of a run whose attempts, in whichever run, had different devices or images.

    A checkpoint carries a training from one device to the next, and no promise of equal bytes holds
    across device models.
    """
    attempts: dict[str, list[AttemptState]] = {
        shard.name: [] for shard in plan.shards if shard.stage in {"train", "prune"}
    }
    for other in _runs(run, workspace):
        try:
            found = find_attempts(other.attempts)
            for name in attempts.keys() & found.keys():
                attempts[name] += found[name]
        except OSError as error:
            if other == run:  # others may be closed to this run's owner
                yield unreadable("broken record", error)
    for shard in plan.shards:
        if shard.name in attempts:
            yield from _find_mixed(run, workspace, shard, attempts[shard.name])


def _runs(run: RunFolder, workspace: Workspace) -> list[RunFolder]:
    names = {*workspace.run_names(), run.name}
    return [workspace.run(name) for name in sorted(names)]


def _find_mixed(
    run: RunFolder, workspace: Workspace, shard: Shard, attempts: list[AttemptState]
) -> Iterator[Finding]:
    computing = [one for one in attempts if one.device and one.state not in COMPUTED_NOTHING]
    devices = sorted({one.device for one in computing})
    images = sorted({one.image[:12] or "none" for one in computing})
    mixed = [
        f"{what} {' and '.join(values)}"
        for what, values in (("devices", devices), ("images", images))
        if len(values) > 1
    ]
    if mixed:
        yield Finding(
            "mixed devices",
            result_folder(workspace, run, shard),
            shard.name,
            f"expected one device model and one image, found the {' and the '.join(mixed)} in "
            f"{len(computing)} attempts: another run may not give the same bytes",
        )
