"""What Slurm has of a run, what became of the rest, and who goes on: for people, in lines."""

from __future__ import annotations

from mtljobs.cluster.history import decide_all, explain, read_pasts
from mtljobs.cluster.profiles import run_profile
from mtljobs.cluster.queue import RARELY_S, Queue, read_queue
from mtljobs.cluster.states import RunState
from mtljobs.errors import counted
from mtljobs.ledger.paths import RunFolder
from mtljobs.settings.base import restore
from mtljobs.settings.resources import Resources


def outlook(state: RunState) -> list[str]:
    """How a run goes on, from its ledger and an answer of the queue that may be half a minute old.

    Raises:
        UserError: The queue does not answer.
    """
    queue = read_queue(state.run, max_age_s=RARELY_S)
    resources: Resources = restore(Resources, state.plan.resources)
    pasts = read_pasts(state, queue)
    decisions = decide_all(state, pasts, resources=resources, profile=run_profile(state.run))
    ready = state.parents_done | {state.reduction.shard.name}
    again = [
        name for name in pasts if name in ready and pasts[name].was_tried and decisions[name].again
    ]
    left = [name for name in decisions if not decisions[name].again]
    lines = [f"left      {line}" for line in explain(decisions, left)]
    lines += [f"again     {line}" for line in explain(decisions, again)]
    if queue.shards:
        lines.append(f"{counted(len(queue.shards), 'shard')} waiting or running in Slurm's queue")
    lines += _explain_held(queue)
    if queue.sweeps:
        lines.append(f"sweep {queue.sweeps[-1]} goes on when these have ended")
    elif queue.shards:
        lines.append("no sweep waits for their end; `mtljobs resume` goes on then")
    elif not state.running:
        lines += [f"last sweep  {line}" for line in _last_words(state.run)]
        lines.append("nothing works on it; `mtljobs resume` goes on")
    return lines


def _explain_held(queue: Queue) -> list[str]:
    """What waits for somebody to release it, and how to."""
    lines = []
    for reason in sorted({*queue.held.values()}):
        jobs = [job for job, other in queue.held.items() if other == reason]
        is_stranded = jobs[0] in queue.stranded
        way = "mtljobs resume" if is_stranded else f"scontrol release {','.join(jobs)}"
        lines.append(f"held      {counted(len(jobs), 'job')}: {reason}; `{way}` goes on")
    return lines


def _last_words(run: RunFolder) -> list[str]:
    """What the last sweep came to, where there was one."""
    try:
        lines = run.sweeps.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    stamps = [line[:19] for line in lines]
    return [line for line, stamp in zip(lines, stamps, strict=True) if stamp == stamps[-1]]
